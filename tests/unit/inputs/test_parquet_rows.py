import datetime
import decimal
import io
import uuid
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.inputs.conftest import Read
from transforms.dead_letters.lines import Origin, content_of, fields_of, read_line, records_of
from transforms.errors import RecordError

_UTC = datetime.timezone.utc
_HOUR = datetime.timedelta(hours=1)


def _parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def test_every_type_becomes_the_plain_value_that_says_the_same(read: Read) -> None:
    moment = datetime.datetime(2024, 5, 1, 12, 30, 15, 123456)
    abroad = datetime.timezone(datetime.timedelta(hours=2))
    columns = {
        "text": pa.array(["Ada"]),
        "integer": pa.array([2**63 + 5], pa.uint64()),
        "number": pa.array([1.0]),
        "nothing": pa.array([None], pa.string()),
        "binary": pa.array([b"\x00\xff"]),
        "date": pa.array([datetime.date(2024, 5, 1)]),
        "time": pa.array([datetime.time(12, 30, 15)]),
        "decimal": pa.array([decimal.Decimal("1234567890123456789.10")]),
        "naive": pa.array([moment], pa.timestamp("us")),
        "nano": pa.array([1714566615123456789], pa.timestamp("ns")),
        "zoned": pa.array([moment.replace(tzinfo=abroad)], pa.timestamp("ms", "Europe/Berlin")),
        "duration": pa.array([datetime.timedelta(seconds=90)]),
        "map": pa.array([[("a", datetime.date(2024, 5, 1)), ("b", None)]], pa.map_(pa.string(), pa.date32())),
        "struct": pa.array([{"day": datetime.date(2024, 5, 1), "n": 1}]),
        "list": pa.array([[datetime.date(2024, 5, 1), None]]),
        "category": pa.array(["x"]).dictionary_encode(),
    }
    (value,) = read(_parquet(pa.table(columns))).values
    assert value == {
        "text": "Ada",
        "integer": 2**63 + 5,
        "number": 1.0,
        "nothing": None,
        "binary": b"\x00\xff",
        "date": "2024-05-01",
        "time": "12:30:15",
        "decimal": "1234567890123456789.10",
        "naive": moment.replace(tzinfo=_UTC),
        "nano": moment.replace(tzinfo=_UTC),
        "zoned": moment.replace(hour=10, microsecond=123000, tzinfo=_UTC),
        "duration": 90.0,
        "map": {"a": "2024-05-01", "b": None},
        "struct": {"day": "2024-05-01", "n": 1},
        "list": ["2024-05-01", None],
        "category": "x",
    }
    assert value["zoned"].tzinfo is _UTC


def _extension(kind: Any, storage: pa.Array) -> pa.Array:
    return pa.ExtensionArray.from_storage(kind, storage)


_UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
_UUIDS = _extension(pa.uuid(), pa.array([_UUID.bytes, None], pa.binary(16)))
_NANO = 3_600_000_000_001
_LISTS = {
    "list": pa.list_(pa.timestamp("ns")),
    "large list": pa.large_list(pa.timestamp("ns")),
    "list view": pa.list_view(pa.timestamp("ns")),
    "large list view": pa.large_list_view(pa.timestamp("ns")),
}
_AT = datetime.datetime(1970, 1, 1, 1, tzinfo=_UTC)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (_UUIDS, [str(_UUID), None]),
        (pa.ListArray.from_arrays([0, 2, 2], _UUIDS), [[str(_UUID), None], []]),
        (pa.StructArray.from_arrays([_UUIDS], ["id"]), [{"id": str(_UUID)}, {"id": None}]),
        (pa.array([_NANO, None], pa.time64("ns")), ["01:00:00.000000001", None]),
        (pa.array([3_600_000_001, 0], pa.time64("us")), ["01:00:00.000001", "00:00:00"]),
        (pa.array([1_500, 0], pa.time32("ms")), ["00:00:01.500000", "00:00:00"]),
        (pa.array([1, -1_500_000_000], pa.duration("ns")), [1e-9, -1.5]),
        (pa.array([1_000_001, None], pa.duration("us")), [1.000001, None]),
        (pa.array([_NANO, None, _NANO], pa.timestamp("ns")).dictionary_encode(), [_AT, None, _AT]),
        (pa.array([b"a", b"\xff"]).dictionary_encode(), [b"a", b"\xff"]),
        (pa.array([decimal.Decimal("1.10")], pa.decimal32(5, 2)), ["1.10"]),
        (pa.array([decimal.Decimal("-1.10")], pa.decimal64(18, 2)), ["-1.10"]),
        (pa.array([decimal.Decimal("1" * 40 + ".10")], pa.decimal256(60, 2)), ["1" * 40 + ".10"]),
        (pa.array([[decimal.Decimal("1.10")]], pa.large_list(pa.decimal128(5, 2))), [["1.10"]]),
        (pa.array([[_NANO, None], [0, 0]], pa.list_(pa.timestamp("ns"), 2)), [[_AT, None], [_AT - _HOUR] * 2]),
        (pa.array([b"x"], pa.binary_view()), [b"x"]),
        (pa.array(["x"], pa.string_view()), ["x"]),
        (pa.array([1.5, None], pa.float16()), [1.5, None]),
        (_extension(pa.json_(), pa.array(['{"a":1}'])), ['{"a":1}']),
        (_extension(pa.bool8(), pa.array([1, 0], pa.int8())), [True, False]),
        (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
        (pa.array([[(1, 2)], None, []], pa.map_(pa.int32(), pa.int8())), [{"1": 2}, None, {}]),
        (
            pa.array(
                [[("a", [(_NANO, None)])], [("b", None)]], pa.map_(pa.string(), pa.map_(pa.time64("ns"), pa.int8()))
            ),
            [{"a": {"01:00:00.000000001": None}}, {"b": None}],
        ),
        *(
            (pa.array([[_NANO, None], None, [0, 0]], kind), [[_AT, None], None, [_AT - _HOUR] * 2])
            for kind in _LISTS.values()
        ),
        (
            pa.array([[{"t": _NANO}, None]], pa.large_list(pa.struct([("t", pa.time64("ns"))]))),
            [[{"t": "01:00:00.000000001"}, None]],
        ),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_every_kind_of_column_is_read_exactly(read: Read, column: pa.Array, expected: list[Any]) -> None:
    found = read(_parquet(pa.table({"a": column})), batch_size=2)
    assert ([value["a"] for value in found.values], found.codes) == (expected, [])
    assert [type(value["a"]) for value in found.values] == [type(value) for value in expected]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pa.array([[("a", 1)], [("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8())), "a map that has a key twice"),
        (
            pa.array(
                [[{"m": [(1, 1)]}], [{"m": [(1, 1), (1, 2)]}]],
                pa.list_(pa.struct([("m", pa.map_(pa.int8(), pa.int8()))])),
            ),
            "a map that has a key twice",
        ),
        (
            pa.array([1, 2**53 + 1], pa.duration("us")),
            "a duration of more than 2^53 us, which a number of seconds would round",
        ),
        (pa.array([0, 2**62], pa.timestamp("ms")), "a timestamp[ms] that no datetime can express"),
    ],
    ids=["map", "map within", "duration", "timestamp"],
)
def test_a_value_without_an_exact_form_is_a_dead_letter_that_names_the_column(
    read: Read, column: pa.Array, reason: str
) -> None:
    found = read(_parquet(pa.table({"n": [1, 2], "a": column})))
    assert [value["n"] for value in found.values] == [1]
    (letter,) = found.dead_letters
    assert (letter.code, letter.message) == ("UNREADABLE_VALUE", f"column 'a' holds {reason}")
    assert isinstance(letter.original, dict)
    assert letter.original["n"] == 2
    assert read_line(content_of([fields_of(letter, Origin("ingest", "j", "b", "2026-01-01T00:00:00Z", "s"))]))


def _duplicates(*names: str) -> pa.Table:
    return pa.Table.from_arrays([pa.array([n, n + 10]) for n in range(len(names))], list(names))


@pytest.mark.parametrize(
    ("table", "problem", "original"),
    [
        (
            _duplicates("id", "name", "name"),
            "columns 2 and 3 have the same name; rename one of them with --rename_columns='#3=NAME', or leave it out "
            "with --drop_columns='#3'",
            {"id": 0, "name#2": 1, "name#3": 2},
        ),
        (
            pa.table({"id": [0, 1], "s": pa.StructArray.from_arrays([pa.array([1, 2])] * 2, ["a", "a"])}),
            "column 2, 's', cannot be read: it has a struct with two members of one name; leave it out with "
            "--drop_columns='#2'",
            None,
        ),
        (
            pa.table({"id": [0, 1], "m": pa.array([[(b"a", 1)], []], pa.map_(pa.binary(), pa.int8()))}),
            "column 2, 'm', cannot be read: it has a map whose keys are binary; --binary_as_text makes text of them; "
            "leave it out with --drop_columns='#2'",
            None,
        ),
        (
            pa.table({"id": [0, 1], "__index_level_0__": ["a", "b"]}),
            "column 2 is of type string and has no name of its own; name it with --rename_columns='#2=NAME', or "
            "leave it out with --drop_columns='#2'",
            {"id": 0, "__index_level_0__": "a"},
        ),
        (
            _duplicates("id", ""),
            "column 2 is of type int64 and has no name of its own; name it with --rename_columns='#2=NAME', or "
            "leave it out with --drop_columns='#2'",
            {"id": 0, "": 1},
        ),
    ],
    ids=["two names", "two members", "keys", "index", "no name"],
)
def test_columns_that_cannot_be_told_apart_or_read_are_said_of_every_row(
    read: Read, table: pa.Table, problem: str, original: dict[str, Any] | None
) -> None:
    found = read(_parquet(table), batch_size=1)
    assert (found.values, found.codes) == ([], ["INVALID_COLUMNS"] * 2)
    assert {letter.message for letter in found.dead_letters} == {f"the columns of the file are not usable: {problem}"}
    assert original is None or found.dead_letters[0].original == original
    for letter in found.dead_letters:
        stored = read_line(content_of([fields_of(letter, Origin("ingest", "j", "b", "2026-01-01T00:00:00Z", "s"))]))
        with pytest.raises(RecordError, match="INVALID_COLUMNS"):  # never taken for the record
            records_of(stored)


def test_the_index_of_pandas_is_left_out_where_it_holds_numbers(read: Read) -> None:
    found = read(_parquet(pa.table({"id": ["a"], "__index_level_0__": [7]})))
    assert (found.values, found.codes) == ([{"id": "a"}], [])


def test_a_column_that_the_reader_cannot_decode_is_named_and_can_be_left_out(read: Read) -> None:
    nothing = pa.array([[], None], pa.list_(pa.float32(), 0))  # of which Arrow stores that each has an element
    content = _parquet(pa.table({"id": [1, 2], "e": nothing}))
    (letter,) = read(content).dead_letters
    assert letter.code == "UNREADABLE_FILE"
    assert "it is in column 'e' of type fixed_size_list<element: float>[0], see --drop_columns" in letter.message
    assert letter.unread_bytes > 0
    assert read(content, drop_columns=("e",)).values == [{"id": 1}, {"id": 2}]


_PAIR = pa.list_(pa.float32(), 2)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (_PAIR, [[1.0, 2.0], None, [None, 3.0]]),
        (_PAIR, [None, None]),
        (pa.list_(pa.string(), 1), [["a"], None, [None]]),
        (pa.list_(_PAIR, 2), [[[1.0, 2.0], None], None, [None, [3.0, None]]]),
        (pa.list_(_PAIR), [[[1.0, 2.0], None], [], None]),
        (pa.large_list(_PAIR), [[[1.0, 2.0], None], [], None]),
        (pa.list_view(_PAIR), [[[1.0, 2.0], None], [], None]),
        (pa.struct([("e", _PAIR), ("n", pa.int8())]), [{"e": [1.0, 2.0], "n": 1}, {"e": None, "n": None}, None]),
        (pa.list_(pa.struct([("n", pa.int8())]), 2), [[{"n": 1}, None], None]),
    ],
    ids=str,
)
def test_a_list_of_fixed_size_may_be_null(read: Read, kind: pa.DataType, values: list[Any]) -> None:
    """Arrow writes such files and does not read them: apache/arrow#35697."""
    lag, letter = pa.array([7] * len(values), pa.duration("s")), pa.array(["x"] * len(values)).dictionary_encode()
    content = _parquet(pa.table({"id": range(len(values)), "e": pa.array(values, kind), "lag": lag, "d": letter}))
    found = read(content, batch_size=2)
    assert found.dead_letters == []
    assert found.values == [{"id": n, "e": value, "lag": 7.0, "d": "x"} for n, value in enumerate(values)]


def test_what_stands_in_lists_of_fixed_size_keeps_its_type(read: Read) -> None:
    table = pa.table(
        {
            "lag": pa.array([[90_000, None], None], pa.list_(pa.duration("ms"), 2)),
            "at": pa.array([[0, None], None], pa.list_(pa.timestamp("s", "Europe/Berlin"), 2)),
            "clock": pa.array([[1, None], None], pa.list_(pa.time64("ns"), 2)),
            "d": pa.array([["1.50", None], None], pa.list_(pa.string(), 2)).cast(pa.list_(pa.decimal128(5, 2), 2)),
            "tensor": pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2], None], pa.list_(pa.int32(), 2))
            ),
        }
    )
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    assert read(_parquet(table)).values == [
        {
            "lag": [90.0, None],
            "at": [epoch, None],
            "clock": ["00:00:00.000000001", None],
            "d": ["1.50", None],
            "tensor": [1, 2],
        },
        dict.fromkeys(("lag", "at", "clock", "d", "tensor")),
    ]


def test_a_file_of_which_nothing_is_left_has_empty_records(read: Read) -> None:
    assert read(_parquet(pa.table({"id": [1, 2]})), drop_columns=("id",)).values == [{}, {}]


def test_columns_are_left_out_and_renamed_by_name_or_place(read: Read) -> None:
    options = {"drop_columns": ("#2",), "rename_columns": ("#3=name", "__index_level_0__=id")}
    table = _duplicates("x", "n", "n", "__index_level_0__")
    assert read(_parquet(table), **options).values == [
        {"x": 0, "name": 2, "id": 3},
        {"x": 10, "name": 12, "id": 13},
    ]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
def test_binary_is_text_on_request_and_what_is_not_text_is_a_dead_letter(read: Read, kind: pa.DataType) -> None:
    words = pa.array(["Zoë".encode(), b"\xff"], kind)
    nested = pa.ListArray.from_arrays([0, 1, 1], pa.array([b"x"], kind))
    hashes = pa.array([b"ab", b"cd"], pa.binary(2))
    content = _parquet(pa.table({"a": words, "nested": nested, "hash": hashes, "m": [1, 2]}))
    assert read(content).values[0] == {"a": "Zoë".encode(), "nested": [b"x"], "hash": b"ab", "m": 1}
    found = read(content, binary_as_text=True)
    assert found.values == [{"a": "Zoë", "nested": ["x"], "hash": b"ab", "m": 1}]
    (letter,) = found.dead_letters
    assert letter.message == "column 'a' holds bytes that are not UTF-8, although they are to be read as text"
    assert isinstance(letter.original, dict)
    assert letter.original["a"] == b"\xff"


def test_binary_keys_of_maps_are_text_on_request(read: Read) -> None:
    content = _parquet(pa.table({"m": pa.array([[(b"a", 1)]], pa.map_(pa.binary(), pa.int8()))}))
    assert read(content, binary_as_text=True).values == [{"m": {"a": 1}}]


def test_one_value_without_form_costs_no_more_than_its_batch(read: Read) -> None:
    """Each row tries alone, and none of them the whole batch again."""
    found = read(
        _parquet(pa.table({"n": list(range(3000)), "at": pa.array([2**62] + [0] * 2999, pa.timestamp("ms"))})),
        batch_size=3000,
    )
    assert (len(found.records), found.codes) == (2999, ["UNREADABLE_VALUE"])


def test_row_groups_are_slices_and_rows_keep_their_number(read: Read) -> None:
    content = _parquet(pa.table({"n": list(range(100)), "pad": ["x" * 50] * 100}), row_group_size=10)
    found = read(content, slice_bytes=1, batch_size=4)
    assert len(found.slices) == 10
    assert [value["n"] for value in found.values] == list(range(100))
    assert [record.position for record in found.records] == list(range(100))
    assert [record.line for record in found.records] == list(range(1, 101))
    assert {batch.read for batch in found.batches} == {4, 2}
    assert len(read(content).slices) == 1


def test_a_batch_of_rows_is_bounded_in_bytes(read: Read) -> None:
    found = read(_parquet(pa.table({"pad": [str(n) * 1000 for n in range(10)]})), max_batch_bytes=3000)
    assert len(found.records) == 10
    assert all(batch.read <= 3 for batch in found.batches)


def test_a_parquet_that_is_not_one_is_exactly_one_dead_letter(read: Read) -> None:
    for content, options in ((b"PAR1 this is no Parquet", {}), (b"id,name\n1,Ada\n", {"input_format": "parquet"})):
        found = read(content, name="a.parquet", **options)
        (letter,) = found.dead_letters
        assert letter.code == "UNREADABLE_FILE"
        assert "it is not a readable Parquet file" in letter.message
        assert found.values == []


def test_a_parquet_damaged_in_the_middle_is_read_up_to_the_damage(read: Read) -> None:
    whole = _parquet(pa.table({"n": list(range(100))}), row_group_size=50, compression="zstd", use_dictionary=False)
    second = pq.ParquetFile(io.BytesIO(whole)).metadata.row_group(1).column(0)
    at = second.data_page_offset
    damaged = whole[:at] + b"\xff" * second.total_compressed_size + whole[at + second.total_compressed_size :]
    found = read(damaged)
    assert [value["n"] for value in found.values] == list(range(50))
    (letter,) = found.dead_letters
    assert (letter.code, letter.position) == ("UNREADABLE_FILE", 50)
    assert "the Parquet data is damaged" in letter.message


def test_a_value_beyond_pythons_dates_is_a_dead_letter_that_names_the_column(read: Read) -> None:
    far = 10**18  # microseconds: the year 33658
    found = read(_parquet(pa.table({"n": [1, 2], "at": pa.array([0, far], pa.timestamp("us"))})))
    assert [value["n"] for value in found.values] == [1]
    (letter,) = found.dead_letters
    assert letter.code == "UNREADABLE_VALUE"
    assert letter.message == "column 'at' holds a timestamp[us] that no datetime can express"
    assert letter.original == {"n": 2, "at": far}


def test_a_parquet_without_rows_has_no_batch(read: Read) -> None:
    assert read(_parquet(pa.table({"n": pa.array([], pa.int64())}))).batches == []
