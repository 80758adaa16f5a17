"""The columns that the rows of some files need: declared by Parquet, found out from everything else by reading it once.

files ─▶ slices ─▶ Parquet: footers ────────────────┐
                   CSV: every cell, `csv_types.py` ─┼─▶ Survey: format, columns
                   JSON: shapes of fields ──────────┘
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from transforms.batch import Record
from transforms.errors import UsageError
from transforms.export import shapes
from transforms.export.columns import form_of
from transforms.export.files.csv_types import ALL, BITS, fits, narrowest
from transforms.export.files.options import TEXT
from transforms.export.shapes import Shape
from transforms.inputs.files import InputFile, open_input
from transforms.inputs.options import ReadOptions
from transforms.inputs.slices import Slice, plan_slices, read_slice
from transforms.sql.columns import SourceColumn

CSV, PARQUET = "csv", "parquet"

# Of Parquet files that declare one column differently: each has what the ones before it have.
_WIDER = ("INT64", "NUMERIC", "BIGNUMERIC")
_KINDS: dict[type, int] = {
    type(None): shapes.NULL,
    bool: shapes.BOOLEAN,
    float: shapes.DOUBLE,
    str: shapes.STRING,
    bytes: shapes.BYTES,
    datetime.datetime: shapes.TIMESTAMP,
    dict: shapes.MAP,
    list: shapes.ARRAY,
}
_MAX_EXACT = 2**53  # up to here every double holds an integer


@dataclass(frozen=True)
class Survey:
    """What some files hold.

    Attributes:
      format: of all of them; empty if none has any content.
      columns: in the order in which they were found.
    """

    format: str
    columns: tuple[SourceColumn, ...]


def survey(files: Iterable[InputFile], options: ReadOptions, csv_types: str) -> Survey:
    """Looks at files; at all of their content, but of Parquet.

    Raises:
      UsageError: they are of several formats, or declare a column differently.
      JobError: as `open_input`, and when reading fails.
    """
    found = ""
    paths: dict[str, str] = {}
    parquet: dict[str, tuple[SourceColumn, str]] = {}
    cells: dict[str, int] = {}
    fields: dict[str, Shape] = {}
    for file in files:
        for piece in plan_slices(file, options):
            if piece.format == "unreadable":
                continue
            kind = "json" if piece.format == "jsonl" else piece.format
            paths.setdefault(kind, file.path)
            found = found or kind
            if kind != found:
                raise UsageError(
                    f"--source names files of several formats, such as {paths[found]} and {file.path}; export those of "
                    "one format at a time"
                )
            if kind == PARQUET:
                if not piece.index:
                    _add_declared(parquet, file)
            elif kind == CSV:
                for record in _records(piece, options):
                    _add_cells(cells, record.value, csv_types)
            else:
                for record in _records(piece, options):
                    _add_values(fields, record.value)
    if found == PARQUET:
        return Survey(found, tuple(column for column, _ in parquet.values()))
    if found == CSV:
        return Survey(found, tuple(SourceColumn(name, CSV, narrowest(bits), "") for name, bits in cells.items()))
    return Survey(found, tuple(_of_shapes(fields)))


def as_the_table_has_them(
    columns: Iterable[SourceColumn], held: Mapping[str, tuple[str, bool]]
) -> tuple[SourceColumn, ...]:
    """Columns that were found out, with the types that a table has for them: what does not fit goes to `_overflow`.

    Args:
      held: type, and whether it is REPEATED, by the column's own name.
    """
    return tuple(
        replace(column, type=held[column.name][0], is_array=held[column.name][1]) if column.name in held else column
        for column in columns
    )


def _records(piece: Slice, options: ReadOptions) -> Iterator[Record]:
    for batch in read_slice(piece, options):
        yield from batch.entries


def _add_declared(found: dict[str, tuple[SourceColumn, str]], file: InputFile) -> None:
    # Imported where there is Parquet, because pyarrow takes as long to import as all the rest.
    from transforms.export.files.arrow_types import columns_of
    from transforms.inputs.formats.parquet_file import open_parquet

    with open_input(file) as stored:
        declared = columns_of(open_parquet(stored).schema_arrow, file.path)
    for column in declared:
        known, path = found.setdefault(column.name, (column, file.path))
        if (known.type, known.is_array) == (column.type, column.is_array):
            continue
        if known.is_array or column.is_array or not {known.type, column.type} <= set(_WIDER):
            raise UsageError(
                f"--source: column {column.name!r} is {known.declared} in {path} and {column.declared} in {file.path}; "
                "export them to two tables"
            )
        found[column.name] = max((known, path), (column, file.path), key=lambda each: _WIDER.index(each[0].type))


def _add_cells(found: dict[str, int], cells: Mapping[str, Any], csv_types: str) -> None:
    for name, cell in cells.items():
        bits = BITS["STRING"] if csv_types == TEXT else fits(cell)
        found[name] = found.get(name, ALL) & bits


def _add_values(found: dict[str, Shape], value: Mapping[str, Any]) -> None:
    for name, member in value.items():
        shape = found.setdefault(name, Shape())
        shape.kinds |= _kind(member)
        if isinstance(member, list):
            for item in member:
                shape.items |= _kind(item)


def _kind(value: Any) -> int:
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    return shapes.INTEGER if -_MAX_EXACT <= value <= _MAX_EXACT else shapes.INTEGER | shapes.LARGE_INTEGER


def _of_shapes(fields: Mapping[str, Shape]) -> Iterator[SourceColumn]:
    for name, shape in fields.items():
        if shape.kinds & ~shapes.NULL:
            kind, mode = form_of(shape)
            yield SourceColumn(name, "json", kind, "", is_array=mode == "REPEATED")
