"""How far the parts of a table were read, as the ledger has it."""

from tests.support.clocks import no_waiting
from transforms.batch import Batch
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.batches import BEHIND, PART, REPLACED, Batches
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.parts import PartsInLedger
from transforms.ledger.totals import read_totals
from transforms.outcomes import RECORDS, BatchOutcome
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore

ROWS = 3


def entry_of(target: FirestoreTarget) -> LedgerEntry:
    return LedgerEntry(target, "export-1", 1, Retry(max_attempts=2, clock=no_waiting()))


def begin(entry: LedgerEntry, ordinal: int, behind: str, *, completes: bool = True) -> None:
    """A batch of a part, begun and maybe completed."""
    batches, batch_id = Batches(entry.connect(), RECORDS), f"t-00000-{ordinal:05d}"
    batches.begin(batch_id, 1, {PART: "t-00000", BEHIND: behind})
    if completes:
        batches.complete(BatchOutcome.of(Batch(batch_id, "t", ROWS, (), unchanged=ROWS)), 1)


def test_a_part_is_read_on_behind_its_completed_batches_and_others_are_replaced():
    with ScriptedFirestore() as server:
        entry = entry_of(server.target)
        parts = PartsInLedger(entry, keeps_completed=True)
        assert parts("t-00000") == (0, "")
        begin(entry, 0, "[1]")
        begin(entry, 1, "[2]")
        begin(entry, 2, "[3]", completes=False)
        assert parts("t-00000") == (3, "[2]")
        assert parts("t-00000") == (3, "[2]")
        begin(entry, 3, "[4]")
        assert parts("t-00000") == (4, "[4]")
        assert parts.replaced() == ("t-00000-00002",)
        totals = read_totals(entry.connect(), RECORDS)
        assert (totals.batches, totals.processing, totals["read"]) == (3, 0, 3 * ROWS)


def test_what_waits_for_a_load_job_is_read_again_and_counts_once():
    with ScriptedFirestore() as server:
        entry = entry_of(server.target)
        parts = PartsInLedger(entry, keeps_completed=False)
        begin(entry, 0, "[1]")
        assert parts("t-00000") == (1, "")
        assert read_totals(entry.connect(), RECORDS)["read"] == 0
        assert parts.replaced() == ("t-00000-00000",)


def test_a_part_that_cannot_be_read_on_begins_again():
    with ScriptedFirestore() as server:
        entry = entry_of(server.target)
        begin(entry, 0, "")
        assert PartsInLedger(entry, keeps_completed=True)("t-00000") == (1, "")
        assert Batches(entry.connect(), RECORDS).ids("state", "==", REPLACED) == {"t-00000-00000"}
