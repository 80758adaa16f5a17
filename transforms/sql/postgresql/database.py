"""A table of PostgreSQL, as every job asks of it: `Database`, in PostgreSQL's own words."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from transforms.errors import UsageError
from transforms.secrets import SecretSource
from transforms.sql.columns import SourceTable, cursor_column, likely_cursors
from transforms.sql.database import Chunk, Cursor, Part, Position, Selection, Snapshot
from transforms.sql.postgresql import catalogue, ranges, snapshot
from transforms.sql.postgresql.arrays import items_of_arrays
from transforms.sql.postgresql.failures import explained
from transforms.sql.postgresql.keys import among, spanning
from transforms.sql.postgresql.reader import read_part
from transforms.sql.postgresql.snapshot import XMIN, SnapshotHolder
from transforms.sql.postgresql.target import PostgresqlTarget

if TYPE_CHECKING:
    from psycopg import Connection

_WITHOUT_XMIN = "vf"  # views and foreign tables
_DECLARES_NULL = "rp"  # tables and partitioned tables


@dataclass(frozen=True)
class PostgresqlTable:
    """As `Database`."""

    target: PostgresqlTarget

    @classmethod
    def parse(
        cls, text: str, flag: str, password: SecretSource | None = None, max_outage_s: float = 0
    ) -> PostgresqlTable:
        """The table that a flag names. Raises UsageError as `PostgresqlTarget.parse`."""
        return cls(replace(PostgresqlTarget.parse(text, flag, password), max_outage_s=max_outage_s))

    @property
    def label(self) -> str:
        """As `Database.label`."""
        return self.target.label

    @property
    def true(self) -> str:
        """As `Database.true`."""
        return "t"

    def items(self, texts: Sequence[str]) -> list[list[str] | None]:
        """As `Database.items`."""
        return items_of_arrays(texts)

    def version(self) -> str:
        """As `Database.version`."""
        with self._connected(is_known=False) as connection:
            return f"PostgreSQL {connection.info.parameter_status('server_version')}"

    def describe(self, flag: str) -> SourceTable:
        """As `Database.describe`."""
        with self._connected(is_known=False) as connection:
            return catalogue.describe(connection, self.target, flag)

    def cursor(self, table: SourceTable, field: str) -> Cursor:
        """As `Database.cursor`."""
        if field == XMIN:
            if table.kind in _WITHOUT_XMIN:
                raise UsageError("--cursor_field=xmin is for tables: a view has no xmin; name a column of times")
            return Cursor(field, is_indexed=False)
        column = cursor_column(table, field, "a timestamp that every change sets, or xmin")
        if table.kind in _DECLARES_NULL and not column.is_never_null:
            raise UsageError(
                f"--cursor_field={field} may be NULL, and when such a row changed is not known; take "
                f"{' or '.join(f'--cursor_field={each}' for each in self.cursors(table)[:2])}, or declare it: ALTER "
                f"TABLE {table.relation} ALTER COLUMN {ranges.quoted(field)} SET NOT NULL"
            )
        with self._connected() as connection:
            return catalogue.cursor(connection, table, column)

    def cursors(self, table: SourceTable) -> list[str]:
        """As `Database.cursors`."""
        found = likely_cursors(table, may_be_null=table.kind not in _DECLARES_NULL)
        return found if table.kind in _WITHOUT_XMIN else [*found, XMIN]

    def has_null(self, table: SourceTable, names: Sequence[str]) -> bool:
        """As `Database.has_null`."""
        with self._connected() as connection:
            return catalogue.has_null(connection, table, names)

    def beyond(self, table: SourceTable, field: str, cursor: str, lookback_s: int) -> str:
        """As `Database.beyond`."""
        with self._connected() as connection:
            return snapshot.beyond(connection, table, field, cursor, lookback_s)

    def hold(self, table: SourceTable, cursor_field: str | None, max_readers: int) -> SnapshotHolder:
        """As `Database.hold`."""
        return SnapshotHolder(self.target, table, cursor_field)

    def look(self, table: SourceTable, cursor_field: str | None) -> Snapshot:
        """As `Database.look`."""
        with closing(SnapshotHolder(self.target, table, cursor_field)) as holder:
            return replace(holder.take(), id="")

    def blocks(self, table: SourceTable, max_parts: int) -> list[Part]:
        """As `Database.blocks`."""
        with self._connected() as connection:
            return ranges.block_parts(connection, table, max_parts)

    def boundaries(self, table: SourceTable, key: tuple[str, ...], max_parts: int) -> list[Position]:
        """As `Database.boundaries`."""
        with self._connected() as connection:
            return ranges.boundaries(connection, table, key, max_parts)

    def ranges(self, table: SourceTable, key: tuple[str, ...], boundaries: Sequence[Position]) -> list[Part]:
        """As `Database.ranges`."""
        return ranges.key_parts(table, key, boundaries)

    def among(self, table: SourceTable, key: tuple[str, ...], keys: Sequence[Position]) -> str:
        """As `Database.among`."""
        return among(table, key, keys)

    def spanning(self, table: SourceTable, key: tuple[str, ...], low: str | None, high: str | None) -> str:
        """As `Database.spanning`."""
        return spanning(table, key, low, high)

    def read(
        self, selection: Selection, part: Part, snapshot: Snapshot | None, behind: Position | None = None
    ) -> Generator[Chunk, None, None]:
        """As `Database.read`."""
        return read_part(self.target, selection, part, snapshot, behind)

    @contextmanager
    def _connected(self, *, is_known: bool = True) -> Iterator[Connection]:
        with closing(self.target.connect(is_known=is_known)) as connection, explained(self.label):
            yield connection
