"""Every type of PostgreSQL at and beyond its limits, on a real server: in its column exactly, or in `_overflow`."""

import datetime
import json
import math
import struct
from contextlib import closing
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.postgresql import Database
from transforms.bigquery.storage_rows import RowMessage
from transforms.export.source_target import table_columns
from transforms.sql.database import Part, Selection
from transforms.sql.rows import FIXED_COLUMNS, KEY, KeyOf, TableRows

OVERFLOW = object()


def single(number: float) -> float:
    """The number that 32 bits hold of it."""
    return struct.unpack("f", struct.pack("f", number))[0]


def read_rows(database: Database, table: str, *, typed: bool = False):
    """The rows of a table as an export makes them, and its columns."""
    source, from_server = database.described(table), database.table(table)
    columns = table_columns(source.columns)
    rows = TableRows(source, columns, from_server.items, typed=typed)
    key_of = KeyOf(("id",), [(0, False)])
    chunks = from_server.read(Selection(source, ("id",)), Part(0), None)
    read = [fields for chunk in chunks for fields in chunk.rows]
    return rows.rows(list(map(key_of, read)), read, {}), columns


def stored(database: Database, declared: str, *literals: str):
    """The column of a type and the cells of values, in JSON's form; OVERFLOW for what did not fit."""
    database.execute(f"CREATE TABLE v (id int PRIMARY KEY, v {declared})")
    for number, literal in enumerate(literals):
        database.execute(f"INSERT INTO v VALUES ({number}, {literal})")
    rows, columns = read_rows(database, "v")
    rows.sort(key=lambda row: int(row.cells[KEY]))
    cells = [OVERFLOW if row.overflowed else row.cells.get("v") for row in rows]
    for row in rows:
        assert row.overflowed == (("v",) if "_overflow" in row.cells else ())
    typed, _ = read_rows(database, "v", typed=True)
    message = RowMessage([*columns, *FIXED_COLUMNS])
    for row in typed:  # the Storage Write API takes them, too
        assert message.serialised(row.cells)
        assert ("_overflow" in row.cells) == bool(row.overflowed)
    return columns[1].form, cells


CASES = [
    ("smallint", "INT64", [("-32768", -32768), ("NULL", None)]),
    ("integer", "INT64", [("2147483647", 2147483647)]),
    ("bigint", "INT64", [("9223372036854775807", "9223372036854775807"), ("-9223372036854775808", str(-(2**63)))]),
    ("numeric(38,9)", "NUMERIC", [("99999999999999999999999999999.999999999", "9" * 29 + "." + "9" * 9)]),
    ("numeric(10,2)", "NUMERIC", [("1.10", "1.10"), ("'NaN'", OVERFLOW)]),
    ("numeric(5,-3)", "NUMERIC", [("12345678", "12346000")]),
    ("numeric(39,9)", "BIGNUMERIC", [("1.5", "1.500000000")]),
    ("numeric(76,38)", "BIGNUMERIC", [("1" * 38 + "." + "1" * 38, "1" * 38 + "." + "1" * 38)]),
    ("numeric(77,38)", "STRING", [("1", "1." + "0" * 38)]),
    (
        "numeric",
        "BIGNUMERIC",
        [
            ("12.500", "12.500"),
            ("1e-38", "0." + "0" * 37 + "1"),
            ("1e-39", OVERFLOW),
            ("5e38", "5" + "0" * 38),
            ("6e38", OVERFLOW),
            ("'Infinity'", OVERFLOW),
            ("1." + "0" * 50, "1"),
        ],
    ),
    ("real", "FLOAT64", [("0.1", single(0.1)), ("'NaN'", "NaN"), ("1e38", single(1e38))]),
    (
        "double precision",
        "FLOAT64",
        [
            ("0.1", 0.1),
            ("5e-324", 5e-324),
            ("1.7976931348623157e308", 1.7976931348623157e308),
            ("'-Infinity'", "-Infinity"),
        ],
    ),
    ("boolean", "BOOL", [("true", True), ("false", False)]),
    ("bit", "BOOL", [("B'1'", True), ("B'0'", False)]),
    ("bit(9)", "STRING", [("B'101010101'", "101010101")]),
    ("bit varying", "STRING", [("B'1'", "1")]),
    (
        "date",
        "DATE",
        [
            ("'0001-01-01'", "0001-01-01"),
            ("'9999-12-31'", "9999-12-31"),
            ("'10000-01-01'", OVERFLOW),
            ("'0044-03-15 BC'", OVERFLOW),
            ("'infinity'", OVERFLOW),
        ],
    ),
    ("time", "TIME", [("'23:59:59.999999'", "23:59:59.999999"), ("'24:00:00'", OVERFLOW)]),
    ("time with time zone", "STRING", [("'12:00:00.5+05:30'", "12:00:00.5+05:30")]),
    (
        "timestamp",
        "DATETIME",
        [
            ("'2026-01-02 03:04:05.678901'", "2026-01-02T03:04:05.678901"),
            ("'0001-01-01'", "0001-01-01T00:00:00"),
            ("'294276-12-31 23:59:59'", OVERFLOW),
            ("'-infinity'", OVERFLOW),
            ("'4713-01-01 BC'", OVERFLOW),
        ],
    ),
    (
        "timestamp with time zone",
        "TIMESTAMP",
        [
            ("'2026-01-02 03:04:05.678901+05:30'", "2026-01-01T21:34:05.678901+00:00"),
            ("'9999-12-31 23:59:59.999999+00'", "9999-12-31T23:59:59.999999+00:00"),
            ("'9999-12-31 23:59:59-01'", OVERFLOW),
            ("'infinity'", OVERFLOW),
        ],
    ),
    ("interval", "STRING", [("'1 year 2 mons 3 days'", "P1Y2M3D"), ("'-04:05:06.7'", "PT-4H-5M-6.7S")]),
    ("bytea", "BYTES", [(r"'\x00ff5c'", "AP9c"), ("''", "")]),
    (
        "text",
        "STRING",
        [
            ("'Zoë 😀'", "Zoë 😀"),
            (r"E'tab\t line\n back\\slash \r'", "tab\t line\n back\\slash \r"),
            (r"'\N'", "\\N"),
            ("''", ""),
            ("NULL", None),
        ],
    ),
    ("character(3)", "STRING", [("'a'", "a  ")]),
    ("uuid", "STRING", [("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")]),
    ("inet", "STRING", [("'10.0.0.1/8'", "10.0.0.1/8")]),
    ("money", "STRING", [("12.5", "$12.50")]),
    ("int4range", "STRING", [("'[1,5)'", "[1,5)"), ("'empty'", "empty")]),
    ("tstzrange", "STRING", [("'[2026-01-01 00:00+00,infinity)'", '["2026-01-01 00:00:00+00",infinity)')]),
    ("point", "STRING", [("'(1,2)'", "(1,2)")]),
    ("xml", "STRING", []),
    ("jsonb", "JSON", [("""'{"a": 1.10}'""", '{"a": 1.10}'), ("'null'", "null"), ("'1e400'", OVERFLOW)]),
    (
        "json",
        "JSON",
        [
            ("""'{"a":1.10, "b":[1]}'""", '{"a":1.10, "b":[1]}'),
            ("""'{"a":1,"a":2}'""", OVERFLOW),
            ("'18446744073709551615'", "18446744073709551615"),
            ("'18446744073709551616'", OVERFLOW),
            ("'0.1234567890123456789'", OVERFLOW),
            (r"""'"\ud800"'""", OVERFLOW),
            ("'" + "[" * 201 + "]" * 201 + "'", OVERFLOW),
        ],
    ),
    (
        "integer[]",
        "ARRAY<INT64>",
        [("'{1,2}'", [1, 2]), ("'{}'", []), ("'{1,NULL}'", OVERFLOW), ("'{{1},{2}}'", OVERFLOW)],
    ),
    ("integer[]", "ARRAY<INT64>", [("'[0:1]={1,2}'", OVERFLOW)]),
    (
        "text[]",
        "ARRAY<STRING>",
        [("""ARRAY['a', 'b "c"', 'NULL', '', 'x,{y}\\']""", ["a", 'b "c"', "NULL", "", "x,{y}\\"])],
    ),
    ("real[]", "ARRAY<FLOAT64>", [("'{0.1}'", [single(0.1)])]),
    ("numeric(4,1)[]", "ARRAY<NUMERIC>", [("'{1.5,2}'", ["1.5", "2.0"]), ("'{NaN}'", OVERFLOW)]),
    ("date[]", "ARRAY<DATE>", [("'{2026-01-01}'", ["2026-01-01"]), ("'{infinity}'", OVERFLOW)]),
    ("bytea[]", "ARRAY<BYTES>", [(r"""ARRAY['\x00'::bytea]""", ["AA=="])]),
    ("jsonb[]", "JSON", [("""ARRAY['{"a":1}'::jsonb]""", '[{"a": 1}]')]),
    ("box[]", "JSON", [("ARRAY[box '(1,1),(0,0)']", '["(1,1),(0,0)"]')]),
]


@pytest.mark.parametrize(("declared", "form", "values"), CASES, ids=[case[0] for case in CASES])
def test_a_type_has_its_column_and_its_values_fit_exactly_or_overflow(database, declared, form, values):
    found_form, cells = stored(database, declared, *(literal for literal, _ in values))
    assert (found_form, cells) == (form, [cell for _, cell in values])


def test_types_of_extensions_composites_enums_and_domains_have_columns(database):
    database.execute(
        "CREATE EXTENSION hstore",
        "CREATE EXTENSION vector",
        "CREATE TYPE mood AS ENUM ('sad', 'very \"happy\"')",
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE DOMAIN cents AS numeric(12,2)",
        "CREATE DOMAIN price AS cents CHECK (VALUE >= 0)",
        "CREATE TABLE v (id int PRIMARY KEY, h hstore, e vector(3), m mood, ms mood[], p pair, ps pair[], c price)",
        """INSERT INTO v VALUES (1, 'a=>1, b=>NULL', '[0.1,2,-3]', 'very "happy"', '{sad}', (1, 'x,"y"'),
           ARRAY[(1, 'z')::pair], 3.5)""",
    )
    ((cells, overflowed),), columns = read_rows(database, "v")
    assert {column.name: column.form for column in columns} == {
        "id": "INT64",
        "h": "JSON",
        "e": "ARRAY<FLOAT64>",
        "m": "STRING",
        "ms": "ARRAY<STRING>",
        "p": "JSON",
        "ps": "JSON",
        "c": "NUMERIC",
    }
    assert overflowed == ()
    assert json.loads(cells["h"]) == {"a": "1", "b": None}
    assert cells["e"] == [single(0.1), 2.0, -3.0]
    assert (cells["m"], cells["ms"], cells["c"]) == ('very "happy"', ["sad"], "3.50")
    assert (json.loads(cells["p"]), json.loads(cells["ps"])) == ({"a": 1, "b": 'x,"y"'}, [{"a": 1, "b": "z"}])


def test_what_overflows_is_the_servers_own_text_and_named_by_its_column(database):
    database.execute(
        'CREATE TABLE v (id int PRIMARY KEY, "gone at" date, n numeric)',
        "INSERT INTO v VALUES (1, '0044-03-15 BC', 'NaN')",
    )
    ((cells, overflowed),), columns = read_rows(database, "v")
    assert [column.name for column in columns] == ["id", "gone_at", "n"]
    assert overflowed == ("gone at", "n")
    assert json.loads(cells["_overflow"]) == {"gone at": "0044-03-15 BC", "n": "NaN"}


def test_settings_of_the_role_and_the_database_change_no_text(database):
    database.execute(
        "CREATE TABLE v (id int PRIMARY KEY, t timestamptz, i interval, b bytea, f float8)",
        r"INSERT INTO v VALUES (1, '2026-01-02 03:04:05+00', '1 day', '\x00', 0.1)",
        f"ALTER DATABASE {database.name} SET datestyle = 'German, DMY'",
        f"ALTER DATABASE {database.name} SET timezone = 'Asia/Tokyo'",
        f"ALTER DATABASE {database.name} SET intervalstyle = 'sql_standard'",
        f"ALTER DATABASE {database.name} SET bytea_output = 'escape'",
        f"ALTER DATABASE {database.name} SET extra_float_digits = -10",
        f"ALTER DATABASE {database.name} SET statement_timeout = 1",
    )
    ((cells, _),), _ = read_rows(database, "v")
    assert {name: cells[name] for name in "tibf"} == {
        "t": "2026-01-02T03:04:05+00:00",
        "i": "P1D",
        "b": "AA==",
        "f": 0.1,
    }


def test_text_of_a_database_without_an_encoding_goes_to_overflow(postgresql_server, database):
    name = f"{database.name}_ascii"
    database.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    ascii_database = Database(postgresql_server, name)
    ascii_database.execute("CREATE TABLE v (id int PRIMARY KEY, v text)")
    ascii_database.execute(r"INSERT INTO v VALUES (1, E'caf\351')")
    ((cells, overflowed),), _ = read_rows(ascii_database, "v")
    assert overflowed == ("v",)
    assert json.loads(cells["_overflow"]) == {"v": "caf�"}


MANY = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
SOME_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))


@MANY
@given(st.lists(st.tuples(SOME_TEXT, st.lists(SOME_TEXT, max_size=4), st.binary()), max_size=20))
def test_law_any_text_array_and_bytes_come_back(database, values):
    with closing(database.connect()) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS v (id int PRIMARY KEY, t text, ts text[], b bytea)")
        connection.execute("TRUNCATE v")
        for number, (text, texts, octets) in enumerate(values):
            connection.execute("INSERT INTO v VALUES (%s, %s, %s, %s)", (number, text, texts, octets))
    rows, _ = read_rows(database, "v", typed=True)
    found = {int(row.cells[KEY]): tuple(row.cells[name] for name in ("t", "ts", "b")) for row in rows}
    assert found == dict(enumerate(values))


@MANY
@given(
    st.lists(
        st.tuples(
            st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**28), max_value=10**28),
            st.floats(),
            st.datetimes(),
            st.integers(-(2**63), 2**63 - 1),
        ),
        max_size=20,
    )
)
def test_law_any_number_and_time_comes_back(database, values):
    with closing(database.connect()) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS w (id int PRIMARY KEY, n numeric, f float8, t timestamptz, d timestamp, i int8)"
        )
        connection.execute("TRUNCATE w")
        for number, (decimal, double, moment, integer) in enumerate(values):
            row = (number, decimal, double, moment.replace(tzinfo=datetime.timezone.utc), moment, integer)
            connection.execute("INSERT INTO w VALUES (%s, %s, %s, %s, %s, %s)", row)
    rows, _ = read_rows(database, "w", typed=True)
    epoch = datetime.datetime(1970, 1, 1)
    for row in rows:
        decimal, double, moment, integer = values[int(row.cells[KEY])]
        assert Decimal(row.cells["n"]) == decimal
        assert row.cells["f"] == double or (math.isnan(double) and math.isnan(row.cells["f"]))
        assert epoch + datetime.timedelta(microseconds=row.cells["t"]) == moment
        assert (
            datetime.datetime.fromisoformat(row.cells["d"].ljust(26, "0") if "." in row.cells["d"] else row.cells["d"])
            == moment
        )
        assert row.cells["i"] == integer
