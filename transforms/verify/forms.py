"""What of a document or a row is compared: its content, in one form for both sides. Plain Python.

    Firestore, JSON Lines       the fields as they are, every type told apart
    a typed table of export     row(document) and the stored row: the columns of fields, and what is in `_overflow`
    a table of a database       the row that export makes of its row: a column per column, and `_overflow`
    a table of ingest           `profile`: the record as JSON
    a changelog                 `data`: the document as JSON

Content of a table has the shape of the document: the column of `address.city` is {"address": {"city": …}}. What a
column cannot say is not compared: NULL is an absent field and an empty array, -0.0 is 0.0, and in a JSON value, which
has one type of number, 1 is 1.0.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

from transforms.bigquery.cells import json_text
from transforms.bigquery.schema import OVERFLOW, Column
from transforms.errors import RecordError
from transforms.export.changelog import ChangelogRows
from transforms.export.columns import field_of
from transforms.export.document_rows import DocumentRows
from transforms.firestore import field_paths
from transforms.firestore.documents import Document
from transforms.firestore.values import GeoPoint, field_path
from transforms.migrate.documents import OWN_FIELDS, content_in, is_migrated
from transforms.records.keys import unescaped
from transforms.upsert.layout import META_FIELD
from transforms.verify.ignored import Ignored
from transforms.verify.table_kinds import KnownTable

# No field of Firestore's can have such names.
MISFITS, _NO_RECORD = "__overflow__", "__no_record__"
_POINT = re.compile(r"POINT\s*\(\s*(\S+)\s+(\S+)\s*\)", re.IGNORECASE)
_MAX_INT64 = 2**63


class Form(Protocol):
    """Makes documents comparable."""

    def of_document(self, document: Document) -> Mapping[str, Any] | None:
        """The content of a document; None for one that does not count."""


class TableForm(Form, Protocol):
    """Makes documents and the rows of one table comparable."""

    @property
    def columns(self) -> Sequence[str]:
        """What a query has to select."""

    def of_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The content of a row, as BigQuery's client gives it."""


class FieldsForm:
    """The fields of a document as they are.

    Args:
      ignored: fields that are not compared.
    """

    def __init__(self, ignored: Ignored):
        self._ignored = ignored

    def of_document(self, document: Document) -> Mapping[str, Any]:
        """As `Form`."""
        return self._ignored.stripped(document.fields)


class RecordForm:
    """A whole document in one column, as JSON.

    Args:
      column: of type JSON, or STRING with JSON text.
      to_json: what the column holds of a document; picklable.
      ignored: fields that are not compared.
    """

    def __init__(self, column: str, to_json: Callable[[Document], str], ignored: Ignored):
        self.columns = (column,)
        self._to_json, self._ignored = to_json, ignored

    def of_document(self, document: Document) -> Mapping[str, Any]:
        """As `Form`."""
        return self._content(json.loads(self._to_json(document)))

    def of_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """As `TableForm`; text that is not JSON is content too; no document has it."""
        record = row[self.columns[0]]
        if isinstance(record, str):
            try:
                record = json.loads(record)
            except ValueError:
                return {_NO_RECORD: record}
        return self._content(record)

    def _content(self, record: Any) -> Mapping[str, Any]:
        if not isinstance(record, Mapping):
            return {_NO_RECORD: _json(record)}
        content: dict[str, Any] = _json(self._ignored.stripped(record))
        return content


class TypedForm:
    """The columns of fields of a table: equal means that the row made of the document equals the stored one.

    Args:
      table: whose columns these are.
      ignored: fields that are not compared.

    Attributes:
      kind: of the table.
      all_columns: of the table.
    """

    def __init__(self, table: KnownTable, ignored: Ignored):
        self.kind, self.all_columns = table.kind, table.columns
        self._rows, self._ignored = DocumentRows(table.columns, table.parameters, fixed=table.own), ignored
        self._fields: list[tuple[Column, tuple[str, ...], Ignored]] = []
        for column in table.columns:
            path = field_of(column) or (column.name,)
            inner = ignored.below(path)
            if column.name not in table.own and inner is not None:
                self._fields.append((column, path, inner))
        self._overflow = (OVERFLOW,) if OVERFLOW in table.own else ()

    @property
    def columns(self) -> Sequence[str]:
        """As `TableForm`."""
        return (*(column.name for column, _, _ in self._fields), *self._overflow)

    def of_document(self, document: Document) -> Mapping[str, Any]:
        """As `Form`."""
        return self.of_cells(self._rows.row(document).cells)

    def of_cells(self, cells: Mapping[str, Any]) -> Mapping[str, Any]:
        """The content of a row's JSON cells, as they are sent."""
        return self._content(cells, json.loads)

    def of_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """As `TableForm`."""
        return self._content(row, lambda value: value)

    def _content(self, row: Mapping[str, Any], parse_json: Callable[[Any], Any]) -> Mapping[str, Any]:
        content: dict[str, Any] = {}
        for column, path, ignored in self._fields:
            value = normal(column, row.get(column.name), parse_json)
            if value is not None:
                _put(content, path, ignored.stripped(value) if isinstance(value, Mapping) else value)
        misfits = row.get(OVERFLOW)
        if misfits is not None and (kept := self._misfits(parse_json(misfits))):
            content[MISFITS] = kept
        return content

    def _misfits(self, misfits: Any) -> Any:
        if not isinstance(misfits, Mapping):
            return _json(misfits)
        kept: dict[str, Any] = {}
        for path, value in misfits.items():
            ignored = self._ignored.below(_parsed(path))
            if ignored is not None:
                kept[path] = _json(ignored.stripped(value) if isinstance(value, Mapping) else value)
        return kept


def profile_of(document: Document) -> str:
    """What the `profile` of a table of ingest or migrate holds; `_meta` has columns of its own.

    Of a migrated document it is the item, without what the migration adds beside it.
    """
    fields = document.fields
    if is_migrated(fields):
        try:
            return json_text(content_in(fields, unescaped(document.id)))
        except RecordError:  # a value that no item can have, so it differs from whatever row there is
            return json_text({name: value for name, value in fields.items() if name not in OWN_FIELDS})
    return json_text({name: value for name, value in fields.items() if name != META_FIELD})


def change_data_of(document: Document) -> str:
    """What the `data` of a changelog holds."""
    data: str = _CHANGELOG_ROWS.row(document).cells["data"]
    return data


_CHANGELOG_ROWS = ChangelogRows(imported=True)


def normal(column: Column, cell: Any, parse_json: Callable[[Any], Any]) -> Any:
    """The value of a cell, the same for the cell that is sent and for the one that is read; None for NULL.

    >>> normal(Column("n", "INT64"), "9007199254740993", json.loads), normal(Column("x", "FLOAT64"), "NaN", json.loads)
    (9007199254740993, nan)

    Args:
      parse_json: of a JSON cell, which is text where it is sent and a value where it is read.
    """
    if cell is None:
        return None
    if column.mode == "REPEATED":
        return [_scalar(column, item, parse_json) for item in cell] or None
    return _scalar(column, cell, parse_json)


def _scalar(column: Column, cell: Any, parse_json: Callable[[Any], Any]) -> Any:
    if column.type == "STRUCT":
        members = {
            (field_of(member) or (member.name,))[-1]: normal(member, cell.get(member.name), parse_json)
            for member in column.fields
        }
        return {name: value for name, value in members.items() if value is not None} or None
    if column.type == "JSON":
        return _json(parse_json(cell))
    return _NORMAL.get(column.type, str)(cell)


def _parsed(path: str) -> tuple[str, ...]:
    try:
        return field_paths.parse(path)
    except RecordError:
        return (path,)  # somebody else's words


def _timestamp(cell: Any) -> datetime.datetime:
    time = datetime.datetime.fromisoformat(cell) if isinstance(cell, str) else cell
    return time.astimezone(datetime.timezone.utc)


def _decimal(cell: Any) -> str:
    """
    >>> _decimal("1.500"), _decimal(Decimal("1E+3")), _decimal("-0.0")
    ('1.5', '1000', '0')
    """
    number = Decimal(cell)
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if number else "0"


def _clock(kind: type[datetime.datetime] | type[datetime.time], cell: Any) -> str:
    """
    >>> _clock(datetime.time, "12:00:00.5"), _clock(datetime.datetime, datetime.datetime(2026, 1, 31, 12))
    ('12:00:00.500000', '2026-01-31T12:00:00')
    """
    time: datetime.datetime | datetime.time = kind.fromisoformat(cell) if isinstance(cell, str) else cell
    return time.isoformat()


def _point(cell: str) -> Any:
    """
    >>> _point("POINT(13.4 52.5)")
    GeoPoint(latitude=52.5, longitude=13.4)
    >>> _point("LINESTRING(0 0, 1 1)")
    'LINESTRING(0 0,1 1)'
    """
    found = _POINT.fullmatch(cell.strip())
    return GeoPoint(float(found[2]) + 0.0, float(found[1]) + 0.0) if found else cell.replace(", ", ",")


def _json(value: Any) -> Any:
    """JSON has one type of number.

    >>> _json({"a": [1.0, 1.5, None]}), _json(2**70)
    ({'a': [1, 1.5, None]}, 1.1805916207174113e+21)
    """
    if isinstance(value, Mapping):
        return {name: _json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_INT64:
        return int(value)
    if isinstance(value, int) and not -_MAX_INT64 <= value < _MAX_INT64:
        return float(value)
    return value


_NORMAL: dict[str, Callable[[Any], Any]] = {
    "STRING": str,
    "INT64": int,
    "FLOAT64": lambda cell: float(cell) + 0.0,
    "BOOL": bool,
    "TIMESTAMP": _timestamp,
    "BYTES": lambda cell: base64.b64decode(cell) if isinstance(cell, str) else bytes(cell),
    "GEOGRAPHY": _point,
    "NUMERIC": _decimal,
    "BIGNUMERIC": _decimal,
    "DATETIME": partial(_clock, datetime.datetime),
    "TIME": partial(_clock, datetime.time),
}


def _put(content: dict[str, Any], steps: Sequence[str], value: Any) -> None:
    """Puts a value where its field path says; where another column has the field above it, under the path's text."""
    inner: Any = content
    for step in steps[:-1]:
        inner = inner.setdefault(step, {})
        if not isinstance(inner, dict):
            content[field_path(steps)] = value
            return
    if steps[-1] in inner:
        content[field_path(steps)] = value
    else:
        inner[steps[-1]] = value
