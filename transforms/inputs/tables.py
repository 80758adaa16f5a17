"""Rows of tables of databases as batches. Plain Python; the transforms are in `read.py`.

Part ──read_part──▶ fields ─▶ TableRow, TableRow, … ─▶ Batch[TableRow], named {input}-{part}-{ordinal}
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

from transforms.batch import Batch
from transforms.inputs.items import Item, cut
from transforms.sql.columns import SourceTable
from transforms.sql.postgresql.reader import Part, Selection, read_part
from transforms.sql.postgresql.snapshot import Snapshot
from transforms.sql.postgresql.target import PostgresqlTarget
from transforms.sql.rows import KeyOf

_DIGITS = 12
# Positions order the rows of a table: by part, then within it. Both together stay exact in a double, as JSON needs.
_POSITIONS_PER_PART = 2**39
_TRUE = "t"


class TableRow(NamedTuple):
    """A row on its way into BigQuery; `unchanged` if only its key was read.

    Attributes:
      key: see `KeyOf`.
      position: as in `Record`.
      fields: in the order of the table's columns, the server's text; None for NULL.
    """

    key: str
    position: int
    fields: tuple[str | None, ...]
    line: int | None = None
    unchanged: bool = False


@dataclass(frozen=True)
class TableSource:
    """The rows of a table in one snapshot.

    Attributes:
      target: how to reach it.
      table: as it is declared.
      key: names of the columns that identify a row.
      snapshot: which state of it.
      condition: of the rows that are wanted whole; empty for all.
      names_all: whether of the other rows the key is wanted.
      batch_size: rows in a batch.
      max_batch_bytes: bytes of rows in a batch, unless a single one has more.
      is_complete: whether the batch of an id may be passed over.
    """

    target: PostgresqlTarget
    table: SourceTable
    key: tuple[str, ...]
    snapshot: Snapshot
    condition: str
    names_all: bool
    batch_size: int
    max_batch_bytes: int
    is_complete: Callable[[str], bool]

    def batches(self, partition: Part) -> Iterator[Batch[TableRow]]:
        """As `Source.batches`."""
        first, row_of = partition.index * _POSITIONS_PER_PART, self._row_of()
        name = f"{self._input_id()}-{partition.index:05d}"
        with closing(read_part(self.target, self._selection(), partition, self.snapshot.id)) as rows:
            items = (Item(first + n, None, n_bytes, fields) for n, (fields, n_bytes) in enumerate(rows))
            for ordinal, batch in enumerate(cut(items, self.batch_size, self.max_batch_bytes)):
                batch_id = f"{name}-{ordinal:05d}"
                if not self.is_complete(batch_id):
                    entries = tuple(row_of(item) for item in batch if isinstance(item, Item))
                    yield Batch(batch_id, self.table.label, len(entries), entries)

    def _input_id(self) -> str:
        return hashlib.sha256(f"{self.table.label}\n{self.condition}".encode()).hexdigest()[:_DIGITS]

    def _key_places(self) -> tuple[int, ...]:
        places = {column.name: at for at, column in enumerate(self.table.columns)}
        return tuple(places[name] for name in self.key)

    def _selection(self) -> Selection:
        expressions = tuple(column.expression for column in self.table.columns)
        return Selection(self.table.relation, expressions, self.condition, self.names_all, self._key_places())

    def _row_of(self) -> Callable[[Item], TableRow]:
        columns, places = self.table.columns, self._key_places()
        key_of = KeyOf(self.key, [(at, columns[at].type.endswith("NUMERIC")) for at in places])
        is_marked = bool(self.condition) and self.names_all

        def row_of(item: Item) -> TableRow:
            fields = item.content
            unchanged = False
            if is_marked:
                unchanged, fields = fields[0] != _TRUE, fields[1:]
            return TableRow(key_of(fields), item.position, tuple(fields), unchanged=unchanged)

        return row_of
