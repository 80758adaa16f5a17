"""JSON Lines: one object a line, read from a byte range of a file or from a whole stream.

Blank lines are skipped; a byte order mark, CRLF and a missing last newline are accepted. A line that is no record is
one dead letter, and the lines after it are read. Results of model batches are unwrapped, see `models/results.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from transforms.batch import DeadLetter
from transforms.inputs.formats.json_items import JsonItems
from transforms.inputs.items import Item, too_large, unreadable
from transforms.inputs.lines import split_lines, without_marks
from transforms.inputs.streams import DamagedError, Stream
from transforms.models.options import DEFAULT, AnswerOptions


@dataclass(slots=True)
class JsonLines(JsonItems):
    """A slice of JSON Lines.

    Attributes:
      stream: stands at `start`, or one byte before it unless `start` is 0.
      start, stop: the lines whose first byte lies in [start, stop) are read; `stop` None means to the end.
      max_record_bytes: longer lines become dead letters without being held in memory.
      answers: how those of models become records; None if none is looked for.
    """

    stream: Stream
    start: int
    stop: int | None
    max_record_bytes: int
    answers: AnswerOptions | None = DEFAULT

    def scan(self) -> Iterator[Item | DeadLetter]:
        """As `Reader.scan`."""
        position = self.start
        try:
            for position, number, raw, length in split_lines(self.stream, self.start, self.stop, self.max_record_bytes):
                if length > self.max_record_bytes:
                    yield too_large(raw, length, self.max_record_bytes, position, position, number)
                elif raw := without_marks(raw.strip()):  # one may begin any file that was appended
                    yield Item(position, number, length, raw)
                position += length + 1
        except DamagedError as damage:
            yield unreadable(position, damage)
