"""What `firebeam verify` can be asked for: its flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.locations import PASSWORD, STORES, STORES_IN_CLOUD
from pipeline.run.flags import Usage, option
from pipeline.run.job_config import JobConfig
from transforms.counters import Counters
from transforms.files import GCS
from transforms.verify.counters import DOCUMENTS
from transforms.verify.matching import AUTO, ID, PATH

NAME = "verify"

START, LATEST = "start", "latest"


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """The flags of verify."""

    counters: ClassVar[Counters] = DOCUMENTS

    left: str = option(
        group="Stores",
        metavar="STORE",
        help=STORES,
        prefixes=STORES_IN_CLOUD,
    )
    right: str = option(
        group="Stores",
        metavar="STORE",
        help="the store to compare it with, of any of these kinds",
        prefixes=STORES_IN_CLOUD,
    )
    left_password: str | None = option(
        None,
        group="Stores",
        metavar="WHERE",
        help=PASSWORD,
        in_templates=False,
    )
    right_password: str | None = option(
        None, group="Stores", metavar="WHERE", help="the same for the other store", in_templates=False
    )
    match_by: str = option(
        AUTO,
        group="Stores",
        choices=(AUTO, ID, PATH),
        help="what identifies a document in both stores; auto: its path in collection groups and between two tables of "
        "export, else its id",
    )
    key_column: str | None = option(
        None,
        group="Stores",
        metavar="COLUMN",
        help="column that identifies the document, in a table that export did not create; of a table of a database "
        "the columns that identify a row, separated by commas",
    )
    id_field: str = option(
        "id", group="Stores", metavar="FIELD", help="field that holds the id, in lines of JSON without __name__"
    )
    spec: str | None = option(
        None,
        group="Stores",
        metavar="SPEC",
        help="record spec, by name or file, whose key says which document an item of a container becomes; default: the "
        "one of the item's id",
    )
    migration: str | None = option(
        None,
        group="Stores",
        metavar="NAME",
        help="the migration of a container and a collection: what is found opens or closes the gate of its next phase",
        pattern=r"[A-Za-z0-9_-]+",
    )
    ignore: tuple[str, ...] = option(
        (),
        group="Comparison",
        metavar="FIELD",
        help="field paths that are not compared; repeat it or separate with commas",
    )
    sample: int | None = option(
        None,
        group="Comparison",
        metavar="N",
        minimum=1,
        maximum=1_000_000,
        help="compare only N random documents of the left store, as they are; default: all documents of both",
    )
    every_s: int | None = option(
        None,
        group="Comparison",
        metavar="SECONDS",
        minimum=1,
        help="compare again so many seconds after each comparison, until it fails or is interrupted; default: once",
        in_templates=False,
    )
    read_time: str = option(
        START,
        group="Comparison",
        choices=(START, LATEST),
        help="start reads Firestore as it was when the run began, which it keeps for one hour without point-in-time "
        "recovery; latest reads each range as it is",
    )
    max_ranges: int = option(
        256,
        group="Comparison",
        minimum=1,
        maximum=10_000,
        help="maximum number of key ranges that are compared separately",
    )
    max_keys: int = option(
        10_000,
        group="Comparison",
        minimum=1,
        maximum=1_000_000,
        help="maximum keys that a worker holds in memory, per side; larger ranges that differ are read again in parts",
    )
    report: str | None = option(
        None,
        group="Results",
        metavar="FILE",
        help="write the differences as JSON Lines",
        prefixes=(GCS,),
        parameter="GCS_WRITE_FILE",
    )
    report_table: str | None = option(
        None, group="Results", metavar="PROJECT:DATASET.TABLE", help="add the differences to this BigQuery table"
    )
    show_values: bool = option(False, group="Results", help="show the values that differ, not only the fields")

    @property
    def again_after_s(self) -> float | None:
        """As `JobConfig.again_after_s`."""
        return self.every_s


USAGE = Usage(
    NAME,
    Config,
    about="""\
Compares two stores: Firestore, BigQuery, files of JSON Lines, Cosmos DB, tables of databases. Says which documents one
of them lacks, which differ, and in which fields. The exit code is 0 if the stores are equal, 3 if not.""",
    example="""\
  firebeam verify --left=firestore://users --right=bigquery:my-project:people.users --ignore=last_seen \\
      --project=my-project --database='(default)'""",
)
