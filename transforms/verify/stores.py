"""Two places, opened as stores that can be compared with one another. Plain Python.

places ──open_stores──▶ Store, Store      the same form of documents, the same kind of keys
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transforms.bigquery.target import BigQueryTarget
from transforms.cosmos.target import COSMOS, CosmosTarget
from transforms.errors import UsageError
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget
from transforms.inputs.files import InputFile
from transforms.records.model import RecordSpec
from transforms.retry import Retry
from transforms.sql.columns import SourceTable
from transforms.sql.database import Database
from transforms.verify.bigquery_store import BigQueryStore
from transforms.verify.cosmos_form import ItemForm
from transforms.verify.cosmos_store import CosmosStore
from transforms.verify.database_store import DatabaseStore
from transforms.verify.database_tables import matched, row_store
from transforms.verify.entries import Store
from transforms.verify.firestore_store import FirestoreStore
from transforms.verify.forms import FieldsForm, Form
from transforms.verify.ignored import Ignored
from transforms.verify.jsonl_store import JsonlStore, Naming, read_index
from transforms.verify.matching import AUTO, ID, PATH
from transforms.verify.table_layouts import names_paths, table_store


@dataclass(frozen=True)
class Collection:
    """Documents of Firestore."""

    target: FirestoreTarget
    query: Query


@dataclass(frozen=True)
class Files:
    """Files of JSON Lines."""

    files: tuple[InputFile, ...]


@dataclass(frozen=True)
class Rows:
    """Rows of a table of a database.

    Attributes:
      database: how the table is reached.
      table: what it declares.
    """

    database: Database
    table: SourceTable


@dataclass(frozen=True)
class Container:
    """Items of Cosmos DB.

    Attributes:
      spec: says which document an item becomes; None for the one of its id.
    """

    target: CosmosTarget
    spec: RecordSpec | None


Place = Collection | BigQueryTarget | Files | Rows | Container


@dataclass(frozen=True)
class Reading:
    """How stores are read.

    Attributes:
      match_by: auto, id or path: what names a document in both.
      ignored: fields that are not compared.
      id_field: the id of a line of JSON without `__name__`.
      key_column: of tables that do not name their documents as export's do; of rows of a database several, with commas.
      reads_past: whether Firestore is read at one read time.
      retry: of every request to Firestore.
    """

    match_by: str
    ignored: Ignored
    id_field: str
    key_column: str | None
    reads_past: bool
    retry: Retry


def open_stores(left: Place, right: Place, reading: Reading) -> tuple[Store, Store]:
    """Both stores, ready to be compared. Reads the schemas of tables, and files once.

    Raises:
      UsageError: they cannot be compared in this way; says what to change.
      JobError, TransientError: a table cannot be read.
    """
    places = (left, right)
    if any(isinstance(place, Rows) for place in places):
        return _open_rows(left, right, reading)
    by_path = matches_by_path(places, reading.match_by)
    of_items = any(isinstance(place, Container) for place in places)
    if of_items and (by_path or any(isinstance(place, BigQueryTarget) for place in places)):
        raise UsageError(
            f"{COSMOS}DATABASE/CONTAINER is compared by id with a collection, files of JSON or another container; "
            "compare a table with the collection that its rows come from"
        )
    tables = [
        table_store(place, by_path=by_path, ignored=reading.ignored, key_column=reading.key_column)
        for place in places
        if isinstance(place, BigQueryTarget)
    ]
    if len({type(table.form) for table in tables}) > 1:
        raise UsageError(
            "one table has one column per field, the other whole documents: their rows have no form in common; compare "
            "each with the store that they come from"
        )
    # Documents are compared as the rows that a table has of them.
    items = ItemForm(reading.ignored)
    form: Form = items if of_items else tables[0].form if tables else FieldsForm(reading.ignored)
    opened: list[Store] = []
    for place in places:
        if isinstance(place, BigQueryTarget):
            opened.append(next(table for table in tables if table.target == place))
        elif isinstance(place, Collection):
            opened.append(
                # A container shows no past: both are read as they are.
                FirestoreStore(
                    place.target, place.query, by_path, form, reading.reads_past and not of_items, retry=reading.retry
                )
            )
        elif isinstance(place, Container):
            opened.append(CosmosStore(place.target, items, place.spec))
        elif isinstance(place, Files):
            naming = Naming(by_path, reading.id_field)
            opened.append(JsonlStore(read_index(place.files, naming), naming, form))
    return opened[0], opened[1]


def _open_rows(left: Place, right: Place, reading: Reading) -> tuple[Store, Store]:
    """Both stores, of which one at least has the rows of a database."""

    def opened(place: Place) -> DatabaseStore | BigQueryStore:
        if isinstance(place, Rows):
            return row_store(place.database, place.table, reading.key_column, reading.ignored)
        if isinstance(place, BigQueryTarget):
            return table_store(place, by_path=False, ignored=reading.ignored)
        kinds = {Collection: "documents of Firestore", Container: "items of Cosmos DB"}
        what = kinds.get(type(place), "lines of JSON")
        raise UsageError(
            f"rows of a database and {what} have no form in common; compare the rows with the table of BigQuery that "
            "export --source has made of them, or with a table of a database"
        )

    return matched(opened(left), opened(right), reading.ignored)


def matches_by_path(places: Sequence[Place], match_by: str) -> bool:
    """Whether documents are the same by their paths; else by their ids.

    Raises:
      UsageError: ids were asked for where they do not identify documents.
    """
    collections = [place for place in places if isinstance(place, Collection)]
    groups = [place.query for place in collections if place.query.all_descendants]
    if groups and match_by == ID:
        raise UsageError(
            f"--match_by=id: documents of the collection group {groups[0].collection} are identified by their paths, "
            "because several may have one id"
        )
    if match_by != AUTO:
        return match_by == PATH
    if collections:
        return bool(groups)
    tables = [place for place in places if isinstance(place, BigQueryTarget)]
    return len(tables) == len(places) and all(map(names_paths, tables))


def plans_right(left: Store, right: Store) -> bool:
    """Whether the right store is to say where to cut.

    Firestore knows best, a database may read all of it for ranges of others, and files need not be sorted.
    """

    kinds = (FirestoreStore, DatabaseStore, BigQueryStore)

    def rank(store: Store) -> int:
        if isinstance(store, CosmosStore):
            return -1 if store.spec is not None else len(kinds) + 1  # every range of it is all of it; or it cannot cut
        return next((n for n, kind in enumerate(kinds) if isinstance(store, kind)), len(kinds))

    return rank(right) < rank(left)
