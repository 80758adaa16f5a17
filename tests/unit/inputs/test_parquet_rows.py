import datetime
import decimal
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.inputs.conftest import Read

_UTC = datetime.timezone.utc


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
