"""What decides between two versions of a document. Pure: each rule is a method, and tests show what each is for.

R1  A second write never overwrites a copy of a newer version of the primary.           may_follow, is_guarded
R2  From the announcement of a change of the primary until it is finished, and for pending writes, the later stamp
    decides in both stores.                                                             by_stamp, may_replace
R3  The primary changes only after writes begun before the announcement have timed out.  migrate/phases.py
R4  A stamp is later than any that its writer can see.                                   stamp_time
R5  A write that is later than its time-out is not sent.                                 is_in_time
R6  A write that one store alone accepted is marked pending there.                       alone
R7  A tombstone is removed only when no older write can be under way.                    may_forget
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from transforms.dual.stored import Draft, Stored, Version, other
from transforms.migrate.documents import Stamp


@dataclass(frozen=True)
class View:
    """What an instance of the application, or the job, holds to be the case when it begins.

    Attributes:
      primary: the store whose versions decide.
      writes_both: whether the other store is written as well.
      by_stamp: whether the later stamp decides, because a change of the primary is announced and not finished, or
        because the phase could not be read for so long that one may have been announced.
      marks_alone: whether a write of the primary that the other store lacks is marked pending, because the primary may
        have become the other one meanwhile.
    """

    primary: str
    writes_both: bool = True
    by_stamp: bool = False
    marks_alone: bool = False

    @property
    def secondary(self) -> str | None:
        """The store that is written second, if there is one."""
        return other(self.primary) if self.writes_both else None


class Rules:
    """The rules. Stateless; a test leaves one out by overriding a method."""

    def stamp_time(self, clock: int, seen: Iterable[Stamp]) -> int:
        """R4: microseconds of a new stamp."""
        return max([clock, *(stamp.time + 1 for stamp in seen)])

    def is_in_time(self, age_s: float, timeout_s: float) -> bool:
        """R5: whether a write that began so long ago may still be sent."""
        return age_s <= timeout_s

    def by_stamp(self, view: View) -> bool:
        """R2: whether the later stamp decides."""
        return view.by_stamp

    def may_replace(self, stamp: Stamp, found: Stored | None, view: View) -> bool:
        """R2: whether a write may overwrite what the primary has."""
        return not self.by_stamp(view) or found is None or stamp >= found.stamp

    def may_follow(self, stamp: Stamp, written: Version, found: Stored | None, view: View) -> bool | None:
        """R1, R2: whether the second write of an accepted one may overwrite what the other store has.

        Args:
          written: the version that the primary gave the write.

        Returns:
          None if only the primary can say whether what is there is a copy of a newer version.
        """
        if found is None:
            return True
        if (self.by_stamp(view) or found.is_pending) and found.stamp > stamp:
            return False
        if found.copied is None:
            return True
        is_newer = found.copied.is_newer_than(written)
        return None if is_newer is None else not is_newer

    def is_guarded(self, found: Stored | None) -> bool:
        """R1: whether the second write is refused if the other store no longer has what was found there."""
        return True

    def may_stand_alone(self, stamp: Stamp, found: Stored | None) -> bool:
        """R2: whether a write that the primary did not accept may overwrite what the other store has."""
        return found is None or stamp >= found.stamp

    def alone(self, draft: Draft, found: Stored | None) -> Draft:
        """R6: the draft for the only store that accepts a write."""
        return draft.alone(found.copied if found is not None else None)

    def may_forget(self, tombstone: Stored, now: int, older_writes_end_s: float) -> bool:
        """R7: whether no write that is older than a tombstone can be under way.

        Args:
          now: microseconds since the epoch.
          older_writes_end_s: how long after its stamp a write may still reach a store, and a page of a feed be applied.
        """
        return now - tombstone.stamp.time > older_writes_end_s * 1_000_000


RULES = Rules()
