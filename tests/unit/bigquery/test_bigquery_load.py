"""LoadRows: what is refused before the job starts."""

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from transforms.bigquery.load import LoadRows, beam_schema
from transforms.bigquery.schema import Column
from transforms.bigquery.senders import check_temp_location
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import UsageError

COLUMNS = (Column("id", "STRING"), Column("age", "INT64"), Column("profile", "JSON"))
TARGET = BigQueryTarget("demo-x", "d", "t")


@pytest.mark.parametrize("temp_location", [None, "", "/tmp/loads", "s3://bucket/x"])
def test_file_loads_need_a_folder_that_bigquery_can_read(temp_location: str | None) -> None:
    with pytest.raises(UsageError, match="FILE_LOADS needs --temp_location=gs://BUCKET/FOLDER, got "):
        check_temp_location(temp_location)
    pipeline = beam.Pipeline(runner=FnApiRunner())
    with pytest.raises(UsageError, match="or use --bigquery_method=INSERT_ROWS"):
        _ = (
            pipeline
            | "Rows" >> beam.Create([{"id": "x"}])
            | "LoadRows" >> LoadRows(TARGET, COLUMNS, temp_location=temp_location)
        )


def test_beam_gets_the_schema_in_the_names_of_load_jobs() -> None:
    assert beam_schema((*COLUMNS, Column("tags", "STRING", "REPEATED"), Column("ok", "BOOL"))) == {
        "fields": [
            {"name": "id", "type": "STRING", "mode": "NULLABLE"},
            {"name": "age", "type": "INTEGER", "mode": "NULLABLE"},
            {"name": "profile", "type": "JSON", "mode": "NULLABLE"},
            {"name": "tags", "type": "STRING", "mode": "REPEATED"},
            {"name": "ok", "type": "BOOLEAN", "mode": "NULLABLE"},
        ]
    }
