"""Outcomes and totals of jobs that move records, as tests write them down: counters by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from transforms.ledger.totals import Totals
from transforms.outcomes import RECORDS, BatchOutcome


def outcome(
    batch_id: str,
    source: str,
    read: int,
    written: int,
    *,
    dead_letters: Mapping[tuple[str, str], int] | None = None,
    overflowed_by: Mapping[str, int] | None = None,
    ids: tuple[str, ...] = (),
    **counts: int,
) -> BatchOutcome:
    """What became of a batch."""
    dead_letters = dead_letters or {}
    numbers = {"read": read, "written": written, "dead_letter_count": sum(dead_letters.values()), **counts}
    by_field = {(name,): n for name, n in (overflowed_by or {}).items()}
    return BatchOutcome(batch_id, source, numbers, {"dead_letters": dead_letters, "overflowed_by": by_field}, ids)


def record_totals(
    batches: int = 0,
    processing: int = 0,
    failed: int = 0,
    *,
    dead_letters: Mapping[tuple[str, str], int] | None = None,
    overflowed_by: Mapping[str, int] | None = None,
    first_completed_at: Any = None,
    newest_ids: tuple[str, ...] = (),
    recent: tuple[Any, ...] = (),
    **counts: int,
) -> Totals:
    """Totals of a job."""
    by_field = Counter({(name,): n for name, n in (overflowed_by or {}).items()})
    kinds = {"dead_letters": Counter(dead_letters or {}), "overflowed_by": by_field}
    numbers = Counter({**RECORDS.counts_in({}), **counts})
    return Totals(RECORDS, batches, processing, failed, numbers, kinds, first_completed_at, newest_ids, recent)
