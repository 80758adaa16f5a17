"""The BigQuery table of a record spec: its columns, partitioning and clustering. No Beam.

    spec fields            _meta of the document        the record                 the misfits
    candidate_id STRING    _meta_version INT64          update_time TIMESTAMP      _overflow JSON
    years_experience …     _meta_content_hash STRING …  profile JSON

Every column may be NULL, so that a record never fails for a column it lacks. `_meta` is spread over flat columns rather
than kept in one RECORD: flat columns can be added to a table later, clustered by, and read by every reporting tool.

    >>> [column.name for column in meta_columns()][:2]
    ['_meta_schema_version', '_meta_version']
"""

from __future__ import annotations

from collections.abc import Sequence

from transforms.bigquery.schema import OVERFLOW, UPDATE_TIME, Column, TableOptions, check_names, check_options
from transforms.bigquery.target import BigQueryTarget
from transforms.records.cleaners import FieldType
from transforms.records.model import RecordSpec

META_PREFIX = "_meta_"
PROFILE = "profile"
# In tables of migrations only: their rows say as well that a document is gone.
DELETED_AT = "deleted_at"
DELETED_AT_COLUMN = f"{META_PREFIX}{DELETED_AT}"

# Which of several rows of one id and one update_time is shown: the last one written. So many columns decide that the
# view gives the same row every time.
_TIE_BREAK = (
    "_meta_version",
    "_meta_updated_at",
    "_meta_position",
    "_meta_job_id",
    "_meta_batch_id",
    "_meta_content_hash",
)

_COLUMN_TYPES = {
    FieldType.STRING: ("STRING", "NULLABLE"),
    FieldType.INTEGER: ("INT64", "NULLABLE"),
    FieldType.NUMBER: ("FLOAT64", "NULLABLE"),
    FieldType.BOOL: ("BOOL", "NULLABLE"),
    FieldType.TIMESTAMP: ("TIMESTAMP", "NULLABLE"),
    FieldType.STRINGS: ("STRING", "REPEATED"),
    FieldType.JSON: ("JSON", "NULLABLE"),
}


def table_columns(spec: RecordSpec, *, shows_deletes: bool = False) -> tuple[Column, ...]:
    """The columns of the table that holds a spec's records, in the order of creation.

    Args:
      shows_deletes: whether rows say as well that a document is gone.

    Raises:
      UsageError: a field's name is no column name, or belongs to another column.
    """
    columns = (
        *spec_columns(spec),
        Column(UPDATE_TIME, "TIMESTAMP", description="update_time of the documents; the row's version"),
        *meta_columns(),
        *([Column(DELETED_AT_COLUMN, "TIMESTAMP", description="when the document was deleted")] * shows_deletes),
        Column(PROFILE, "JSON", description="the whole record"),
        Column(OVERFLOW, "JSON", description="values that do not fit their columns, by column name"),
    )
    check_names(columns)
    return columns


def spec_columns(spec: RecordSpec) -> tuple[Column, ...]:
    """The columns of a spec's own fields."""
    return tuple(Column(field.name, *_COLUMN_TYPES[field.type], field.description or "") for field in spec.fields)


def meta_columns() -> tuple[Column, ...]:
    """The columns of a document's `_meta`."""
    return (
        Column("_meta_schema_version", "INT64", description="schema_version of the spec that made the row"),
        Column("_meta_version", "INT64", description="how often the document has changed"),
        Column("_meta_content_hash", "STRING", description="digest of the record and of the spec"),
        Column("_meta_created_at", "TIMESTAMP", description="when the document was first written"),
        Column("_meta_updated_at", "TIMESTAMP", description="when the document was last written"),
        Column("_meta_source", "STRING", description="file or collection the record came from"),
        Column("_meta_position", "INT64", description="where in the source the record starts"),
        Column("_meta_job_id", "STRING", description="job that wrote the row"),
        Column("_meta_batch_id", "STRING", description="batch that wrote the row"),
        Column("_meta_attempt", "INT64", description="run of the job that wrote the row, counted from 1"),
    )


def table_options(spec: RecordSpec, columns: Sequence[Column]) -> TableOptions:
    """Partitioning and clustering of a spec's table: by its own options, else by day of `update_time`, then by key.

    Raises:
      UsageError: the spec asks for something BigQuery does not have.
    """
    wanted = spec.bigquery
    options = TableOptions(
        wanted.partition_by or UPDATE_TIME,
        (wanted.partition_type or "DAY").upper(),
        tuple(wanted.cluster_by) or (spec.key.name,),
    )
    check_options(options, columns)
    return options


def latest_rows(table: BigQueryTarget, key: str, *, shows_deletes: bool = False) -> str:
    """The query for one row per id, that of the newest `update_time`; none of an id whose newest row is of a delete.

    >>> print(latest_rows(BigQueryTarget("acme-prod", "people", "candidates"), "candidate_id"))  # doctest: +ELLIPSIS
    SELECT *
    FROM `acme-prod.people.candidates`
    WHERE TRUE
    QUALIFY ROW_NUMBER() OVER (PARTITION BY `candidate_id` ORDER BY `update_time` DESC, `_meta_version` DESC, ...) = 1
    """
    order = ", ".join(f"`{name}` DESC" for name in ("update_time", *_TIE_BREAK))
    # Some versions of the engine take QUALIFY only behind WHERE, GROUP BY or HAVING.
    newest = (
        f"SELECT *\nFROM `{table.id}`\nWHERE TRUE\n"
        f"QUALIFY ROW_NUMBER() OVER (PARTITION BY `{key}` ORDER BY {order}) = 1"
    )
    return f"SELECT *\nFROM (\n{newest}\n)\nWHERE `{DELETED_AT_COLUMN}` IS NULL" if shows_deletes else newest
