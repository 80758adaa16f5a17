"""One JSON document that holds many records: an array, or an object with an array (or one record) under a path.

The document is never parsed as a whole. A scanner finds where each record begins and ends by its brackets and strings
alone; the record's bytes then take the same way as a line of JSON Lines. So memory does not grow with the document,
integers stay exact, and one record that is no valid JSON is one dead letter while the others are read.

    {"meta": {…}, "data": {"profiles": [ {…}, {…}, … ]}}        records_path="data.profiles"
                                         └─ Item ─┘
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from transforms.batch import DeadLetter
from transforms.inputs.formats.json_items import JsonItems
from transforms.inputs.items import Item, too_large, unreadable
from transforms.inputs.lines import without_marks
from transforms.inputs.streams import BLOCK_BYTES, CountedStream, DamagedError, Stream
from transforms.models.options import DEFAULT, AnswerOptions

_NOT_SPACE = re.compile(rb"[^ \t\r\n]")
_BRACKET = re.compile(rb"[{}\[\]]")
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_SCALAR_END = re.compile(rb"[\s,\]}]")
_MAX_KEY_BYTES = 64 * 1024
_KEYS_SHOWN = 10


@dataclass(slots=True)
class JsonDocument(JsonItems):
    """The records of one JSON document.

    Attributes:
      stream: stands at the beginning.
      records_path: keys that lead to the records; empty when the document itself is the array (or the one record).
      max_record_bytes: longer records become dead letters without being held in memory.
      answers: how those of models become records; None if none is looked for.
      is_keyed: whether an object at the end of the path holds the records under their ids; each is then read as an
        object of its one member.
    """

    stream: Stream
    records_path: tuple[str, ...]
    max_record_bytes: int
    answers: AnswerOptions | None = DEFAULT
    is_keyed: bool = False

    def scan(self) -> Iterator[Item | DeadLetter]:
        """As `Reader.scan`."""
        scanner = _Scanner(self.stream)
        ordinal = 0
        try:
            for name in self.records_path:
                scanner.descend(name, ".".join(self.records_path))
            found = scanner.members if self.is_keyed else scanner.elements
            for raw, length, offset, line in found(self.max_record_bytes):
                if length > self.max_record_bytes:
                    yield too_large(raw, length, self.max_record_bytes, ordinal, offset, line)
                else:
                    yield Item(ordinal, line, length, raw)
                ordinal += 1
            for _ in self.records_path:
                scanner.ascend()
            scanner.end()
        except DamagedError as damage:
            yield unreadable(ordinal, damage)


class _Scanner:
    """Walks a JSON document without recursion and without keeping what it passes."""

    def __init__(self, stream: Stream):
        self._stream = CountedStream(stream)
        self._strings = _Structure()
        self._buffer = b""
        self._structure = b""  # the buffer without what stands in strings
        self._at = 0
        self._line = 1  # of the byte before which newlines have been counted
        self._counted_to = 0
        self._offset = 0  # of the buffer's first byte
        if self._more():
            self._at = len(self._buffer) - len(without_marks(self._buffer))

    def descend(self, name: str, path: str) -> None:
        """Goes into the member `name` of the object that begins here."""
        if self._peek() != b"{":
            raise self._without_records(f"records_path={path} leads nowhere, {name!r} is not looked up in an object")
        self._at += 1
        passed: list[str] = []
        while self._peek() != b"}":
            key = self._key()
            if key == name:
                return
            passed.append(key)
            self._value(keep_bytes=0)
            if self._peek() == b",":
                self._at += 1
        shown = ", ".join(passed[:_KEYS_SHOWN]) + (", …" if len(passed) > _KEYS_SHOWN else "")
        raise self._without_records(f"records_path={path} leads nowhere, there is no {name!r} among: {shown}")

    def ascend(self) -> None:
        """Passes the members that are left of the object around."""
        while self._peek() == b",":
            self._at += 1
            self._key()
            self._value(keep_bytes=0)
        self._expect(b"}")

    def elements(self, max_bytes: int) -> Iterator[tuple[bytes, int, int, int]]:
        """Each element of the array that begins here, or the one value: bytes, length, offset, line.

        Of one longer than `max_bytes` not more than that is returned.
        """
        if self._peek() != b"[":
            if self._peek():
                yield self._value(max_bytes)
            return
        self._at += 1
        if self._peek() == b"]":
            self._at += 1
            return
        while True:
            yield self._value(max_bytes)
            if self._peek() != b",":
                break
            self._at += 1
        self._expect(b"]")

    def members(self, max_bytes: int) -> Iterator[tuple[bytes, int, int, int]]:
        """Each member of the object that begins here, as an object of its own; of an array, its elements."""
        if self._peek() != b"{":
            yield from self.elements(max_bytes)
            return
        self._at += 1
        while self._peek() != b"}":
            key = json.dumps(self._key()).encode()
            raw, length, offset, line = self._value(max_bytes)
            yield b"{%s: %s}" % (key, raw), length, offset, line
            if self._peek() != b",":
                break
            self._at += 1
        self._expect(b"}")

    def end(self) -> None:
        """Makes sure that nothing follows."""
        if self._peek():
            raise self._damaged("something follows behind the end of the JSON document")

    def _key(self) -> str:
        if self._peek() != b'"':
            raise self._damaged("a field name in double quotes was expected")
        raw, *_ = self._value(_MAX_KEY_BYTES)
        try:
            key = str(json.loads(raw))
        except ValueError as error:
            raise self._damaged("a field name is no valid JSON string") from error
        self._expect(b":")
        return key

    def _expect(self, byte: bytes) -> None:
        if self._peek() != byte:
            raise self._damaged(f"{byte.decode()!r} was expected")
        self._at += 1

    def _peek(self) -> bytes:
        """The next byte that is not white space; b"" at the end of the document."""
        while not (match := _NOT_SPACE.search(self._buffer, self._at)):
            self._at = len(self._buffer)
            if not self._more():
                return b""
        self._at = match.start()
        return match.group()

    def _value(self, keep_bytes: int) -> tuple[bytes, int, int, int]:
        """Passes the value that begins here: its bytes (at most `keep_bytes`), length, offset and line."""
        first = self._peek()
        if not first or first in b",:]}":
            raise self._damaged("a value was expected")
        offset = self._offset + self._at
        line = self._line_here()
        kept = bytearray()
        passing = _Passing(first)
        while True:
            begin = self._at
            self._at = passing.through(self._structure, begin)
            if len(kept) < keep_bytes:
                kept += self._buffer[begin : min(self._at, begin + keep_bytes - len(kept))]
            if passing.done:
                break
            try:
                more = self._more()
            except DamagedError as damage:
                unread = self._stream.offset - offset + damage.unread
                raise DamagedError(damage.why, damage.offset, bytes(kept), line, unread) from damage
            if not more:
                if passing.is_scalar:
                    break
                why = f"the JSON document breaks off in the value that begins at byte {offset}"
                raise DamagedError(why, offset, bytes(kept), line, self._stream.offset - offset)
        return bytes(kept), self._offset + self._at - offset, offset, line

    def _more(self) -> bool:
        """Goes on to the next block, the buffer having been passed; False at the end of the stream."""
        self._at = len(self._buffer)
        self._line_here()
        self._offset += len(self._buffer)
        self._counted_to = 0
        self._buffer, self._structure, self._at = b"", b"", 0
        self._buffer = self._stream.read(BLOCK_BYTES)
        self._structure = self._strings.of(self._buffer)
        return bool(self._buffer)

    def _line_here(self) -> int:
        self._line += self._buffer.count(b"\n", self._counted_to, self._at)
        self._counted_to = self._at
        return self._line

    def _without_records(self, what: str) -> DamagedError:
        damage = self._damaged(what)
        damage.unread = self._stream.offset
        return damage

    def _damaged(self, what: str) -> DamagedError:
        offset = self._offset + self._at
        line = self._line_here()
        rest = self._buffer[self._at : self._at + _MAX_KEY_BYTES]
        where = f"at byte {offset}" if rest else "at its end"
        self._stream.pass_over()
        unread = self._stream.offset - offset
        return DamagedError(f"the JSON document is damaged {where}: {what}", offset, rest, line, unread)


class _Structure:
    """Blanks out what stands within strings, so that every bracket and quote that is left is structure.

    Replacing whole strings at once is several times as fast as looking at each bracket's surroundings.
    """

    def __init__(self) -> None:
        self.in_string = False  # the last block ended within a string
        self._escaped = False  # … and on a backslash

    def of(self, block: bytes) -> bytes:
        """A block of the same length; blocks are given in order."""
        if self._escaped and block:
            block = b"_" + block[1:]
        if b"\\" in block:
            block = _ESCAPE.sub(b"__", block)
        self._escaped = block.endswith(b"\\")
        pieces = block.split(b'"')
        first_inside = 0 if self.in_string else 1
        pieces[first_inside::2] = [b"_" * len(piece) for piece in pieces[first_inside::2]]
        self.in_string ^= len(pieces) % 2 == 0
        return b'"'.join(pieces)


class _Passing:
    """How far into a value the scan is, from one block of structure to the next."""

    def __init__(self, first: bytes):
        self.done = False
        self.is_scalar = first not in b'"[{'
        self._is_string = first == b'"'
        self._depth = 0
        self._begun = False

    def through(self, structure: bytes, at: int) -> int:
        """Where the value ends in the block, or the block does."""
        if self.is_scalar:
            match = _SCALAR_END.search(structure, at)
            self.done = match is not None
            return match.start() if match else len(structure)
        if self._is_string:
            end = structure.find(b'"', at if self._begun else at + 1) + 1
            self._begun = True
            self.done = end > 0
            return end or len(structure)
        depth = self._depth
        for bracket in _BRACKET.finditer(structure, at):
            depth += 1 if structure[bracket.start()] in b"[{" else -1
            if not depth:
                self.done = True
                return bracket.end()
        self._depth = depth
        return len(structure)


def first_line_ends_inside(line: bytes, following: bytes) -> bool:
    """True if a line breaks off within a JSON value and the next line's first byte can continue it.

    That tells a document printed over several lines from JSON Lines whose first line is broken.

    >>> first_line_ends_inside(b'{"profiles": [', b"{"), first_line_ends_inside(b'{"id": {"a": 1,', b"{")
    (True, False)
    """
    strings = _Structure()
    structure = strings.of(line)
    if strings.in_string:
        return False  # no JSON string goes over the end of a line
    open_brackets = bytearray()
    for bracket in _BRACKET.findall(structure):
        if bracket in b"[{":
            open_brackets += bracket
        elif open_brackets:
            open_brackets.pop()
    if not open_brackets or not following:
        return bool(open_brackets)
    last = line.rstrip()[-1:]
    if last == b":":
        return following not in b",:]}"
    if last in b"{[,":
        return following in b'"}' if open_brackets[-1:] == b"{" else following not in b",:}"
    return following in b",:]}"
