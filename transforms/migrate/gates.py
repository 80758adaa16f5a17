"""Whether a migration may go one phase further: gates, each with what was found and what to do. Pure.

verified    each pair of container and collection was verified equal within 24 hours
job         the repairing job of each pair is running
lag         … and not behind
pending     no write is in one store alone
dead_letters   none that another try may store
success     of 24 hours' dual writes both stores accepted 99.9 %
copy        no copy is running: it goes by the versions of Cosmos DB, whichever store is primary
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from transforms.ledger.migrations import SavedPair, Writes
from transforms.ledger.owners import STALE_AFTER_S
from transforms.migrate.phases import Phase

VERIFIED_WITHIN = datetime.timedelta(hours=24)
MIN_SUCCESS = 0.999


@dataclass(frozen=True)
class Gate:
    """One condition.

    Attributes:
      name: of the condition.
      pair: that it is about; empty for all.
      is_open: whether it holds.
      found: what was found.
      fix: what to do if it does not hold.
    """

    name: str
    pair: str
    is_open: bool
    found: str
    fix: str


@dataclass(frozen=True)
class Facts:
    """What gates are decided by.

    Attributes:
      migration: its name.
      phase: that holds now.
      pairs: of the migration.
      writes: of the last 24 hours, by pair.
      now: by the clock of who asks.
      copies: ids of the jobs that copy just now.
    """

    migration: str
    phase: Phase
    pairs: Sequence[SavedPair]
    writes: Mapping[str, Writes]
    now: datetime.datetime
    copies: Sequence[str] = ()


def gates(facts: Facts, max_lag_s: float) -> list[Gate]:
    """All gates of a step forward."""
    if not facts.pairs:
        fix = f"run firebeam migrate --migration={facts.migration} --mode=follow for each pair"
        return [Gate("job", "", False, "no pair of a container and a collection is known", fix)]
    copies = [Gate("copy", "", False, f"{job_id} copies", "wait until it has ended") for job_id in facts.copies]
    return [*copies, *(gate for pair in facts.pairs for gate in _of_pair(facts, pair, max_lag_s))]


def failing(found: Sequence[Gate]) -> list[Gate]:
    """Those that do not hold: one per gate and pair; of a pair without a job only that."""
    closed = [gate for gate in found if not gate.is_open]
    dead = {gate.pair for gate in closed if gate.name == "job"}
    return [gate for gate in closed if gate.name == "job" or gate.name == "verified" or gate.pair not in dead]


def caught_up(facts: Facts, since: datetime.datetime) -> list[Gate]:
    """The gates of a way back from Firestore as the primary: what it has is in Cosmos DB.

    Args:
      since: everything that Firestore accepted until then has to be there.
    """
    return [gate for pair in facts.pairs for gate in (_job(facts, pair), _pending(pair), _drained(pair, since))]


def is_alive(pair: SavedPair, now: datetime.datetime) -> bool:
    """Whether the repairing job of a pair was heard of within a minute."""
    return pair.heartbeat_at is not None and (now - pair.heartbeat_at).total_seconds() < STALE_AFTER_S


def _of_pair(facts: Facts, pair: SavedPair, max_lag_s: float) -> list[Gate]:
    made: list[Callable[[], Gate]] = [
        lambda: _verified(facts, pair),
        lambda: _job(facts, pair),
        lambda: _lag(pair, max_lag_s),
        lambda: _pending(pair),
        lambda: _dead_letters(facts, pair),
    ]
    if len(facts.phase.writes) > 1:
        made.append(lambda: _success(facts, pair))
    return [make() for make in made]


def _verified(facts: Facts, pair: SavedPair) -> Gate:
    at = pair.verified_at
    is_recent = at is not None and facts.now - at <= VERIFIED_WITHIN
    if at is None:
        found = "never verified"
    elif not pair.verified_equal:
        found = f"the verify of {at:%Y-%m-%d %H:%M} UTC found differences"
    else:
        found = f"verified equal {at:%Y-%m-%d %H:%M} UTC"
    places = f"--left={pair.container} --right={pair.collection}" if pair.container else f"for {pair.name}"
    fix = f"run firebeam verify --migration={facts.migration} {places}; it must be equal within 24 h"
    return Gate("verified", pair.name, is_recent and bool(pair.verified_equal), found, fix)


def _job(facts: Facts, pair: SavedPair) -> Gate:
    is_open = is_alive(pair, facts.now)
    found = "running" if is_open else "not running" if pair.heartbeat_at else "never ran"
    fix = f"run firebeam migrate --migration={facts.migration} --mode=follow for {pair.name}, and leave it running"
    return Gate("job", pair.name, is_open, found, fix)


def _lag(pair: SavedPair, max_lag_s: float) -> Gate:
    is_open = pair.lag_s is not None and pair.lag_s <= max_lag_s
    found = "unknown" if pair.lag_s is None else f"{pair.lag_s:.1f} s"
    fix = f"wait until the repairing job of {pair.name} is at most {max_lag_s:g} s behind"
    return Gate("lag", pair.name, is_open, found, fix)


def _pending(pair: SavedPair) -> Gate:
    found = "unknown" if pair.pending is None else f"{pair.pending:,}"
    fix = f"wait until the repairing job has carried over the pending writes of {pair.name}; both stores must be up"
    return Gate("pending", pair.name, pair.pending == 0, found, fix)


def _dead_letters(facts: Facts, pair: SavedPair) -> Gate:
    found = "unknown" if pair.dead_letters is None else f"{pair.dead_letters:,} retryable"
    return Gate("dead_letters", pair.name, pair.dead_letters == 0, found, f"replay the dead letters of {pair.name}")


def _success(facts: Facts, pair: SavedPair) -> Gate:
    writes = facts.writes.get(pair.name, Writes(0, 0))
    share = writes.share
    found = "no dual writes in 24 h" if share is None else f"{share:.3%} of {writes.total:,}"
    fix = f"both stores must accept {MIN_SUCCESS:.1%} of dual writes for 24 h; the application's log says what failed"
    return Gate("success", pair.name, share is not None and share >= MIN_SUCCESS, found, fix)


def _drained(pair: SavedPair, since: datetime.datetime) -> Gate:
    read_to = pair.read_to.get("firestore")
    found = "unknown" if read_to is None else f"up to {read_to:%H:%M:%S} UTC"
    fix = f"Cosmos DB may lack changes of {pair.name}; see why the repairing job is behind, and try again"
    return Gate("caught up", pair.name, read_to is not None and read_to >= since, found, fix)
