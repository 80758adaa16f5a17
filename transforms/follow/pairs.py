"""The document of a pair of container and collection, as the job that repairs it writes it; see ledger/migrations.py.

owner {host, pid, since}     of the job; another one is refused while it is alive
heartbeat_at, direction, lag_s, read_to, pending, dead_letters     what gates and `firebeam phase` go by
latency {p50_ms, p99_ms}, counts, waits                            for people
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from transforms.dual.stored import STORES
from transforms.errors import JobError, UsageError
from transforms.follow.phase import Course
from transforms.ledger.document import LedgerDocument
from transforms.ledger.migrations import pair_document, read_migration, read_pairs, save_migration, save_pair
from transforms.ledger.owners import Owner, is_alive
from transforms.ledger.stored_fields import OWNER, misfit
from transforms.migrate.phases import State, phase_of
from transforms.migrate.states import saved_as, state_of


class Pair:
    """One pair of a migration.

    Args:
      migration: its document.
      name: of the pair.
      container, collection: as locations.

    Raises (every method): JobError, TransientError.
    """

    def __init__(self, migration: LedgerDocument, name: str, container: str, collection: str):
        self._migration, self.name = migration, name
        self._described = {"container": container, "collection": collection}
        self._since = migration.now()

    @property
    def document(self) -> LedgerDocument:
        """Of the pair."""
        return pair_document(self._migration, self.name)

    def take(self, *, take_over: bool) -> None:
        """Makes this process the one that repairs the pair, of a migration that is written down from then on.

        Raises UsageError while another one is alive.
        """
        found = self.document.read()
        owner = found.fields.get("owner") if found else None
        if found is not None and isinstance(owner, dict) and not misfit(owner, OWNER):
            seen_at = found.fields.get("heartbeat_at") or owner["since"]
            before = Owner(owner["host"], owner["pid"])
            if not take_over and is_alive(before, owner["since"], seen_at, self._migration.now()):
                raise UsageError(
                    f"{before} follows {self.name} of {self._migration.id}; end it, or pass --take_over if it is gone"
                )
        self._write_down()
        me = Owner()
        self._save({"owner": {"host": me.host, "pid": me.pid, "since": self._since}, **self._described})

    def _write_down(self) -> None:
        """A migration that nobody has changed has no document, and would be found by nobody who does not know it."""
        if read_migration(self._migration) is not None:
            return
        try:
            save_migration(self._migration, saved_as(State(), None), None)
        except JobError:
            if read_migration(self._migration) is None:
                raise

    def equal_at(self) -> datetime.datetime | None:
        """When a verify began that found both stores equal; None for never."""
        found = self.document.read()
        at = found.fields.get("equal_at") if found else None
        return at if isinstance(at, datetime.datetime) else None

    def beat(self, fields: Mapping[str, Any]) -> None:
        """Says how the job is. Raises JobError if another process has taken the pair."""
        found = self.document.read()
        owner = found.fields.get("owner", {}) if found else {}
        if (owner.get("host"), owner.get("pid")) != (Owner().host, Owner().pid):
            raise JobError(f"another process follows {self.name} of {self._migration.id} by now; this one stops")
        self._save({"heartbeat_at": self._migration.now(), **fields})

    def leave(self) -> None:
        """Nobody follows the pair any more."""
        self._save({"owner": None})

    def finish(self, course: Course, now: datetime.datetime) -> bool:
        """Ends a change of the phase that is over; returns whether it has.

        A change of the primary is over when all pairs have applied the old primary's feed far enough.
        """
        state = course.state
        drained_from = state.drained_from()
        if drained_from is None or now < drained_from:
            return False
        old = phase_of(state.phase).primary
        reached = [pair.read_to.get(old) for pair in read_pairs(self._migration)]
        known = [time for time in reached if time is not None]
        read_to = min(known) if known and len(known) == len(reached) else None
        before = read_migration(self._migration)
        if before is None or state_of(before) != state or not state.may_finish(now, read_to):
            return False
        try:
            save_migration(self._migration, saved_as(state.finished(), before), before)
        except JobError:
            if read_migration(self._migration) == before:
                raise
        return True

    def _save(self, fields: Mapping[str, Any]) -> None:
        save_pair(self._migration, self.name, fields)


def read_to_of(course: Course, read_to: Mapping[str, datetime.datetime | None]) -> dict[str, datetime.datetime | None]:
    """What a pair says about how far it is: nothing of stores whose feed is not followed."""
    return {store: read_to.get(store) if store in course.sources else None for store in STORES}


def direction_of(course: Course) -> str:
    """The primary whose feed is followed; empty for none.

    >>> from transforms.dual.rules import View
    >>> from transforms.migrate.phases import State
    >>> direction_of(Course(State(), View("cosmos"), ("cosmos",)))
    'cosmos'
    """
    return course.view.primary if course.sources else ""
