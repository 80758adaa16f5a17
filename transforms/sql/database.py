"""What a job asks of a database, whichever it is: the one protocol, and the plain data that passes through it.

                       describe ─▶ SourceTable          columns, key, kind
                 cursor, beyond ─▶ Cursor, condition    from where an incremental run reads
    Database ──── hold or look ─▶ Snapshot              read time, where the next run begins
               blocks or ranges ─▶ Part, Part, …        cut by the table's blocks, or by its key
                           read ─▶ Chunk, Chunk, …      fields of rows, in the server's own text

A second database is a folder beside `postgresql/` with a class that has these methods, and one row in the registry of
schemes, `pipeline/locations.py`. Nothing else names a database. Its class is frozen and picklable, holds no password
(only where it is kept), and imports its client when it first connects.

Two ways to read, of which a run has one at a time:

    snapshot   all readers read one state, which a `Holder` in the job's own process keeps alive
    ranges     every part is a transaction of its own, its rows in the order of the key: a run that was interrupted
               resumes behind the `Position` of the last row that is done
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from transforms.sql.columns import SourceColumn, SourceTable

Fields = Sequence["str | None"]
# The items of the texts of arrays; see `Database.items`.
ItemsOf = Callable[[Sequence[str]], "list[list[str] | None]"]
# The texts of a row's key: rows behind it are those with a greater key, by the server's own order.
Position = tuple[str, ...]


class Chunk(NamedTuple):
    """Rows that came together, in the order in which they came.

    Attributes:
      read_time: as of when, by the server's clock.
      rows: the fields of each, in the order of the selection; None for NULL.
      sizes: the bytes of each.
    """

    read_time: datetime.datetime
    rows: Sequence[Fields]
    sizes: Sequence[int]


@dataclass(frozen=True)
class Snapshot:
    """One state of a table. Plain data.

    Attributes:
      id: by which a reader takes it, while its holder lives; empty if nobody holds it.
      read_time: as of when, by the server's clock.
      is_blind: whether transactions that may commit later were hidden.
      cursor: where the next incremental run begins; None without a cursor field, or where no row has a value.
      max_readers: how many can read it at a time; None for any number.
    """

    id: str
    read_time: datetime.datetime
    is_blind: bool
    cursor: str | None
    max_readers: int | None = None


class Holder(Protocol):
    """Keeps the snapshot of a run alive; connects when it is first asked."""

    def take(self) -> Snapshot:
        """The snapshot; the same one each time.

        Raises:
          JobError, TransientError: the server refuses, or does not answer.
        """

    def close(self) -> None:
        """Gives the snapshot up."""


class Cursor(NamedTuple):
    """A field by which incremental runs can go.

    Attributes:
      field: as the flag names it.
      is_indexed: whether the server finds rows beyond a value without looking at all of them.
      warning: what the user should know before the run; empty for nothing.
    """

    field: str
    is_indexed: bool
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that one reader reads from beginning to end.

    Attributes:
      index: counted from 0.
      condition: in SQL; empty for all rows.
    """

    index: int
    condition: str = ""


@dataclass(frozen=True)
class Selection:
    """What is read of every row.

    Attributes:
      table: as it is declared.
      key: names of the columns that identify a row.
      condition: of the rows that are wanted whole, in SQL; empty for all.
      names_all: whether of the other rows the key is wanted.
      in_order: whether rows come in the order of the key.
    """

    table: SourceTable
    key: tuple[str, ...]
    condition: str = ""
    names_all: bool = False
    in_order: bool = False

    @property
    def is_marked(self) -> bool:
        """Whether a field before all others says if a row is wanted whole: TRUE or FALSE, as the server writes it."""
        return bool(self.condition) and self.names_all

    @property
    def key_columns(self) -> tuple[SourceColumn, ...]:
        """The columns of the key, in its order."""
        return self.table.columns_of(self.key)

    @property
    def key_places(self) -> tuple[int, ...]:
        """Where the fields of the key stand among the table's columns."""
        places = {column.name: at for at, column in enumerate(self.table.columns)}
        return tuple(places[name] for name in self.key)


class Database(Protocol):
    """One table of a database, and how to reach it. Picklable.

    Raises (every method that connects): JobError, and the message says what to fix; TransientError if the server does
    not answer.
    """

    @property
    def label(self) -> str:
        """The table as a location, without options and never with a password."""

    @property
    def true(self) -> str:
        """How the server writes TRUE."""

    def items(self, texts: Sequence[str]) -> list[list[str] | None]:
        """The items of arrays of one dimension without NULL, from the server's texts; None for any other array."""

    def version(self) -> str:
        """The server's product and version, such as PostgreSQL 18.1. One attempt to connect."""

    def describe(self, flag: str) -> SourceTable:
        """What the table declares.

        Args:
          flag: names the table, for messages.

        Raises:
          UsageError: there is no such table, or it has no columns; names similar ones.
        """

    def cursor(self, table: SourceTable, field: str) -> Cursor:
        """A field as one by which incremental runs go. Raises UsageError if none can go by it."""

    def cursors(self, table: SourceTable) -> list[str]:
        """Fields by which incremental runs are likely to go, the likeliest first."""

    def has_null(self, table: SourceTable, names: Sequence[str]) -> bool:
        """Whether a row has no value in one of some columns; the server may have to look at all rows."""

    def beyond(self, table: SourceTable, field: str, cursor: str, lookback_s: int) -> str:
        """The condition on rows that may have changed since the run that left a cursor; empty if that may be all rows.

        Rows without a value of the field are always among them.
        """

    def hold(self, table: SourceTable, cursor_field: str | None, max_readers: int) -> Holder:
        """Of a snapshot that so many readers at a time will read."""

    def look(self, table: SourceTable, cursor_field: str | None) -> Snapshot:
        """The table's state just now, which nobody holds: what follows is not older than it."""

    def blocks(self, table: SourceTable, max_parts: int) -> list[Part]:
        """Parts of about one size, which have every row once within one snapshot only."""

    def boundaries(self, table: SourceTable, key: tuple[str, ...], max_parts: int) -> list[Position]:
        """Keys, ascending, that cut the table into ranges of about one size."""

    def ranges(self, table: SourceTable, key: tuple[str, ...], boundaries: Sequence[Position]) -> list[Part]:
        """The parts between boundaries; the same ones for the same boundaries."""

    def among(self, table: SourceTable, key: tuple[str, ...], keys: Sequence[Position]) -> str:
        """The condition on rows with these keys; it may hold for more rows. Empty where the server cannot say."""

    def spanning(self, table: SourceTable, key: tuple[str, ...], low: str | None, high: str | None) -> str:
        """The condition on rows whose keys, as `rows.KeyOf` writes them, lie between two texts.

        It may hold for more rows; empty where the server cannot say.

        Args:
          low: the first text, in the order of bytes; None for no bound.
          high: the first text behind the range; None for no bound.
        """

    def read(
        self, selection: Selection, part: Part, snapshot: Snapshot | None, behind: Position | None = None
    ) -> Generator[Chunk, None, None]:
        """The rows of a part; closed, it gives its connection up.

        Args:
          snapshot: whose rows; None for those of a transaction that begins now.
          behind: only rows with a greater key, for selections in order.

        Raises:
          JobError: the snapshot is gone, the table is not as it was described, or fewer rows came than the server says
            it sent.
          TransientError: the server was restarted, or the connection broke.
        """
