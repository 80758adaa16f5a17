"""A table of a database as one side of a comparison: its rows, as export makes rows of BigQuery of them. Plain Python.

    range of keys ─▶ intervals of text ─▶ a condition ─▶ rows, in the server's text ─▶ cells ─▶ those of the range

A database orders its keys in its own way. Ranges of whole numbers are pushed to its index, those of text to its scan;
of other keys every range reads the whole table, so such a table is one range.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transforms.bigquery.schema import Column
from transforms.firestore.document_order import sort_key
from transforms.firestore.ranges import NameRange, ranges_between
from transforms.sql.database import Database, Part, Selection
from transforms.sql.key_texts import position_of
from transforms.sql.rows import KeyOf, TableRows
from transforms.verify.entries import Entry
from transforms.verify.forms import TypedForm
from transforms.verify.key_intervals import superset


@dataclass
class DatabaseStore:
    """The rows of a table.

    Attributes:
      database: how to reach it.
      selection: the table and its key.
      columns: of BigQuery, one for each of the table's.
      form: what of a row is compared.
    """

    database: Database
    selection: Selection
    columns: tuple[Column, ...]
    form: TypedForm
    bytes_scanned: int = 0
    _rows: TableRows | None = field(default=None, repr=False)

    def as_of(self, read_time: datetime.datetime) -> DatabaseStore:
        """As `Store`; the newest state is read, because a database keeps no past."""
        return self

    def ranges(self, max_ranges: int) -> list[NameRange]:
        """As `Store`: about as many rows in each."""
        table, key = self.selection.table, self.selection.key
        if max_ranges == 1 or not table.is_ordered or not self._spanning("", None):
            return [NameRange()]
        key_of = KeyOf.of_positions(self.selection)
        cuts = {key_of(position) for position in self.database.boundaries(table, key, max_ranges)}
        return ranges_between(sorted(cuts, key=sort_key))

    def entries(self, span: NameRange) -> Iterator[Entry]:
        """As `Store`."""
        sides = []
        for side in superset(span):
            found = [self._spanning(*interval) for interval in side]
            if all(found):
                sides.append(" OR ".join(f"({condition})" for condition in found))
        for entry in self._entries(" AND ".join(f"({side})" for side in sides)):
            if span.contains(entry.key):
                yield entry

    def refetch(self, keys: Sequence[str]) -> Iterator[Entry]:
        """As `Store`."""
        wanted, n_columns = frozenset(keys), len(self.selection.key)
        positions = [position for key in keys if (position := position_of(key, n_columns)) is not None]
        if not positions:
            return
        for entry in self._entries(self.database.among(self.selection.table, self.selection.key, positions)):
            if entry.key in wanted:
                yield entry

    def _spanning(self, low: str | None, high: str | None) -> str:
        return self.database.spanning(self.selection.table, self.selection.key, low, high)

    def _entries(self, condition: str) -> Iterator[Entry]:
        if self._rows is None:
            table = self.selection.table
            self._rows = TableRows(table, self.columns, self.database.items, typed=False)
        rows, key_of, of_cells = self._rows, KeyOf.of(self.selection), self.form.of_cells
        for chunk in self.database.read(replace(self.selection, condition=condition), Part(0), None):
            keys = key_of.all(chunk.rows)
            for key, row in zip(keys, rows.rows(keys, chunk.rows, {}), strict=True):
                yield Entry(key, of_cells(row.cells))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None}
