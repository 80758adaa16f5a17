"""How well streams do: each of them, and all together, from what the ledger knows. Plain Python.

    state of a stream                                     status
    ─────────────────────────────────────────────────────────────────────────────────────────
    starting, comparing, catching up, live, paused        healthy
    reconnecting                                          healthy; unhealthy after silence_s
    degraded                                              degraded: it goes on, deletes are missing
    failed, stopped                                       unhealthy
    any, without a heartbeat for silence_s                unhealthy
    any, too many of its changes refused                  unhealthy

A heartbeat is what the service or the listener says, not what changes: a collection may be quiet for days. All streams
together are `healthy` if each is, `unhealthy` if none goes on, else `partial`. Streams that were stopped do not count
while others go on: that is how a run with --once ends.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transforms.ledger.streams import DEGRADED, FAILED, RECONNECTING, STOPPED, SavedStream

_NOT_ACTIVE = (RECONNECTING, FAILED, STOPPED)


class Status(enum.Enum):
    """Of one stream, or of all: these have no DEGRADED, but PARTIAL."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    PARTIAL = "partial"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True)
class HealthLimits:
    """When a stream is not healthy any more.

    Attributes:
      silence_s: seconds without a heartbeat, or without a connection.
      max_error_rate: share of the changes of the last five minutes that may be refused.
    """

    silence_s: float = 600.0
    max_error_rate: float = 1.0


@dataclass(frozen=True)
class StreamHealth:
    """How one stream is.

    Attributes:
      stream: as the ledger has it.
      status: HEALTHY, DEGRADED or UNHEALTHY.
      reason: of a status that is not HEALTHY.
      heartbeat_age_s: since it was heard of; None if it never was.
    """

    stream: SavedStream
    status: Status
    reason: str
    heartbeat_age_s: float | None

    @property
    def is_active(self) -> bool:
        """Whether it is listening, comparing, or only waits for its turn."""
        return self.stream.state not in _NOT_ACTIVE and self.status is not Status.UNHEALTHY

    def as_dict(self) -> dict[str, Any]:
        """For a program; times are ISO 8601 in UTC."""
        fields = self.stream.fields
        rates: Mapping[str, Any] = fields["rates"]
        return {
            "status": self.status.value,
            "state": self.stream.state,
            "reason": self.reason or self.stream.reason,
            "since": fields["since"].isoformat(),
            "heartbeat_age_s": _rounded(self.heartbeat_age_s),
            "lag_s": _rounded(fields["lag_s"]),
            "changes_per_min": rates["changes_per_min"],
            "error_rate_5m": round(rates["error_rate_5m"], 4),
            "buffered": fields["buffered"],
            "optimizations_applied": list(fields["optimizations_applied"]),
        }


@dataclass(frozen=True)
class Health:
    """How streams are, together.

    Attributes:
      streams: one after the other.
      at: when that was.
    """

    streams: tuple[StreamHealth, ...]
    at: datetime.datetime

    @property
    def overall(self) -> Status:
        """HEALTHY, PARTIAL or UNHEALTHY."""
        found = {each.status for each in self._counted()}
        if found <= {Status.UNHEALTHY}:
            return Status.UNHEALTHY
        return Status.HEALTHY if found == {Status.HEALTHY} else Status.PARTIAL

    @property
    def n_active(self) -> int:
        """How many are listening."""
        return sum(each.is_active for each in self.streams)

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        return {
            "overall_status": self.overall.value,
            "active_streams": self.n_active,
            "total_streams": len(self.streams),
            "stream_health": {_name(each.stream, self.streams): each.as_dict() for each in self.streams},
            "checked_at": self.at.isoformat(),
        }

    def _counted(self) -> list[StreamHealth]:
        return [each for each in self.streams if each.stream.state != STOPPED] or list(self.streams)


def health_of(streams: Sequence[SavedStream], at: datetime.datetime, limits: HealthLimits) -> Health:
    """How streams are at a time."""
    return Health(tuple(_health_of(stream, at, limits) for stream in streams), at)


def _health_of(stream: SavedStream, at: datetime.datetime, limits: HealthLimits) -> StreamHealth:
    heartbeat_at: datetime.datetime | None = stream.fields["heartbeat_at"]
    age_s = None if heartbeat_at is None else _seconds(heartbeat_at, at)
    status, reason = _status(stream, at, limits)
    return StreamHealth(stream, status, reason, age_s)


def _status(stream: SavedStream, at: datetime.datetime, limits: HealthLimits) -> tuple[Status, str]:
    """Status and reason of a stream; the first of the rules that applies."""
    fields = stream.fields
    # Of a run that has just begun, the heartbeat is still that of the run before.
    heard_at = max(fields["heartbeat_at"] or stream.owned_since, stream.owned_since)
    silent_s, in_state_s = _seconds(heard_at, at), _seconds(fields["since"], at)
    error_rate = float(fields["rates"]["error_rate_5m"])
    if stream.state == FAILED:
        return Status.UNHEALTHY, stream.reason or "it failed"
    if stream.state == STOPPED:
        return Status.UNHEALTHY, "nobody listens; run the same `firebeam listen` again"
    if silent_s > limits.silence_s:
        return Status.UNHEALTHY, f"no heartbeat for {silent_s:,.0f} s; its process may be gone or stuck"
    if stream.state == RECONNECTING and in_state_s > limits.silence_s:
        return Status.UNHEALTHY, f"not connected for {in_state_s:,.0f} s: {stream.reason}"
    if error_rate > limits.max_error_rate:
        refused = f"{error_rate:.1%} of its changes in the last five minutes became dead letters"
        return Status.UNHEALTHY, f"{refused}, more than {limits.max_error_rate:.1%}".replace("%", " %")
    if stream.state == DEGRADED:
        return Status.DEGRADED, stream.reason
    return Status.HEALTHY, ""


def _name(stream: SavedStream, among: Sequence[StreamHealth]) -> str:
    """Its id; that of its document where streams of several jobs are shown."""
    return stream.stream_id if len({each.stream.job_id for each in among}) == 1 else stream.document_id


def _seconds(since: datetime.datetime, at: datetime.datetime) -> float:
    return max(0.0, (at - since).total_seconds())


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
