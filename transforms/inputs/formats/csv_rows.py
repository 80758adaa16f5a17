"""CSV with a header row: every further row is one record of strings, empty cells are absent.

The delimiter is one of , ; | and tab, found in the header and the rows after it. A row with another number of cells
than the header is one dead letter that shows both, a small CSV of its own, fit to be repaired and read again.

| what is wrong                  | what becomes of it                                                                  |
|--------------------------------|-------------------------------------------------------------------------------------|
| the names of the columns       | every row is a dead letter                                                          |
| a row, within its line         | the row is a dead letter                                                            |
| a quote that is never closed   | where its row would end is anybody's guess: the file is unreadable from that row on |
| the header row cannot be read  | the file is unreadable                                                              |
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from transforms.batch import DeadLetter, Record
from transforms.errors import RecordError
from transforms.inputs.items import KEPT_BYTES, STEP, Item, unreadable
from transforms.inputs.lines import split_lines
from transforms.inputs.streams import CountedStream, DamagedError, Stream

DELIMITERS = (",", ";", "\t", "|")
_ROWS_COMPARED = 20
_NOT_CLOSED = "the row that begins at line {line} has a quote that is not closed, or stands within a cell"


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
        lines = _Lines(CountedStream(self.stream), self.max_record_bytes)
        ordinal = 0
        try:
            problem = self._read_header(lines)
            for row in self._rows(lines):
                if isinstance(row, RecordError):
                    yield self._row_dead_letter(ordinal, lines, row)
                elif problem:
                    yield self._row_dead_letter(ordinal, lines, problem)
                else:
                    yield Item(ordinal, lines.row_line, lines.row_bytes, (row, lines.row_text()))
                ordinal += 1
            if problem and not ordinal:
                lines.begin_row()
                yield self._row_dead_letter(0, lines, problem)
        except DamagedError as damage:
            yield unreadable(ordinal, damage)

    def _read_header(self, lines: _Lines) -> RecordError | None:
        """Reads the first row that is not blank; returns what is wrong with its names."""
        for row in self._rows(lines):
            if isinstance(row, RecordError):
                raise lines.damaged(f"the header row at line {lines.row_line} cannot be read: {row.message}")
            self._header, self._header_text = row, lines.row_text()
            problem = _header_problem(row)
            return RecordError("INVALID_CSV_HEADER", problem) if problem else None
        return None

    def _rows(self, lines: _Lines) -> Iterator[list[str] | RecordError]:
        """The rows that are not blank, or what is wrong with them. Raises DamagedError."""
        rows = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            lines.begin_row()
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                if lines.has_ended or lines.n_lines > 1:
                    raise lines.damaged(_NOT_CLOSED.format(line=lines.row_line)) from error
                yield RecordError("INVALID_CSV", f"the row is not valid CSV: {error}")
                continue
            if lines.n_lines > 1 and _has_swallowed_rows(row, lines.row_text(), self.delimiter):
                raise lines.damaged(_NOT_CLOSED.format(line=lines.row_line))
            if lines.too_long:
                yield RecordError(
                    "RECORD_TOO_LARGE",
                    f"the row has {lines.row_bytes} bytes, more than max_record_bytes={self.max_record_bytes}; "
                    f"its first bytes are kept here, it begins at line {lines.row_line}",
                )
            elif row:
                yield row

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

    def _row_dead_letter(self, ordinal: int, lines: _Lines, error: RecordError) -> DeadLetter:
        original = _encoded(self._header_text + lines.row_text())[:KEPT_BYTES]
        return DeadLetter(STEP, error.code, error.message, original, position=ordinal, line=lines.row_line)


class _Lines:
    """Feeds csv.reader with lines and remembers those of the row it is at.

    Attributes:
      row_line: in which line the row begins.
      row_bytes: of the row so far.
      n_lines: of the row so far.
      too_long: a line of the row is longer than allowed, and is not in its text.
      has_ended: there are no further lines.
    """

    def __init__(self, stream: CountedStream, max_row_bytes: int):
        self._stream = stream
        self._lines = split_lines(stream, 0, None, max_row_bytes)
        self._max_row_bytes = max_row_bytes
        self.has_ended = False
        self.begin_row()

    def begin_row(self) -> None:
        self._row: list[str] = []
        self._row_start = 0
        self.row_bytes = self.n_lines = 0
        self.row_line: int | None = None
        self.too_long = False

    def row_text(self) -> str:
        return "".join(self._row)

    def damaged(self, why: str) -> DamagedError:
        """The file is unreadable from the row on that it is at."""
        self._stream.pass_over()
        unread = self._stream.offset - self._row_start
        partial = _encoded(self.row_text())[:KEPT_BYTES]
        return DamagedError(why, self._row_start, partial, self.row_line, unread)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except StopIteration:
            self.has_ended = True
            raise
        except DamagedError as damage:
            partial, line_number = _encoded(self.row_text()) + damage.partial, self.row_line or damage.line
            unread = self.row_bytes + damage.unread
            raise DamagedError(damage.why, damage.offset, partial, line_number, unread) from damage
        if not self.n_lines:
            self._row_start, self.row_line = line.position, line.number
        self.n_lines += 1
        self.row_bytes += line.length + 1
        text = line.raw.decode("utf-8", "surrogateescape") + "\n"
        if self._row and self.row_bytes > self._max_row_bytes:
            raise self.damaged(
                f"the row that begins at line {self.row_line} has a quote that is not closed within "
                f"max_record_bytes={self._max_row_bytes}"
            )
        self._row.append(text)
        if line.length > self._max_row_bytes:
            self.too_long = True
            return "\n"
        return text


def sniff_delimiter(head: str) -> str | None:
    """The delimiter that gives the header and the rows after it the same number of cells, at least two.

    A quote that is not closed makes one row of many; then the lines are compared.

    >>> sniff_delimiter('id;name\\n1;"Lovelace, Ada"\\n'), sniff_delimiter("just a sentence")
    (';', None)
    """
    return _most_alike([io.StringIO(head)]) or _most_alike([[line] for line in head.splitlines()])


def _most_alike(texts: Sequence[Iterable[str]]) -> str | None:
    best, best_score = None, (0, 0)
    for delimiter in DELIMITERS:
        every = itertools.chain.from_iterable(csv.reader(text, delimiter=delimiter) for text in texts)
        try:
            rows = [row for row in itertools.islice(every, _ROWS_COMPARED) if row]
        except csv.Error:
            continue
        columns = len(rows[0]) if rows else 0
        alike = sum(len(row) == columns for row in rows)
        if columns > 1 and alike * 2 > len(rows) and (alike, columns) > best_score:
            best, best_score = delimiter, (alike, columns)
    return best


def _has_swallowed_rows(row: list[str], text: str, delimiter: str) -> bool:
    """Whether a quote that is not closed ran on to the next one, where that begins a cell of another row.

    Then the quote that was to open that cell has closed this one, right behind a delimiter or at the start of a line,
    and the one that was to close it is left over.

    >>> _has_swallowed_rows(["1", "Ada\\n2,", 'x"'], '1,"Ada\\n2,",x"\\n', ",")
    True
    >>> _has_swallowed_rows(["1", "Ada\\nLovelace", '6" pipe'], '1,"Ada\\nLovelace",6" pipe\\n', ",")
    False
    """
    return text.count('"') % 2 == 1 and any("\n" in cell and cell.endswith((delimiter, "\n")) for cell in row)


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
