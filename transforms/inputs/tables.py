"""Rows of tables of databases as batches. Plain Python; the transforms are in `read.py`.

    Lane: parts, one after the other ──Database.read──▶ Chunk ─▶ TableRow, … ─▶ Batch, {input}-{part}-{ordinal}

    snapshot   a part begins at its first row; what fails ends the run
    ranges     a part is read on behind the last batch that is done, whoever did it: see `ledger/parts.py`. A connection
               that breaks is replaced by another one, which reads on behind the last batch that was passed on

A database is read by as many readers as there are lanes, however many workers there are.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count, repeat
from typing import NamedTuple

from transforms.batch import Batch
from transforms.errors import TransientError
from transforms.retry import Retry
from transforms.sql.database import Database, Fields, Part, Position, Selection, Snapshot
from transforms.sql.rows import KeyOf

_DIGITS = 12
# Positions order the rows of a table: by part, then within it. Both together stay exact in a double, as JSON needs.
_POSITIONS_PER_PART = 2**39

# Parts that one reader reads, one after the other.
Lane = tuple[Part, ...]


class Page(NamedTuple):
    """The rows of one batch, which are made together.

    Attributes:
      batch_id: of the batch.
      read_time: as of when they were read.
      first: position of the first one.
      keys: see `KeyOf`.
      rows: the fields of each, in the order of the table's columns, the server's text; None for NULL.
    """

    batch_id: str
    read_time: datetime.datetime
    first: int
    keys: Sequence[str]
    rows: Sequence[Fields]


class TableRow(NamedTuple):
    """A row on its way into BigQuery; `unchanged` if only its key was read.

    Attributes:
      key: see `KeyOf`.
      position: as in `Record`.
      page: of its batch.
    """

    key: str
    position: int
    page: Page
    line: int | None = None
    unchanged: bool = False

    @property
    def place(self) -> int:
        """Where it stands in its page."""
        return self.position - self.page.first

    @property
    def fields(self) -> Fields:
        """The server's text of each column."""
        return self.page.rows[self.place]


@dataclass(frozen=True)
class TableSource:
    """The rows of a table.

    Attributes:
      database: how to reach it.
      selection: what is read of every row.
      snapshot: which state of it; None for that of the moment at which a part is read.
      batch_size: rows in a batch.
      max_batch_bytes: bytes of rows in a batch, unless a single one has more.
      read_before: without a snapshot, of a part: how many batches have ids already, and the text of the position behind
        those that are done, empty for none.
      is_stopping: whether to begin no further batch.
      retry: of a part whose connection breaks, where it can be read on.
      run: part of the names of all batches, where those of another run must be others.
    """

    database: Database
    selection: Selection
    snapshot: Snapshot | None
    batch_size: int
    max_batch_bytes: int
    read_before: Callable[[str], tuple[int, str]]
    is_stopping: Callable[[], bool]
    retry: Retry
    run: str = ""

    def batches(self, partition: Lane) -> Iterator[Batch[TableRow]]:
        """As `Source.batches`."""
        for part in partition:
            if self.is_stopping():
                return
            name = f"{self._input_id()}-{part.index:05d}"
            ordinal, text = (0, "") if self.snapshot else self.read_before(name)
            yield from self._read_on(part, name, ordinal, position_of_text(text))

    def _read_on(self, part: Part, name: str, ordinal: int, behind: Position | None) -> Iterator[Batch[TableRow]]:
        """The batches of a part, by as many connections as it takes."""
        attempts = self.retry.attempts()
        while True:
            try:
                for batch in self._read(part, name, ordinal, behind):
                    yield batch
                    if self.is_stopping():
                        return
                    ordinal, behind, attempts = ordinal + 1, position_of_text(batch.behind), self.retry.attempts()
            except TransientError:
                is_over = self.snapshot is not None or not self.selection.in_order
                if is_over or not attempts.again():
                    raise
            else:
                return

    def _read(self, part: Part, name: str, ordinal: int, behind: Position | None) -> Iterator[Batch[TableRow]]:
        selection, true, text_of = self.selection, self.database.true, self._text_of()
        key_of = KeyOf.of(selection)
        for number, (read_time, rows) in enumerate(self._pages(part, behind), ordinal):
            batch_id, first = f"{name}-{number:05d}", part.index * _POSITIONS_PER_PART + number * self.batch_size
            marks = [row[0] != true for row in rows] if selection.is_marked else repeat(False)
            own = [row[1:] for row in rows] if selection.is_marked else rows
            page = Page(batch_id, read_time, first, key_of.all(own), own)
            # Each a TableRow, without a call of Python.
            values = zip(page.keys, count(first), repeat(page), repeat(None), marks)
            entries: tuple[TableRow, ...] = tuple(map(tuple.__new__, repeat(TableRow), values))
            yield Batch(batch_id, self.database.label, len(entries), entries, behind=text_of(rows[-1]))

    def _pages(self, part: Part, behind: Position | None) -> Iterator[tuple[datetime.datetime, list[Fields]]]:
        """The rows of one batch after the other, and as of when they are."""
        page: list[Fields] = []
        held_bytes = 0
        with closing(self.database.read(self.selection, part, self.snapshot, behind)) as chunks:
            for chunk in chunks:
                n_bytes = sum(chunk.sizes)
                if len(page) + len(chunk.rows) <= self.batch_size and held_bytes + n_bytes <= self.max_batch_bytes:
                    page += chunk.rows
                    held_bytes += n_bytes
                    continue
                for fields, size in zip(chunk.rows, chunk.sizes, strict=True):
                    if page and (len(page) >= self.batch_size or held_bytes + size > self.max_batch_bytes):
                        yield chunk.read_time, page
                        page, held_bytes = [], 0
                    page.append(fields)
                    held_bytes += size
            if page:
                yield chunk.read_time, page

    def _input_id(self) -> str:
        return input_id(self.database.label, self.selection.condition, self.run)

    def _text_of(self) -> Callable[[Fields], str]:
        """The text of the position of a row; empty where a part cannot be read on."""
        selection = self.selection
        if not selection.in_order:
            return lambda fields: ""
        places = [at + selection.is_marked for at in selection.key_places]
        return lambda fields: text_of_position([fields[at] for at in places])


def input_id(label: str, condition: str, run: str = "") -> str:
    """What the names of all batches of a table begin with."""
    parts = [label, condition, *filter(None, [run])]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGITS]


def lanes(parts: Sequence[Part], max_readers: int) -> list[Lane]:
    """Parts dealt out to as many readers.

    >>> [[part.index for part in lane] for lane in lanes([Part(n) for n in range(5)], max_readers=2)]
    [[0, 2, 4], [1, 3]]
    """
    return [tuple(parts[first::max_readers]) for first in range(min(max_readers, len(parts)))]


def text_of_position(position: Sequence[str | None]) -> str:
    r"""A position as the ledger keeps it: bytes in no encoding, too.

    >>> text_of_position(["7", "Zo\udceb"]), position_of_text('["7"]'), position_of_text("")
    ('["7","Zo\\udceb"]', ('7',), None)
    """
    return json.dumps(position, separators=(",", ":"))


def position_of_text(text: object) -> Position | None:
    """What `text_of_position` has made a text of; None of an empty one."""
    return tuple(json.loads(text)) if isinstance(text, str) and text else None
