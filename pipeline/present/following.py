"""How a job that follows a migration's primary is, in a line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transforms.dual.repairs import COPIED, RETURNED

NAMES = {"cosmos": "Cosmos DB → Firestore", "firestore": "Firestore → Cosmos DB", "": "nothing is followed"}


def follow_line(phase: str, status: Mapping[str, Any]) -> str:
    """One line for people.

    >>> follow_line("dual_write", {"direction": "cosmos", "counts": {"copied to the other store": 1200}, "pending": 2,
    ...     "latency": {"p50_ms": 420.0, "p99_ms": 900.5}, "lag_s": 0.0, "waits": ""})
    'dual_write: Cosmos DB → Firestore, 1,200 repaired, 2 pending, lag p50 420 ms, p99 900 ms'
    """
    counts, latency = status["counts"], status["latency"]
    repaired = counts.get(COPIED, 0) + counts.get(RETURNED, 0)
    parts = [NAMES[status["direction"]], f"{repaired:,} repaired", f"{status['pending']:,} pending"]
    if dead := counts.get("lost", 0) + counts.get("refused", 0) + counts.get("unreadable", 0):
        parts.append(f"{dead:,} dead letters")
    if latency["p50_ms"] is not None:
        parts.append(f"lag p50 {latency['p50_ms']:,.0f} ms, p99 {latency['p99_ms']:,.0f} ms")
    behind = status["lag_s"]
    if behind is not None and behind >= 1:
        parts.append(f"{behind:,.0f} s behind")
    line = f"{phase}: {', '.join(parts)}"
    return f"{line}; waiting: {status['waits']}" if status["waits"] else line
