"""What `firebeam verify` can be asked for: its flags."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.run.flags import Usage, option
from pipeline.run.job_config import JobConfig
from transforms.verify.matching import AUTO, ID, PATH

NAME = "verify"

START, LATEST = "start", "latest"

# Workers cannot read the launching computer's files.
_IN_THE_CLOUD = ("firestore://", "bigquery:", "jsonl:gs://")


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """The flags of verify."""

    left: str = option(
        group="Stores",
        metavar="STORE",
        help="firestore://COLLECTION, firestore://**/GROUP, bigquery:PROJECT:DATASET.TABLE or jsonl:PATTERN",
        prefixes=_IN_THE_CLOUD,
    )
    right: str = option(
        group="Stores",
        metavar="STORE",
        help="the store to compare it with, of any kind, too",
        prefixes=_IN_THE_CLOUD,
    )
    match_by: str = option(
        AUTO,
        group="Stores",
        choices=(AUTO, ID, PATH),
        help="what names a document in both stores; auto: its path in collection groups and between two tables of "
        "export, else its id",
    )
    key_column: str | None = option(
        None,
        group="Stores",
        metavar="COLUMN",
        help="column that names the document, of a table that export did not make",
    )
    id_field: str = option("id", group="Stores", metavar="FIELD", help="id of a line of JSON that has no __name__")
    ignore: tuple[str, ...] = option(
        (), group="Comparison", metavar="FIELD", help="field paths that are not compared; repeat it or use commas"
    )
    read_time: str = option(
        START,
        group="Comparison",
        choices=(START, LATEST),
        help="Firestore as it was when the run began, which it keeps for an hour without point-in-time recovery; or as "
        "each range finds it",
    )
    max_ranges: int = option(
        256, group="Comparison", minimum=1, maximum=10_000, help="key ranges to compare apart, at the most"
    )
    max_keys: int = option(
        10_000,
        group="Comparison",
        minimum=1,
        maximum=1_000_000,
        help="keys of a range that a worker has in memory, a side; larger ranges that differ are read again in parts",
    )
    report: str | None = option(
        None,
        group="Results",
        metavar="FILE",
        help="write the differences as JSON Lines",
        prefixes=("gs://",),
        parameter="GCS_WRITE_FILE",
    )
    report_table: str | None = option(
        None, group="Results", metavar="PROJECT:DATASET.TABLE", help="add the differences to this BigQuery table"
    )
    show_values: bool = option(False, group="Results", help="show the values that differ, not only the fields")


USAGE = Usage(
    NAME,
    Config,
    about="""\
Compares two stores: Firestore, BigQuery, files of JSON Lines. Says which documents one of them lacks and which are not
the same, and in which fields. The exit code is 0 if they are equal, 3 if not.""",
    example="""\
  firebeam verify --left=firestore://users --right=bigquery:my-project:people.users --ignore=last_seen \\
      --project=my-project --database='(default)'""",
)
