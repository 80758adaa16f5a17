"""What `firebeam ingest` can be asked for: its flags."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.jobs.analysis_flags import AnalysisFlags
from pipeline.jobs.provider_flags import ProviderFlags
from pipeline.jobs.reading_flags import ReadingFlags
from pipeline.jobs.writing_flags import SPEC_IN_CLOUD, WritingFlags, table_option
from pipeline.locations import PASSWORD, SOURCES_IN_CLOUD
from pipeline.run.flags import Usage, option
from pipeline.run.job_config import RecordsConfig
from transforms.bigquery.methods import FILE_LOADS, INSERT_ROWS, STORAGE_WRITE
from transforms.upsert.modes import MODES, VERSIONED

NAME = "ingest"


@dataclass(frozen=True, kw_only=True)
class Config(RecordsConfig, WritingFlags, ReadingFlags, ProviderFlags, AnalysisFlags):
    """The flags of ingest."""

    input: tuple[str, ...] = option(
        group="Input",
        metavar="PATTERN",
        help="files to read: local, gs://, s3:// or azfs://, globs; or firestore://COLLECTION; or batches://PROVIDER; "
        "or a table, postgresql://… or mysql://…, see docs/sources.md; repeat it or separate with commas",
        prefixes=SOURCES_IN_CLOUD,
    )
    input_password: str | None = option(
        None,
        group="Input",
        metavar="WHERE",
        help=PASSWORD,
        in_templates=False,
    )
    batch_size: int = option(500, group="Input", minimum=1, maximum=10_000, help="records per batch")
    spec: str = option(
        "profiles",
        group="Records",
        metavar="NAME|FILE",
        help="record spec: the name of a shipped one, or a YAML file, local or gs://",
        pattern=SPEC_IN_CLOUD,
    )
    upsert: str = option(
        VERSIONED,
        group="Firestore",
        choices=MODES,
        help="versioned writes only what has changed; overwrite writes everything; merge keeps stored fields that the "
        "record lacks; create_only leaves existing documents alone",
    )
    keep_versions: int = option(
        0,
        group="Firestore",
        minimum=0,
        maximum=1_000,
        help="how many earlier versions of a document are kept under versions/, with upsert=versioned",
        shown_with=("upsert", (VERSIONED,)),
    )
    max_request_bytes: int | None = option(
        None,
        group="Firestore",
        minimum=65_536,
        maximum=10_485_760,
        help="maximum size of a Commit; default: 9 MiB, 3.5 MiB on the emulator",
    )
    bigquery_table: str | None = table_option("table for one row per record")
    bigquery_method: str = option(
        INSERT_ROWS,
        group="BigQuery",
        choices=(INSERT_ROWS, STORAGE_WRITE, FILE_LOADS),
        gone=(("STREAMING_INSERTS", INSERT_ROWS),),
        help="INSERT_ROWS and STORAGE_WRITE, the Storage Write API, get one answer per row at once; FILE_LOADS is the "
        "cheapest for millions of rows",
    )


USAGE = Usage(
    NAME,
    Config,
    about="""\
Reads processed records from files or model batch results, flattens them by a record spec, writes each as a pair of
Firestore documents and, if asked to, as a row of BigQuery. A record that cannot be stored becomes a dead letter.""",
    example="""\
  firebeam ingest --input='gs://my-bucket/results/*.jsonl' --spec=profiles \\
      --project=my-project --database='(default)' \\
      --bigquery_table=my-project:people.candidates --dead_letters=gs://my-bucket/dead_letters""",
)
