"""Streams as the ledger has them, without a ledger."""

from __future__ import annotations

import datetime

from transforms.ledger.owners import Owner
from transforms.ledger.streams import SavedStream
from transforms.listen.counters import CHANGES

AT = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)


def ago(seconds: float) -> datetime.datetime:
    """So many seconds before AT."""
    return AT - datetime.timedelta(seconds=seconds)


def saved_stream(
    stream_id: str = "users",
    state: str = "live",
    reason: str = "",
    *,
    job_id: str = "listen-1",
    heartbeat_s: float | None = 1,
    state_s: float = 100,
    owned_s: float = 1000,
    error_rate: float = 0.0,
    counts: dict[str, int] | None = None,
    **fields: object,
) -> SavedStream:
    """A stream that was heard of `heartbeat_s` before AT, in its state for `state_s`, owned for `owned_s`."""
    fields = {
        "since": ago(state_s),
        "heartbeat_at": None if heartbeat_s is None else ago(heartbeat_s),
        "rates": {"changes_per_min": 12.0, "limit_per_min": None, "error_rate_5m": error_rate},
        "latency": {"p50_ms": 4.0, "p99_ms": None},
        "lag_s": 0.5,
        "buffered": 3,
        "backpressure_events": 2,
        "optimizations_applied": ["batches of up to 300 changes"],
        "restarts": 0,
        "reconnects": 1,
        "compares": 1,
        **fields,
    }
    counts = {**dict.fromkeys(CHANGES.names, 0), **(counts or {})}
    return SavedStream(
        f"{job_id}:{stream_id}",
        job_id,
        1,
        stream_id,
        state,
        reason,
        None,
        Owner("host", 17),
        ago(owned_s),
        ago(1),
        counts,
        {},
        fields,
    )
