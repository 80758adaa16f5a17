"""Cells of a whole column at once are those of its texts one by one, and common columns are made that way."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.bigquery.cells import MISFIT
from transforms.sql.column_cells import whole_column
from transforms.sql.columns import SourceColumn, SourceTable
from transforms.sql.postgresql.arrays import array_items, items_of_arrays
from transforms.sql.postgresql.copy_text import rows_of
from transforms.sql.rows import OVERFLOW, TableRows, column_converter

_COMMON = {
    "STRING": ["", "a", "Zoë"],
    "INT64": ["0", "-20", "123456789012345"],
    "FLOAT64": ["0.1", "-1e+300", "5e-324"],
    "BOOL": ["t", "f", "1", "0"],
    "NUMERIC": ["1.50", "-3", "99999999999999999999999999999.999999999"],
    "BIGNUMERIC": ["1.50", "-3", "9" * 38 + "." + "9" * 38],
    "DATE": ["0001-01-01", "2024-02-29", "9999-12-31"],
    "TIME": ["00:00:00", "23:59:59.999999"],
    "DATETIME": ["0001-01-01 00:00:00", "2024-02-29 12:00:00.5"],
    "TIMESTAMP": ["2024-02-29 12:00:00.123456+00", "9999-12-31 23:59:59+00"],
    "JSON": ['{"a": 1.5, "b": "x"}', "[]", "null", '"text"'],
}
_NUMBERS = [*("NaN", "Infinity", "-Infinity", "1" * 39, "0." + "1" * 39, "1.5000000000", "9223372036854775808", "-0")]
_UGLY = {
    "STRING": ["\udceb", "\n", "a\tb"],
    "INT64": [*_NUMBERS[6:]],
    "FLOAT64": [*_NUMBERS, "1e308"],
    "BOOL": [],
    "NUMERIC": _NUMBERS,
    "BIGNUMERIC": [*_NUMBERS, "6" + "0" * 38],
    "DATE": ["infinity", "0044-03-15 BC", "10000-01-01", "2023-02-29", "0000-00-00", "2022-11-00", "1\n2"],
    "TIME": ["24:00:00", "-01:00:00", "838:59:59", "12:00:00.1234567"],
    "DATETIME": [
        "infinity",
        "2023-02-29 12:00:00",
        "0000-00-00 00:00:00",
        "2026-01-31T12:00:00",
        "10000-01-01 00:00:00",
    ],
    "TIMESTAMP": ["-infinity", "2023-02-29 12:00:00+00", "2026-01-31 12:00:00", "2026-01-31 12:00:00+00:00", "x+00"],
    "JSON": [
        *('{"a":1,"a":2}', "{", "0.12345678901234567890", "1E400", "[" * 201 + "]" * 201, '{"a":{"b":1}}'),
        *('{"a:b":1}', '{"a":":"}', "18446744073709551616", "[1", "2]", '"\ud800"', '"12345678901234567890"'),
    ],
}


def _times(render):
    return st.datetimes().map(render)


_FOUND = {
    "STRING": st.text(),
    "INT64": st.integers(-(2**63), 2**63 - 1).map(str),
    "FLOAT64": st.floats().map(repr),
    "NUMERIC": st.decimals().map(str).filter(lambda text: "E" not in text and "s" not in text),
    "DATE": st.dates().map(str),
    "DATETIME": _times(str),
    "TIMESTAMP": _times(lambda time: f"{time}+00"),
    "TIME": st.times().map(str),
    "JSON": st.recursive(
        st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ).map(json.dumps),
}


def _texts(type_):
    return st.lists(_FOUND.get(type_, st.nothing()) | st.sampled_from(_COMMON[type_] + _UGLY[type_]), min_size=1)


def _column(type_, **of):
    own = SourceColumn("c", type_.lower(), type_, "c", **of)
    return own, own.column("c")


@pytest.mark.parametrize("type_", sorted(_COMMON))
@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("is_unicode", [False, True])
def test_cells_made_at_once_are_those_made_one_by_one(type_, typed, is_unicode):
    own, column = _column(type_)
    of_all = whole_column(own, column, items_of_arrays, is_unicode=is_unicode, typed=typed)
    of_one = column_converter(own, column, items_of_arrays, typed=typed)

    @given(_texts(type_))
    @example(_UGLY[type_] or ["t"])
    def same(texts):
        if is_unicode:
            texts = [text for text in texts if text.isascii() or text.encode("utf-8", "replace").decode() == text]
        cells = of_all(texts) if texts else None
        if cells is not None:
            assert repr(list(cells)) == repr([of_one(text) for text in texts])

    same()
    for text in _UGLY[type_]:
        beside = [*_COMMON[type_], text]
        if is_unicode and text == "\udceb":
            continue
        cells = of_all(beside)
        assert cells is None or MISFIT not in map(of_one, beside)


@pytest.mark.parametrize("type_", sorted(_COMMON))
def test_common_columns_are_made_at_once(type_):
    own, column = _column(type_)
    of_all = whole_column(own, column, items_of_arrays, is_unicode=True, typed=False)
    assert of_all(_COMMON[type_]) is not None
    of_arrays = whole_column(*_column(type_, is_array=True), items_of_arrays, is_unicode=True, typed=False)
    if type_ != "JSON":
        texts = [f"{{{','.join(filter(None, _COMMON[type_]))}}}", "{}"]
        assert of_arrays(texts) == [list(of_all(list(filter(None, _COMMON[type_])))), []]


def test_json_that_the_server_has_read_is_not_read_again():
    nested = ['{"a": {"b": [1, {"c": "d:e"}]}}', '{"id": "3f2504e0"}']
    for is_canonical, expected in ((True, nested[:1]), (False, None)):
        own, column = _column("JSON", is_canonical=is_canonical)
        of_all = whole_column(own, column, items_of_arrays, is_unicode=True, typed=False)
        assert of_all(nested[:1]) == expected
        assert of_all(nested) is None  # 04e0 may be a number


_ITEMS = st.text(st.sampled_from('ab,{}"\\\n =NUL')) | st.sampled_from(["NULL", "null", "", " "])


def _written(items):
    """As PostgreSQL writes an array of texts."""
    quoted = []
    for item in items:
        if item is None:
            quoted.append("NULL")
        elif item == "" or item.upper() == "NULL" or set(item) & set(' ,{}"\\\n'):
            escaped = item.replace("\\", "\\\\").replace('"', '\\"')
            quoted.append(f'"{escaped}"')
        else:
            quoted.append(item)
    return f"{{{','.join(quoted)}}}"


@given(st.lists(st.lists(_ITEMS | st.none(), max_size=4), min_size=1, max_size=5))
@example([["a", "b c"], []])
@example([["}\n{"], [""]])
def test_arrays_are_read_together_as_one_by_one(arrays):
    texts = [_written(items) for items in arrays]
    expected = [None if None in items else items for items in arrays]
    assert items_of_arrays(texts) == list(map(array_items, texts)) == expected


def test_odd_arrays_have_no_items_among_others_either():
    odd = ["{{1},{2}}", "[0:1]={1,2}", "{1,NULL}", "{}"]
    assert items_of_arrays(["{1,2}", *odd]) == [["1", "2"], None, None, None, []]
    assert items_of_arrays(["[1,2]", "[3]"]) == [["1", "2"], ["3"]]


_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}


@given(st.lists(st.lists(st.none() | st.text(st.sampled_from("aë\\N\n\t\r\b.")), min_size=2, max_size=2), min_size=1))
def test_what_copy_writes_is_read_back(rows):
    def written(field):
        return "\\N" if field is None else "".join(_ESCAPES.get(character, character) for character in field)

    lines = [("\t".join(map(written, row)) + "\n").encode() for row in rows]
    assert list(map(list, rows_of(lines))) == rows


def test_null_misfits_and_cells_stay_in_their_rows():
    own = (SourceColumn("id", "integer", "INT64", "id"), SourceColumn("day", "date", "DATE", "day"))
    source = SourceTable("", "t", own, ("id",), "r", is_unicode=True)
    rows = TableRows(source, [each.column(each.name) for each in own], items_of_arrays, typed=False)
    day = str(datetime.date(2026, 1, 31))
    made = rows.rows("1234", [["1", day], ["2", None], ["3", "infinity"], ["4", day]], {"_batch": "b"})
    assert [row.cells for row in made] == [
        {"_key": "1", "id": 1, "day": day, "_batch": "b"},
        {"_key": "2", "id": 2, "_batch": "b"},
        {"_key": "3", "id": 3, "_batch": "b", OVERFLOW: '{"day":"infinity"}'},
        {"_key": "4", "id": 4, "day": day, "_batch": "b"},
    ]
    assert [row.overflowed for row in made] == [(), (), ("day",), ()]
    assert rows.rows("1", [[None, None]], {})[0].cells == {"_key": "1"}
