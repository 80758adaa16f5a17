"""How far a part of a table was read before: by an earlier process of the run, or by a bundle that failed.

    batch 0  completed ┐
    batch 1  completed ┴─ behind it the part is read on, as batch 3
    batch 2  not completed: replaced

A batch that is not completed may have rows in the staging table already, and a part that is read on has its records
again, or those that have taken their place. So it never gets its id back: the rows of replaced batches are left out.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from transforms.firestore.documents import Document
from transforms.ledger.batches import BEHIND, COMPLETED, REPLACED, Batches
from transforms.ledger.entry import LedgerEntry


@dataclass(frozen=True)
class PartsInLedger:
    """Says of a part of a table where to read on. Picklable.

    Attributes:
      entry: which run.
      keeps_completed: whether a completed batch is done for good; with load jobs it is not before they have ended.
    """

    entry: LedgerEntry
    keeps_completed: bool

    def __call__(self, part: str) -> tuple[int, str]:
        """How many batches of a part have ids, and the position behind the last one that is done; empty for none.

        Raises:
          JobError, TransientError: as `Batches`.
        """
        batches = Batches(self.entry.connect(), self.entry.counters)
        found = batches.of_part(part)
        living = [each for each in found if each.fields["state"] != REPLACED]
        done = list(itertools.takewhile(self._is_done, living))
        batches.replace((each.id for each in living[len(done) :]), part, self.entry.attempt)
        return len(found), done[-1].fields[BEHIND] if done else ""

    def replaced(self) -> tuple[str, ...]:
        """The ids of all batches of the run that others have taken the place of."""
        return tuple(sorted(Batches(self.entry.connect(), self.entry.counters).ids("state", "==", REPLACED)))

    def _is_done(self, batch: Document) -> bool:
        return self.keeps_completed and batch.fields["state"] == COMPLETED and bool(batch.fields[BEHIND])
