"""Parquet: row groups, read in bounded batches of rows, every value as the plain Python value that says the same.

What a value becomes: see `arrow_values.py`. A column that has no plain values, or the name of another one, makes every
row a dead letter until it is renamed or left out: of two values none is chosen. The index that pandas writes where a
table has none of its own, `__index_level_0__`, is left out as long as it holds whole numbers.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.batch import DeadLetter, Record
from transforms.errors import RecordError
from transforms.inputs.formats.arrow_values import UnfitError, type_problem, values_of
from transforms.inputs.formats.columns import AS_THEY_ARE, ColumnOptions, ColumnsError
from transforms.inputs.formats.parquet_file import open_parquet
from transforms.inputs.items import STEP, Item, unreadable
from transforms.inputs.streams import DamagedError

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_UNREADABLE = (ValueError, OverflowError, pa.ArrowException)


@dataclass(slots=True)
class ParquetRows:
    """The rows of some row groups of one Parquet file.

    Attributes:
      stored: the file, seekable.
      first_group, last_group: the row groups first_group ≤ g < last_group are read.
      batch_size: rows that are decoded together.
      max_batch_bytes: bound on the memory that rows decoded together take.
      columns: those that are left out or renamed.
      binary_as_text: whether binary values are UTF-8 text.
      exact: whether times keep what a record has no place for, see `arrow_values.py`.
    """

    stored: BinaryIO
    first_group: int
    last_group: int
    batch_size: int
    max_batch_bytes: int
    columns: ColumnOptions = AS_THEY_ARE
    binary_as_text: bool = False
    exact: bool = False

    def scan(self) -> Iterator[Item | DeadLetter]:
        """As `Reader.scan`."""
        ordinal = 0
        groups: list[pq.RowGroupMetaData] = []
        try:
            file = open_parquet(self.stored)
            groups = [file.metadata.row_group(group) for group in range(self.last_group)]
            ordinal = sum(group.num_rows for group in groups[: self.first_group])
            names, problem = self._names(file.schema_arrow)
            selected = _selected(file.schema_arrow.names, names)
            names = names if selected is None else [name for name in names if name is not None]
            for batch in self._decoded(file, selected):
                rows = _Rows(batch, names, self.binary_as_text, self.exact)
                size = batch.nbytes // max(1, batch.num_rows)
                for at in range(batch.num_rows):
                    item = Item(ordinal, ordinal + 1, size, (rows, at))
                    yield self._dead_letter(item, problem) if problem else item
                    ordinal += 1
        except (pa.ArrowException, OSError) as error:
            why = f"the Parquet data is damaged ({_first_line(error)})"
            yield unreadable(ordinal, DamagedError(why, 0, unread=_bytes_from(ordinal, groups)))
        except DamagedError as damage:
            damage.unread = _bytes_from(ordinal, groups)
            yield unreadable(ordinal, damage)

    def _names(self, schema: pa.Schema) -> tuple[Sequence[str | None], RecordError | None]:
        """What the columns are called, and what is wrong with that."""
        try:
            return _names_of(schema, self.columns, self.binary_as_text), None
        except ColumnsError as error:
            return schema.names, RecordError("INVALID_COLUMNS", f"the columns of the file are not usable: {error}")

    def _dead_letter(self, item: Item, error: RecordError) -> DeadLetter:
        return DeadLetter(STEP, error.code, error.message, self.original(item), position=item.position, line=item.line)

    def _decoded(self, file: pq.ParquetFile, selected: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """Row group by row group: decoding several together would lose those before a damaged one."""
        for group in range(self.first_group, self.last_group):
            metadata = file.metadata.row_group(group)
            row_bytes = max(1, metadata.total_byte_size // max(1, metadata.num_rows))
            n_rows = max(1, min(self.batch_size, self.max_batch_bytes // row_bytes))
            try:
                yield from file.iter_batches(n_rows, row_groups=[group], columns=selected)
            except (pa.ArrowException, OSError) as error:
                why = _first_line(error)
                for name in selected or ():
                    if not _is_readable(file, group, name):
                        kind = file.schema_arrow.field(name).type
                        why = f"{why}; it is in column {name!r} of type {kind}, see --drop_columns"
                        break
                raise DamagedError(f"the Parquet data is damaged, or beyond its reader ({why})", 0) from error

    def records(self, item: Item) -> tuple[Record]:
        """As `Reader.records`. Raises RecordError: UNREADABLE_VALUE."""
        rows, at = item.content
        return (Record(item.position, rows.row(at), item.line),)

    def original(self, item: Item) -> Mapping[str, Any]:
        """As `Reader.original`: what can be read as a value, the rest as text."""
        rows, at = item.content
        return rows.original(at)


class _Rows:
    """Rows decoded together, turned into Python values once the first of them is asked for."""

    def __init__(self, batch: pa.RecordBatch, names: Sequence[str | None], binary_as_text: bool, exact: bool):
        self._columns = [(name, column) for name, column in zip(names, batch.columns, strict=True) if name is not None]
        self._binary_as_text, self._exact = binary_as_text, exact
        self._values: dict[str, list[Any]] | None = None
        self._is_row_by_row = False

    def row(self, at: int) -> dict[str, Any]:
        """One row. Raises RecordError."""
        if self._values is None and not self._is_row_by_row:
            try:
                self._values = {
                    name: values_of(column, self._binary_as_text, self._exact) for name, column in self._columns
                }
            except _UNREADABLE:
                self._is_row_by_row = True  # one of the rows has a value beyond Python's: find out which
        if self._values is None:
            return {name: self._value(name, column, at) for name, column in self._columns}
        return {name: values[at] for name, values in self._values.items()}

    def original(self, at: int) -> dict[str, Any]:
        """One row as far as it can be said: a name that is not unique with its place, values without form as text."""
        counted = Counter(name for name, _ in self._columns)
        return {
            name if counted[name] == 1 else f"{name}#{place}": self._shown(column, at)
            for place, (name, column) in enumerate(self._columns, 1)
        }

    def _value(self, name: str, column: pa.Array, at: int) -> Any:
        try:
            return values_of(column.slice(at, 1), self._binary_as_text, self._exact)[0]
        except UnfitError as error:
            raise RecordError("UNREADABLE_VALUE", f"column {name!r} holds {error}") from error
        except _UNREADABLE as error:
            raise RecordError(
                "UNREADABLE_VALUE", f"column {name!r} holds a {column.type} that no datetime can express"
            ) from error

    def _shown(self, column: pa.Array, at: int) -> Any:
        """A value, or the number that is stored, or Arrow's text for it."""
        one = column.slice(at, 1)
        if type_problem(column.type, self._binary_as_text) is not None:
            return str(one)
        for form in (values_of, lambda values: values.cast(pa.int64()).to_pylist()):
            try:
                return form(one)[0]
            except _UNREADABLE:
                continue
        return str(one)


def _names_of(schema: pa.Schema, columns: ColumnOptions, binary_as_text: bool) -> list[str | None]:
    """What each column is called in a record; None for one that is left out. Raises ColumnsError."""
    names = columns.names(schema.names)
    for at, (name, column) in enumerate(zip(names, schema, strict=True)):
        is_index = name is not None and _PANDAS_INDEX.fullmatch(name) is not None
        if is_index and pa.types.is_integer(column.type):
            names[at] = None
        elif is_index or name == "":
            raise ColumnsError(
                f"column {at + 1} is of type {column.type} and has no name of its own; name it with "
                f"--rename_columns='#{at + 1}=NAME', or leave it out with --drop_columns='#{at + 1}'"
            )
        elif name is not None and (problem := type_problem(column.type, binary_as_text)):
            raise ColumnsError(
                f"column {at + 1}, {name!r}, cannot be read: {problem}; leave it out with --drop_columns='#{at + 1}'"
            )
    return names


def _selected(columns: Sequence[str], names: Sequence[str | None]) -> list[str] | None:
    """The columns to decode: those that are not left out; None for all, where columns cannot be told by their names."""
    if len(set(columns)) < len(columns):
        return None
    return [column for column, name in zip(columns, names, strict=True) if name is not None]


def _is_readable(file: pq.ParquetFile, group: int, column: str) -> bool:
    try:
        file.read_row_group(group, columns=[column])
    except (pa.ArrowException, OSError):
        return False
    return True


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


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
