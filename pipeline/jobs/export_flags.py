"""What `firebeam export` can be asked for: its flags, and which of them go together."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.run.flags import Usage, option
from pipeline.run.job_config import RecordsConfig
from transforms.bigquery.document_columns import JSON, NESTED
from transforms.bigquery.methods import METHODS
from transforms.export.options import DELETES, FLAT, IGNORE, LAYOUTS, MERGE, WRITES
from transforms.firestore.ranges import MAX_RANGES

NAME = "export"

FULL, INCREMENTAL = "full", "incremental"
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Config(RecordsConfig):
    """The flags of export."""

    collection: tuple[str, ...] = option(
        (),
        group="Input",
        metavar="PATH",
        help="collections to read; users/{user}/posts reads those of every user, with a column user; repeat it or "
        "separate with commas",
    )
    collection_group: tuple[str, ...] = option(
        (), group="Input", metavar="ID", help="collection groups to read: every collection of that id"
    )
    where: tuple[str, ...] = option(
        (),
        group="Input",
        metavar="CONDITION",
        commas=False,
        help="only documents for which this holds, such as 'age >= 21'; repeat it for more",
    )
    fields: tuple[str, ...] = option((), group="Input", metavar="FIELD", help="only these fields; all when absent")
    read_time: str | None = option(
        None,
        group="Input",
        metavar="TIME",
        help="read the database as it was then, such as 2026-01-01T12:00:00Z; when the run begins when absent",
    )
    batch_size: int = option(500, group="Input", minimum=1, maximum=10_000, help="documents in a batch")
    max_ranges: int = option(
        256, group="Input", minimum=1, maximum=MAX_RANGES, help="ranges of names that are read side by side"
    )
    mode: str = option(
        FULL,
        group="Input",
        choices=(FULL, INCREMENTAL),
        help="incremental writes only documents that BigQuery does not hold yet",
    )
    cursor_field: str | None = option(
        None,
        group="Input",
        metavar="FIELD",
        help="field that grows with every change, such as last_modified; incremental reads only what lies behind the "
        "last run's greatest value; when absent it reads everything",
    )
    lookback_s: int = option(
        60,
        group="Input",
        minimum=0,
        help="seconds before the last run's greatest value that are read again, for writers whose clocks differ",
    )
    bigquery_table: str = option(group="BigQuery", metavar="PROJECT:DATASET.TABLE", help="table to write to")
    bigquery_method: str | None = option(
        None,
        group="BigQuery",
        choices=METHODS,
        help="FILE_LOADS, the cheapest, when --temp_location is a gs:// folder, else INSERT_ROWS; STORAGE_WRITE is the "
        "Storage Write API, with EXACTLY_ONCE no row is ever there twice",
    )
    layout: str = option(
        FLAT,
        group="BigQuery",
        choices=LAYOUTS,
        help="flat has a column a field; changelog those of Firebase's extension; both is TABLE and TABLE_changelog",
    )
    write: str = option(
        MERGE,
        group="BigQuery",
        choices=WRITES,
        help="what becomes of flat rows: merged by document, the newer update_time wins; appended; or put in the place "
        "of all rows",
    )
    deletes: str = option(
        IGNORE,
        group="BigQuery",
        choices=DELETES,
        help="what becomes of rows whose documents are gone: marked in deleted_at, removed, or nothing",
    )
    infer: str = option(
        ALL,
        group="BigQuery",
        metavar="all|N",
        help="how many documents are read beforehand to find the columns; fields that are not found go to _overflow; 0 "
        "takes the table as it is",
    )
    nested: str = option(
        JSON,
        group="BigQuery",
        choices=NESTED,
        help="what becomes of maps: a JSON column, a STRUCT, or a column a member",
    )
    spec: str | None = option(
        None, group="BigQuery", metavar="NAME|FILE", help="record spec that gives the columns, instead of the documents"
    )


USAGE = Usage(
    NAME,
    Config,
    about="""\
Puts collections of Firestore into BigQuery: typed columns that hold every value, a changelog as Firebase's extension
keeps it, or both; whole, only what has changed, or as of a moment. A row that is refused becomes a dead letter.""",
    example="""\
  firebeam export --collection=users --project=my-project --database='(default)' \\
      --bigquery_table=my-project:exports.users --dead_letters=gs://my-bucket/dead_letters""",
)
