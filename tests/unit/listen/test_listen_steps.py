"""The steps of the listen job on a scripted Firestore, which keeps documents, ledger and journal: killed, resumed."""

import datetime

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from transforms.errors import JobError
from transforms.firestore import messages
from transforms.firestore.changes.change import ADDED, MODIFIED, REMOVED, Change
from transforms.firestore.changes.options import ListenedQuery
from transforms.firestore.changes.parking import PARKING
from transforms.firestore.changes.times import from_micros
from transforms.firestore.collection_patterns import CollectionPattern
from transforms.firestore.listen import ListenToFirestore
from transforms.firestore.query import Query
from transforms.firestore.read_time import JOB_START, fix_read_time
from transforms.firestore.values import serialised_fields
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.owners import Owner
from transforms.ledger.stream_journal import LedgerJournal
from transforms.ledger.stream_writer import WRITERS
from transforms.ledger.streams import STOPPED, StreamDescription, claim, read_stream, stream_document
from transforms.listen.counters import CHANGES
from transforms.listen.entries import StreamSettings
from transforms.listen.rows import ended_at
from transforms.listen.steps import EnterChanges, SavePositions
from transforms.retry import Retry
from transforms.runtime.stopping import forget_request
from transforms.testing import ScriptedFirestore

USERS = StreamSettings((CollectionPattern("users"),))
NOON = from_micros(1_700_000_000_000_000)
SECOND = datetime.timedelta(seconds=1)


class Mirror:
    """A sink that outlives pipelines. It fails once it has taken a document of a certain name, as if it was killed."""

    def __init__(self):
        self.documents, self.kinds, self.killed_at = {}, [], ""

    def take(self, entry):
        self.kinds.append((entry.key, entry.change.kind))
        if entry.is_removed:
            self.documents.pop(entry.key, None)
        else:
            self.documents[entry.key] = entry.change.document.fields
        if entry.key == self.killed_at:
            raise JobError("killed")


MIRROR = Mirror()


def take(batch):
    for entry in batch.entries:
        MIRROR.take(entry)
    return batch


class Desk:
    """A listen job of one stream whose only sink is the mirror."""

    def __init__(self, server):
        self.server, self._client = server, server.target.connect()
        self._retry = Retry(max_attempts=3, initial_s=0, max_s=0)
        self.document = stream_document(self._client, "listen-1", "users", self._retry)
        MIRROR.__init__()

    def store(self, **documents):
        for key, fields in documents.items():
            name = self.server.target.document_name(f"users/{key}")
            write = (
                messages.delete(name)
                if fields is None
                else messages.update(messages.document(name, serialised_fields(fields)))
            )
            self._client.commit([write], 30).result()

    def run(self, killed_at="", applies_deletes=True):
        """Up to now, from the position that is saved, in a process that remembers nothing."""
        MIRROR.killed_at = killed_at
        entry = LedgerEntry(self.server.target, "listen-1", 1, self._retry, counters=CHANGES)
        forget_request()
        WRITERS.forget(entry)
        PARKING.close_expired(0)
        saved = read_stream(self.document)
        position = saved.position if saved else None
        claim(self.document, StreamDescription("users", "users", "q"), Owner(), 1, position, CHANGES)
        until = fix_read_time(self._client, JOB_START)
        pipeline = beam.Pipeline(runner=FnApiRunner())
        changes = pipeline | ListenToFirestore(
            [ListenedQuery("users", Query("users"))],
            target=self.server.target,
            positions={"users": position} if position else {},
            until=until,
            journal=LedgerJournal(entry),
        )
        _ = (
            changes
            | EnterChanges("listen-1", {"users": USERS}, applies_deletes)
            | beam.Map(take)
            | SavePositions(entry, save_interval_s=60, until=until)
        )
        pipeline.run().wait_until_finish()

    def killed(self, key):
        """As `run`, ended when the sink has taken a document, before its position is saved."""
        with pytest.raises(Exception, match="killed"):
            self.run(killed_at=f"users/{key}")

    @property
    def documents(self):
        found = self.server.documents
        return {path: document.fields for path, document in found.items() if path.startswith("users/")}

    def forget_journal(self):
        slots = [path for path in self.server.documents if "/journal/" in path]
        self._client.commit([messages.delete(self.server.target.document_name(path)) for path in slots], 30).result()
        return len(slots)


@pytest.fixture
def desk():
    with ScriptedFirestore() as server:
        yield Desk(server)
        PARKING.close_expired(0)


def test_what_was_announced_and_is_deleted_while_nobody_listens_ends_in_the_sink(desk):
    desk.store(ada={"n": 1})
    desk.run()
    desk.store(bob={"n": 2})
    desk.killed("bob")
    assert MIRROR.documents.keys() == {"users/ada", "users/bob"}
    desk.store(bob=None)
    desk.run()
    assert MIRROR.documents == desk.documents == {"users/ada": {"n": 1}}


def test_without_the_journal_nobody_would_learn_of_that(desk):
    desk.store(ada={"n": 1})
    desk.run()
    desk.store(bob={"n": 2})
    desk.killed("bob")
    desk.store(bob=None)
    assert desk.forget_journal() == 1
    desk.run()
    assert MIRROR.documents.keys() - desk.documents.keys() == {"users/bob"}


def test_a_sink_that_failed_gets_the_batch_again_and_it_counts_once(desk):
    desk.store(ada={"n": 1}, bob={"n": 2})
    desk.killed("bob")
    assert read_stream(desk.document).counts["read"] == 0
    desk.run()
    stored = read_stream(desk.document)
    assert (stored.state, stored.counts["read"], stored.counts["written"], stored.counts["added"]) == (STOPPED, 2, 2, 2)
    assert MIRROR.documents == desk.documents


def test_every_kind_of_change_is_counted_and_deletes_that_no_sink_wants_are_unchanged(desk):
    desk.store(ada={"n": 1}, bob={"n": 2})
    desk.run()
    desk.store(ada={"n": 3}, bob=None, eve={"n": 4})
    desk.run(applies_deletes=False)
    counts = read_stream(desk.document).counts
    assert [counts[name] for name in ("added", "modified", "removed")] == [3, 1, 1]
    assert [counts[name] for name in ("read", "written", "unchanged")] == [5, 4, 1]
    assert ("users/bob", REMOVED) not in MIRROR.kinds
    assert {("users/ada", ADDED), ("users/ada", MODIFIED)} <= set(MIRROR.kinds)


@pytest.mark.parametrize(
    ("version", "ended"), [(NOON - 5 * SECOND, NOON), (None, NOON), (NOON, NOON + SECOND / 1_000_000)]
)
def test_a_row_that_ends_a_document_is_newer_than_it_and_older_than_one_created_again(version, ended):
    assert ended_at(Change(REMOVED, "users/ada", None, version, NOON, deleted=True)) == ended
