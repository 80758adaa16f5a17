"""The column of BigQuery for a declared type of PostgreSQL, and what is selected so that its text is the value.

    smallint, integer, bigint → INT64       date → DATE                        json, jsonb, composites, hstore → JSON
    numeric(p,s) → as its digits are        time → TIME                        boolean, bit(1) → BOOL
    numeric → BIGNUMERIC                    timestamp → DATETIME               bytea → BYTES
    real, double precision → FLOAT64        timestamptz → TIMESTAMP            one-dimensional arrays, vector → ARRAY
    everything else → STRING: text, uuid, enums, inet, ranges, intervals in ISO 8601, timetz, money, bit strings, …

A domain is what it is a domain of. The array of an array, of JSON or of a composite is one JSON value.
"""

from __future__ import annotations

from typing import NamedTuple

from transforms.sql.columns import SourceColumn, decimal_type

_BY_NAME = {
    "int2": "INT64",
    "int4": "INT64",
    "int8": "INT64",
    "float4": "FLOAT64",
    "float8": "FLOAT64",
    "bool": "BOOL",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "DATETIME",
    "timestamptz": "TIMESTAMP",
    "bytea": "BYTES",
    "json": "JSON",
    "jsonb": "JSON",
}
_JSON_BY_CAST = frozenset({"hstore"})
_PARSED_JSON = "jsonb"
_VECTORS = frozenset({"vector", "halfvec"})
_TIMES = frozenset({"timestamp", "timestamptz"})
_HEADER = 4  # bytes that a length modifier of PostgreSQL counts beside the length


class PgType(NamedTuple):
    """A type of the server's catalogue, pg_type.

    Attributes:
      kind: b for base, c composite, d domain, e enum, r range, m multirange.
      category: A for arrays.
      element: of an array, 0 for others.
      base, base_modifier: of a domain.
      delimiter: between the items of arrays of this type.
    """

    oid: int
    name: str
    kind: str
    category: str
    element: int
    base: int
    base_modifier: int
    delimiter: str = ","


def source_column(
    name: str, quoted: str, declared: str, type_id: int, modifier: int, types: dict[int, PgType]
) -> SourceColumn:
    """What a column becomes.

    Args:
      quoted: its name, as statements have it.
      declared: its type, as the server writes it.
      type_id, modifier: of the column.
      types: every type that it is made of, by id.
    """
    type_, modifier = _without_domains(types[type_id], modifier, types)
    if type_.name in _JSON_BY_CAST or type_.kind == "c":
        return SourceColumn(name, declared, "JSON", f"to_json({quoted})")
    if type_.name in _VECTORS and type_.kind == "b":
        return SourceColumn(name, declared, "FLOAT64", quoted, is_array=True, is_single=True)
    if type_.category != "A":
        of_single = f"{quoted}::float8" if type_.name == "float4" else quoted
        column_type = _scalar(type_, modifier)
        can_order, is_canonical = type_.name in _TIMES, type_.name == _PARSED_JSON
        return SourceColumn(name, declared, column_type, of_single, can_order=can_order, is_canonical=is_canonical)
    element, modifier = _without_domains(types[type_.element], modifier, types)
    item = _scalar(element, modifier)
    if element.kind == "c" or element.category == "A" or item == "JSON" or element.delimiter != ",":
        return SourceColumn(name, declared, "JSON", f"to_json({quoted})")
    of_single = f"{quoted}::float8[]" if element.name == "float4" else quoted
    return SourceColumn(name, declared, item, of_single, is_array=True)


def _without_domains(type_: PgType, modifier: int, types: dict[int, PgType]) -> tuple[PgType, int]:
    while type_.kind == "d":
        type_, modifier = types[type_.base], type_.base_modifier
    return type_, modifier


def _scalar(type_: PgType, modifier: int) -> str:
    """The type of the column of one value.

    >>> numeric = PgType(1700, "numeric", "b", "N", 0, 0, -1)
    >>> _scalar(numeric, (38 << 16 | 9) + 4), _scalar(numeric, -1), _scalar(numeric, (5 << 16 | 2045) + 4)
    ('NUMERIC', 'BIGNUMERIC', 'NUMERIC')
    """
    if type_.name in _JSON_BY_CAST:
        return "JSON"
    if type_.kind != "b":
        return "STRING"
    if type_.name == "numeric":
        if modifier < _HEADER:
            return decimal_type(None, 0)
        packed = modifier - _HEADER
        scale = packed & 0x7FF
        # 11 bits with a sign since PostgreSQL 15: numeric(5,-3).
        return decimal_type(packed >> 16 & 0xFFFF, scale - 0x800 if scale & 0x400 else scale)
    if type_.name == "bit":
        return "BOOL" if modifier == 1 else "STRING"
    return _BY_NAME.get(type_.name, "STRING")
