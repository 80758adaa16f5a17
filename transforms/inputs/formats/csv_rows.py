"""CSV with a header row: every further row is one record of strings, empty cells are absent.

The delimiter is what a first line such as `sep=;` says, or one of , ; | and tab, found in the header and the rows after
it. Rows are read as people have them: blank lines, rows of delimiters alone and delimiters at the end of a row say
nothing, and where one file was appended to another, its header is not a row.

A row with another number of cells than the header is one dead letter that shows both, a small CSV of its own, fit to be
repaired and read again.

| what is wrong                      | what becomes of it                                                              |
|------------------------------------|---------------------------------------------------------------------------------|
| two columns have one name          | every row is a dead letter                                                      |
| a column without name has a value  | the row is a dead letter, unless it is the row's number, which pandas writes    |
| a row, within its line             | the row is a dead letter                                                        |
| a quote that is never closed       | where its row ends is anybody's guess: the file is unreadable from that row on  |
| the header row cannot be read      | the file is unreadable                                                          |
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from transforms.batch import DeadLetter, Record
from transforms.errors import RecordError
from transforms.inputs.formats.columns import AS_THEY_ARE, ColumnOptions, ColumnsError
from transforms.inputs.formats.csv_dialect import SEPARATOR_LINE
from transforms.inputs.items import KEPT_BYTES, STEP, Item, unreadable
from transforms.inputs.lines import split_lines
from transforms.inputs.streams import CountedStream, DamagedError, Stream

_NOT_CLOSED = "the row that begins at line {line} has a quote that is not closed, or stands within a cell"
_MARK = "\ufeff"  # the byte order mark, with which a file begins
_ROW_NUMBER = re.compile(r"-?\d+")


@dataclass(slots=True)
class CsvRows:
    """The rows of one CSV file.

    Attributes:
      stream: stands at the beginning.
      delimiter: one character.
      max_record_bytes: longer rows become dead letters without being held in memory.
      columns: those that are left out or renamed.
    """

    stream: Stream
    delimiter: str
    max_record_bytes: int
    columns: ColumnOptions = AS_THEY_ARE
    _header: list[str] = field(default_factory=list, init=False)
    _header_text: str = field(default="", init=False)
    _names: list[str | None] = field(default_factory=list, init=False)
    _fewest_cells: int = field(default=0, init=False)

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
                elif any(row) and not (lines.begins_file and row == self._header):
                    if problem:
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
        """Reads the first row that says something; returns what is wrong with its names."""
        for row in self._rows(lines):
            if isinstance(row, RecordError):
                raise lines.damaged(f"the header row at line {lines.row_line} cannot be read: {row.message}")
            if lines.row_line == 1 and SEPARATOR_LINE.fullmatch(lines.row_text()):
                self._header_text = lines.row_text()
                continue
            if any(row):
                self._header, self._header_text = row, self._header_text + lines.row_text()
                return self._name_columns()
        return None

    def _name_columns(self) -> RecordError | None:
        try:
            self._names = self.columns.names(self._header)
        except ColumnsError as error:
            return RecordError("INVALID_CSV_HEADER", f"the header row is not usable: {error}")
        self._fewest_cells = max((at for at, name in enumerate(self._header, 1) if name.strip()), default=0)
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

    def records(self, item: Item) -> tuple[Record]:
        """As `Reader.records`. Raises RecordError: WRONG_COLUMN_COUNT, UNNAMED_COLUMN, NOT_UTF8."""
        row, text = item.content
        row = self._fitted(row, item)
        if not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text):
            raise RecordError(
                "NOT_UTF8", f"row {item.position + 1} is not UTF-8; convert the file to UTF-8, or name its --encoding"
            )
        value = {name: cell for name, cell in zip(self._names, row, strict=False) if cell and name is not None}
        if "" in value:
            self._check_unnamed(row, item)
            del value[""]
        return (Record(item.position, value, item.line),)

    def _fitted(self, row: list[str], item: Item) -> list[str]:
        """The row without what stands behind its last column, if that is empty."""
        n_cells, n_columns = len(row), len(self._header)
        if n_cells > n_columns and not any(row[n_columns:]):
            return row[:n_columns]
        if not self._fewest_cells <= n_cells <= n_columns:
            raise RecordError(
                "WRONG_COLUMN_COUNT",
                f"row {item.position + 1} (line {item.line}) has {n_cells} cells, the header has {n_columns}",
            )
        return row

    def _check_unnamed(self, row: list[str], item: Item) -> None:
        """Raises RecordError if a column without name says something that would be lost."""
        for at, (name, cell) in enumerate(zip(self._names, row, strict=False), 1):
            if name == "" and cell and not (at == 1 and _ROW_NUMBER.fullmatch(cell)):
                raise RecordError(
                    "UNNAMED_COLUMN",
                    f"row {item.position + 1} (line {item.line}) has a value in column {at}, which has no name; name "
                    f"it with --rename_columns='#{at}=NAME', or leave it out with --drop_columns='#{at}'",
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
      begins_file: the row begins with a byte order mark: with it, another file was appended.
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
        self.too_long = self.begins_file = False

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
        text = line.raw.decode("utf-8", "surrogateescape") + "\n"
        if not self.n_lines:
            self._row_start, self.row_line = line.position, line.number
            self.begins_file = text.startswith(_MARK)
            text = text.lstrip(_MARK)
        self.n_lines += 1
        self.row_bytes += line.length + 1
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


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
