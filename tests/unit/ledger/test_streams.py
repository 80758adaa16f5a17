"""The documents of streams over a scripted Firestore: what is counted once, what never goes back, whose they are."""

from dataclasses import replace

import pytest

from tests.support.clocks import Clock
from transforms import retry
from transforms.errors import JobError, UsageError
from transforms.firestore.changes.journal import JournalEntry
from transforms.firestore.changes.positions import Compare, Follow
from transforms.firestore.changes.times import from_micros
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.jobs import job_document
from transforms.ledger.owners import Owner
from transforms.ledger.stream_journal import LedgerJournal
from transforms.ledger.stream_writer import IDLE_INTERVAL_S, WRITERS, Progress, StreamWriter
from transforms.ledger.streams import (
    COMPARING,
    FAILED,
    LIVE,
    RECONNECTING,
    STARTING,
    STOPPED,
    StreamDescription,
    claim,
    read_stream,
    read_streams,
    stream_document,
)
from transforms.ledger.totals import read_totals
from transforms.listen.counters import CHANGES
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore, applied_then

USERS = StreamDescription("users", "users", "query", "spec", ("bigquery:p:d.t",), "high", 200.0)
OTHER = Owner("another-host", 7)
FIELDS = {
    "attempt", "backpressure_events", "buffered", "compares", "counts", "counts_before", "expire_at", "heartbeat_at",
    "job_id", "lag_s", "last_change_at", "last_error", "latency", "optimizations_applied", "owner", "position",
    "priority", "query", "query_fingerprint", "rates", "reason", "reconnects", "restarts", "sinks", "since",
    "spec_fingerprint", "state", "stream", "updated_at",
}  # fmt: skip


def at(seconds):
    return from_micros(1_700_000_000_000_000 + int(seconds * 1_000_000))


def progress(seconds, n=0, state=LIVE, **more):
    counts = {"read": n, "written": n, "dead_letter_count": 0} if n else {}
    return Progress(Follow(at(seconds)), at(seconds), state, counts=counts, **more)


class Desk:
    """One stream of one job in a scripted Firestore, by a clock that only the test moves."""

    def __init__(self, server):
        self.server, self.clock = server, Clock()
        clock = retry.Clock(self.clock, lambda: self.clock.seconds, lambda seconds: None, lambda: 0.0)
        self.retry = Retry(max_attempts=4, clock=clock)

    @property
    def document(self):
        return stream_document(self.server.target.connect(), "listen-1", "users", self.retry)

    def claim(self, attempt=1, position=None, owner=OTHER, description=USERS):
        claim(self.document, description, owner, attempt, position, CHANGES)

    def writer(self, attempt=1):
        return StreamWriter(self.document, attempt, save_interval_s=5, beat_interval_s=30)

    @property
    def stored(self):
        return read_stream(self.document)

    @property
    def writes(self):
        return len(self.server.requests("Commit"))


@pytest.fixture
def desk():
    with ScriptedFirestore() as server:
        yield Desk(server)


def test_a_claimed_stream_says_everything_there_is_to_know(desk):
    desk.claim()
    stored = desk.stored
    assert stored.fields.keys() == FIELDS
    assert (stored.state, stored.position, stored.owner, stored.job_id) == (STARTING, None, OTHER, "listen-1")
    assert stored.fields["rates"] == {"changes_per_min": 0.0, "limit_per_min": 200.0, "error_rate_5m": 0.0}


def test_counts_are_absolute_and_those_of_a_run_are_what_it_added(desk):
    desk.claim()
    writer = desk.writer()
    for n in (3, 4):
        writer.add(progress(n, n))
    writer.stop()
    desk.claim(attempt=2, position=desk.stored.position)
    writer = desk.writer(attempt=2)
    writer.add(progress(9, 5))
    writer.stop()
    assert (desk.stored.counts["read"], desk.stored.counts_of_run()["read"]) == (12, 5)
    totals = read_totals(job_document(desk.server.target.connect(), "listen-1", desk.retry), CHANGES)
    assert (totals.total, totals.batches, totals.adds_up) == (5, 1, True)


def test_a_run_that_is_resumed_goes_on_counting(desk):
    desk.claim()
    desk.writer().add(progress(1, 3))
    desk.claim(position=desk.stored.position)
    desk.writer().add(progress(2, 4))
    assert desk.stored.counts_of_run()["read"] == 7
    assert desk.stored.fields["restarts"] == 1


def test_a_save_whose_answer_is_lost_counts_once(desk):
    desk.claim()
    desk.server.script("Commit", [applied_then("UNAVAILABLE", "the answer got lost")])
    writer = desk.writer()
    writer.add(progress(1, 3))
    writer.add(progress(2, 4))
    writer.stop()
    assert desk.stored.counts["read"] == 7


def test_what_two_workers_of_a_run_have_counted_is_added_and_the_later_position_stays(desk):
    desk.claim()
    first, second = desk.writer(), desk.writer()
    first.add(progress(1, 3))
    second.add(progress(9, 10))
    first.add(progress(2, 4))
    first.stop()
    assert desk.stored.counts["read"] == 17
    assert desk.stored.position == Follow(at(9))


def test_a_position_never_goes_back(desk):
    desk.claim(position=Follow(at(10)))
    writer = desk.writer()
    writer.add(progress(5, 1))
    writer.stop()
    assert desk.stored.position == Follow(at(10))
    writer.add(Progress(Compare(at(10), at(20)), at(20), COMPARING, save_now=True))
    assert desk.stored.position == Compare(at(10), at(20))


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_run_that_another_one_has_taken_the_stream_from_writes_no_more(desk, attempt):
    desk.claim()
    writer = desk.writer()
    writer.add(progress(1, 3))
    desk.clock.seconds += 60
    desk.claim(attempt=attempt, position=Follow(at(1)), owner=Owner())
    with pytest.raises(JobError, match=r"pipeline_streams/listen-1:users was taken over or removed by another process"):
        writer.add(progress(2, 4, save_now=True))
    assert desk.stored.counts["read"] == 3


def test_a_quiet_stream_is_written_at_most_once_in_ten_seconds(desk):
    desk.claim()
    writer = desk.writer()
    writer.add(progress(0))
    before = desk.writes
    for second in range(1, 301):
        desk.clock.seconds = second
        writer.add(progress(second))
        writer.save_if_due()
    assert 300 / 30 <= desk.writes - before <= 300 / IDLE_INTERVAL_S


def test_a_busy_stream_is_written_every_save_interval(desk):
    desk.claim()
    writer = desk.writer()
    writer.add(progress(0))
    before = desk.writes
    for tenth in range(1, 1001):
        desk.clock.seconds = tenth / 10
        writer.add(progress(tenth / 10, 1))
    assert desk.writes - before == 100 / 5
    assert desk.stored.fields["rates"]["changes_per_min"] == pytest.approx(600, rel=0.02)


def test_what_must_be_saved_before_the_next_batch_is(desk):
    desk.claim()
    writer = desk.writer()
    writer.add(progress(0, 1))
    writer.add(Progress(Compare(None, at(1)), at(1), COMPARING, save_now=True))
    assert desk.stored.state == COMPARING
    assert desk.stored.fields["compares"] == 1


def test_a_failure_is_saved_at_once_with_its_reason(desk):
    desk.claim()
    writer = desk.writer()
    writer.add(progress(0, 1))
    writer.add(Progress(Follow(at(0)), at(0), FAILED, "no index", error=("FAILED", "no index")))
    assert (desk.stored.state, desk.stored.reason) == (FAILED, "no index")
    assert desk.stored.fields["last_error"]["message"] == "no index"
    writer.stop()
    assert desk.stored.state == FAILED


def test_a_stream_that_is_behind_says_so_and_reconnects_are_counted(desk):
    desk.claim()
    writer = desk.writer()
    desk.clock.seconds = 100
    writer.add(progress(0, 1))
    assert (desk.stored.state, desk.stored.fields["lag_s"]) == ("catching up", 100.0)
    writer.add(progress(0, 0, RECONNECTING))
    writer.add(progress(100))
    writer.stop()
    assert (desk.stored.state, desk.stored.fields["reconnects"]) == (STOPPED, 1)


def test_a_document_of_somebody_else_is_neither_shown_nor_replaced(desk):
    desk.document.write({"hello": "world"})
    assert read_streams(desk.server.target.connect()) == []
    with pytest.raises(UsageError, match=r"pipeline_streams/listen-1:users is not a stream of Firebeam"):
        desk.claim()
    assert desk.server.documents["pipeline_streams/listen-1:users"].fields == {"hello": "world"}


# The journal.


@pytest.fixture
def entry(desk):
    desk.claim()
    entry = LedgerEntry(desk.server.target, "listen-1", 1, desk.retry, counters=CHANGES)
    yield entry
    WRITERS.forget(entry)


def names(journal):
    return {path for each in journal.entries("users") for path in each.paths}


def test_what_was_announced_is_there_in_another_process(entry):
    for n in range(40):
        LedgerJournal(entry).add("users", JournalEntry(at(n), (f"users/{n}", "users/é\n")))
    assert names(LedgerJournal(replace(entry, attempt=2))) == {"users/é\n", *(f"users/{n}" for n in range(40))}


def test_what_a_saved_position_covers_leaves_the_journal(desk, entry):
    journal, writer = LedgerJournal(entry), WRITERS.of(entry, "users", 0, 30)
    for n in range(40):
        journal.add("users", JournalEntry(at(n), (f"users/{n}",)))
    writer.add(progress(38, 1, save_now=True))
    journal.add("users", JournalEntry(at(50), ("users/50",)))
    assert names(journal) == {"users/39", "users/50"}
    for n in range(60, 80):
        journal.add("users", JournalEntry(at(n), (f"users/{n}",)))
    kept = [each for each in desk.server.documents if "/journal/" in each]
    assert len(kept) == 16
    assert names(LedgerJournal(replace(entry, attempt=2))) == {
        "users/39",
        "users/50",
        *(f"users/{n}" for n in range(60, 80)),
    }


def test_a_comparison_with_an_earlier_state_keeps_what_came_behind_that(entry):
    journal, writer = LedgerJournal(entry), WRITERS.of(entry, "users", 0, 30)
    journal.add("users", JournalEntry(at(1), ("users/1",)))
    journal.add("users", JournalEntry(at(3), ("users/3",)))
    writer.add(Progress(Compare(at(2), at(9)), at(9), COMPARING, save_now=True))
    assert names(journal) == {"users/3"}


def test_a_worker_that_had_the_stream_before_keeps_what_another_one_has_announced_since(desk, entry):
    first = LedgerJournal(entry)
    first.add("users", JournalEntry(at(1), ("users/first",)))
    other = LedgerJournal(replace(entry, retry=replace(desk.retry, max_attempts=5), attempt=3))
    for n in range(20):
        other.add("users", JournalEntry(at(2), (f"users/{n}",)))
    for _ in range(20):
        first.add("users", JournalEntry(at(3), ("users/first-again",)))
    assert names(LedgerJournal(replace(entry, attempt=2))) == {
        "users/first", "users/first-again", *(f"users/{n}" for n in range(20))
    }  # fmt: skip


def test_a_journal_that_is_scripted_to_lose_an_answer_has_the_entry(desk, entry):
    desk.server.script("Commit", [applied_then("UNAVAILABLE", "the answer got lost")])
    LedgerJournal(entry).add("users", JournalEntry(at(1), ("users/ada",)))
    assert names(LedgerJournal(entry)) == {"users/ada"}
