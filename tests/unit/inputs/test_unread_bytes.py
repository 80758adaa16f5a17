"""How much of a damaged file nobody has seen is counted, whatever the format and the damage."""

import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.inputs.conftest import Read

LINE = b'{"id": 1}\n'


def _unread(found) -> int:
    assert found.codes == ["UNREADABLE_FILE"]
    (letter,) = found.dead_letters
    assert f" {letter.unread_bytes:,} bytes were not" in letter.message
    return letter.unread_bytes


@pytest.mark.parametrize(
    ("content", "unread"),
    [
        (b'[{"id": 1}, {"id": 2}', b""),
        (b'[{"id": 1}, {"id": 2}; {"id": 3}]', b'; {"id": 3}]'),
        (b'[{"id": 1}, {"id": ', b'{"id": '),
        (b'[{"id": 1}] {"id": 2}', b'{"id": 2}'),
        (b'{"a": [{"id": 1}]}', b'{"a": [{"id": 1}]}'),
        (b'[[{"id": 1}]]', b'[[{"id": 1}]]'),
    ],
    ids=["open", "comma", "cut off", "behind", "path", "no object"],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_of_a_json_document(read: Read, content: bytes, unread: bytes, compressed: bool) -> None:
    records_path = "b" if content == unread else None
    stored = gzip.compress(content) if compressed else content
    assert _unread(read(stored, input_format="json", records_path=records_path)) == len(unread)


def test_of_a_gzip_that_was_not_copied_completely_the_record_cut_off(read: Read) -> None:
    whole = gzip.compress(LINE * 100, mtime=0)
    cut = read(whole[:-9], name="a.jsonl.gz")
    assert len(cut.records) * len(LINE) + _unread(cut) <= len(LINE) * 100
    assert _unread(cut) < len(LINE)


def test_of_a_gzip_damaged_in_the_middle_the_compressed_bytes_behind_it(read: Read) -> None:
    first, second = gzip.compress(LINE * 100), gzip.compress(LINE * 1000)
    found = read(first + b"no gzip" + second, name="a.jsonl.gz")
    assert len(found.records) == 100
    assert _unread(found) in range(len(second), len(second) + 8)


def test_of_a_gzip_of_csv_the_rows_from_the_one_cut_off(read: Read) -> None:
    first = gzip.compress(b'id,name\n1,Ada\n2,"Grace\nHopper')
    found = read(first + b"no gzip", name="a.csv.gz")
    assert [value["id"] for value in found.values] == ["1"]
    assert _unread(found) in range(len(b'2,"Grace\nHopper'), len(b'2,"Grace\nHopper') + 8)


@pytest.mark.parametrize("content", [b"PK\x03\x04 an archive", b"PAR1 not Parquet"])
def test_of_a_file_that_cannot_be_read_at_all(read: Read, content: bytes) -> None:
    assert _unread(read(content)) == len(content)


def test_of_parquet_the_row_groups_from_the_damaged_one_on(read: Read) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"n": list(range(150))}), sink, row_group_size=50, compression="zstd", use_dictionary=False)
    whole = sink.getvalue()
    metadata = pq.ParquetFile(io.BytesIO(whole)).metadata
    second = metadata.row_group(1).column(0)
    at = second.data_page_offset
    found = read(whole[:at] + b"\xff" * second.total_compressed_size + whole[at + second.total_compressed_size :])
    assert len(found.records) == 50
    assert _unread(found) == sum(metadata.row_group(group).total_byte_size for group in (1, 2))
