"""Every type of MariaDB at and beyond its limits, on a real server: in its column exactly, or in `_overflow`."""

import datetime
import json
import struct
from contextlib import closing
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.mariadb import MariaDatabase
from transforms.bigquery.storage_rows import RowMessage
from transforms.export.source_target import table_columns
from transforms.sql.database import Part, Selection
from transforms.sql.mysql.types import MysqlType, source_column
from transforms.sql.rows import FIXED_COLUMNS, KEY, KeyOf, TableRows

OVERFLOW = object()


def single(number: float) -> float:
    """The number that 32 bits hold of it."""
    return struct.unpack("f", struct.pack("f", number))[0]


def read_rows(database: MariaDatabase, name: str, *, typed: bool = False, condition: str = ""):
    """The rows of a table as an export makes them, and its columns."""
    table, source = database.table(name), database.described(name)
    selection = Selection(source, ("id",), condition, names_all=bool(condition))
    columns = table_columns(source.columns)
    rows, key_of = TableRows(source, columns, table.items, typed=typed), KeyOf(("id",), [(0, False)])
    read = [fields for chunk in table.read(selection, Part(0), None) for fields in chunk.rows]
    if condition:
        assert {fields[0] for fields in read} <= {table.true}
        read = [fields[1:] for fields in read]
    return rows.rows(list(map(key_of, read)), read, {}), columns


def stored(database: MariaDatabase, declared: str, *literals: str):
    """The column of a type and the cells of values, in JSON's form; OVERFLOW for what did not fit."""
    database.execute(f"CREATE TABLE v (id int PRIMARY KEY, v {declared})")
    for number, literal in enumerate(literals):
        database.execute(f"INSERT INTO v VALUES ({number}, {literal})")
    rows, columns = read_rows(database, "v")
    rows.sort(key=lambda row: int(row.cells[KEY]))
    cells = [OVERFLOW if row.overflowed else row.cells.get("v") for row in rows]
    for row in rows:
        assert row.overflowed == (("v",) if "_overflow" in row.cells else ())
    assert read_rows(database, "v", condition="id >= 0")[0] == rows  # a run that names all rows reads the same values
    typed, _ = read_rows(database, "v", typed=True)
    message = RowMessage([*columns, *FIXED_COLUMNS])
    for row in typed:  # the Storage Write API takes them, too
        assert message.serialised(row.cells)
        assert ("_overflow" in row.cells) == bool(row.overflowed)
    return columns[1].form, cells


CASES = [
    ("tinyint", "INT64", [("-128", -128), ("NULL", None)]),
    ("tinyint(1)", "INT64", [("1", 1), ("7", 7)]),
    ("bool", "INT64", [("true", 1)]),
    ("smallint unsigned", "INT64", [("65535", 65535)]),
    ("mediumint", "INT64", [("-8388608", -8388608)]),
    ("int unsigned", "INT64", [("4294967295", 4294967295)]),
    ("int(7) zerofill", "INT64", [("42", 42)]),
    ("bigint", "INT64", [("9223372036854775807", "9223372036854775807"), ("-9223372036854775808", str(-(2**63)))]),
    ("bigint unsigned", "NUMERIC", [("18446744073709551615", "18446744073709551615")]),
    ("bigint unsigned zerofill", "NUMERIC", [("7", "7")]),
    ("year", "INT64", [("1901", 1901), ("2155", 2155), ("0", 0)]),
    ("decimal(38,9)", "NUMERIC", [("99999999999999999999999999999.999999999", "9" * 29 + "." + "9" * 9)]),
    ("decimal(10,2)", "NUMERIC", [("-1.10", "-1.10")]),
    ("decimal(10,2) zerofill", "NUMERIC", [("1.5", "1.50")]),
    ("decimal(39,9)", "BIGNUMERIC", [("1.5", "1.500000000")]),
    ("decimal(65,38)", "BIGNUMERIC", [("1" * 27 + "." + "1" * 38, "1" * 27 + "." + "1" * 38)]),
    ("decimal(65,0)", "STRING", [("9" * 65, "9" * 65)]),
    (
        "float",
        "FLOAT64",
        [("0.1", single(0.1)), ("16777217", 16777216.0), ("3.4e38", single(3.4e38)), ("1e-45", single(1e-45))],
    ),
    ("float(7,2)", "FLOAT64", [("1234.567", single(1234.57))]),
    (
        "double",
        "FLOAT64",
        [("0.1", 0.1), ("5e-324", 5e-324), ("-1.7976931348623157e308", -1.7976931348623157e308)],
    ),
    ("double(20,2)", "FLOAT64", [("123456789012345.67", 123456789012345.67)]),
    ("bit", "BOOL", [("b'1'", True), ("b'0'", False)]),
    ("bit(9)", "STRING", [("b'101010101'", "101010101"), ("b'1'", "000000001")]),
    ("bit(64)", "STRING", [("18446744073709551615", "1" * 64), ("0", "0" * 64)]),
    (
        "date",
        "DATE",
        [
            ("'1000-01-01'", "1000-01-01"),
            ("'0001-01-01'", "0001-01-01"),
            ("'9999-12-31'", "9999-12-31"),
            ("'0000-00-00'", OVERFLOW),
            ("'2022-11-00'", OVERFLOW),
            ("'2022-00-01'", OVERFLOW),
            ("'2024-02-29'", "2024-02-29"),
            ("'2023-02-29'", OVERFLOW),
            ("'2022-02-31'", OVERFLOW),
            ("'2022-04-31'", OVERFLOW),
        ],
    ),
    (
        "time(6)",
        "TIME",
        [
            ("'23:59:59.999999'", "23:59:59.999999"),
            ("'00:00:00'", "00:00:00.000000"),
            ("'24:00:00'", OVERFLOW),
            ("'838:59:59'", OVERFLOW),
            ("'-00:00:01'", OVERFLOW),
        ],
    ),
    (
        "datetime(6)",
        "DATETIME",
        [
            ("'2026-01-02 03:04:05.678901'", "2026-01-02T03:04:05.678901"),
            ("'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999"),
            ("'0000-00-00'", OVERFLOW),
            ("'2022-11-00 10:00:00'", OVERFLOW),
            ("'2023-02-29 10:00:00'", OVERFLOW),
        ],
    ),
    ("datetime", "DATETIME", [("'2026-01-02 03:04:05'", "2026-01-02T03:04:05")]),
    (
        "timestamp(6) NULL",
        "TIMESTAMP",
        [
            ("'2026-01-02 03:04:05.678901'", "2026-01-02T03:04:05.678901+00:00"),
            ("'2038-01-19 03:14:07.999999'", "2038-01-19T03:14:07.999999+00:00"),
            ("'1970-01-01 00:00:01'", "1970-01-01T00:00:01.000000+00:00"),
            ("0", OVERFLOW),
        ],
    ),
    ("binary(3)", "BYTES", [("X'00ff'", "AP8A")]),
    ("varbinary(9)", "BYTES", [("X'00ff5c'", "AP9c"), ("''", "")]),
    ("longblob", "BYTES", [("X'80'", "gA=="), ("NULL", None)]),
    ("char(3) character set binary", "BYTES", [("'a'", "YQAA")]),
    ("char(3)", "STRING", [("'a'", "a")]),
    (
        "text",
        "STRING",
        [
            ("'Zoë 😀'", "Zoë 😀"),
            (r"'tab\t line\n nul\0 back\\slash \r'", "tab\t line\n nul\0 back\\slash \r"),
            ("''", ""),
            ("NULL", None),
        ],
    ),
    ("text character set latin1", "STRING", [("'Zoë €'", "Zoë €")]),
    ("varchar(9) character set ucs2", "STRING", [("'Zoë'", "Zoë")]),
    ("varchar(9) character set utf8mb3", "STRING", [("'Zoë'", "Zoë")]),
    ("varchar(9) character set sjis", "STRING", [("'日本'", "日本")]),
    ("enum('sad', 'very \"happy\"')", "STRING", [("'very \"happy\"'", 'very "happy"'), ("''", "")]),
    ("set('a','b')", "STRING", [("'a,b'", "a,b"), ("''", "")]),
    ("uuid", "STRING", [("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")]),
    ("inet6", "STRING", [("'::ffff:10.0.0.1'", "::ffff:10.0.0.1")]),
    (
        "json",
        "JSON",
        [
            ("""'{"a":1.10, "b":[1]}'""", '{"a":1.10, "b":[1]}'),
            ("""'{"a":1,"a":2}'""", OVERFLOW),
            ("'18446744073709551615'", "18446744073709551615"),
            ("'18446744073709551616'", OVERFLOW),
            ("'0.1234567890123456789'", OVERFLOW),
            ("'null'", "null"),
        ],
    ),
    ("longtext CHECK (json_valid(v))", "JSON", [("'[]'", "[]")]),
    ("longtext CHECK (length(v) > 1)", "STRING", [("'[]'", "[]")]),
    (
        "point REF_SYSTEM_ID=4326",
        "GEOGRAPHY",
        [
            ("ST_PointFromText('POINT(13.25 52.5)', 4326)", "POINT(13.25 52.5)"),
            ("ST_PointFromText('POINT(13.25 91)', 4326)", OVERFLOW),
        ],
    ),
    (
        "geometry REF_SYSTEM_ID=4326",
        "GEOGRAPHY",
        [
            ("ST_GeomFromText('MULTIPOINT(0 0, 1 1)', 4326)", "MULTIPOINT(0 0,1 1)"),
            ("ST_GeomFromText('LINESTRING(0 0, 1 1)', 4326)", "LINESTRING(0 0,1 1)"),
            ("ST_GeomFromText('LINESTRING(0 0, 180 0)', 4326)", OVERFLOW),
            ("ST_GeomFromText('MULTILINESTRING((0 0, 1 1),(5 5,6 6))', 4326)", "MULTILINESTRING((0 0,1 1),(5 5,6 6))"),
            ("ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 4326)", OVERFLOW),
        ],
    ),
    ("polygon REF_SYSTEM_ID=4326", "STRING", []),
    (
        "geometry",
        "STRING",
        [
            ("ST_GeomFromText('POINT(1 2)')", "POINT(1 2)"),
            ("ST_GeomFromText('POINT(1 2)', 3857)", "SRID=3857;POINT(1 2)"),
        ],
    ),
]


@pytest.mark.parametrize(("declared", "form", "values"), CASES, ids=[case[0] for case in CASES])
def test_a_type_has_its_column_and_its_values_fit_exactly_or_overflow(mariadb, declared, form, values):
    found_form, cells = stored(mariadb, declared, *(literal for literal, _ in values))
    assert (found_form, cells) == (form, [cell for _, cell in values])


def test_what_overflows_is_the_servers_own_text_and_named_by_its_column(mariadb):
    mariadb.execute(
        "CREATE TABLE v (id int PRIMARY KEY, `gone at` date, t time, ts timestamp NULL)",
        "INSERT INTO v VALUES (1, '2022-11-00', '-838:59:59', 0)",
    )
    ((cells, overflowed),), columns = read_rows(mariadb, "v")
    assert [column.name for column in columns] == ["id", "gone_at", "t", "ts"]
    assert overflowed == ("gone at", "t", "ts")
    assert json.loads(cells["_overflow"]) == {
        "gone at": "2022-11-00",
        "t": "-838:59:59",
        "ts": "0000-00-00 00:00:00",
    }


MANY = settings(
    max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None
)


@MANY
@given(st.lists(st.tuples(st.text(), st.binary()), max_size=20))
def test_law_any_text_and_any_octets_come_back(mariadb, values):
    with closing(mariadb.connect(charset="utf8mb4")) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS v (id int PRIMARY KEY, t longtext, b longblob) CHARSET utf8mb4")
        cursor.execute("DELETE FROM v")
        cursor.executemany("INSERT INTO v VALUES (%s, %s, %s)", [(number, *row) for number, row in enumerate(values)])
    rows, _ = read_rows(mariadb, "v", typed=True)
    found = {int(row.cells[KEY]): (row.cells["t"], row.cells["b"]) for row in rows}
    assert found == dict(enumerate(values))


@MANY
@given(
    st.lists(
        st.tuples(
            st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**28), max_value=10**28),
            st.floats(allow_nan=False, allow_infinity=False),
            st.floats(allow_nan=False, allow_infinity=False, width=32),
            st.datetimes(min_value=datetime.datetime(1000, 1, 1)),
            st.datetimes(min_value=datetime.datetime(1970, 1, 2), max_value=datetime.datetime(2038, 1, 18)),
            st.integers(-(2**63), 2**63 - 1),
        ),
        max_size=20,
    )
)
def test_law_any_number_and_time_comes_back(mariadb, values):
    with closing(mariadb.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS w (id int PRIMARY KEY, n decimal(38,9), f double, s float, d datetime(6), "
            "t timestamp(6) NULL, i bigint)"
        )
        cursor.execute("DELETE FROM w")
        written = [
            (number, decimal, repr(double), repr(single_), *others)
            for number, (decimal, double, single_, *others) in enumerate(values)
        ]
        cursor.executemany("INSERT INTO w VALUES (%s, %s, %s, %s, %s, %s, %s)", written)
    rows, _ = read_rows(mariadb, "w", typed=True)
    assert len(rows) == len(values)
    epoch = datetime.datetime(1970, 1, 1)
    for row in rows:
        decimal, double, single_, local, moment, integer = values[int(row.cells[KEY])]
        assert Decimal(row.cells["n"]) == decimal
        assert (row.cells["f"], row.cells["s"], row.cells["i"]) == (double, single_, integer)
        assert datetime.datetime.fromisoformat(row.cells["d"]) == local
        assert epoch + datetime.timedelta(microseconds=row.cells["t"]) == moment


def test_mysql_is_asked_in_its_own_words():
    json_column = source_column("j", MysqlType("json", "json"), is_mariadb=False)
    assert (json_column.type, json_column.expression) == ("JSON", "`j`")
    point = source_column("p", MysqlType("point", "point", srid=4326), is_mariadb=False)
    assert (point.type, point.expression) == ("GEOGRAPHY", "ST_AsText(`p`, 'axis-order=long-lat')")
