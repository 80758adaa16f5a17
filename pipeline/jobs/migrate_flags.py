"""What `firebeam migrate` can be asked for: its flags."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.jobs.writing_flags import SPEC_IN_CLOUD, WritingFlags, table_option
from pipeline.run.flags import Usage, option
from pipeline.run.job_config import RecordsConfig
from transforms.bigquery.methods import INSERT_ROWS, STORAGE_WRITE
from transforms.migrate.documents import NESTED_ARRAYS, REFUSE

NAME = "migrate"

AUDIT, COPY, FOLLOW = "audit", "copy", "follow"
SCAN, FEED, IGNORE = "scan", "feed", "ignore"


@dataclass(frozen=True, kw_only=True)
class Config(RecordsConfig, WritingFlags):
    """The flags of migrate."""

    migration: str = option(
        group="Migration",
        metavar="NAME",
        help="name of the migration, the same for all of its containers",
        pattern=r"[A-Za-z0-9_-]+",
    )
    from_: str = option(
        group="Migration",
        metavar="COSMOS",
        help="container to read: cosmos://DATABASE/CONTAINER, of the account in COSMOS_ENDPOINT and COSMOS_KEY, or "
        "Entra ID",
        pattern="cosmos://[^/]+/[^/]+",
    )
    to: str = option(
        group="Migration",
        metavar="FIRESTORE",
        help="collection to write, which holds no other documents: firestore://COLLECTION",
        pattern="firestore://.+",
    )
    spec: str = option(
        group="Migration",
        metavar="NAME|FILE",
        help="record spec with one collection: a shipped one, such as student_attempts, or a YAML file, local or gs://",
        pattern=SPEC_IN_CLOUD,
    )
    mode: str = option(
        AUDIT,
        group="Migration",
        choices=(AUDIT, COPY, FOLLOW),
        help="audit says what a copy would refuse, use and cost, and writes nothing; copy writes every item, in its "
        "newest version, until it has caught up; follow goes on behind the copy without end, and repairs the store "
        "that is not primary",
    )
    nested_arrays: str = option(
        REFUSE,
        group="Migration",
        choices=NESTED_ARRAYS,
        help="an array in an array, which Firestore does not take: refuse makes its item a dead letter; wrap puts a "
        "map around the inner one, which copying back removes",
    )
    deletes: str = option(
        SCAN,
        group="Migration",
        choices=(SCAN, FEED, IGNORE),
        help="documents whose items are gone: scan compares keys at the end of a copy and now and then while it is "
        "followed, reads again and deletes; feed reads the change feed of all versions and deletes, which needs "
        "continuous backup on the account; ignore leaves them",
        shown_with=("mode", (COPY, FOLLOW)),
    )
    scan_every_s: float = option(
        86_400,
        group="Migration",
        minimum=60,
        help="how often --mode=follow compares keys, in seconds, to find what was deleted in the primary; with "
        "--deletes=feed only while Firestore is primary",
        shown_with=("mode", (FOLLOW,)),
        in_templates=False,
    )
    report: str = option(
        "audit",
        group="Results",
        metavar="DIR",
        help="folder or gs:// prefix for what an audit refuses, a line per item",
        prefixes=("gs://",),
        parameter="GCS_WRITE_FOLDER",
        shown_with=("mode", (AUDIT,)),
    )
    page_items: int = option(
        500,
        group="Cosmos DB",
        minimum=1,
        maximum=10_000,
        help="items per page of the change feed, which is a batch; the service ends a page before at 4 MB",
    )
    max_request_units_per_s: float | None = option(
        None,
        group="Cosmos DB",
        minimum=1,
        help="request units per second that each worker may use; default: half of what the container has provisioned, "
        "and no limit where that is not known",
    )
    bigquery_table: str | None = table_option("table for one row per item, typed by the spec")
    bigquery_method: str = option(
        INSERT_ROWS,
        group="BigQuery",
        choices=(INSERT_ROWS, STORAGE_WRITE),
        help="INSERT_ROWS and STORAGE_WRITE, the Storage Write API, get one answer per row at once",
    )


USAGE = Usage(
    NAME,
    Config,
    about="""\
Copies a container of Cosmos DB (API for NoSQL) into a Firestore collection, one document per item, and, if asked to,
into rows of BigQuery. Without --mode it is an audit: it reads every item, makes its document, writes nothing, and says
which items Firestore would refuse and why.""",
    example="""\
  export COSMOS_ENDPOINT=https://ACCOUNT.documents.azure.com:443/ COSMOS_KEY=secret:projects/P/secrets/cosmos
  firebeam migrate --migration=students --from=cosmos://school/attempts --to=firestore://student_attempts \\
      --spec=student_attempts --project=my-project
  firebeam migrate --migration=students --from=cosmos://school/attempts --to=firestore://student_attempts \\
      --spec=student_attempts --project=my-project --mode=copy --bigquery_table=my-project:students.attempts""",
)
