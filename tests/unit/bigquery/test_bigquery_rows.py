"""RowEncoder: what fits a column, what overflows, and that no value ever fails a row."""

import datetime
import decimal
import enum
import json
import math
import uuid
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.bigquery.cells import json_text
from transforms.bigquery.rows import Row, insert_id, loadable
from transforms.bigquery.schema import Column
from transforms.bigquery.storage_rows import RowMessage
from transforms.records.table import meta_columns
from transforms.upsert.rows import RowEncoder

UTC = datetime.timezone.utc
MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)

COLUMNS = (
    Column("text", "STRING"),
    Column("count", "INT64"),
    Column("score", "FLOAT64"),
    Column("ok", "BOOL"),
    Column("seen_at", "TIMESTAMP"),
    Column("tags", "STRING", "REPEATED"),
    Column("details", "JSON"),
    Column("update_time", "TIMESTAMP"),
    *meta_columns(),
    Column("profile", "JSON"),
    Column("_overflow", "JSON"),
)
ENCODER = RowEncoder(COLUMNS)


class Level(enum.Enum):
    SENIOR = "senior"


class Count(enum.IntEnum):
    TWO = 2


def cells(flat: dict[str, Any]) -> dict[str, Any]:
    return ENCODER.row(flat, {}, None).cells


@pytest.mark.parametrize(
    ("column", "value", "cell"),
    [
        ("text", "Zoë 😀", "Zoë 😀"),
        ("text", "", ""),
        ("count", 0, 0),
        ("count", -7, -7),
        ("count", 2**53 - 1, 2**53 - 1),
        ("count", 2**53, "9007199254740992"),
        ("count", 2**63 - 1, "9223372036854775807"),
        ("count", -(2**63), "-9223372036854775808"),
        ("count", Count.TWO, 2),
        ("score", 1.5, 1.5),
        ("score", 3, 3),
        ("score", 2**60, float(2**60)),
        ("score", math.nan, "NaN"),
        ("score", math.inf, "Infinity"),
        ("score", -math.inf, "-Infinity"),
        ("ok", False, False),
        ("seen_at", MOMENT, "2026-01-02T03:04:05.678901+00:00"),
        ("seen_at", MOMENT.replace(microsecond=0), "2026-01-02T03:04:05.000000+00:00"),
        (
            "seen_at",
            datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30))),
            "2026-01-01T21:30:00.000000+00:00",
        ),
        ("seen_at", datetime.datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000+00:00"),
        ("tags", ["go", "é"], ["go", "é"]),
        ("tags", ("go",), ["go"]),
        ("tags", [], []),
        ("details", {"a": [1, None]}, '{"a":[1,null]}'),
        ("details", "text", '"text"'),
    ],
)
def test_a_value_that_fits_its_column_becomes_a_cell(column: str, value: Any, cell: Any) -> None:
    assert cells({column: value}) == {column: cell}
    assert type(cells({column: value})[column]) is type(cell)


@pytest.mark.parametrize(
    ("column", "value", "overflow"),
    [
        ("text", 8, 8),
        ("text", b"hi", "aGk="),
        ("text", "a\ud800", "a\ufffd"),
        ("count", 8.0, 8.0),
        ("count", True, True),
        ("count", "8", "8"),
        ("count", math.nan, "NaN"),
        ("count", 2**63, 2**63),
        ("count", -(2**63) - 1, "-9223372036854775809"),
        ("count", 2**64, "18446744073709551616"),
        ("score", "4.5", "4.5"),
        ("score", True, True),
        ("score", 2**53 + 1, 2**53 + 1),
        ("score", 10**400, str(10**400)),
        ("score", decimal.Decimal("1.50"), "1.50"),
        ("ok", 1, 1),
        ("ok", "true", "true"),
        ("seen_at", datetime.datetime(2026, 1, 2, 3), "2026-01-02T03:00:00"),
        ("seen_at", datetime.date(2026, 1, 2), "2026-01-02"),
        ("seen_at", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        (
            "seen_at",
            datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
            "0001-01-01T00:00:00+01:00",
        ),
        ("tags", "go", "go"),
        ("tags", ["go", None], ["go", None]),
        ("tags", ["go", 1], ["go", 1]),
        ("tags", ["\udc00"], ["\ufffd"]),
        ("tags", {"go": 1}, {"go": 1}),
        ("unheard_of", 5, 5),
        ("profile", 5, 5),
    ],
)
def test_a_value_that_does_not_fit_goes_to_the_overflow_column(column: str, value: Any, overflow: Any) -> None:
    row = ENCODER.row({"ok": True, column: value} if column != "ok" else {column: value}, {}, None)
    assert row.overflowed == (column,)
    assert json.loads(row.cells["_overflow"]) == {column: overflow}
    assert column not in row.cells


def test_missing_and_none_are_absent() -> None:
    assert ENCODER.row({"text": None, "tags": None}, {"version": None}, None) == Row({}, ())


def test_meta_update_time_and_the_record_have_their_columns() -> None:
    meta = {
        "schema_version": 1,
        "version": 3,
        "content_hash": "1f",
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "source": "gs://b/f",
        "position": 17,
        "job_id": "j",
        "batch_id": "b",
        "some_day": "ignored",
    }
    assert ENCODER.row({}, meta, MOMENT, {"name": "Zoë"}) == Row(
        {
            "_meta_schema_version": 1,
            "_meta_version": 3,
            "_meta_content_hash": "1f",
            "_meta_created_at": "2026-01-02T03:04:05.678901+00:00",
            "_meta_updated_at": "2026-01-02T03:04:05.678901+00:00",
            "_meta_source": "gs://b/f",
            "_meta_position": 17,
            "_meta_job_id": "j",
            "_meta_batch_id": "b",
            "update_time": "2026-01-02T03:04:05.678901+00:00",
            "profile": '{"name":"Zoë"}',
        },
        (),
    )


def test_meta_that_does_not_fit_overflows_like_any_value() -> None:
    row = ENCODER.row({}, {"version": "three"}, datetime.datetime(2026, 1, 1), None)
    assert row.overflowed == ("_meta_version", "update_time")
    assert json.loads(row.cells["_overflow"]) == {"_meta_version": "three", "update_time": "2026-01-01T00:00:00"}


def test_a_column_of_another_type_is_refused_when_the_encoder_is_made() -> None:
    with pytest.raises(ValueError, match=r"column place must be one of STRING, INT64, .*, got DATETIME"):
        RowEncoder([Column("place", "DATETIME")])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1, "b": 1.0, "c": None}, '{"a":1,"b":1.0,"c":null}'),
        ([math.nan, math.inf, -math.inf, None], '["NaN","Infinity","-Infinity",null]'),
        ({"n": math.nan, "s": "null"}, '{"n":"NaN","s":"null"}'),
        ([2**64 - 1, 2**64, -(2**63), -(2**63) - 1], f'[{2**64 - 1},"{2**64}",{-(2**63)},"{-(2**63) - 1}"]'),
        ([MOMENT, datetime.date(2026, 1, 2)], '["2026-01-02T03:04:05.678901+00:00","2026-01-02"]'),
        (datetime.time(3, 4, tzinfo=UTC), '"03:04:00+00:00"'),
        ([b"hi", bytearray(b"hi"), memoryview(b"hi")], '["aGk=","aGk=","aGk="]'),
        (["a\ud83d", "\ud83d\ude00"], '["a\ufffd","😀"]'),
        ({1: "a", None: "b", 2.5: "c"}, '{"1":"a","None":"b","2.5":"c"}'),
        ((decimal.Decimal("1.50"), {3}, Level.SENIOR), '["1.50",[3],"senior"]'),
        (OrderedDict(a=math.nan), '{"a":"NaN"}'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    ],
)
def test_json_text_says_what_json_cannot_say(value: Any, text: str) -> None:
    assert json_text(value) == text


def test_an_integer_too_long_for_python_to_write_in_decimal_is_written_in_hexadecimal() -> None:
    text = json_text({"n": 10**5000})
    assert text.startswith('{"n":"0x')
    assert int(json.loads(text)["n"], 16) == 10**5000


def test_nesting_beyond_200_levels_is_cut_with_a_note() -> None:
    deep: Any = "bottom"
    for _ in range(5000):
        deep = [deep]
    text = json_text(deep)
    assert text == "[" * 200 + '"nested deeper than 200 levels"' + "]" * 200
    endless: dict[str, Any] = {}
    endless["self"] = endless
    assert json_text(endless).count("self") == 200


ANY_SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=[])),
    st.binary(),
    st.datetimes(timezones=st.one_of(st.none(), st.timezones())),
    st.dates(),
    st.times(),
    st.decimals(),
    st.complex_numbers(),
)
ANY_VALUE = st.recursive(
    ANY_SCALAR,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(st.characters(exclude_categories=[]), max_size=4), inner, max_size=4),
        st.tuples(inner),
    ),
    max_leaves=12,
)
ANY_FLAT = st.dictionaries(
    st.one_of(st.sampled_from([column.name for column in COLUMNS]), st.text(st.characters(exclude_categories=[]))),
    ANY_VALUE,
    max_size=8,
)


def strict_json(text: str) -> Any:
    """Parses as BigQuery does: no NaN, no lone surrogates."""
    text.encode()
    parsed = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    json.dumps(parsed, ensure_ascii=False).encode()
    return parsed


@given(ANY_FLAT, ANY_FLAT, st.datetimes(timezones=st.one_of(st.none(), st.timezones())), ANY_VALUE)
def test_no_value_ever_fails_a_row(
    flat: dict[str, Any], meta: dict[str, Any], update_time: datetime.datetime, record: Any
) -> None:
    row = ENCODER.row(flat, meta, update_time, record)
    assert set(row.cells) <= {column.name for column in COLUMNS}
    strict_json(json.dumps(row.cells, allow_nan=False, ensure_ascii=False))
    for name in ("details", "profile", "_overflow"):
        if name in row.cells:
            strict_json(row.cells[name])
    for name, value in flat.items():
        assert value is None or name in row.overflowed or name in row.cells


@given(ANY_FLAT, ANY_FLAT, st.datetimes(timezones=st.one_of(st.none(), st.timezones())), ANY_VALUE)
def test_no_value_ever_fails_a_row_of_typed_cells(
    flat: dict[str, Any], meta: dict[str, Any], update_time: datetime.datetime, record: Any
) -> None:
    row = RowEncoder(COLUMNS, typed=True).row(flat, meta, update_time, record)
    assert RowMessage(COLUMNS).serialised(row.cells)
    assert row.overflowed == ENCODER.row(flat, meta, update_time, record).overflowed


@given(
    st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(2**63), 2**64 - 1),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(),
        ),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
        max_leaves=20,
    )
)
def test_what_json_can_say_comes_back_as_it_was(value: Any) -> None:
    back = json.loads(json_text(value))
    assert back == value
    assert repr(back) == repr(value)  # 1 is not 1.0, 0.0 is not -0.0


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
def test_insert_ids_are_equal_only_for_equal_parts(left: list[str], right: list[str]) -> None:
    assert (insert_id(*left) == insert_id(*right)) == (left == right)
    assert len(insert_id(*left)) <= 128  # BigQuery's limit


def test_a_loadable_row_holds_json_values_where_insert_all_has_text() -> None:
    row = {"text": "{}", "details": '{"a":1.0}', "tags": ["x"]}
    columns = [Column("details", "JSON"), Column("profile", "JSON")]
    assert loadable(row, columns) == {"text": "{}", "details": {"a": 1.0}, "tags": ["x"]}
    assert row["details"] == '{"a":1.0}'
