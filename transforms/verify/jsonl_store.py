"""Files of JSON Lines as one side of a comparison: a document a line.

    {"__name__": "users/ada", "age": 36, "seen": {"$timestamp": "2026-01-01T00:00:00.000000Z"}}    tagged JSON
    {"id": "ada", "age": 36}                                                                      plain JSON

`__name__` is a document's path, full name or id. Where it is missing, the field that is named as the id's is the id,
as ingest reads it, and content as well. Values are read as tagged JSON (`tagged_json.py`), which plain JSON is, too.

    files ──one pass──▶ blocks of about 1 MiB with their first and last key ─▶ a range reads the blocks that may have it

So sorted files are read once for all ranges together, and files in any order once for every range.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from transforms.errors import JobError, RecordError, UsageError
from transforms.firestore import messages
from transforms.firestore.document_order import sort_key
from transforms.firestore.documents import Document
from transforms.firestore.ranges import Bound, NameRange, ranges_between
from transforms.firestore.tagged_json import from_tagged_json
from transforms.firestore.values import encode_fields
from transforms.inputs.files import InputFile, check_unchanged, open_input
from transforms.inputs.lines import Line, split_lines
from transforms.inputs.streams import DamagedError, PlainStream, gunzip_if_compressed
from transforms.json_values import parse_object
from transforms.records.keys import id_of
from transforms.verify.entries import Entry
from transforms.verify.forms import Form

NAME = "__name__"
DOCUMENTS_PER_RANGE = 100_000
MAX_LINE_BYTES = 32 * 1024 * 1024  # a document of 1 MiB, every byte of it escaped, and room
_BLOCK_BYTES = 1024 * 1024
_SAMPLED_LINES = 1_000  # one key of so many says where to cut
# Where the lines of the range read last begin: those that differ are read again.
_MAX_POSITIONS = 200_000
_NOWHERE = "projects/-/databases/-/documents/"


@dataclass(frozen=True, slots=True)
class Naming:
    """How a line says which document it is.

    Attributes:
      by_path: whether keys are paths rather than ids.
      id_field: the field that is the id where there is no `__name__`: text or a whole number, as ingest reads ids.
    """

    by_path: bool
    id_field: str

    def key(self, value: Any) -> str:
        """The key of a parsed line. Raises RecordError where it has none."""
        name = value.get(NAME) if NAME in value or self.by_path else id_of(value.get(self.id_field))
        if not isinstance(name, str) or not name:
            of_id = f"{NAME} and no text or whole number in {self.id_field}"
            wanted = f"{NAME}, the document's path" if self.by_path else of_id
            raise RecordError("MISSING_ID", f"the document has no {wanted}")
        path = name.partition("/documents/")[2] if name.startswith("projects/") and "/documents/" in name else name
        if not self.by_path:
            return path.rpartition("/")[2]
        if path.count("/") % 2 == 0:
            raise RecordError(
                "INVALID_ID", f"{NAME} is not the path of a document, which has an even number of segments"
            )
        return path


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of a file.

    Attributes:
      start, stop: the lines whose first byte, unpacked, lies in [start, stop); None for the end.
      low, high: the first and the last of their keys, in Firestore's order.
    """

    file: InputFile
    start: int
    stop: int | None
    low: str
    high: str

    def may_have(self, span: NameRange) -> bool:
        """Whether a key of the range can be in it."""
        behind = span.end is not None and span.end.key <= Bound(self.low).key
        before = span.start is not None and Bound(self.high).key < span.start.key
        return not behind and not before


@dataclass(frozen=True)
class JsonlIndex:
    """What one pass over the files has found.

    Attributes:
      blocks: all that have lines.
      documents: how many lines there are.
      sample: some of the keys, one in a thousand.
    """

    blocks: tuple[Block, ...]
    documents: int
    sample: tuple[str, ...]


@dataclass
class JsonlStore:
    """The documents of some files.

    Attributes:
      index: of the files, by `read_index`.
      naming: as in `read_index`.
      form: what of a document is compared.
      documents_per_range: how many documents are worth a range.
    """

    index: JsonlIndex
    naming: Naming
    form: Form
    documents_per_range: int = DOCUMENTS_PER_RANGE
    bytes_scanned: int = 0
    _last: _Last | None = field(default=None, repr=False)

    def as_of(self, read_time: datetime.datetime) -> JsonlStore:
        """As `Store`; files have no past, and a file that changes stops the job."""
        return self

    def ranges(self, max_ranges: int) -> list[NameRange]:
        """As `Store`."""
        wanted = min(max_ranges, -(-self.index.documents // self.documents_per_range))
        keys = sorted(set(self.index.sample), key=sort_key)
        return ranges_between(keys[number * len(keys) // wanted] for number in range(1, wanted))

    def entries(self, span: NameRange) -> Iterator[Entry]:
        """As `Store`."""
        last = self._last = _Last(span)
        for block in self.index.blocks:
            if block.may_have(span):
                for line, value in _parsed(block):
                    key = self.naming.key(value)
                    if span.contains(key):
                        last.add(key, block, line.position)
                        yield from self._entry(key, value, block.file, line)

    def refetch(self, keys: Sequence[str]) -> Iterator[Entry]:
        """As `Store`: the lines that `entries` has just found, or else all that may have the keys."""
        wanted = frozenset(keys)
        places = self._last.places(keys) if self._last else None
        if places is None:
            spans = [NameRange(Bound(key), Bound(key, after=True)) for key in keys]
            places = [block for block in self.index.blocks if any(map(block.may_have, spans))]
        for place in places:
            for line, value in _parsed(place):
                key = self.naming.key(value)
                if key in wanted:
                    yield from self._entry(key, value, place.file, line)

    def _entry(self, key: str, value: dict[str, Any], file: InputFile, line: Line) -> Iterator[Entry]:
        try:
            fields = from_tagged_json({name: member for name, member in value.items() if name != NAME})
            message = messages.Document(name=_NOWHERE + (key if self.naming.by_path else f"-/{key}"))
            encode_fields(fields, message.fields)
        except (RecordError, ValueError, TypeError, AttributeError) as error:
            reason = error if isinstance(error, RecordError) else "a value tagged with $ is not what its tag says"
            raise JobError(f"{_where(file, line)} is not a document: {reason}; correct it and start again") from None
        content = self.form.of_document(Document(message))
        if content is not None:
            yield Entry(key, content)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}


class _Last:
    """Where the lines of the range that was read last begin, as long as they are not too many."""

    def __init__(self, span: NameRange):
        self._span, self._lines, self._by_key = span, 0, dict[str, list[Block]]()

    def add(self, key: str, block: Block, position: int) -> None:
        self._lines += 1
        if self._lines <= _MAX_POSITIONS:
            self._by_key.setdefault(key, []).append(Block(block.file, position, position + 1, key, key))

    def places(self, keys: Sequence[str]) -> list[Block] | None:
        """A block of one line for every copy; None if that is not known."""
        if self._lines > _MAX_POSITIONS or not all(map(self._span.contains, keys)):
            return None
        return sorted(
            (place for key in keys for place in self._by_key.get(key, ())),
            key=lambda place: (place.file.path, place.start),
        )


def read_index(files: Iterable[InputFile], naming: Naming) -> JsonlIndex:
    """Reads all lines once.

    Raises:
      UsageError: a line is not a JSON object or has no key; names file and line.
      JobError: a file cannot be read.
    """
    blocks: list[Block] = []
    sample: list[str] = []
    documents = 0
    for file in files:
        start, keys = 0, list[str]()
        for line, value in _parsed(Block(file, 0, None, "", ""), UsageError):
            try:
                key = naming.key(value)
            except RecordError as error:
                raise UsageError(
                    f"{_where(file, line)}: {error.message}; pass --id_field, or --match_by=id, or add {NAME}"
                ) from None
            if documents % _SAMPLED_LINES == 0:
                sample.append(key)
            documents += 1
            if line.position - start >= _BLOCK_BYTES and keys:
                blocks.append(_block(file, start, line.position, keys))
                start, keys = line.position, []
            keys.append(key)
        if keys:
            blocks.append(_block(file, start, None, keys))
    return JsonlIndex(tuple(blocks), documents, tuple(sample))


def _block(file: InputFile, start: int, stop: int | None, keys: list[str]) -> Block:
    return Block(file, start, stop, min(keys, key=sort_key), max(keys, key=sort_key))


def _parsed(block: Block, refused: type[Exception] = JobError) -> Iterator[tuple[Line, dict[str, Any]]]:
    """The lines of a block as they are parsed; blank ones are skipped. Raises `refused` for one that is not JSON."""
    with open_input(block.file) as stored:
        stream = gunzip_if_compressed(stored, block.file.path)
        start = 0  # of packed content no later place can be found but by unpacking all before it
        if isinstance(stream, PlainStream):
            start = block.start
            stored.seek(max(0, start - 1))
        try:
            for line in split_lines(stream, start, block.stop, MAX_LINE_BYTES):
                if line.position < block.start:
                    continue
                if line.length > MAX_LINE_BYTES:
                    raise refused(f"{_where(block.file, line)} is longer than {MAX_LINE_BYTES:,} bytes")
                if line.raw.strip():
                    yield line, dict(parse_object(line.raw))
        except RecordError as error:
            raise refused(f"{_where(block.file, line)} is not a document: {error.message}") from None
        except DamagedError as damage:
            raise refused(f"{block.file.path} cannot be read to its end: {damage.why}") from None
    check_unchanged(block.file)


def _where(file: InputFile, line: Line) -> str:
    return f"{file.path}, line {line.number}" if line.number else f"{file.path}, byte {line.position}"
