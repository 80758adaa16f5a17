"""The column of BigQuery for a declared type of MySQL or MariaDB, and what is selected so that its text is the value.

    tinyint … bigint, year → INT64    date → DATE             json, longtext checked by json_valid → JSON
    bigint unsigned → NUMERIC         time → TIME             bit(1) → BOOL
    decimal(p,s) → as its digits are  datetime → DATETIME     binary, varbinary, blobs → BYTES
    float, double → FLOAT64           timestamp → TIMESTAMP   points and lines with SRID 4326 → GEOGRAPHY
    everything else → STRING: char, text, enum, set, bit(n), uuid, inet6, other geometry as well-known text

`tinyint(1)` is a number, whatever it is used for. Polygons are text: BigQuery refuses those that cross themselves, and
a value must not fail its row.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from transforms.sql.columns import SourceColumn, decimal_type

_BY_NAME = {
    "tinyint": "INT64",
    "smallint": "INT64",
    "mediumint": "INT64",
    "int": "INT64",
    "bigint": "INT64",
    "year": "INT64",
    "float": "FLOAT64",
    "double": "FLOAT64",
    "date": "DATE",
    "time": "TIME",
    "datetime": "DATETIME",
    "timestamp": "TIMESTAMP",
    "json": "JSON",
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"), "BYTES"),
}
_TIMES = frozenset({"datetime", "timestamp"})
_POINTS_AND_LINES = frozenset({"point", "multipoint", "linestring", "multilinestring", "geometry"})
GEOMETRIES = _POINTS_AND_LINES | {"polygon", "multipolygon", "geometrycollection", "geomcollection"}
_WGS_84 = 4326

# Types whose values an index has in the order in which the server compares them with a literal; an ENUM is ordered by
# its numbers but compared by its texts.
_AS_DIGITS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year"})
_AS_OCTETS = frozenset({"binary", "varbinary"})
_AS_TEXT = frozenset({"char", "varchar"})
_AS_QUOTED = frozenset({"date", "datetime", "timestamp", "uuid"})
_CAN_RANGE = _AS_DIGITS | _AS_OCTETS | _AS_TEXT | _AS_QUOTED
_QUOTABLE = re.compile(r"[-0-9a-fA-F:. ]+")


class MysqlType(NamedTuple):
    """A column's type, as information_schema.columns says it.

    Attributes:
      name: such as `bigint`.
      declared: such as `bigint(20) unsigned`.
      precision, scale: of numbers and bits.
      is_json: whether it is text that a constraint wants to be JSON, which is MariaDB's JSON.
      srid: of geometry.
    """

    name: str
    declared: str
    precision: int = 0
    scale: int = 0
    is_json: bool = False
    srid: int = 0


def source_column(name: str, type_: MysqlType, *, is_mariadb: bool) -> SourceColumn:
    """What a column becomes.

    >>> source_column("n", MysqlType("bigint", "bigint(20) unsigned"), is_mariadb=True).type
    'NUMERIC'
    >>> source_column("b", MysqlType("bit", "bit(9)", 9), is_mariadb=True).expression
    "LPAD(BIN(`b`), 9, '0')"
    """
    column_type = _column_type(type_)
    expression = _expression(quoted(name), column_type, type_, is_mariadb=is_mariadb)
    return SourceColumn(name, type_.declared, column_type, expression, can_order=type_.name in _TIMES)


def quoted(name: str) -> str:
    """A name, as statements have it.

    >>> quoted("or`der")
    '`or``der`'
    """
    return f"`{name.replace('`', '``')}`"


def can_range(declared: str) -> bool:
    """Whether ranges of a key of this type can be read in its order.

    >>> can_range("int(11)"), can_range("varchar(36)"), can_range("enum('a','b')"), can_range("double")
    (True, True, False, False)
    """
    return _name(declared) in _CAN_RANGE


def is_text(declared: str) -> bool:
    """Whether values are compared as texts are."""
    return _name(declared) in _AS_TEXT


def literal(declared: str, text: str) -> str:
    """A value of a key in SQL, of the text that was read.

    >>> literal("int(11)", "7"), literal("varchar(9)", "it's"), literal("binary(2)", "00ff")
    ('7', "_utf8mb4 X'69742773'", "X'00ff'")
    >>> literal("datetime", "2026-01-31 00:00:00"), literal("int(11)", "7 OR 1")
    Traceback (most recent call last):
    ValueError: '7 OR 1' is not a value of int(11)
    """
    name = _name(declared)
    if name in _AS_OCTETS:
        return f"X'{bytes.fromhex(text).hex()}'"
    if name in _AS_TEXT:
        return f"_utf8mb4 X'{text.encode('utf-8', 'surrogateescape').hex()}'"
    if not _QUOTABLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a value of {declared}")
    return text if name in _AS_DIGITS else f"'{text}'"


def _name(declared: str) -> str:
    return re.split(r"[^a-z0-9]", declared.lower(), maxsplit=1)[0]


def _column_type(type_: MysqlType) -> str:
    if type_.is_json:
        return "JSON"
    if type_.name == "bigint" and "unsigned" in type_.declared:
        return "NUMERIC"
    if type_.name == "decimal":
        return decimal_type(type_.precision, type_.scale)
    if type_.name == "bit":
        return "BOOL" if type_.precision == 1 else "STRING"
    if type_.name in _POINTS_AND_LINES and type_.srid == _WGS_84:
        return "GEOGRAPHY"
    return _BY_NAME.get(type_.name, "STRING")


def _expression(name: str, column_type: str, type_: MysqlType, *, is_mariadb: bool) -> str:
    if column_type == "FLOAT64" and type_.declared != "double":
        # A float's text has six digits; that of a double(9,2), too, is not its value.
        return f"CAST({name} AS DOUBLE)"
    if type_.name == "bit":
        return f"{name} + 0" if type_.precision == 1 else f"LPAD(BIN({name}), {type_.precision}, '0')"
    if type_.name in GEOMETRIES:
        return _well_known_text(name, column_type, is_mariadb=is_mariadb)
    if "zerofill" in type_.declared:
        # Without the zeros, which are how a number is shown and not what it is.
        digits = f"DECIMAL({type_.precision}, {type_.scale})" if type_.name == "decimal" else "UNSIGNED"
        return f"CAST({name} AS {digits})"
    return name


def _well_known_text(name: str, column_type: str, *, is_mariadb: bool) -> str:
    # MySQL writes latitude first where the reference system says so; MariaDB always writes longitude first.
    text = f"ST_AsText({name})" if is_mariadb else f"ST_AsText({name}, 'axis-order=long-lat')"
    if column_type == "GEOGRAPHY":
        return text
    # As PostGIS writes it, for the number is part of the value.
    return f"IF(ST_SRID({name}) = 0, ST_AsText({name}), CONCAT('SRID=', ST_SRID({name}), ';', {text}))"
