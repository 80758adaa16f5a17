import pytest

from transforms.inputs.detect import detect

_PRETTY = b'{\n  "profiles": [\n    {"id": 1},\n    {"id": 2}\n  ]\n}\n'


@pytest.mark.parametrize(
    ("head", "name", "records_path", "expected"),
    [
        (b'{"a":1}\n{"a":2}\n', "a.bin", None, "jsonl"),
        (b'{"a":1}\n{"a":2}\n', "a.csv", None, "jsonl"),
        (b'{"a":1}\n{"a":2}\n', "a.jsonl", "data", "jsonl"),
        (b'{"a":1}\n', "a.json", None, "jsonl"),
        (b'{"data":[{"a":1}]}\n', "a.json", "data", "json"),
        (b'[{"a":1},{"a":2}]', "a.jsonl", None, "json"),
        (b'[{"a":1}]\n{"a":2}\n{"a":3}\n', "a", None, "jsonl"),
        (b'[\n{"a":1},\n{"a":2}\n]', "a", None, "json"),
        (b'[{"a":1},\n{"a":2}]', "a", None, "json"),
        (_PRETTY, "a", None, "json"),
        (_PRETTY, "a", "profiles", "json"),
        (b'{"profiles": [\n{"id":1},\n{"id":2}\n]}', "a", "profiles", "json"),
        (b'{"a": 1, "b": {\n{"a":2}\n{"a":3}\n', "a", None, "jsonl"),
        (b'{"a": "cut of\n{"a":2}\n', "a", None, "jsonl"),
        (b'{"a": {"b": 1,\n{"a":2}\n', "a", None, "jsonl"),
        (b'{"a": oops}\n{"a":2}\n', "a", None, "jsonl"),
        (b"42\n", "a", None, "jsonl"),
        (b'not json\n{"a":2}\n', "a", None, "jsonl"),
        (b"some words\nand more words\n", "a", None, "jsonl"),
        (b"id,name\n1,Ada\n2,Grace\n", "a", None, "csv"),
        (b"id;name\n1;Lovelace, Ada\n", "a.txt", None, "csv"),
        (b'\xef\xbb\xbf"id"\t"name"\n1\tAda\n', "a", None, "csv"),
        (b"id|name\n1|Ada\n2\n", "a", None, "csv"),
        (b"id\n1\n2\n", "a.csv", None, "csv"),
        (b"PAR1 and more", "a.json", None, "parquet"),
        (b"", "a.json", None, None),
        (b"\xef\xbb\xbf \n", "a.json", None, None),
    ],
)
def test_a_format_is_told_by_content(head: bytes, name: str, records_path: str | None, expected: str | None) -> None:
    assert detect(head, True, name, "auto", records_path).format == expected


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"PK\x03\x04...", "it is a zip archive; unpack it first"),
        (b"\x28\xb5\x2f\xfd..", "it is compressed with zstd"),
        (b"\xff\xfe{\0", "it is UTF-16; convert it to UTF-8"),
        (b"\x7fELF\0\0", "it is neither text nor Parquet"),
    ],
)
def test_binary_data_is_unreadable_with_a_reason(head: bytes, why: str) -> None:
    found = detect(head, True, "a.jsonl")
    assert found.format == "unreadable"
    assert found.problem.startswith(why)


def test_a_first_line_longer_than_the_head_is_told_by_its_first_byte() -> None:
    head = b'{"data": [' + b'{"a":1},' * 100
    assert detect(head, False, "a").format == "jsonl"
    assert detect(head, False, "a", records_path="data").format == "json"
    assert detect(b"[" + head, False, "a").format == "json"


@pytest.mark.parametrize("input_format", ["jsonl", "json", "csv", "parquet"])
def test_a_given_format_is_obeyed(input_format: str) -> None:
    assert detect(b'{"a":1}\n', True, "a.jsonl", input_format).format == input_format


def test_the_delimiter_is_the_one_that_makes_the_rows_alike() -> None:
    assert detect(b"id;note\n1;a,b,c\n2;d,e\n", True, "a.csv").delimiter == ";"
