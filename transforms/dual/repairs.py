"""What the repairing job does with a change, a pending write and a tombstone, as requests one after the other. Pure.

    repair   a version that the feed of one store gave ──▶ the other store, unless that has a newer one
    carry    a write that one store alone accepted     ──▶ the primary, unless that has a later one
    forget   a tombstone that both stores hold, once no older write can be under way

A write that loses against a later one is named in the answer, for a dead letter: it was acknowledged.
"""

from __future__ import annotations

from dataclasses import dataclass

from transforms.dual.protocol import MAX_ROUNDS, Steps
from transforms.dual.rules import RULES, Rules, View
from transforms.dual.stored import (
    STORES,
    Draft,
    Failed,
    Found,
    Read,
    Remove,
    Stored,
    Write,
    Written,
    other,
)

NOTHING, COPIED, RETURNED, UNMARKED, FORGOTTEN, CONTENDED = (
    "nothing to do",
    "copied to the other store",
    "the other store's copied back",
    "mark removed",
    "removed",
    "others changed it all the time",
)


@dataclass(frozen=True)
class Repaired:
    """What was done.

    Attributes:
      done: one of the words above.
      superseded: a pending write that lost.
      failed: what a store answered; the change has to be repaired again.
    """

    done: str
    superseded: Stored | None = None
    failed: Failed | None = None


class _Stop(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, failed: Failed):
        self.failed = failed


def repair(source: str, change: Stored, view: View, rules: Rules = RULES) -> Steps[Repaired]:
    """Brings what the feed of a store gave to the other store.

    Args:
      change: as the feed gave it, with content; it may be outdated.
      view: by_stamp from the moment that a change of the primary takes effect until it is finished; until then the
        primary's versions decide, and source is the primary.
    """
    try:
        for _ in range(MAX_ROUNDS):
            done = yield from _repair_once(source, change, view, rules)
            if done is not None:
                return done
    except _Stop as stop:
        return Repaired(NOTHING, failed=stop.failed)
    return Repaired(CONTENDED, failed=Failed(CONTENDED))


def _repair_once(source: str, change: Stored, view: View, rules: Rules) -> Steps[Repaired | None]:
    """One attempt; None if somebody else wrote meanwhile."""
    target = other(source)
    existing = yield from _read(target)
    superseded = None
    if existing is None:
        pass
    elif existing.is_same_write(change):
        is_marked = existing.is_pending or change.is_pending
        return (yield from _unmark(source, target, existing)) if is_marked else Repaired(NOTHING)
    elif rules.by_stamp(view):
        if _order(change) <= _order(existing):
            current = yield from _read(source)
            if current is None or _order(current) >= _order(existing):
                return Repaired(NOTHING)
            # Nobody else brings the winner to the store of the loser.
            return (yield from _write(source, existing.as_copy(), current, Repaired(RETURNED)))
    elif existing.is_pending:
        if change.stamp <= existing.stamp:
            return Repaired(NOTHING)  # `carry` brings it to the primary
        superseded = existing
    elif existing.copied is not None:
        is_newer = existing.copied.is_newer_than(change.version)
        if is_newer:
            return Repaired(NOTHING)
        if is_newer is None:  # of one second of Cosmos DB: only the source knows
            current = yield from _read(source)
            if current is None:
                return Repaired(NOTHING)
            if current.is_same_write(existing):
                return (yield from _unmark(source, target, existing))
            change = current
    done = yield from _write(target, change.as_copy(), existing, Repaired(COPIED, superseded))
    if done is not None and change.is_pending:
        # A source that somebody changed meanwhile gives its change later.
        yield from _write(source, change.without_mark(None), change, done)
    return done


def resolve(store: str, view: View, rules: Rules = RULES) -> Steps[Repaired]:
    """What becomes of a pending write of any store: one of the primary is repaired, one of the other carried over."""
    if store == view.primary and not rules.by_stamp(view):
        pending = yield Read(store, needs_content=True)
        if isinstance(pending, Found) and pending.stored is not None and pending.stored.is_pending:
            return (yield from repair(store, pending.stored, view, rules))
        return Repaired(NOTHING, failed=pending if isinstance(pending, Failed) else None)
    return (yield from carry(store, view, rules))


def carry(store: str, view: View, rules: Rules = RULES) -> Steps[Repaired]:
    """Brings a pending write of a store to the primary, or takes the primary's if that is later.

    Args:
      store: that has the pending write; the other one is taken to be the primary.
    """
    primary = other(store)
    try:
        for _ in range(MAX_ROUNDS):
            pending = yield from _read(store)
            if pending is None or not pending.is_pending:
                return Repaired(NOTHING)
            current = yield from _read(primary)
            if current is not None and current.is_same_write(pending):
                done = yield from _write(store, pending.without_mark(current.version), pending, Repaired(UNMARKED))
            elif current is None or current.version == pending.copied or pending.stamp > current.stamp:
                done = yield from _carry_over(store, primary, pending, current)
            else:
                done = yield from _write(store, current.as_copy(), pending, Repaired(RETURNED, superseded=pending))
            if done is not None:
                return done
    except _Stop as stop:
        return Repaired(NOTHING, failed=stop.failed)
    return Repaired(CONTENDED, failed=Failed(CONTENDED))


def _carry_over(store: str, primary: str, pending: Stored, current: Stored | None) -> Steps[Repaired | None]:
    answer = yield Write(primary, Draft(pending.content, pending.stamp), current)
    if isinstance(answer, Failed):
        raise _Stop(answer)
    if not isinstance(answer, Written):
        return None
    # Somebody who wrote the store meanwhile has decided about the mark; a crash here leaves it to the next time.
    answer = yield Write(store, pending.without_mark(answer.version), pending)
    if isinstance(answer, Failed):
        raise _Stop(answer)
    return Repaired(COPIED)


def forget(view: View, now: int, older_writes_end_s: float, rules: Rules = RULES) -> Steps[Repaired]:
    """Removes a tombstone that both stores hold. Call it only while no page of a feed is waiting to be applied.

    Args:
      now: microseconds since the epoch.
      older_writes_end_s: how long after its stamp a write may still reach a store, and a page of a feed be applied.
    """
    if view.by_stamp:
        return Repaired(NOTHING)
    try:
        held = {}
        for store in STORES:
            stored = yield from _read(store)
            if stored is not None:
                held[store] = stored
        in_primary = held.get(view.primary)
        if in_primary is None or not all(
            each.is_tombstone
            and not each.is_pending
            and each.stamp == in_primary.stamp
            and rules.may_forget(each, now, older_writes_end_s)
            for each in held.values()
        ):
            return Repaired(NOTHING)
        # The primary's last: after a crash in between it alone says that there is something to remove.
        for store in (other(view.primary), view.primary):
            if store in held and not (yield from _remove(store, held[store])):
                return Repaired(NOTHING)
    except _Stop as stop:
        return Repaired(NOTHING, failed=stop.failed)
    return Repaired(FORGOTTEN)


def _remove(store: str, tombstone: Stored) -> Steps[bool]:
    answer = yield Remove(store, tombstone)
    if isinstance(answer, Failed):
        raise _Stop(answer)
    return isinstance(answer, Written)


def _unmark(source: str, target: str, existing: Stored) -> Steps[Repaired | None]:
    """Both stores have the write: nothing is pending any more."""
    current = yield from _read(source)
    if current is None or not current.is_same_write(existing):
        return Repaired(NOTHING)  # a later change of the source is on its way
    if existing.is_pending:
        return (yield from _write(target, existing.without_mark(current.version), existing, Repaired(UNMARKED)))
    if current.is_pending:
        return (yield from _write(source, current.without_mark(existing.version), current, Repaired(UNMARKED)))
    return Repaired(NOTHING)


def _read(store: str) -> Steps[Stored | None]:
    answer = yield Read(store, needs_content=True)
    if isinstance(answer, Found):
        return answer.stored
    raise _Stop(answer if isinstance(answer, Failed) else Failed(CONTENDED))


def _write(store: str, draft: Draft, over: Stored | None, done: Repaired) -> Steps[Repaired | None]:
    answer = yield Write(store, draft, over)
    if isinstance(answer, Failed):
        raise _Stop(answer)
    return done if isinstance(answer, Written) else None


def _order(stored: Stored) -> tuple[object, int]:
    """Later writes are greater. Who writes past DualStore leaves the stamp as it is: then the time counts."""
    return stored.stamp, stored.version.time
