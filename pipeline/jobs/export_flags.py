"""What `firebeam export` can be asked for: its flags, and which of them go together."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.locations import PASSWORD
from pipeline.run.flags import Usage, option
from pipeline.run.job_config import RecordsConfig
from transforms.bigquery.methods import METHODS
from transforms.export.columns import JSON, NESTED
from transforms.export.files.options import CSV_TYPES, INFER
from transforms.export.options import CONSISTENCIES, DELETES, FLAT, IGNORE, LAYOUTS, MERGE, WRITES
from transforms.firestore.ranges import MAX_RANGES

NAME = "export"

FULL, INCREMENTAL = "full", "incremental"
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Config(RecordsConfig):
    """The flags of export."""

    source: str | None = option(
        None,
        group="Input",
        metavar="LOCATION",
        help="what to read instead of collections: a table, postgresql://USER@HOST:PORT/DATABASE/SCHEMA.TABLE or "
        "mysql://USER@HOST:PORT/DATABASE/TABLE, whose --cursor_field is a column of times, or PostgreSQL's xmin; or "
        "bigquery:PROJECT:DATASET.TABLE; or firestore://COLLECTION, as --collection; or files: local, gs://, s3:// or "
        "azfs://, globs",
        in_templates=False,
    )
    source_password: str | None = option(
        None,
        group="Input",
        metavar="WHERE",
        help=PASSWORD,
        in_templates=False,
    )
    key: tuple[str, ...] = option(
        (),
        group="Input",
        metavar="COLUMN",
        help="columns that identify a row of the source; default: its primary key",
        in_templates=False,
    )
    consistency: str | None = option(
        None,
        group="Input",
        choices=CONSISTENCIES,
        help="snapshot reads the source in one state, held by this process; ranges reads every range of keys in a "
        "transaction of its own; default: snapshot, but ranges on Dataflow and to resume an interrupted run",
        in_templates=False,
    )
    max_connections: int = option(
        4, group="Input", minimum=2, maximum=1_000, help="maximum connections to the source", in_templates=False
    )
    csv_types: str = option(
        INFER,
        group="Input",
        choices=CSV_TYPES,
        help="columns of CSV files: infer reads every cell first, for the narrowest type in which all of them keep "
        "their values; text makes text of all",
        in_templates=False,
    )
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
    fields: tuple[str, ...] = option((), group="Input", metavar="FIELD", help="only these fields; default: all")
    read_time: str | None = option(
        None,
        group="Input",
        metavar="TIME",
        help="read the database as it was at this time, such as 2026-01-01T12:00:00Z; default: when the run begins",
    )
    batch_size: int = option(500, group="Input", minimum=1, maximum=10_000, help="documents per batch")
    max_ranges: int = option(
        256,
        group="Input",
        minimum=1,
        maximum=MAX_RANGES,
        help="maximum number of ranges of names that are read in parallel",
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
        help="field that grows with every change, such as last_modified: incremental reads only documents beyond the "
        "last run's greatest value; default: it reads all documents",
    )
    lookback_s: int = option(
        60,
        group="Input",
        minimum=0,
        help="how many seconds before the last run's greatest value are read again, for writers whose clocks differ",
    )
    bigquery_table: str = option(group="BigQuery", metavar="PROJECT:DATASET.TABLE", help="table to write to")
    bigquery_method: str | None = option(
        None,
        group="BigQuery",
        choices=METHODS,
        help="STORAGE_WRITE is the Storage Write API, with EXACTLY_ONCE no row is ever duplicated; default: "
        "FILE_LOADS, the cheapest, if --temp_location is a gs:// folder, else INSERT_ROWS",
    )
    layout: str = option(
        FLAT,
        group="BigQuery",
        choices=LAYOUTS,
        help="flat has one column per field; changelog has the columns of Firebase's extension; both writes TABLE and "
        "TABLE_changelog",
    )
    write: str = option(
        MERGE,
        group="BigQuery",
        choices=WRITES,
        help="merge keeps one row per document, the one with the newest update_time; append adds rows; replace leaves "
        "only the rows of this run",
    )
    deletes: str = option(
        IGNORE,
        group="BigQuery",
        choices=DELETES,
        help="rows whose documents no longer exist: mark sets deleted_at, remove deletes them, ignore keeps them",
    )
    infer: str = option(
        ALL,
        group="BigQuery",
        metavar="all|N",
        help="how many documents are read first to find the columns; fields not found go to _overflow; 0 uses the "
        "table as it is",
    )
    nested: str = option(
        JSON,
        group="BigQuery",
        choices=NESTED,
        help="how maps are stored: as a JSON column, as a STRUCT, or as one column per member",
    )
    spec: str | None = option(
        None,
        group="BigQuery",
        metavar="NAME|FILE",
        help="record spec that defines the columns; default: the documents do",
    )


USAGE = Usage(
    NAME,
    Config,
    about="""\
Writes collections of Firestore to BigQuery: typed columns that hold every value, a changelog like that of Firebase's
extension, or both; all documents, only changed ones, or a snapshot of the past. Refused rows become dead letters.""",
    example="""\
  firebeam export --collection=users --project=my-project --database='(default)' \\
      --bigquery_table=my-project:exports.users --dead_letters=gs://my-bucket/dead_letters""",
)
