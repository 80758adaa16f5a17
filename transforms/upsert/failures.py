"""Which unexpected errors of a batch are its records' own: see `transforms/unexpected.py`. Plain Python."""

from __future__ import annotations

from collections.abc import Sequence

from transforms.batch import Record
from transforms.unexpected import Unexpected


def unexpected_of(records: Sequence[Record], doing: str) -> Unexpected:
    """Counts the unexpected errors of a step of these records. Those out of dead letters may all fail alike again.

    Args:
      doing: as in `Unexpected`.
    """
    is_replay = any(record.failed_at is not None for record in records[:1])
    return Unexpected(doing, len(records), may_be_alike=is_replay)
