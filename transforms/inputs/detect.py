"""What a file holds, told by its first bytes; its name decides only where they leave it open.

| the first bytes                                      | taken as |
|------------------------------------------------------|----------|
| PAR1                                                 | parquet  |
| a first line that is one complete JSON object/array, and further lines | jsonl |
| … and no further line: an array, or a records_path is given            | json  |
| … and no further line: an object without records_path                  | jsonl |
| `{` or `[`, the first line open and the next one able to continue it   | json  |
| `{` or `[`, anything else (a broken first line)      | jsonl    |
| `sep=` and a character                               | csv      |
| header and rows with the same number of cells separated by , ; tab or a bar | csv |
| no such thing: by name (.csv, .tsv), else            | jsonl    |
| UTF-16, an archive, other binary data                | unreadable, with the reason |

A file in gzip is judged by its content. An object that is printed over several lines without a records_path is one
record. JSON Lines are read line by line also when a records_path is given.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from transforms.errors import RecordError
from transforms.inputs.formats.csv_dialect import SEPARATOR_LINE, sniff_delimiter
from transforms.inputs.formats.json_document import first_line_ends_inside
from transforms.inputs.lines import without_marks
from transforms.inputs.modes import AUTO
from transforms.json_values import parse_json

Format = Literal["jsonl", "json", "csv", "parquet", "unreadable"]

PARQUET_MAGIC = b"PAR1"

_CSV_NAMES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_OTHER_MAGIC = (
    (b"PK\x03\x04", "it is a zip archive; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "it is compressed with zstd; decompress it, or use gzip"),
    (b"BZh", "it is compressed with bzip2; decompress it, or use gzip"),
    (b"\xfd7zXZ\x00", "it is compressed with xz; decompress it, or use gzip"),
    (b"Obj\x01", "it is an Avro file; convert it to Parquet or JSON Lines"),
    (b"\xff\xfe", "it is UTF-16; convert it to UTF-8, or pass --encoding=utf-16"),
    (b"\xfe\xff", "it is UTF-16; convert it to UTF-8, or pass --encoding=utf-16"),
)
_NO_TEXT = (
    "it is neither text nor Parquet; give JSON, JSON Lines, CSV or Parquet, or name its --encoding if it is UTF-16"
)


class Detected(NamedTuple):
    """What a file was taken as.

    Attributes:
      format: how to read it; None if it is empty.
      delimiter: of CSV.
      problem: why it is unreadable.
    """

    format: Format | None
    delimiter: str = ","
    problem: str = ""


def detect(
    head: bytes, is_whole: bool, name: str, input_format: str = AUTO, records_path: str | None = None
) -> Detected:
    """Says how to read a file.

    Args:
      head: its first bytes, decompressed.
      is_whole: there are no others.
      name: its path.
      input_format: one of `INPUT_FORMATS`; anything but auto is obeyed.
      records_path: as in `ReadOptions`; empty if an object holds the records under their ids.

    >>> detect(b'{"id": 1}\\n{"id": 2}\\n', True, "a.txt").format, detect(b"id,name\\n1,Ada\\n", True, "a.txt").format
    ('jsonl', 'csv')
    """
    if input_format == AUTO and head.startswith(PARQUET_MAGIC):
        return Detected("parquet")
    if input_format == "parquet":
        return Detected("parquet") if head else Detected(None)
    for magic, problem in _OTHER_MAGIC:
        if head.startswith(magic):
            return Detected("unreadable", problem=problem)
    text = without_marks(head).lstrip()
    if not text and is_whole:
        return Detected(None)
    if b"\0" in text:
        return Detected("unreadable", problem=_NO_TEXT)
    if input_format == "csv":
        return Detected("csv", _delimiter(text, is_whole) or ",")
    if input_format in ("jsonl", "json"):
        return Detected("jsonl" if input_format == "jsonl" else "json")
    return _by_text(text, is_whole, name, records_path)


def _by_text(text: bytes, is_whole: bool, name: str, records_path: str | None) -> Detected:
    first, newline, rest = text.partition(b"\n")
    rest = rest.lstrip()
    first_is_whole = bool(newline) or is_whole
    if text[:1] in (b"{", b"["):
        is_alone = not rest and (is_whole or not newline)
        if first_is_whole and _is_json(first):
            holds_records = text[:1] == b"[" or records_path is not None
            return Detected("json" if is_alone and holds_records else "jsonl")
        if not first_is_whole:
            return Detected("json" if text[:1] == b"[" or records_path is not None else "jsonl")
        return Detected("json" if first_line_ends_inside(first, rest[:1]) else "jsonl")
    if name.lower().endswith(_CSV_NAMES) or SEPARATOR_LINE.fullmatch(first.decode("utf-8", "replace")):
        return Detected("csv", _delimiter(text, is_whole) or ",")
    if b"\n{" in text or (first_is_whole and _is_json(first)):
        return Detected("jsonl")
    delimiter = _delimiter(text, is_whole)
    return Detected("csv", delimiter) if delimiter else Detected("jsonl")


def _delimiter(text: bytes, is_whole: bool) -> str | None:
    lines = text if is_whole or b"\n" not in text else text[: text.rindex(b"\n")]
    return sniff_delimiter(lines.decode("utf-8", "replace"))


def _is_json(line: bytes) -> bool:
    try:
        parse_json(line)
    except RecordError as error:
        return error.code in ("TOO_DEEP", "NUMBER_TOO_LONG", "NUMBER_OUT_OF_RANGE")
    return True
