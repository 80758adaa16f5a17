"""Parquet: row groups, read in bounded batches of rows, every value as the plain Python value that says the same.

| Parquet                      | record                                                     |
|------------------------------|------------------------------------------------------------|
| timestamp, any unit and zone | aware datetime in UTC, microseconds; without a zone as UTC  |
| date, time                   | ISO string                                                 |
| decimal                      | string, every digit kept                                   |
| duration                     | seconds, as a number                                       |
| struct, map                  | dict; a map's keys as strings                              |
| list                         | list                                                       |
| null, binary, numbers, text  | None, bytes, int or float, str                             |
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.batch import DeadLetter, Record
from transforms.errors import RecordError
from transforms.inputs.items import Item, unreadable
from transforms.inputs.streams import DamagedError

MAGIC = b"PAR1"
_Convert = Callable[[Any], Any]


@dataclass(slots=True)
class ParquetRows:
    """The rows of some row groups of one Parquet file.

    Attributes:
      stored: the file, seekable.
      first_group, last_group: the row groups first_group ≤ g < last_group are read.
      batch_size: rows that are decoded together.
      max_batch_bytes: bound on the memory that rows decoded together take.
    """

    stored: BinaryIO
    first_group: int
    last_group: int
    batch_size: int
    max_batch_bytes: int

    def scan(self) -> Iterator[Item | DeadLetter]:
        """As `Reader.scan`."""
        ordinal = 0
        groups: list[pq.RowGroupMetaData] = []
        try:
            file = pq.ParquetFile(self.stored)
            groups = [file.metadata.row_group(group) for group in range(self.last_group)]
            ordinal = sum(group.num_rows for group in groups[: self.first_group])
            for batch in self._decoded(file):
                rows = _Rows(batch)
                size = batch.nbytes // max(1, batch.num_rows)
                for at in range(batch.num_rows):
                    yield Item(ordinal, ordinal + 1, size, (rows, at))
                    ordinal += 1
        except (pa.ArrowException, OSError) as error:
            why = f"the Parquet data is damaged ({_first_line(error)})"
            yield unreadable(ordinal, DamagedError(why, 0, unread=_bytes_from(ordinal, groups)))

    def _decoded(self, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
        """Row group by row group: decoding several together would lose those before a damaged one."""
        for group in range(self.first_group, self.last_group):
            metadata = file.metadata.row_group(group)
            row_bytes = max(1, metadata.total_byte_size // max(1, metadata.num_rows))
            yield from file.iter_batches(
                max(1, min(self.batch_size, self.max_batch_bytes // row_bytes)), row_groups=[group]
            )

    def record(self, item: Item) -> Record:
        """As `Reader.record`. Raises RecordError: UNREADABLE_VALUE."""
        rows, at = item.content
        return Record(item.position, rows.row(at), item.line)

    def original(self, item: Item) -> Mapping[str, Any]:
        """As `Reader.original`: what can be read as a value, the rest as text."""
        rows, at = item.content
        return {name: rows.original(name, at) for name in rows.names}


class _Rows:
    """Rows decoded together, turned into Python values once the first of them is asked for."""

    def __init__(self, batch: pa.RecordBatch):
        self._batch = batch
        self._values: list[list[Any]] | None = None
        self.names: list[str] = batch.schema.names

    def row(self, at: int) -> dict[str, Any]:
        """One row."""
        if self._values is None:
            try:
                self._values = [_values(column) for column in self._batch.columns]
            except (ValueError, OverflowError, pa.ArrowException):
                return self._row_alone(at)  # one of the rows has a value beyond Python's: find out which
        return {name: values[at] for name, values in zip(self.names, self._values, strict=True)}

    def original(self, name: str, at: int) -> Any:
        """One value, as the number that is stored (or Arrow's text for it) if Python has none like it."""
        column = self._batch.column(name).slice(at, 1)
        for form in (_values, lambda values: values.cast(pa.int64()).to_pylist()):
            try:
                return form(column)[0]
            except (ValueError, OverflowError, pa.ArrowException):
                continue
        return column.to_string()

    def _row_alone(self, at: int) -> dict[str, Any]:
        row = {}
        for name, column in zip(self.names, self._batch.columns, strict=True):
            try:
                row[name] = _values(column.slice(at, 1))[0]
            except (ValueError, OverflowError, pa.ArrowException) as error:
                raise RecordError(
                    "UNREADABLE_VALUE", f"column {name!r} holds a {column.type} that no datetime can express"
                ) from error
        return row


def row_groups(stored: BinaryIO) -> list[int]:
    """Uncompressed bytes of each row group, from the footer alone.

    Raises:
      DamagedError: the file is not Parquet, or its footer is damaged.
    """
    try:
        metadata = pq.ParquetFile(stored).metadata
    except (pa.ArrowException, OSError) as error:
        raise DamagedError(f"it is not a readable Parquet file ({_first_line(error)})", 0) from error
    return [metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)]


def _bytes_from(ordinal: int, groups: Sequence[pq.RowGroupMetaData]) -> int:
    """Uncompressed bytes of the row groups that hold this row and those after it."""
    ends = itertools.accumulate(group.num_rows for group in groups)
    return sum(group.total_byte_size for group, end in zip(groups, ends, strict=True) if end > ordinal)


def _values(column: pa.Array) -> list[Any]:
    target = _in_microseconds(column.type)
    if target != column.type:
        column = column.cast(target, safe=False)
    convert = _converter(column.type)
    values: list[Any] = column.to_pylist()
    return values if convert is None else [None if value is None else convert(value) for value in values]


def _in_microseconds(kind: pa.DataType) -> pa.DataType:
    """The type with nanoseconds, for which Python has no type, replaced by microseconds."""
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if pa.types.is_struct(kind):
        return pa.struct([part.with_type(_in_microseconds(part.type)) for part in kind])
    if pa.types.is_map(kind):
        return pa.map_(_in_microseconds(kind.key_type), kind.item_field.with_type(_in_microseconds(kind.item_type)))
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_in_microseconds(kind.value_type)))
    return kind


def _converter(kind: pa.DataType) -> _Convert | None:
    """What turns a value of `to_pylist` into the plain one; None where it is that already."""
    if pa.types.is_timestamp(kind):
        return _utc
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return lambda value: value.isoformat()
    if pa.types.is_decimal(kind):
        return lambda value: format(value, "f")
    if pa.types.is_duration(kind):
        return lambda value: value.total_seconds()
    if pa.types.is_dictionary(kind):
        return _converter(kind.value_type)
    if pa.types.is_map(kind):
        key, item = _converter(kind.key_type) or _same, _or_none(_converter(kind.item_type))
        return lambda pairs: {str(key(name)): item(value) for name, value in pairs}
    if pa.types.is_struct(kind):
        parts = {part.name: convert for part in kind if (convert := _converter(part.type)) is not None}
        if not parts:
            return None
        return lambda value: {name: _or_none(parts.get(name))(part) for name, part in value.items()}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        element = _converter(kind.value_type)
        if element is None:
            return None
        convert = _or_none(element)
        return lambda values: [convert(value) for value in values]
    return None


def _utc(value: datetime.datetime) -> datetime.datetime:
    if value.tzinfo is None:
        return value.replace(tzinfo=datetime.timezone.utc)
    return value.astimezone(datetime.timezone.utc)


def _or_none(convert: _Convert | None) -> _Convert:
    if convert is None:
        return _same
    return lambda value: None if value is None else convert(value)


def _same(value: Any) -> Any:
    return value


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
