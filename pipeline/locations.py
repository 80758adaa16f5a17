"""Places, as flags name them: the one parser, and the one registry of what a scheme can be.

    firestore://users                                     a collection                     source, store
    firestore://**/posts  firestore://users/ada/**/posts  a group, whole or below a document       store
    firestore://projects/P/databases/D/documents/users    … of another database                    store
    bigquery:PROJECT:DATASET.TABLE                        a table or view                          store, of export
    jsonl:PATTERN                                         files of JSON Lines, globs               store
    cosmos://DATABASE/CONTAINER                           items of COSMOS_ENDPOINT                 store
    postgresql://USER@HOST:PORT/DATABASE/SCHEMA.TABLE     a table or view                  store, source
    mysql://USER@HOST:PORT/DATABASE/TABLE                 … of MySQL or MariaDB            store, source
    batches://openai                                      batches to trigger there         source
    batches://openai/batch_1  batches://openai/@ids.txt   batches that exist there         source
    PATTERN                                               files, globs                     source

A pattern is local, `gs://`, `s3://BUCKET/KEY` or `azfs://ACCOUNT/CONTAINER/BLOB`. A further scheme is a row of
`SCHEMES` and what opens it. Imports no client: flags name places before anything is connected.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from transforms.cosmos.target import COSMOS, CosmosTarget
from transforms.cosmos.target import USAGE as COSMOS_USAGE
from transforms.errors import UsageError
from transforms.files import GCS, is_local
from transforms.firestore.target import FirestoreTarget
from transforms.objects.store import AZURE, S3
from transforms.secrets import FORMS
from transforms.services import PROJECT_VARIABLE, Services

if TYPE_CHECKING:
    from transforms.records.model import RecordSpec
    from transforms.secrets import SecretSource
    from transforms.sql.database import Database
    from transforms.verify.stores import Collection, Place

FIRESTORE, BIGQUERY, JSONL, BATCHES = "firestore://", "bigquery:", "jsonl:", "batches://"
POSTGRESQL, MYSQL = "postgresql://", "mysql://"


class Opener(Protocol):
    """Makes a table of a database of what a flag says."""

    def __call__(self, text: str, flag: str, password: SecretSource | None, max_outage_s: float) -> Database:
        """Opens nothing yet; a server that was reached before may be away for so long.

        Raises UsageError if it names none; a text that may hold a password is not shown.
        """


def _postgresql(text: str, flag: str, password: SecretSource | None, max_outage_s: float) -> Database:
    from transforms.sql.postgresql.database import PostgresqlTable

    return PostgresqlTable.parse(text, flag, password, max_outage_s)


def _mysql(text: str, flag: str, password: SecretSource | None, max_outage_s: float) -> Database:
    from transforms.sql.mysql.database import MysqlTable

    return MysqlTable.parse(text, flag, password, max_outage_s)


class Scheme(NamedTuple):
    """What places of a prefix can be.

    Attributes:
      prefix: of the place; empty for a pattern of files.
      in_cloud: prefixes of the places that workers in the cloud can reach.
      usage: how to write one, as a store; empty for a scheme that is not a store, or of databases.
      is_source: whether a job can read its input there.
      table: how to write a table of a database.
      opens: such a table.
    """

    prefix: str
    in_cloud: tuple[str, ...]
    usage: tuple[str, ...] = ()
    is_source: bool = False
    table: str = ""
    opens: Opener | None = None


_FILES_IN_CLOUD = (GCS, S3, AZURE)
SCHEMES = (
    Scheme("", _FILES_IN_CLOUD, is_source=True),
    Scheme(FIRESTORE, (FIRESTORE,), ("firestore://COLLECTION", "firestore://**/GROUP"), is_source=True),
    Scheme(BATCHES, (BATCHES,), is_source=True),
    Scheme(BIGQUERY, (BIGQUERY,), ("bigquery:PROJECT:DATASET.TABLE",)),
    Scheme(JSONL, tuple(JSONL + prefix for prefix in _FILES_IN_CLOUD), ("jsonl:PATTERN",)),
    Scheme(COSMOS, (COSMOS,), (COSMOS_USAGE,)),
    Scheme(
        POSTGRESQL,
        (POSTGRESQL,),
        is_source=True,
        table=f"{POSTGRESQL}USER@HOST:PORT/DATABASE/SCHEMA.TABLE",
        opens=_postgresql,
    ),
    Scheme(MYSQL, (MYSQL,), is_source=True, table=f"{MYSQL}USER@HOST:PORT/DATABASE/TABLE", opens=_mysql),
)
TABLE_PREFIXES = tuple(scheme.prefix for scheme in SCHEMES if scheme.table)
TABLES = " or ".join(scheme.table for scheme in SCHEMES if scheme.table)
SOURCES_IN_CLOUD = tuple(prefix for scheme in SCHEMES if scheme.is_source for prefix in scheme.in_cloud)
STORES_IN_CLOUD = tuple(prefix for scheme in SCHEMES if scheme.usage for prefix in scheme.in_cloud)
*_FIRST_STORES, _LAST_STORE = (usage for scheme in SCHEMES for usage in scheme.usage)
STORES = f"{', '.join(_FIRST_STORES)}, {_LAST_STORE} or {TABLES}"
PASSWORD = (
    f"where the password of a table of a database is kept: {FORMS}; default: what its client takes, such as "
    "PGPASSWORD, ~/.pgpass or MYSQL_PWD"
)

_FULL_NAME = re.compile(r"projects/([^/]+)/databases/([^/]+)/documents/(.+)")
_GROUP = "**/"

# With the domain that older organisations' projects have: example.com:my-project.
_PROJECT_ID = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{2,61}[a-z0-9]")


def firestore_target(project: str | None, database: str, services: Services) -> FirestoreTarget:
    """The database of `--project` and `--database`; without the flag, the project of the services.

    Raises:
      UsageError: no project is named.
    """
    project = project or services.project
    if not project:
        raise UsageError(f"no Google Cloud project is named; pass --project=PROJECT or set {PROJECT_VARIABLE}")
    if not _PROJECT_ID.fullmatch(project):
        raise UsageError(
            f"project must be a project id: lower-case letters, digits and hyphens, such as my-project, got {project!r}"
        )
    return FirestoreTarget.of(services, project, database)


class Inputs(NamedTuple):
    """The sources that `--input` names.

    Attributes:
      patterns: of files.
      collections: paths of collections.
      batches: what stands behind `batches://`.
      tables: locations of tables of databases.
    """

    patterns: list[str]
    collections: list[str]
    batches: list[str]
    tables: list[str]


def split_inputs(texts: Sequence[str]) -> Inputs:
    """The sources by what they are.

    >>> split_inputs(["results/*.jsonl", "firestore://users", "batches://openai/batch_1"])
    Inputs(patterns=['results/*.jsonl'], collections=['users'], batches=['openai/batch_1'], tables=[])
    """
    found = Inputs([], [], [], [])
    for text in texts:
        if text.startswith(FIRESTORE):
            found.collections.append(text.removeprefix(FIRESTORE))
        elif text.startswith(BATCHES):
            found.batches.append(text.removeprefix(BATCHES))
        elif is_table(text):
            found.tables.append(text)
        else:
            found.patterns.append(text)
    return found


def names_files(flag: str, text: str) -> bool:
    """Whether what a flag names as a source are files, rather than a table of a database.

    >>> names_files("--source", "s3://bucket/*.csv"), names_files("--source", "postgresql://app@db/shop/orders")
    (True, False)

    Raises:
      UsageError: nobody knows the scheme.
    """
    if text.startswith(BIGQUERY) or is_table(text):
        return False
    if is_local(text) and not text.startswith(JSONL):
        return True
    if text.startswith(_FILES_IN_CLOUD):
        return True
    raise UsageError(
        f"{flag} must be a table, {TABLES} or {BIGQUERY}PROJECT:DATASET.TABLE, or files: local, "
        f"{', '.join(_FILES_IN_CLOUD)}; got {text.rpartition('@')[2]!r}"
    )


def is_table(text: str) -> bool:
    """Whether a place is a table of a database, by its scheme."""
    return any(scheme.opens and text.startswith(scheme.prefix) for scheme in SCHEMES)


def table_source(flag: str, text: str, password: SecretSource | None, max_outage_s: float) -> Database:
    """The table of a database that a flag names.

    Args:
      max_outage_s: a server that was reached before may be away for so long.

    Raises:
      UsageError: it names none. A text that may hold a password is not shown.
    """
    for scheme in SCHEMES:
        if scheme.opens and text.startswith(scheme.prefix):
            return scheme.opens(text, flag, password, max_outage_s)
    raise UsageError(f"{flag} must be {TABLES}, got {text.rpartition('@')[2]!r}")


def store_place(
    flag: str,
    text: str,
    target: FirestoreTarget,
    services: Services,
    password: SecretSource | None = None,
    spec: RecordSpec | None = None,
) -> Place:
    """The place that a flag names as a store; asks a database for what its table declares.

    Args:
      target: the database of a collection that names none; a table may be silent for as long as it.
      services: where BigQuery is.
      password: where that of a database is.
      spec: says which documents the items of a container become; None for those of their ids.

    Raises:
      UsageError: it names no store, or nothing is there.
      JobError, TransientError: a database cannot be asked.
    """
    if is_table(text):
        from transforms.verify.stores import Rows

        database = table_source(flag, text, password, target.max_outage_s)
        return Rows(database, database.describe(flag))
    if password is not None:
        raise UsageError(f"{password.flag} is for tables of databases, got {flag}={text}")
    if text.startswith(FIRESTORE):
        return _collection(text.removeprefix(FIRESTORE), target)
    if text.startswith(BIGQUERY):
        from transforms.bigquery.target import BigQueryTarget

        return BigQueryTarget.parse(text.removeprefix(BIGQUERY), services, target.max_outage_s)
    if text.startswith(JSONL):
        from transforms.inputs.files import match_inputs
        from transforms.verify.stores import Files

        try:
            return Files(tuple(match_inputs([text.removeprefix(JSONL)])))
        except UsageError as error:
            raise UsageError(str(error).replace("--input ", f"{flag}={JSONL}")) from None
    if text.startswith(COSMOS):
        from transforms.verify.stores import Container

        return Container(CosmosTarget.of(text, flag), spec)
    raise UsageError(f"{flag} must be {STORES}, got {text!r}")


def written_collection(flag: str, text: str, target: FirestoreTarget) -> tuple[FirestoreTarget, str]:
    """The database and the collection that a flag names as a place for documents; its path may have parameters.

    Args:
      target: the database of a collection that names none.

    Raises:
      UsageError: it names no collection.
    """
    path = text.removeprefix(FIRESTORE)
    if not text.startswith(FIRESTORE) or _GROUP in path:
        raise UsageError(f"{flag} must be firestore://COLLECTION, such as firestore://copies, got {text!r}")
    if full := _FULL_NAME.fullmatch(path):
        return replace(target, project=full[1], database=full[2]), full[3]
    return target, path


def _collection(text: str, target: FirestoreTarget) -> Collection:
    from transforms.firestore.query import Query
    from transforms.verify.stores import Collection

    if full := _FULL_NAME.fullmatch(text):
        target, text = replace(target, project=full[1], database=full[2]), full[3]
    parent, is_group, group = text.rpartition(_GROUP)
    if not is_group:
        return Collection(target, Query(text))
    return Collection(target, Query.group(group, parent.rstrip("/")))
