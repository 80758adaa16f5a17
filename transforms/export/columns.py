"""The columns of a table that holds documents: from what the documents hold, and from what the table already has.

    shapes of the fields ─┐
    fixed columns ────────┼─▶ document_columns ─▶ the table's columns, new ones behind those it has
    existing columns ─────┘

    kinds of a field's values               column
    one kind of scalar                      its type; integers and doubles together FLOAT64 where that is exact
    text and references                     STRING
    arrays of one kind of scalar            ARRAY<its type>
    vectors                                 ARRAY<FLOAT64>
    maps                                    JSON, a STRUCT or a column per leaf, as `nested` says
    anything else: mixed kinds, nested or   JSON
    empty arrays, arrays with null
    nothing but null                        none

A column that exists is never changed, but that a STRUCT gets more fields. Its description says which field it is of,
``Firestore field `address.city` ``, so a name that had to be changed for BigQuery leads back to its field.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import NamedTuple

from transforms.bigquery.schema import OVERFLOW, RESERVED_PREFIXES, UPDATE_TIME, Column
from transforms.errors import RecordError
from transforms.export import shapes
from transforms.export.shapes import Shape
from transforms.firestore import field_paths

JSON, RECORD, FLATTEN = "json", "record", "flatten"
NESTED = (JSON, RECORD, FLATTEN)

DOCUMENT_NAME, DOCUMENT_ID, DELETED_AT = "document_name", "document_id", "deleted_at"

_NOT_IN_EVERY_ROW = frozenset({DELETED_AT, OVERFLOW})

_FIELD = re.compile(r"Firestore field `(.+)`\Z", re.DOTALL)
_MAX_NAME = 300  # https://cloud.google.com/bigquery/docs/schemas#column_names
_MAX_DESCRIPTION = 1_024  # of a column, in characters
_MAX_COLUMNS = 9_000  # of 10,000 allowed, fields of STRUCTs included; https://cloud.google.com/bigquery/quotas
_MAX_STRUCT_DEPTH = 14  # of 15 allowed
_OF_MAPS = frozenset({"JSON", "STRUCT"})
_SCALARS = {
    shapes.BOOLEAN: "BOOL",
    shapes.INTEGER: "INT64",
    shapes.INTEGER | shapes.LARGE_INTEGER: "INT64",
    shapes.DOUBLE: "FLOAT64",
    shapes.INTEGER | shapes.DOUBLE: "FLOAT64",
    shapes.TIMESTAMP: "TIMESTAMP",
    shapes.STRING: "STRING",
    shapes.REFERENCE: "STRING",
    shapes.STRING | shapes.REFERENCE: "STRING",
    shapes.BYTES: "BYTES",
    shapes.GEOPOINT: "GEOGRAPHY",
}


class Rename(NamedTuple):
    """A field whose column has another name."""

    field: str
    column: str


def fixed_columns(parameters: Sequence[str] = ()) -> tuple[Column, ...]:
    """The columns that every table of documents has, whatever the documents hold.

    Args:
      parameters: names of path parameters.
    """
    return (
        Column(DOCUMENT_ID, "STRING", description="last segment of the document's path"),
        Column(DOCUMENT_NAME, "STRING", description="projects/P/databases/D/documents/PATH"),
        *(Column(name, "STRING", description=f"path parameter {{{name}}}") for name in parameters),
        Column("create_time", "TIMESTAMP", description="when the document was created"),
        Column(UPDATE_TIME, "TIMESTAMP", description="when the document was last changed; the row's version"),
        Column("read_time", "TIMESTAMP", description="the moment as of which the document was read"),
        Column("extracted_at", "TIMESTAMP", description="when the row was made"),
        Column(DELETED_AT, "TIMESTAMP", description="moment as of which the document was found missing"),
        Column(OVERFLOW, "JSON", description="values that do not fit their columns, by field path"),
    )


def document_columns(
    fields: Mapping[str, Shape], nested: str, fixed: Sequence[Column], existing: Sequence[Column] = ()
) -> tuple[Column, ...]:
    """All columns of the table: those it has, those every table has, and new ones for fields that have none.

    Args:
      fields: shapes by field name.
      nested: what becomes of maps: JSON, RECORD or FLATTEN.
      fixed: of `fixed_columns`.
      existing: the table's columns; empty for a new table.
    """
    present = {column.name.lower() for column in existing}
    start = [*existing, *(column for column in fixed if column.name.lower() not in present)]
    room = _MAX_COLUMNS - sum(map(_width, start))
    return _extended(start, {column.name for column in fixed}, fields, (), nested, room)


def misfits(existing: Iterable[Column], fixed: Iterable[Column]) -> list[str]:
    """Why rows of documents cannot go into an existing table; empty if they can.

    >>> misfits([Column("document_id", "INT64"), Column("owner", "STRING", "REQUIRED")], fixed_columns())
    ['column document_id is INT64, wanted STRING', 'column owner is REQUIRED, but a document may lack it']

    Args:
      fixed: of `fixed_columns`.
    """
    wanted = {column.name.lower(): column for column in fixed}
    found = []
    for column in existing:
        own = wanted.get(column.name.lower())
        if own is None:
            if column.mode == "REQUIRED":
                found.append(f"column {column.name} is REQUIRED, but a document may lack it")
        elif own.name in _NOT_IN_EVERY_ROW and column.mode == "REQUIRED":
            found.append(f"column {column.name} is REQUIRED, but most rows have none")
        elif field_of(column) is not None:
            found.append(f"column {column.name} is of {column.description}, wanted for the {own.description}")
        elif (column.type, column.mode == "REPEATED") != (own.type, False):
            found.append(f"column {column.name} is {column.form}, wanted {own.form}")
        elif column.name != own.name:
            found.append(f"column {column.name} must be named {own.name}")
    return found


def field_of(column: Column) -> tuple[str, ...] | None:
    """The path of the field that a column says it is of.

    >>> field_of(Column("address_city", "STRING", description="Firestore field `address.city`"))
    ('address', 'city')
    """
    match = _FIELD.match(column.description)
    if match is None:
        return None
    try:
        return field_paths.parse(match[1])
    except RecordError:
        return None  # somebody else's words


def renames(columns: Iterable[Column], depth: int = 0) -> list[Rename]:
    """The fields whose columns could not have their names, those within STRUCTs included.

    Args:
      depth: how many names of a path the STRUCT stands for that has the columns.
    """
    found = []
    for column in columns:
        path = field_of(column)
        if path is not None and column.name != "_".join(path[depth:]):
            found.append(Rename(field_paths.render(path), column.name))
        members = renames(column.fields, len(path or (column.name,)))
        found += [Rename(rename.field, f"{column.name}.{rename.column}") for rename in members]
    return found


def legal_name(name: str, taken: Set[str] = frozenset()) -> str:
    """A column name as close to a field's as BigQuery allows; with a digest of the field's name where that is taken.

    >>> legal_name("full name"), legal_name("2nd"), legal_name("_TABLE_x"), legal_name("Name", {"name"})
    ('full_name', '_2nd', 'f_TABLE_x', 'Name_dcd1d5')
    """
    legal = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if legal[:1].isdigit():
        legal = f"_{legal}"
    if legal.upper().startswith(RESERVED_PREFIXES):
        legal = f"f{legal}"
    if len(legal) <= _MAX_NAME and legal.lower() not in taken:
        return legal
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return next(
        candidate
        for digits in range(6, len(digest))
        if (candidate := f"{legal[: _MAX_NAME - digits - 1]}_{digest[:digits]}").lower() not in taken
    )


def _extended(
    columns: Sequence[Column],
    fixed: Set[str],
    fields: Mapping[str, Shape],
    within: tuple[str, ...],
    nested: str,
    room: int,
) -> tuple[Column, ...]:
    """The columns, and those that the fields still need.

    Args:
      room: how many columns may be added, the fields of STRUCTs included.
    """
    by_name = {column.name.lower(): column for column in columns}
    by_field = {path: column for column in columns if (path := field_of(column)) is not None}
    for path, shape in _leaves(fields, within, nested, by_field):
        own_name = "_".join(path[len(within) :]) if nested == RECORD else "_".join(path)
        named_alike = by_name.get(legal_name(own_name).lower())
        known = by_field.get(path)
        if known is None and named_alike and named_alike.name not in fixed and field_of(named_alike) is None:
            known = named_alike  # a column that somebody else has made for it
        if known is not None:
            column = _widened(known, shape, path, nested, room)
            room -= _width(column) - _width(known)
            by_name[column.name.lower()] = column
            continue
        added = _new_column(legal_name(own_name, by_name.keys()), shape, path, nested, room)
        if added is not None:
            room -= _width(added)
            by_name[added.name.lower()] = added
    return tuple(by_name.values())


def _leaves(
    fields: Mapping[str, Shape], within: tuple[str, ...], nested: str, columns: Mapping[tuple[str, ...], Column]
) -> Iterator[tuple[tuple[str, ...], Shape]]:
    """The fields that are to have a column each, by path.

    A map keeps the column that it has, and one whose members have columns keeps those, whatever `nested` says.

    Args:
      columns: of the fields that have one already.
    """
    spread = {path[:length] for path in columns for length in range(len(within) + 1, len(path))}

    def leaves(fields: Mapping[str, Shape], within: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Shape]]:
        for name, shape in sorted(fields.items()):
            path = (*within, name)
            column = columns.get(path)
            is_map = shape.kinds | shapes.NULL == shapes.MAP | shapes.NULL
            if not shape.members or (column and column.type in _OF_MAPS):
                yield path, shape
            elif path in spread:
                yield from leaves(shape.members, path)
                if not is_map:
                    yield path, replace(shape, kinds=shape.kinds & ~shapes.MAP)
            elif nested == FLATTEN and is_map and column is None:
                yield from leaves(shape.members, path)
            else:
                yield path, shape

    return leaves(fields, within)


def form_of(shape: Shape) -> tuple[str, str]:
    """Type and mode of a column that has every value of a shape; JSON for what is of several kinds.

    >>> form_of(Shape(shapes.INTEGER | shapes.NULL)), form_of(Shape(shapes.ARRAY, items=shapes.STRING))
    (('INT64', 'NULLABLE'), ('STRING', 'REPEATED'))
    """
    kinds = shape.kinds & ~shapes.NULL
    if kinds in _SCALARS:
        return _SCALARS[kinds], "NULLABLE"
    if kinds == shapes.VECTOR:
        return "FLOAT64", "REPEATED"
    if kinds == shapes.ARRAY and shape.items in _SCALARS:
        return _SCALARS[shape.items], "REPEATED"
    return "JSON", "NULLABLE"


def _new_column(name: str, shape: Shape, path: tuple[str, ...], nested: str, room: int) -> Column | None:
    """The column of a field that has none; None for one that cannot have any, or was never anything but null."""
    kinds = shape.kinds & ~shapes.NULL
    if not kinds or room < 1:
        return None
    description = f"Firestore field `{field_paths.render(path)}`"
    if len(description) > _MAX_DESCRIPTION:
        return None
    kind, mode = form_of(shape)
    if kind != "JSON":
        return Column(name, kind, mode, description)
    if kinds == shapes.MAP and nested == RECORD and len(path) <= _MAX_STRUCT_DEPTH:
        members = _extended((), frozenset(), shape.members, path, nested, _MAX_COLUMNS)
        struct = Column(name, "STRUCT", description=description, fields=members)
        if members and _width(struct) <= room:
            return struct
    return Column(name, "JSON", description=description)


def _widened(column: Column, shape: Shape, path: tuple[str, ...], nested: str, room: int) -> Column:
    if column.type != "STRUCT" or column.mode == "REPEATED":
        return column
    within = RECORD if nested == FLATTEN else nested  # a STRUCT's fields are named by their own names
    return replace(column, fields=_extended(column.fields, frozenset(), shape.members, path, within, room))


def _width(column: Column) -> int:
    return 1 + sum(map(_width, column.fields))
