"""Rows of typed cells as serialised protobuf messages, which is how the Storage Write API takes them. No Beam.

    columns ──RowMessage──▶ descriptor, sent once per connection
    cells   ──.serialised──▶ bytes of one row

A cell is what Python calls the column's value: str (STRING, JSON text, GEOGRAPHY as WKT or GeoJSON, NUMERIC,
BIGNUMERIC, and in ISO 8601 DATE, DATETIME, TIME), int (INT64), float (FLOAT64, NaN and ±Infinity included), bool,
bytes, aware datetime or int of µs since 1970 (TIMESTAMP), dict (STRUCT), list of these (REPEATED). A missing cell and
None are NULL. Types by column: https://cloud.google.com/bigquery/docs/supported-data-types

    >>> message = RowMessage([Column("id", "STRING"), Column("age", "INT64")])
    >>> message.serialised({"id": "ada", "age": 36})
    b'\\n\\x03ada\\x10$'
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from transforms.bigquery.schema import Column
from transforms.errors import RecordError

_Field = descriptor_pb2.FieldDescriptorProto
_FIELD_TYPES = {
    "STRING": _Field.TYPE_STRING,
    "JSON": _Field.TYPE_STRING,
    "GEOGRAPHY": _Field.TYPE_STRING,
    "NUMERIC": _Field.TYPE_STRING,
    "BIGNUMERIC": _Field.TYPE_STRING,
    "DATE": _Field.TYPE_INT32,
    "DATETIME": _Field.TYPE_STRING,
    "TIME": _Field.TYPE_STRING,
    "INT64": _Field.TYPE_INT64,
    "FLOAT64": _Field.TYPE_DOUBLE,
    "BOOL": _Field.TYPE_BOOL,
    "BYTES": _Field.TYPE_BYTES,
    "TIMESTAMP": _Field.TYPE_INT64,
    "STRUCT": _Field.TYPE_MESSAGE,
}

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Option of a field that says which column it is, where the name cannot be an identifier; of wire type 2.
# https://github.com/googleapis/googleapis/blob/master/google/cloud/bigquery/storage/v1/annotations.proto
_COLUMN_NAME_TAG = 454943157 << 3 | 2

# What protobuf raises for a value that a field cannot hold; for a lone surrogate it is a kind of ValueError.
_MISFITS = (TypeError, ValueError, OverflowError)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)

_Convert = Callable[[Any], Any]
# Column name, field name, and what makes the field's value of the cell; only columns that need either.
_Conversions = tuple[tuple[str, str, _Convert], ...]


class RowMessage:
    """The protobuf message that has a field for every column; built once per worker.

    Args:
      columns: of the table, or some of them; STRUCT columns bring their `fields`.

    Attributes:
      descriptor: a `DescriptorProto` that needs no other file, as `ProtoSchema` wants it.

    Raises:
      ValueError: a column's type has no place in a message.
    """

    def __init__(self, columns: Sequence[Column]):
        self._columns = {column.name: column for column in columns}
        self.descriptor = descriptor_pb2.DescriptorProto(name="Row")
        self._conversions = _describe(self.descriptor, columns)
        file = descriptor_pb2.FileDescriptorProto(name="row.proto", package="firebeam", syntax="proto2")
        file.message_type.add().CopyFrom(self.descriptor)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self._class = message_factory.GetMessageClass(pool.FindMessageTypeByName("firebeam.Row"))

    def serialised(self, cells: Mapping[str, Any]) -> bytes:
        """The bytes of one row.

        Raises:
          RecordError: a cell has no column, or is not of its column's type; names the column, never the value.
        """
        try:
            return self._bytes(cells)
        except _MISFITS:
            raise RecordError("INVALID", self._misfit(cells)) from None

    def largest(self, cells: Mapping[str, Any]) -> str:
        """The column whose cell takes most of a row that `serialised` takes."""
        return max(cells, key=lambda name: len(self._bytes({name: cells[name]})))

    def _bytes(self, cells: Mapping[str, Any]) -> bytes:
        values = _converted(cells, self._conversions) if self._conversions else cells
        serialised: bytes = self._class(**values).SerializeToString()
        return serialised

    def _misfit(self, cells: Mapping[str, Any]) -> str:
        for name, value in cells.items():
            column = self._columns.get(name)
            if column is None:
                return f"column {name}: the table has no such column"
            try:
                self._bytes({name: value})
            except _MISFITS:
                return f"column {name}: this {type(value).__name__} does not fit {column.form}"
        return "the row does not fit the table's columns"


def appendable(columns: Iterable[Column]) -> tuple[Column, ...]:
    """The columns that a message can have, of a STRUCT its fields; somebody else's table may have a RANGE, too.

    >>> struct = Column("s", "STRUCT", fields=(Column("day", "DATE"), Column("n", "RANGE")))
    >>> [column.form for column in appendable([struct, Column("t", "INTERVAL"), Column("b", "BOOL")])]
    ['STRUCT<day DATE>', 'BOOL']
    """
    found = []
    for column in columns:
        if column.type != "STRUCT":
            found += [column] if column.type in _FIELD_TYPES else []
        elif fields := appendable(column.fields):
            found.append(replace(column, fields=fields))
    return tuple(found)


def _describe(message: Any, columns: Sequence[Column]) -> _Conversions:
    """Gives `message`, a DescriptorProto, one field per column; returns the conversions of its values."""
    taken = {column.name for column in columns}
    conversions: list[tuple[str, str, _Convert]] = []
    for number, column in enumerate(columns, 1):
        field = message.field.add(number=number, type=_field_type(column))
        # No field is `required`, whatever the column is: so BigQuery itself names the rows that lack a value.
        field.label = _Field.LABEL_REPEATED if column.mode == "REPEATED" else _Field.LABEL_OPTIONAL
        field.name = column.name
        if not _IDENTIFIER.fullmatch(column.name):
            field.name = _unused(f"column_{number}", taken)
            field.options.MergeFromString(_column_name_option(column.name))
        # By itself it would be userId for both user_id and userId, and a message with one name twice cannot be built.
        field.json_name = field.name
        convert = _CONVERSIONS.get(column.type)
        if column.type == "STRUCT":
            # Fields and nested messages share one namespace. A relative name stays right wherever BigQuery puts it.
            nested = message.nested_type.add(name=_unused(f"Struct{number}", taken))
            field.type_name = nested.name
            convert = _structs(_describe(nested, column.fields))
        if convert is not None and column.mode == "REPEATED":
            convert = _each(convert)
        if convert is not None or field.name != column.name:
            conversions.append((column.name, field.name, convert or _same))
    return tuple(conversions)


def _field_type(column: Column) -> Any:
    try:
        return _FIELD_TYPES[column.type]
    except KeyError:
        raise ValueError(
            f"column {column.name} must be of one of {', '.join(_FIELD_TYPES)} to be appended, got {column.type}"
        ) from None


def _unused(name: str, taken: set[str]) -> str:
    """The first of name, name_, name__, … that is nobody's; takes it.

    >>> _unused("Struct1", {"Struct1"})
    'Struct1_'
    """
    name = next(text for n in itertools.count() if (text := name + "_" * n) not in taken)
    taken.add(name)
    return name


def _column_name_option(name: str) -> bytes:
    """A serialised `FieldOptions` with nothing but `column_name`."""
    encoded = name.encode()
    return _varint(_COLUMN_NAME_TAG) + _varint(len(encoded)) + encoded


def _varint(number: int) -> bytes:
    """
    >>> _varint(1), _varint(300)
    (b'\\x01', b'\\xac\\x02')
    """
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])


def _converted(cells: Mapping[str, Any], conversions: _Conversions) -> dict[str, Any]:
    values = dict(cells)
    for column, field, convert in conversions:
        value = values.pop(column, None)
        if value is not None:
            values[field] = convert(value)
    return values


def _microseconds(time: Any) -> int:
    """Since 1970; negative before. A naive datetime raises TypeError, as it names no point in time.

    >>> _microseconds(datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, datetime.timezone.utc)), _microseconds(5)
    (-1, 5)
    """
    if type(time) is int:
        return time
    microseconds: int = (time - _EPOCH) // _MICROSECOND
    return microseconds


def _days(date: Any) -> int:
    """Since 1970, which is how DATE is sent.

    >>> _days("1970-01-02"), _days("0001-01-01")
    (1, -719162)
    """
    return datetime.date.fromisoformat(date).toordinal() - _EPOCH.toordinal()


# Of types whose field has another value than the cell.
_CONVERSIONS: dict[str, _Convert] = {"TIMESTAMP": _microseconds, "DATE": _days}


def _structs(conversions: _Conversions) -> _Convert | None:
    return (lambda struct: _converted(struct, conversions)) if conversions else None


def _each(convert: _Convert) -> _Convert:
    return lambda values: [convert(value) for value in values]


def _same(value: Any) -> Any:
    return value
