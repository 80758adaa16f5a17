"""The phases of a migration as data, and which phase holds at a time. Pure.

    cosmos_only ⇄ dual_write ⇄ firestore_analytics ⇄ firestore_primary ⇄ cosmos_retired

In every phase one store is primary: its versions decide, and its change feed repairs the other store. A phase changes
by one step, in two acts:

    announced ── two poll intervals, then the time-out of writes ──▶ takes effect ── the old primary's ──▶ finished
        │                                                                │            feed is applied
        └─ every application reads it, or knows that it cannot           └─ writers change the primary

From the announcement of a change of the primary until it is finished, the later stamp decides in both stores.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from transforms.errors import UsageError

COSMOS, FIRESTORE = "cosmos", "firestore"

COSMOS_ONLY = "cosmos_only"
DUAL_WRITE = "dual_write"
FIRESTORE_ANALYTICS = "firestore_analytics"
FIRESTORE_PRIMARY = "firestore_primary"
COSMOS_RETIRED = "cosmos_retired"

# The application's environment variable that wins over the migration's document.
PHASE_VARIABLE = "FIREBEAM_PHASE"

# What both the application and the command keep to, unless the migration's document says otherwise. Seconds.
POLL_INTERVAL_S = 10.0
PUT_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Phase:
    """What holds in a phase.

    Attributes:
      name: of the phase.
      writes: the stores that an application writes.
      primary: the store whose versions decide.
      reads: the stores that are read, the second one if the first does not answer.
      repaired: the store that the job repairs from the primary's feed; None if nobody needs to.
      analytics: where BigQuery's rows come from.
    """

    name: str
    writes: tuple[str, ...]
    primary: str
    reads: tuple[str, ...]
    repaired: str | None
    analytics: str


_BOTH = (COSMOS, FIRESTORE)
PHASES = (
    Phase(COSMOS_ONLY, (COSMOS,), COSMOS, (COSMOS,), None, "batch ETL"),
    Phase(DUAL_WRITE, _BOTH, COSMOS, (COSMOS,), FIRESTORE, "batch ETL"),
    Phase(FIRESTORE_ANALYTICS, _BOTH, COSMOS, (COSMOS,), FIRESTORE, "from Firestore"),
    Phase(FIRESTORE_PRIMARY, _BOTH, FIRESTORE, (FIRESTORE, COSMOS), COSMOS, "from Firestore"),
    Phase(COSMOS_RETIRED, (FIRESTORE,), FIRESTORE, (FIRESTORE,), None, "from Firestore"),
)
NAMES = tuple(phase.name for phase in PHASES)
_BY_NAME = {phase.name: phase for phase in PHASES}


def phase_of(name: str) -> Phase:
    """The phase of a name. Raises UsageError.

    >>> phase_of("dual_write").primary
    'cosmos'
    """
    if name not in _BY_NAME:
        raise UsageError(f"there is no phase {name!r}; the phases are {', '.join(NAMES)}")
    return _BY_NAME[name]


def check_step(before: str, after: str) -> None:
    """Raises UsageError unless a phase is one step from another.

    >>> check_step("cosmos_only", "firestore_primary")
    Traceback (most recent call last):
    transforms.errors.UsageError: from cosmos_only a migration goes to dual_write, not to firestore_primary; one ...
    """
    at, to = NAMES.index(phase_of(before).name), NAMES.index(phase_of(after).name)
    if abs(at - to) != 1:
        near = [NAMES[each] for each in (at - 1, at + 1) if 0 <= each < len(NAMES)]
        raise UsageError(
            f"from {before} a migration goes to {' or back to '.join(reversed(near))}, not to {after}; one step at a "
            "time, so that each can be undone"
        )


def before(name: str) -> str:
    """The phase one step back. Raises UsageError for the first one."""
    at = NAMES.index(phase_of(name).name)
    if not at:
        raise UsageError(f"{name} is the first phase; there is nothing to go back to")
    return NAMES[at - 1]


@dataclass(frozen=True)
class Change:
    """A change of the phase that is announced and not finished.

    Attributes:
      to: the phase.
      announced_at: by the clock of the database that keeps the migration's document.
      effective_at: from when on it holds.
    """

    to: str
    announced_at: datetime.datetime
    effective_at: datetime.datetime


@dataclass(frozen=True)
class State:
    """Which phase a migration is in.

    Attributes:
      phase: the phase before the change, or for good.
      change: what is announced and not finished.
      poll_interval_s: how often applications read it.
      put_timeout_s: how long after its begin a write of an application is sent at most.
    """

    phase: str = COSMOS_ONLY
    change: Change | None = None
    poll_interval_s: float = POLL_INTERVAL_S
    put_timeout_s: float = PUT_TIMEOUT_S

    def phase_at(self, now: datetime.datetime) -> Phase:
        """The phase that holds now."""
        change = self.change
        return phase_of(change.to if change is not None and now >= change.effective_at else self.phase)

    @property
    def changes_primary(self) -> bool:
        """Whether a change of the primary is announced and not finished, so that stamps decide."""
        return self.change is not None and phase_of(self.change.to).primary != phase_of(self.phase).primary

    @property
    def lease_s(self) -> float:
        """An application that could not read the state for so long has to expect that a change is announced."""
        return 2 * self.poll_interval_s

    def announce(self, to: str, now: datetime.datetime) -> State:
        """The state with a change announced. Raises UsageError if it is not one step, or if one is under way."""
        if self.change is not None:
            raise UsageError(
                f"the change to {self.change.to} is not finished yet; wait until the repairing job has drained the feed"
            )
        check_step(self.phase, to)
        wait = datetime.timedelta(seconds=self.lease_s + self.put_timeout_s)
        return State(self.phase, Change(to, now, now + wait), self.poll_interval_s, self.put_timeout_s)

    def drained_from(self) -> datetime.datetime | None:
        """Up to when the old primary's feed has to be applied before the change is finished; None without a change."""
        if self.change is None:
            return None
        return self.change.effective_at + datetime.timedelta(seconds=self.put_timeout_s)

    def may_finish(self, now: datetime.datetime, read_to: datetime.datetime | None) -> bool:
        """Whether the announced change is over.

        Args:
          read_to: up to when all changes of the old primary are applied to the other store, in every pair; None if
            nobody knows. A change that keeps the primary does not wait for it.
        """
        drained_from = self.drained_from()
        if drained_from is None or now < drained_from:
            return False
        return not self.changes_primary or (read_to is not None and read_to >= drained_from)

    def finished(self) -> State:
        """The state after the change."""
        return State(self.change.to if self.change else self.phase, None, self.poll_interval_s, self.put_timeout_s)
