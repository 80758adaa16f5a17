"""Where the rows of one batch stand in streams of the Storage Write API, as text that a ledger keeps. No Beam.

BigQuery takes an append at an offset only if the stream ends just there, so rows can be identified by where they stand:

    rows of the batch    0  1  2  3  4  5  6  7          row 2 is rejected
    good rows            0  1     2  3  4  5  6
    in ended streams     ────────────┘                   `written` = 3: they are in the table
    in `name`                        0  1  2  3          offsets

Which row an offset is of depends on the rows rejected before, and BigQuery may not say so again when the batch is done
again. So the rejected rows are kept with the stream, before any row behind them is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from transforms.bigquery.inserter import Rejected


@dataclass
class StreamPosition:
    """How far a batch has got.

    Attributes:
      name: resource name of the stream that takes the next rows.
      written: good rows that ended streams hold.
      rejected: by index in the batch.
    """

    name: str
    written: int
    rejected: dict[int, Rejected]

    @classmethod
    def parse(cls, text: str) -> StreamPosition:
        """What `text` said; a bare name is a new stream.

        >>> position = StreamPosition.parse("projects/p/datasets/d/tables/t/streams/s")
        >>> position.rejected[7] = Rejected(7, "FIELDS_ERROR", "column age: too large")
        >>> StreamPosition.parse(position.text) == position
        True
        """
        name, _, rest = text.partition(" ")
        kept = orjson.loads(rest) if rest else {}
        rejected = [
            Rejected(index, code, message) for code, message, indices in kept.get("rejected", ()) for index in indices
        ]
        return cls(name, kept.get("written", 0), {row.index: row for row in rejected})

    @property
    def text(self) -> str:
        """All of it; rows that are rejected alike share their reason."""
        if not self.written and not self.rejected:
            return self.name
        alike: dict[tuple[str, str], list[int]] = {}
        for _, row in sorted(self.rejected.items()):
            alike.setdefault((row.code, row.message), []).append(row.index)
        rejected = [[*reason, indices] for reason, indices in alike.items()]
        return f"{self.name} {orjson.dumps({'written': self.written, 'rejected': rejected}).decode()}"


class BatchStream:
    """The stream of one batch while it is written.

    Attributes:
      acknowledged: rows of the stream that this call has seen accepted.
    """

    def __init__(self, text: str, keep: Callable[[str], None]):
        self.position = StreamPosition.parse(text)
        self.acknowledged = 0
        self._keep, self._kept = keep, text

    def keep_changes(self) -> None:
        """Has the position kept, unless it is the one that was kept last."""
        if (text := self.position.text) != self._kept:
            self._keep(text)
            self._kept = text
