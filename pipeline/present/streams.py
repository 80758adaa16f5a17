"""Streams of changes as they are at one time: what `firebeam streams` shows of them, as plain data."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.present.progress import duration
from pipeline.present.tables import Cell, Column, Row, Table, Tone
from transforms.ledger.jobs import RUNNING, Job
from transforms.ledger.streams import DEGRADED, FAILED, LIVE, PAUSED, STOPPED, SavedStream

_NO_VALUE = "–"
_TONES = {LIVE: Tone.GOOD, PAUSED: Tone.GOOD, DEGRADED: Tone.WARNING, FAILED: Tone.BAD, STOPPED: Tone.DIM}


@dataclass(frozen=True)
class ShownStream:
    """A stream, and how it is for whoever looks now.

    Attributes:
      stream: as its document has it.
      job: that it belongs to; None if the ledger has forgotten it.
      at: when it is looked at.
    """

    stream: SavedStream
    job: Job | None
    at: datetime.datetime

    @property
    def state(self) -> str:
        """Its state; one whose owner is dead is stopped, whatever it was when that wrote it last."""
        is_running = self.job is not None and self.job.state_at(self.at, self.stream.updated_at) == RUNNING
        return self.stream.state if is_running or self.stream.state == FAILED else STOPPED

    def as_dict(self) -> dict[str, Any]:
        """For a program: every field of the document, times as ISO 8601 in UTC."""
        fields = {name: value for name, value in self.stream.fields.items() if name != "write_id"}
        shown: dict[str, Any] = _plain({"id": self.stream.document_id, **fields, "state": self.state})
        return shown

    def as_table(self) -> Table:
        """For people, one stream in full."""
        stream, fields = self.stream, self.stream.fields
        rates, latency = fields["rates"], fields["latency"]
        of: list[Row] = [
            ("state", Cell(self.state, _TONES.get(self.state))),
            *([("reason", stream.reason)] if stream.reason else []),
            ("query", str(fields["query"])),
            ("sinks", ", ".join(fields["sinks"])),
            ("owner", str(stream.owner)),
            ("position", _position(stream)),
        ]
        counted: list[Row] = [(name, f"{stream.counts[name]:,}") for name in stream.counts]
        pace: list[Row] = [
            ("changes_per_min", f"{rates['changes_per_min']:,.0f}"),
            ("limit_per_min", _number(rates["limit_per_min"])),
            ("lag_s", _number(fields["lag_s"])),
            ("latency_p50_ms", _number(latency["p50_ms"])),
            ("latency_p99_ms", _number(latency["p99_ms"])),
            ("buffered", f"{fields['buffered']:,}"),
            ("backpressure_events", f"{fields['backpressure_events']:,}"),
            *(("tuned", text) for text in fields["optimizations_applied"]),
        ]
        past: list[Row] = [
            ("heartbeat", self.ago(fields["heartbeat_at"])),
            ("last change", self.ago(fields["last_change_at"])),
            *((name, f"{fields[name]:,}") for name in ("restarts", "reconnects", "compares")),
        ]
        if error := fields["last_error"]:
            past.append(("last error", f"{error['code']}: {error['message']} ({self.ago(error['at'])})"))
        sections = tuple(map(tuple, (of, counted, pace, past)))
        return Table(stream.document_id, (Column(), Column()), sections)

    def ago(self, time: datetime.datetime | None) -> str:
        """How long ago something was."""
        return _NO_VALUE if time is None else f"{duration(max(0.0, (self.at - time).total_seconds()))} ago"


def streams_table(database: str, streams: Sequence[ShownStream]) -> Table:
    """Several streams, a row for each."""
    columns = ("stream", "state", "read", "dead letters", "per min", "lag s", "p50 ms", "p99 ms", "last change")
    rows: list[Row] = []
    for each in streams:
        fields, counts = each.stream.fields, each.stream.counts
        rows.append(
            (
                Cell(each.stream.document_id, is_whole=True),
                Cell(each.state, _TONES.get(each.state)),
                f"{counts.get('read', 0):,}",
                f"{counts.get('dead_letter_count', 0):,}",
                f"{fields['rates']['changes_per_min']:,.0f}",
                _number(fields["lag_s"]),
                _number(fields["latency"]["p50_ms"]),
                _number(fields["latency"]["p99_ms"]),
                each.ago(fields["last_change_at"]),
            )
        )
    headings = tuple(Column(name, is_number=name not in ("stream", "state")) for name in columns)
    return Table(f"streams in {database}", headings, (tuple(rows),))


def _position(stream: SavedStream) -> str:
    position = stream.fields["position"]
    if position is None:
        return "none yet"
    us = position.get("read_time", position.get("to"))
    return f"{position['kind']} {datetime.datetime.fromtimestamp(us / 1e6, datetime.timezone.utc).isoformat()}"


def _number(value: float | None) -> str:
    return _NO_VALUE if value is None else f"{value:,.1f}"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
