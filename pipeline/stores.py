"""The stores that `--left` and `--right` name.

firestore://users                                           a collection
firestore://**/posts  firestore://users/ada/**/posts        a collection group, whole or below a document
firestore://projects/P/databases/D/documents/users          … of another database than --project and --database
bigquery:PROJECT:DATASET.TABLE                              a table or view
jsonl:PATTERN                                               files, local or gs://, globs
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from transforms.bigquery.target import BigQueryTarget
from transforms.errors import UsageError
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget
from transforms.inputs.files import InputFile, match_inputs
from transforms.retry import Retry
from transforms.services import Services
from transforms.verify.bigquery_store import BigQueryStore
from transforms.verify.entries import Store
from transforms.verify.firestore_store import FirestoreStore
from transforms.verify.forms import FieldsForm, Form
from transforms.verify.ignored import Ignored
from transforms.verify.jsonl_store import JsonlStore, Naming, read_index
from transforms.verify.matching import AUTO, ID, PATH
from transforms.verify.table_layouts import names_paths, table_store

_FIRESTORE, _BIGQUERY, _JSONL = "firestore://", "bigquery:", "jsonl:"
_FULL_NAME = re.compile(r"projects/([^/]+)/databases/([^/]+)/documents/(.+)")
_GROUP = "**/"


@dataclass(frozen=True)
class Collection:
    """Documents of Firestore."""

    target: FirestoreTarget
    query: Query


@dataclass(frozen=True)
class Files:
    """Files of JSON Lines."""

    files: tuple[InputFile, ...]


Place = Collection | BigQueryTarget | Files


@dataclass(frozen=True)
class Reading:
    """How stores are read.

    Attributes:
      match_by: auto, id or path: what names a document in both.
      ignored: fields that are not compared.
      id_field: the id of a line of JSON without `__name__`.
      key_column: of tables that do not name their documents as export's do.
      reads_past: whether Firestore is read as of one moment.
      retry: of every request to Firestore.
    """

    match_by: str
    ignored: Ignored
    id_field: str
    key_column: str | None
    reads_past: bool
    retry: Retry


def place_of(flag: str, text: str, target: FirestoreTarget, services: Services) -> Place:
    """What a flag names.

    Raises:
      UsageError: it names no store, or nothing is there.
    """
    if text.startswith(_FIRESTORE):
        return _collection(text.removeprefix(_FIRESTORE), target)
    if text.startswith(_BIGQUERY):
        return BigQueryTarget.parse(text.removeprefix(_BIGQUERY), services, target.max_outage_s)
    if text.startswith(_JSONL):
        pattern = text.removeprefix(_JSONL)
        try:
            return Files(tuple(match_inputs([pattern])))
        except UsageError as error:
            raise UsageError(str(error).replace("--input ", f"{flag}={_JSONL}")) from None
    raise UsageError(
        f"{flag} must be firestore://COLLECTION, firestore://**/GROUP, bigquery:PROJECT:DATASET.TABLE or "
        f"jsonl:PATTERN, got {text!r}"
    )


def open_stores(left: Place, right: Place, reading: Reading) -> tuple[Store, Store]:
    """Both stores, ready to be compared. Reads the schemas of tables, and files once.

    Raises:
      UsageError: they cannot be compared in this way; says what to change.
      JobError, TransientError: a table cannot be read.
    """
    places = (left, right)
    by_path = matches_by_path(places, reading.match_by)
    tables = [
        table_store(place, by_path=by_path, ignored=reading.ignored, key_column=reading.key_column)
        for place in places
        if isinstance(place, BigQueryTarget)
    ]
    if len({type(table.form) for table in tables}) > 1:
        raise UsageError(
            "one table has a column a field, the other whole documents: their rows have no form in common; compare "
            "each with the store that they come from"
        )
    # Documents are compared as the rows that a table has of them.
    form: Form = tables[0].form if tables else FieldsForm(reading.ignored)
    opened: list[Store] = []
    for place in places:
        if isinstance(place, BigQueryTarget):
            opened.append(next(table for table in tables if table.target == place))
        elif isinstance(place, Collection):
            opened.append(
                FirestoreStore(place.target, place.query, by_path, form, reading.reads_past, retry=reading.retry)
            )
        else:
            naming = Naming(by_path, reading.id_field)
            opened.append(JsonlStore(read_index(place.files, naming), naming, form))
    return opened[0], opened[1]


def matches_by_path(places: Sequence[Place], match_by: str) -> bool:
    """Whether documents are the same by their paths; else by their ids.

    Raises:
      UsageError: ids were asked for where they do not tell documents apart.
    """
    collections = [place for place in places if isinstance(place, Collection)]
    groups = [place.query for place in collections if place.query.all_descendants]
    if groups and match_by == ID:
        raise UsageError(
            f"--match_by=id: documents of the collection group {groups[0].collection} are told apart by their paths, "
            "because several may have one id"
        )
    if match_by != AUTO:
        return match_by == PATH
    if collections:
        return bool(groups)
    tables = [place for place in places if isinstance(place, BigQueryTarget)]
    return len(tables) == len(places) and all(map(names_paths, tables))


def plans_right(left: Store, right: Store) -> bool:
    """Whether the right store is to say where to cut: Firestore knows best, and files need not be sorted."""

    def rank(store: Store) -> int:
        return next((n for n, kind in enumerate((FirestoreStore, BigQueryStore)) if isinstance(store, kind)), 2)

    return rank(right) < rank(left)


def _collection(text: str, target: FirestoreTarget) -> Collection:
    if full := _FULL_NAME.fullmatch(text):
        target, text = replace(target, project=full[1], database=full[2]), full[3]
    parent, is_group, group = text.rpartition(_GROUP)
    if not is_group:
        return Collection(target, Query(text))
    return Collection(target, Query.group(group, parent.rstrip("/")))
