"""What one run of an export of a table is about, fixed when it begins and kept by the ledger until it has ended.

before the first row ─▶ TableRun ─▶ ledger ─▶ the same for whoever resumes the run
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transforms.inputs.tables import position_of_text, text_of_position
from transforms.sql.database import Position, Snapshot

KEPT = "table_run"


@dataclass(frozen=True)
class TableRun:
    """What one run reads.

    Attributes:
      read_time: before the first row was read, by the server's clock.
      condition: of the rows that are read whole; empty for all.
      cursor: where the next incremental run begins; None for none.
      is_blind: whether transactions that may commit later were hidden when the cursor was taken.
      boundaries: of the ranges of keys.
    """

    read_time: datetime.datetime
    condition: str
    cursor: str | None
    is_blind: bool
    boundaries: tuple[Position, ...]

    @classmethod
    def beginning(cls, state: Snapshot, condition: str, boundaries: list[Position]) -> TableRun:
        """A run that begins with a state of the table."""
        return cls(state.read_time, condition, state.cursor, state.is_blind, tuple(boundaries))

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> TableRun:
        """From what the ledger keeps."""
        fields = kept[KEPT]
        cuts = (position_of_text(text) for text in fields["boundaries"])
        return cls(
            fields["read_time"],
            fields["condition"],
            fields["cursor"],
            fields["is_blind"],
            tuple(cut for cut in cuts if cut is not None),
        )

    def kept(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        fields = {
            "read_time": self.read_time,
            "condition": self.condition,
            "cursor": self.cursor,
            "is_blind": self.is_blind,
            "boundaries": [text_of_position(cut) for cut in self.boundaries],
        }
        return {KEPT: fields}
