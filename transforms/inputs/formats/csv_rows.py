"""CSV with a header row: every further row is one record of strings, empty cells are absent.

The delimiter is one of , ; | and tab, found in the header and the rows after it. A row with another number of cells
than the header is one dead letter that shows both, a small CSV of its own, fit to be repaired and read again.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from transforms.batch import DeadLetter, Record
from transforms.errors import RecordError
from transforms.inputs.items import KEPT_BYTES, STEP, Item, unreadable
from transforms.inputs.lines import Line, split_lines
from transforms.inputs.streams import DamagedError, Stream

DELIMITERS = (",", ";", "\t", "|")
_ROWS_COMPARED = 20


@dataclass(slots=True)
class CsvRows:
    """The rows of one CSV file.

    Attributes:
      stream: stands at the beginning.
      delimiter: one character.
      max_record_bytes: longer rows become dead letters without being held in memory.
    """

    stream: Stream
    delimiter: str
    max_record_bytes: int
    _header: list[str] = field(default_factory=list, init=False)
    _header_text: str = field(default="", init=False)

    def scan(self) -> Iterator[Item | DeadLetter]:
        """As `Reader.scan`."""
        csv.field_size_limit(max(csv.field_size_limit(), self.max_record_bytes))
        lines = _Lines(split_lines(self.stream, 0, None, self.max_record_bytes), self.max_record_bytes)
        rows = csv.reader(lines, delimiter=self.delimiter, strict=True)
        ordinal = 0
        try:
            while True:
                lines.begin_row()
                try:
                    row = next(rows)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield self._row_dead_letter(ordinal, lines, "INVALID_CSV", f"the row is not valid CSV: {error}")
                    ordinal += 1
                    continue
                if lines.too_long:
                    yield self._row_dead_letter(
                        ordinal,
                        lines,
                        "RECORD_TOO_LARGE",
                        f"the row has {lines.row_bytes} bytes, more than max_record_bytes={self.max_record_bytes}; "
                        f"its first bytes are kept here, it begins at line {lines.row_line}",
                    )
                    ordinal += 1
                elif not row:
                    continue
                elif not self._header:
                    problem = _header_problem(row)
                    if problem:
                        yield self._row_dead_letter(0, lines, "INVALID_CSV_HEADER", problem)
                        return
                    self._header, self._header_text = row, lines.row_text()
                else:
                    yield Item(ordinal, lines.row_line, lines.row_bytes, (row, lines.row_text()))
                    ordinal += 1
        except DamagedError as damage:
            yield unreadable(ordinal, damage)

    def record(self, item: Item) -> Record:
        """As `Reader.record`. Raises RecordError: WRONG_COLUMN_COUNT, NOT_UTF8."""
        row, text = item.content
        if len(row) != len(self._header):
            raise RecordError(
                "WRONG_COLUMN_COUNT",
                f"row {item.position + 1} (line {item.line}) has {len(row)} cells, the header has {len(self._header)}",
            )
        if not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text):
            raise RecordError("NOT_UTF8", f"row {item.position + 1} is not UTF-8; convert the file to UTF-8")
        return Record(
            item.position, {name: cell for name, cell in zip(self._header, row, strict=True) if cell}, item.line
        )

    def original(self, item: Item) -> bytes:
        """As `Reader.original`: the header and the row, a CSV of its own."""
        return _encoded(self._header_text + item.content[1])

    def _row_dead_letter(self, ordinal: int, lines: _Lines, code: str, message: str) -> DeadLetter:
        original = _encoded(self._header_text + lines.row_text())[:KEPT_BYTES]
        return DeadLetter(STEP, code, message, original, position=ordinal, line=lines.row_line)


class _Lines:
    """Feeds csv.reader with lines and remembers those of the row it is at."""

    def __init__(self, lines: Iterator[Line], max_row_bytes: int):
        self._lines = lines
        self._max_row_bytes = max_row_bytes
        self._row: list[str] = []
        self.row_bytes = 0
        self.row_line: int | None = None
        self.too_long = False

    def begin_row(self) -> None:
        self._row, self.row_bytes, self.row_line, self.too_long = [], 0, None, False

    def row_text(self) -> str:
        return "".join(self._row)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.row_line = self.row_line or line.number
        self.row_bytes += line.length + 1
        text = line.raw.decode("utf-8", "surrogateescape") + "\n"
        if self._row and self.row_bytes > self._max_row_bytes:
            raise DamagedError(
                f"the row that begins at line {self.row_line} has a quote that is not closed within "
                f"max_record_bytes={self._max_row_bytes}",
                line.position,
                _encoded(self.row_text())[:KEPT_BYTES],
                self.row_line,
            )
        self._row.append(text)
        if line.length > self._max_row_bytes:
            self.too_long = True
            return "\n"
        return text


def sniff_delimiter(head: str) -> str | None:
    """The delimiter that gives the header and the rows after it the same number of cells, at least two.

    >>> sniff_delimiter('id;name\\n1;"Lovelace, Ada"\\n'), sniff_delimiter("just a sentence")
    (';', None)
    """
    best, best_score = None, (0, 0)
    for delimiter in DELIMITERS:
        try:
            rows = list(itertools.islice(csv.reader(io.StringIO(head), delimiter=delimiter), _ROWS_COMPARED))
        except csv.Error:
            continue
        rows = [row for row in rows if row]
        columns = len(rows[0]) if rows else 0
        alike = sum(len(row) == columns for row in rows)
        if columns > 1 and alike * 2 > len(rows) and (alike, columns) > best_score:
            best, best_score = delimiter, (alike, columns)
    return best


def _header_problem(header: list[str]) -> str | None:
    """
    >>> _header_problem(["id", "", "name", "id"])
    'the header row has an empty name in column 2 and a repeated name in column 4; name every column once'
    """
    problems = []
    empty = [str(at) for at, name in enumerate(header, 1) if not name.strip()]
    repeated = [str(at) for at, name in enumerate(header, 1) if name.strip() and name in header[: at - 1]]
    if empty:
        problems.append(f"an empty name in column {', '.join(empty)}")
    if repeated:
        problems.append(f"a repeated name in column {', '.join(repeated)}")
    return f"the header row has {' and '.join(problems)}; name every column once" if problems else None


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
