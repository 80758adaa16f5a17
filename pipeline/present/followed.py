"""A migration's pair that is followed, as it is at one time: what `firebeam status` shows of it, as plain data."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.present.following import NAMES, follow_line
from pipeline.present.progress import duration
from pipeline.present.tables import Cell, Column, Row, Table, Tone
from transforms.dual.repairs import COPIED, RETURNED
from transforms.ledger.jobs import INTERRUPTED, RUNNING
from transforms.ledger.migrations import SavedPair
from transforms.ledger.owners import Owner, is_alive
from transforms.ledger.stored_fields import OWNER, misfit
from transforms.ledger.streams import STOPPED
from transforms.migrate.phases import State

FOLLOW = "follow"
_NO_VALUE = "–"
_TONES = {RUNNING: Tone.GOOD, INTERRUPTED: Tone.BAD, STOPPED: Tone.DIM}
_REFUSED = ("lost", "refused", "unreadable", "rows_refused")


@dataclass(frozen=True)
class ShownFollow:
    """A pair, and how it is for whoever looks now.

    Attributes:
      migration: its name.
      saved: the migration.
      pair: as its document has it.
      at: when it is looked at.
    """

    migration: str
    saved: State
    pair: SavedPair
    at: datetime.datetime

    @property
    def id(self) -> str:
        """What `firebeam status` calls it; no job has a slash in its id."""
        return f"{self.migration}/{self.pair.name}"

    @property
    def state(self) -> str:
        """Its state: of a process that has ended without saying so, interrupted."""
        owner, heartbeat_at = self._owner, self.pair.heartbeat_at
        if self.pair.owner is None or owner is None:
            return STOPPED
        since = self.pair.owner["since"]
        return RUNNING if is_alive(owner, since, heartbeat_at or since, self.at) else INTERRUPTED

    @property
    def phase(self) -> str:
        """The migration's, with the change that is under way."""
        phase, change = self.saved.phase_at(self.at).name, self.saved.change
        return phase if change is None else f"{phase} (changing to {change.to})"

    @property
    def read_to(self) -> datetime.datetime | None:
        """Up to when the changes of the primary that it follows are applied."""
        return self.pair.read_to.get(self.pair.direction)

    @property
    def lag_s(self) -> float | None:
        """How far it is behind; of one that does not run, how old its position is."""
        return self.pair.lag_s if self.state == RUNNING else self.position_age_s

    @property
    def position_age_s(self) -> float | None:
        """How long ago its position was; None if there is none."""
        return None if self.read_to is None else max(0.0, (self.at - self.read_to).total_seconds())

    @property
    def repaired(self) -> int:
        """How many records it has brought to the other store since it began."""
        return self.pair.counts.get(COPIED, 0) + self.pair.counts.get(RETURNED, 0)

    @property
    def refused(self) -> int:
        """How many dead letters it has made since it began."""
        return sum(self.pair.counts.get(name, 0) for name in _REFUSED)

    @property
    def line(self) -> str:
        """In a line, as the job itself says it."""
        pair = self.pair
        return follow_line(
            self.phase,
            {
                "counts": pair.counts,
                "latency": {"p50_ms": None, "p99_ms": None, **pair.latency},
                "direction": pair.direction,
                "pending": pair.pending or 0,
                "lag_s": self.lag_s,
                "waits": pair.waits if self.state == RUNNING else "",
            },
        )

    def as_dict(self) -> dict[str, Any]:
        """For a program; times are ISO 8601 in UTC. The first names are those of jobs."""
        pair = self.pair
        return {
            "job_id": self.id,
            "job": FOLLOW,
            "state": self.state,
            "owner": None if self._owner is None else {"host": self._owner.host, "pid": self._owner.pid},
            "started_at": None if self._owner is None or pair.owner is None else _iso(pair.owner["since"]),
            "heartbeat_at": _iso(pair.heartbeat_at),
            "migration": self.migration,
            "pair": pair.name,
            "container": pair.container,
            "collection": pair.collection,
            "phase": self.saved.phase_at(self.at).name,
            "changes_to": None if self.saved.change is None else self.saved.change.to,
            "direction": pair.direction,
            "waits": pair.waits,
            "lag_s": None if self.lag_s is None else round(self.lag_s, 3),
            "latency": dict(pair.latency),
            "read_to": {store: _iso(time) for store, time in pair.read_to.items()},
            "position_age_s": None if self.position_age_s is None else round(self.position_age_s, 3),
            "pending": pair.pending,
            "counts": dict(pair.counts),
            "line": self.line,
        }

    def as_row(self) -> dict[str, Any]:
        """For the page that lists several."""
        return {
            "id": self.id,
            "state": self.state,
            "phase": self.phase,
            "direction": NAMES[self.pair.direction],
            "lag_s": self.lag_s,
            "position_age_s": self.position_age_s,
            "repaired": self.repaired,
            "pending": self.pair.pending,
            "dead_letters": self.refused,
            "rows": self.pair.counts.get("rows", 0),
            "waits": self.pair.waits if self.state == RUNNING else "",
        }

    def as_table(self) -> Table:
        """For people, in full."""
        pair = self.pair
        of: list[Row] = [
            ("follows", f"{pair.container} and {pair.collection}"),
            ("phase", self.phase),
            ("direction", NAMES[pair.direction]),
            ("owner", Cell(_NO_VALUE if self._owner is None else str(self._owner), is_whole=True)),
            ("last seen", self._ago(pair.heartbeat_at)),
        ]
        if pair.waits and self.state == RUNNING:
            of.append((Cell("waits", Tone.WARNING), Cell(pair.waits, Tone.WARNING)))
        pace: list[Row] = [
            ("lag", _seconds(self.lag_s)),
            ("latency p50, p99", f"{_ms(pair.latency.get('p50_ms'))}, {_ms(pair.latency.get('p99_ms'))}"),
            *((f"position in {store}", self._ago(time)) for store, time in sorted(pair.read_to.items())),
            ("pending", _NO_VALUE if pair.pending is None else f"{pair.pending:,}"),
        ]
        counted: list[Row] = [(name, f"{n:,}") for name, n in sorted(pair.counts.items()) if n]
        title = f"{self.id}: {self.state}"
        return Table(title, (Column(), Column()), (tuple(of), tuple(pace), tuple(counted)))

    @property
    def _owner(self) -> Owner | None:
        owner = self.pair.owner
        return None if owner is None or misfit(owner, OWNER) else Owner(owner["host"], owner["pid"])

    def _ago(self, time: datetime.datetime | None) -> str:
        return _NO_VALUE if time is None else f"{duration(max(0.0, (self.at - time).total_seconds()))} ago"


def followed_table(database: str, found: Sequence[ShownFollow]) -> Table:
    """Several, a row for each."""
    numbers = ("lag", "position", "repaired", "pending", "dead letters", "rows")
    columns = ("followed", "state", "phase", "direction", *numbers)
    rows = tuple(
        (
            Cell(each.id, is_whole=True),
            Cell(each.state, _TONES.get(each.state)),
            each.phase,
            NAMES[each.pair.direction],
            _seconds(each.lag_s),
            _NO_VALUE if each.position_age_s is None else f"{duration(each.position_age_s)} ago",
            f"{each.repaired:,}",
            _NO_VALUE if each.pair.pending is None else f"{each.pair.pending:,}",
            f"{each.refused:,}",
            f"{each.pair.counts.get('rows', 0):,}",
        )
        for each in found
    )
    return Table(
        f"migrations followed in {database}", tuple(Column(name, name in numbers) for name in columns), (rows,)
    )


def _seconds(value: float | None) -> str:
    return _NO_VALUE if value is None else f"{value:,.1f} s"


def _ms(value: float | None) -> str:
    return _NO_VALUE if value is None else f"{value:,.0f} ms"


def _iso(time: datetime.datetime | None) -> str | None:
    return None if time is None else time.astimezone(datetime.timezone.utc).isoformat()
