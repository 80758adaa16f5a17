"""A migration as it is at one time: what `firebeam phase` shows of it, as plain data."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from pipeline.present.progress import duration
from pipeline.present.tables import Cell, Column, Row, Table, Tone
from transforms.ledger.migrations import SavedPair, Writes
from transforms.migrate.gates import Facts, Gate, is_alive
from transforms.migrate.phases import State

_NO_VALUE = "–"


def phase_line(facts: Facts, state: State) -> str:
    """Phase, primary, and a change that is under way."""
    line = f"migration {facts.migration}: {facts.phase.name}, {facts.phase.primary} is the primary"
    return line if state.change is None else f"{line}; the change to {state.change.to} {_change(facts, state)}"


def pairs_table(facts: Facts) -> Table:
    """A row per pair of container and collection."""
    columns = (
        Column("pair"),
        Column("repairing job"),
        Column("lag", is_number=True),
        Column("last verify"),
        Column("dual writes, 24 h"),
        Column("pending", is_number=True),
        Column("dead letters", is_number=True),
    )
    return Table("", columns, (tuple(_row(facts, pair) for pair in facts.pairs),))


def gates_table(found: Sequence[Gate]) -> Table:
    """Gates that do not hold, with what to do about each."""
    rows = tuple(
        (Cell(f"{gate.name} {gate.pair}".strip(), Tone.BAD), gate.found, gate.fix) for gate in found if not gate.is_open
    )
    return Table("what keeps the phase from changing", (Column("gate"), Column("found"), Column("fix")), (rows,))


def as_dict(facts: Facts, state: State, found: Sequence[Gate]) -> dict[str, Any]:
    """For a program; times as ISO 8601 in UTC."""
    change = state.change
    return {
        "migration": facts.migration,
        "phase": facts.phase.name,
        "primary": facts.phase.primary,
        "change": None
        if change is None
        else {
            "to": change.to,
            "announced_at": _iso(change.announced_at),
            "effective_at": _iso(change.effective_at),
        },
        "pairs": [_pair(facts, pair) for pair in facts.pairs],
        "gates": [
            {"name": gate.name, "pair": gate.pair, "open": gate.is_open, "found": gate.found, "fix": gate.fix}
            for gate in found
        ],
    }


def _change(facts: Facts, state: State) -> str:
    change = state.change
    assert change is not None, "asked only for a change"
    if facts.now < change.effective_at:
        return f"takes effect in {duration((change.effective_at - facts.now).total_seconds())}"
    return "is in effect, and finished when the repairing job has applied the old primary's changes"


def _row(facts: Facts, pair: SavedPair) -> Row:
    writes = facts.writes.get(pair.name, Writes(0, 0))
    alive = is_alive(pair, facts.now)
    verified = _NO_VALUE
    if pair.verified_at is not None:
        word = "equal" if pair.verified_equal else "different"
        verified = f"{word}, {duration(max(0.0, (facts.now - pair.verified_at).total_seconds()))} ago"
    return (
        pair.name,
        Cell("running" if alive else "not running", Tone.GOOD if alive else Tone.BAD),
        _NO_VALUE if pair.lag_s is None else f"{pair.lag_s:.1f} s",
        verified,
        _NO_VALUE if writes.share is None else f"{writes.share:.3%} of {writes.total:,}",
        _number(pair.pending),
        _number(pair.dead_letters),
    )


def _pair(facts: Facts, pair: SavedPair) -> dict[str, Any]:
    writes = facts.writes.get(pair.name, Writes(0, 0))
    return {
        "pair": pair.name,
        "container": pair.container,
        "collection": pair.collection,
        "job_running": is_alive(pair, facts.now),
        "lag_s": pair.lag_s,
        "verified_at": _iso(pair.verified_at),
        "verified_equal": pair.verified_equal,
        "dual_writes": writes.total,
        "dual_writes_success": writes.success,
        "pending": pair.pending,
        "dead_letters": pair.dead_letters,
    }


def _number(number: int | None) -> str:
    return _NO_VALUE if number is None else f"{number:,}"


def _iso(time: datetime.datetime | None) -> str | None:
    return None if time is None else time.astimezone(datetime.timezone.utc).isoformat()
