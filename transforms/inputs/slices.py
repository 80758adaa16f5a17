"""Slices of files: what is shuffled between workers, instead of records.

    InputFile ──plan_slices──▶ Slice, Slice, … ──read_slice──▶ Batch[Record], one by one

| format                | a slice is                        |
|-----------------------|-----------------------------------|
| JSON Lines, not gzip  | `slice_bytes` bytes; a line belongs to the slice in which its first byte lies |
| Parquet               | row groups, about `slice_bytes` uncompressed |
| anything else         | the whole file                    |

Batches are named by (file fingerprint, slice, ordinal) and cut by counts and sizes alone, so the same file read with
the same options has the same batches, and a batch known to be complete is passed over without parsing it.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from transforms.batch import Batch, DeadLetter, Record
from transforms.errors import RecordError
from transforms.inputs.detect import PARQUET_MAGIC, Format, detect
from transforms.inputs.encodings import decoded
from transforms.inputs.files import InputFile, check_unchanged, open_input
from transforms.inputs.formats.csv_rows import CsvRows
from transforms.inputs.formats.json_document import JsonDocument
from transforms.inputs.formats.json_lines import JsonLines
from transforms.inputs.items import STEP, Item, Reader, cut, unreadable
from transforms.inputs.options import ReadOptions
from transforms.inputs.shapes import shaped
from transforms.inputs.streams import DamagedError, PlainStream, Stream, gunzip_if_compressed, head_of
from transforms.unexpected import FAILURES, UNEXPECTED, Unexpected

_HEAD_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a file that one worker reads from beginning to end.

    Attributes:
      file: where it lies.
      format: how it is read.
      index: counted from 0 within the file.
      start, stop: bytes of JSON Lines, row groups of Parquet; None as stop means to the end.
      delimiter: of CSV.
      problem: why an unreadable file is unreadable.
    """

    file: InputFile
    format: Format
    index: int = 0
    start: int = 0
    stop: int | None = None
    delimiter: str = ","
    problem: str = ""


def plan_slices(file: InputFile, options: ReadOptions) -> list[Slice]:
    """Cuts a file into slices after looking at its first bytes (Parquet: its footer). An empty file has none.

    Raises:
      JobError: as `open_input`.
    """
    with open_input(file) as stored:
        return slices_of(file, stored, options)


def slices_of(file: InputFile, stored: BinaryIO, options: ReadOptions) -> list[Slice]:
    """As `plan_slices`, of a file whose stored bytes are at hand."""
    stream = _text_of(stored, file.path, options.encoding)
    head, is_whole = head_of(stream, _HEAD_BYTES)
    records_path = "" if options.keyed_by_id and not options.path else options.records_path
    found = detect(head, is_whole, file.path, options.input_format, records_path)
    if found.format is None:
        return [Slice(file, "jsonl")] if file.size and not isinstance(stream, PlainStream) else []
    if found.format == "parquet":
        return _parquet_slices(file, stored, options.slice_bytes)
    if found.format == "jsonl" and isinstance(stream, PlainStream):
        starts = range(0, file.size, options.slice_bytes)
        return [
            Slice(file, "jsonl", index, start, min(start + options.slice_bytes, file.size))
            for index, start in enumerate(starts)
        ]
    return [Slice(file, found.format, delimiter=found.delimiter, problem=found.problem)]


def read_slice(
    piece: Slice,
    options: ReadOptions,
    is_complete: Callable[[str], bool] = lambda batch_id: False,
    is_to_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Batch[Record]]:
    """Reads a slice batch by batch; no more than one of them is in memory.

    Args:
      piece: what `plan_slices` planned with the same options.
      options: how to read.
      is_complete: says of a batch id whether the batch may be passed over; its records are then not parsed.
      is_to_stop: asked before every batch; what comes behind it is not even looked for.

    Raises:
      JobError: as `open_input`, and when reading fails.
    """
    with open_input(piece.file) as stored:
        is_read = yield from batches_of(piece, stored, options, is_complete, is_to_stop)
    if is_read:
        check_unchanged(piece.file)  # what was cut off or put in its place meanwhile was not read


def batches_of(
    piece: Slice,
    stored: BinaryIO,
    options: ReadOptions,
    is_complete: Callable[[str], bool] = lambda batch_id: False,
    is_to_stop: Callable[[], bool] = lambda: False,
) -> Generator[Batch[Record], None, bool]:
    """As `read_slice`, of a file whose stored bytes are at hand. Returns whether it came to the end."""
    reader = _reader_of(piece, stored, options)
    for ordinal, items in enumerate(cut(reader.scan(), options.batch_size, options.max_batch_bytes)):
        if is_to_stop():
            return False
        batch_id = f"{piece.file.fingerprint}-{piece.index:05d}-{ordinal:05d}"
        if not is_complete(batch_id):
            yield shaped(_batch(batch_id, piece.file.path, items, reader), options)
    return True


def _parquet_slices(file: InputFile, stored: BinaryIO, slice_bytes: int) -> list[Slice]:
    # Imported where there is Parquet, because pyarrow takes as long to import as all the rest.
    from transforms.inputs.formats.parquet_rows import row_groups

    try:
        sizes = row_groups(stored)
    except DamagedError as damage:
        return [Slice(file, "unreadable", problem=damage.why)]
    slices: list[Slice] = []
    first, held_bytes = 0, 0
    for group, size in enumerate(sizes):
        held_bytes += size
        if held_bytes >= slice_bytes or group == len(sizes) - 1:
            slices.append(Slice(file, "parquet", len(slices), first, group + 1))
            first, held_bytes = group + 1, 0
    return slices


def _text_of(stored: BinaryIO, path: str, encoding: str) -> Stream:
    """The content of a file from its beginning, unpacked and in UTF-8. Of Parquet, which is no text, as it is."""
    is_parquet = stored.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    stored.seek(0)
    stream = gunzip_if_compressed(stored, path)
    return stream if is_parquet else decoded(stream, encoding)


def _reader_of(piece: Slice, stored: BinaryIO, options: ReadOptions) -> Reader:
    if piece.format == "unreadable":
        return _Unreadable(piece.problem, piece.file.size)
    if piece.format == "parquet":
        from transforms.inputs.formats.parquet_rows import ParquetRows, row_groups

        last_group = piece.stop if piece.stop is not None else len(row_groups(stored))
        bounds = (options.batch_size, options.max_batch_bytes)
        return ParquetRows(
            stored, piece.start, last_group, *bounds, options.columns, options.binary_as_text, options.for_table
        )
    stream = _text_of(stored, piece.file.path, options.encoding)
    answers = None if options.for_table else options.answers
    if piece.start > 0:
        stored.seek(piece.start - 1)
    if piece.format == "jsonl":
        return JsonLines(stream, piece.start, piece.stop, options.max_record_bytes, answers)
    if piece.format == "json":
        return JsonDocument(stream, options.path, options.max_record_bytes, answers, options.keyed_by_id)
    return CsvRows(stream, piece.delimiter, options.max_record_bytes, options.columns)


def _batch(batch_id: str, source: str, items: list[Item | DeadLetter], reader: Reader) -> Batch[Record]:
    records: list[Record] = []
    dead_letters: list[DeadLetter] = []
    unexpected = Unexpected("reading the record", len(items))
    for item in items:
        if isinstance(item, DeadLetter):
            dead_letters.append(item)
            continue
        try:
            records += reader.records(item)
        except FAILURES as error:
            dead_letters.append(_dead_letter(unexpected.as_record_error(error), item, reader))
    unexpected.check_not_alike()
    bytes_read = sum(item.size for item in items if isinstance(item, Item))
    read = len(records) + len(dead_letters)
    return Batch(batch_id, source, read, tuple(records), tuple(dead_letters), bytes_read=bytes_read)


def _dead_letter(error: RecordError, item: Item, reader: Reader) -> DeadLetter:
    try:
        original = reader.original(item)
    except UNEXPECTED:
        original = None  # what is wrong with the record may be wrong with showing it
    return DeadLetter(STEP, error.code, error.message, original, position=item.position, line=item.line)


class _Unreadable:
    """A file that no format fits: exactly one dead letter."""

    def __init__(self, problem: str, size: int):
        self._problem, self._size = problem, size

    def scan(self) -> Iterator[Item | DeadLetter]:
        yield unreadable(0, DamagedError(self._problem, 0, unread=self._size))

    def records(self, item: Item) -> tuple[Record, ...]:
        raise AssertionError(f"an unreadable file has no record {item.position}")

    def original(self, item: Item) -> bytes:
        raise AssertionError(f"an unreadable file has no record {item.position}")
