"""The changelog of documents, as Firebase's extension firestore-bigquery-export keeps it. Plain Python.

    column          type                  of a document that is exported
    timestamp       TIMESTAMP             its update_time, when the change was committed
    event_id        STRING                deterministic: the same state has the same one
    document_name   STRING                full name
    operation       STRING                IMPORT in a full export; else CREATE, UPDATE or DELETE
    data            STRING                its fields as JSON; NULL of a document that is gone
    old_data        STRING                NULL: an export does not know what was before
    document_id     STRING
    path_params     STRING                JSON of the path parameters
    update_time     TIMESTAMP             the version; the extension has none

Names, types and the JSON of `data` are the extension's (its change tracker's `schema.ts` and `serializeData`), so that
views made for its tables read this one: a timestamp is {"_seconds", "_nanoseconds"}, a geopoint {"_latitude",
"_longitude"}, a reference its path. What the extension drops or spoils is kept: bytes as base64, NaN and the infinities
as text. Its `timestamp` of an IMPORT is the epoch; here it is the time of the change, so several exports have an
order.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from transforms.bigquery.cells import converter, json_text
from transforms.bigquery.rows import Row, insert_id
from transforms.bigquery.schema import UPDATE_TIME, Column
from transforms.export.columns import DOCUMENT_ID, DOCUMENT_NAME
from transforms.firestore.documents import Document
from transforms.firestore.values import GeoPoint, Reference, Vector

IMPORT, CREATE, UPDATE, DELETE = "IMPORT", "CREATE", "UPDATE", "DELETE"

CHANGELOG_COLUMNS = (
    Column("timestamp", "TIMESTAMP", description="when the change was committed"),
    Column("event_id", "STRING", description="the same for the same state of the same document"),
    Column(DOCUMENT_NAME, "STRING", description="projects/P/databases/D/documents/PATH"),
    Column("operation", "STRING", description="IMPORT, CREATE, UPDATE or DELETE"),
    Column("data", "STRING", description="the document's fields as JSON; NULL for a DELETE"),
    Column("old_data", "STRING", description="NULL: an export does not know the state before"),
    Column(DOCUMENT_ID, "STRING", description="last segment of the document's path"),
    Column("path_params", "STRING", description="path parameters as JSON"),
    Column(UPDATE_TIME, "TIMESTAMP", description="when the document was last changed; the row's version"),
)

_IN_EVERY_ROW = frozenset({"timestamp", "event_id", DOCUMENT_NAME, "operation", DOCUMENT_ID, UPDATE_TIME})


def changelog_columns(existing: Iterable[Column] = ()) -> tuple[Column, ...]:
    """The columns of a changelog, those REQUIRED that an existing one requires and every row has.

    A table of the extension's own requires four of them.

    >>> table = [Column("event_id", "STRING", "REQUIRED"), Column("data", "STRING", "REQUIRED")]
    >>> [column.name for column in changelog_columns(table) if column.mode == "REQUIRED"]
    ['event_id']
    """
    required = {column.name for column in existing if column.mode == "REQUIRED"} & _IN_EVERY_ROW
    return tuple(
        replace(column, mode="REQUIRED") if column.name in required else column for column in CHANGELOG_COLUMNS
    )


class ChangelogRows:
    """Makes changelog rows of documents.

    Args:
      imported: whether the operation is IMPORT; else it is CREATE for documents that were never changed, and UPDATE.
      typed: typed cells instead of JSON cells; see `cells.py`.
    """

    def __init__(self, imported: bool, *, typed: bool = False):
        self._imported = imported
        self._timestamp = converter(Column(UPDATE_TIME, "TIMESTAMP"), typed=typed)

    def row(self, document: Document, parameters: Mapping[str, str] | None = None) -> Row:
        """The row of a document's present state. Never raises for what a value is."""
        update_time = document.update_time
        changed = UPDATE if document.create_time != update_time else CREATE
        cells: dict[str, Any] = {
            "timestamp": self._timestamp(update_time),
            "event_id": event_id(document.name, update_time),
            DOCUMENT_NAME: document.name,
            "operation": IMPORT if self._imported else changed,
            "data": json_text(document.fields, _of_the_extension),
            DOCUMENT_ID: document.id,
            UPDATE_TIME: self._timestamp(update_time),
        }
        if parameters:
            cells["path_params"] = json_text(parameters)
        return Row(cells, ())

    def removed(
        self,
        name: str,
        version: datetime.datetime | None,
        seen_at: datetime.datetime,
        since: datetime.datetime,
        parameters: Mapping[str, str] | None = None,
    ) -> Row:
        """The row of a document that is gone.

        Args:
          name: full name.
          version: its last one that is known; whoever finds the same delete again gives the same event id.
          seen_at: when it was seen to be gone.
          since: the version of the row, later than all versions that the document had.
        """
        cells: dict[str, Any] = {
            "timestamp": self._timestamp(seen_at),
            "event_id": event_id(name, version, DELETE),
            DOCUMENT_NAME: name,
            "operation": DELETE,
            DOCUMENT_ID: name.rpartition("/")[2],
            UPDATE_TIME: self._timestamp(since),
        }
        if parameters:
            cells["path_params"] = json_text(parameters)
        return Row(cells, ())


def event_id(name: str, time: datetime.datetime | None, *operation: str) -> str:
    """The id of the event that made a document what it was at its update_time; with DELETE, that ended this state."""
    return insert_id(name, "" if time is None else time.isoformat(), *operation)


def _of_the_extension(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        seconds, microseconds = divmod((value - _EPOCH) // _MICROSECOND, 1_000_000)
        return {"_seconds": seconds, "_nanoseconds": microseconds * 1_000}
    if isinstance(value, GeoPoint):
        return {"_latitude": value.latitude, "_longitude": value.longitude}
    if isinstance(value, Reference):
        return value.path
    if isinstance(value, Vector):
        return value.components
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)
