"""Rows of tables of databases as batches. Plain Python; the transforms are in `read.py`.

Part ──Database.read──▶ fields ─▶ TableRow, TableRow, … ─▶ Batch[TableRow], named {input}-{part}-{ordinal}
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from transforms.batch import Batch
from transforms.inputs.items import Item, cut
from transforms.sql.database import Database, Part, Selection, Snapshot
from transforms.sql.rows import KeyOf

_DIGITS = 12
# Positions order the rows of a table: by part, then within it. Both together stay exact in a double, as JSON needs.
_POSITIONS_PER_PART = 2**39


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
    """The rows of a table.

    Attributes:
      database: how to reach it.
      selection: what is read of every row.
      snapshot: which state of it; None for that of the moment at which a part is read.
      batch_size: rows in a batch.
      max_batch_bytes: bytes of rows in a batch, unless a single one has more.
      is_complete: whether the batch of an id may be passed over.
    """

    database: Database
    selection: Selection
    snapshot: Snapshot | None
    batch_size: int
    max_batch_bytes: int
    is_complete: Callable[[str], bool]

    def batches(self, partition: Part) -> Iterator[Batch[TableRow]]:
        """As `Source.batches`."""
        row_of = self._row_of()
        name = f"{self._input_id()}-{partition.index:05d}"
        items = self._items(partition)
        for ordinal, batch in enumerate(cut(items, self.batch_size, self.max_batch_bytes)):
            batch_id = f"{name}-{ordinal:05d}"
            if not self.is_complete(batch_id):
                entries = tuple(row_of(item) for item in batch if isinstance(item, Item))
                yield Batch(batch_id, self.database.label, len(entries), entries)

    def _items(self, part: Part) -> Iterator[Item]:
        position = part.index * _POSITIONS_PER_PART
        for chunk in self.database.read(self.selection, part, self.snapshot):
            for fields, size in zip(chunk.rows, chunk.sizes, strict=True):
                yield Item(position, None, size, fields)
                position += 1

    def _input_id(self) -> str:
        return hashlib.sha256(f"{self.database.label}\n{self.selection.condition}".encode()).hexdigest()[:_DIGITS]

    def _row_of(self) -> Callable[[Item], TableRow]:
        selection, true = self.selection, self.database.true
        columns, is_marked = selection.table.columns, selection.is_marked
        key_of = KeyOf(selection.key, [(at, columns[at].type.endswith("NUMERIC")) for at in selection.key_places])

        def row_of(item: Item) -> TableRow:
            fields = item.content
            unchanged = False
            if is_marked:
                unchanged, fields = fields[0] != true, fields[1:]
            return TableRow(key_of(fields), item.position, tuple(fields), unchanged=unchanged)

        return row_of
