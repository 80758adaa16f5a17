"""A table of MySQL or MariaDB, as every job asks of it: `Database`, in MySQL's own words."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from transforms.errors import UsageError
from transforms.secrets import SecretSource
from transforms.sql.columns import SourceTable, cursor_column, likely_cursors
from transforms.sql.database import Chunk, Cursor, Part, Position, Selection, Snapshot
from transforms.sql.mysql import catalogue, cursors, ranges
from transforms.sql.mysql import keys as keys_of_rows
from transforms.sql.mysql.failures import explained
from transforms.sql.mysql.reader import read_part
from transforms.sql.mysql.snapshot import SnapshotHolder
from transforms.sql.mysql.target import MysqlTarget

if TYPE_CHECKING:
    from pymysql.connections import Connection


@dataclass(frozen=True)
class MysqlTable:
    """As `Database`."""

    target: MysqlTarget

    @classmethod
    def parse(cls, text: str, flag: str, password: SecretSource | None, max_outage_s: float) -> MysqlTable:
        """The table that a flag names. Raises UsageError as `MysqlTarget.parse`."""
        return cls(replace(MysqlTarget.parse(text, flag, password), max_outage_s=max_outage_s))

    @property
    def label(self) -> str:
        """As `Database.label`."""
        return self.target.label

    @property
    def true(self) -> str:
        """As `Database.true`."""
        return "1"

    def items(self, texts: Sequence[str]) -> list[list[str] | None]:
        """As `Database.items`: there are no arrays."""
        return [None] * len(texts)

    def version(self) -> str:
        """As `Database.version`."""
        with self._connected(is_known=False) as connection:
            ((version,),) = catalogue.rows(connection, "SELECT VERSION()")
            return str(version) if "MariaDB" in str(version) else f"MySQL {version}"

    def describe(self, flag: str) -> SourceTable:
        """As `Database.describe`."""
        with self._connected(is_known=False) as connection:
            return catalogue.describe(connection, self.target, flag)

    def cursor(self, table: SourceTable, field: str) -> Cursor:
        """As `Database.cursor`."""
        column = cursor_column(table, field, "a timestamp or datetime that every change sets")
        if table.kind != catalogue.VIEW and not column.is_never_null:
            others = " or ".join(f"--cursor_field={each}" for each in self.cursors(table)[:2])
            raise UsageError(
                f"--cursor_field={field} may be NULL, and when such a row changed is not known; "
                f"{f'take {others}, or ' if others else ''}declare it NOT NULL"
            )
        with self._connected() as connection:
            return catalogue.cursor(connection, self.target, table, field)

    def cursors(self, table: SourceTable) -> list[str]:
        """As `Database.cursors`."""
        return likely_cursors(table, may_be_null=table.kind == catalogue.VIEW)

    def has_null(self, table: SourceTable, names: Sequence[str]) -> bool:
        """As `Database.has_null`."""
        with self._connected() as connection:
            return catalogue.has_null(connection, table, names)

    def beyond(self, table: SourceTable, field: str, cursor: str, lookback_s: int) -> str:
        """As `Database.beyond`."""
        return cursors.beyond(field, cursor, lookback_s)

    def hold(self, table: SourceTable, cursor_field: str | None, max_readers: int) -> SnapshotHolder:
        """As `Database.hold`."""
        return SnapshotHolder(self.target, table, cursor_field, max(1, max_readers))

    def look(self, table: SourceTable, cursor_field: str | None) -> Snapshot:
        """As `Database.look`."""
        with closing(self.hold(table, cursor_field, 1)) as holder:
            return replace(holder.take(), id="", max_readers=None)

    def blocks(self, table: SourceTable, max_parts: int) -> list[Part]:
        """As `Database.blocks`: ranges of the key, for InnoDB keeps rows in its order."""
        return self.ranges(table, table.key, self.boundaries(table, table.key, max_parts) if table.is_ordered else [])

    def boundaries(self, table: SourceTable, key: tuple[str, ...], max_parts: int) -> list[Position]:
        """As `Database.boundaries`."""
        with self._connected() as connection:
            return ranges.boundaries(connection, table, key, max_parts)

    def ranges(self, table: SourceTable, key: tuple[str, ...], boundaries: Sequence[Position]) -> list[Part]:
        """As `Database.ranges`."""
        return ranges.key_parts(table, key, boundaries)

    def among(self, table: SourceTable, key: tuple[str, ...], keys: Sequence[Position]) -> str:
        """As `Database.among`."""
        return keys_of_rows.among(table, key, keys)

    def spanning(self, table: SourceTable, key: tuple[str, ...], low: str | None, high: str | None) -> str:
        """As `Database.spanning`."""
        return keys_of_rows.spanning(table, key, low, high)

    def read(
        self, selection: Selection, part: Part, snapshot: Snapshot | None, behind: Position | None = None
    ) -> Generator[Chunk, None, None]:
        """As `Database.read`."""
        return read_part(self.target, selection, part, snapshot, behind)

    @contextmanager
    def _connected(self, *, is_known: bool = True) -> Iterator[Connection]:
        with closing(self.target.connect(is_known=is_known)) as connection, explained(self.label):
            yield connection
