"""Dead letters that are due: what comes again, what has become of it, and when."""

import datetime
import pickle
from pathlib import Path

import pytest

from transforms import retry
from transforms.batch import DeadLetter
from transforms.dead_letters.folder import DeadLetterFolder, ReplayRun
from transforms.dead_letters.lines import Origin
from transforms.dead_letters.steps import DeadLetterStore
from transforms.errors import UsageError
from transforms.firestore.changes.change import ADDED, MODIFIED, REMOVED, Change
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState
from transforms.firestore.changes.options import ListenedQuery
from transforms.firestore.changes.pace import Offer, Unpaced
from transforms.firestore.changes.positions import Follow
from transforms.firestore.changes.reads import Reads
from transforms.firestore.collection_patterns import CollectionPattern
from transforms.firestore.query import Query
from transforms.firestore.reader import read_paths
from transforms.firestore.tagged_json import iso
from transforms.listen.entries import StreamSettings, entered, refused
from transforms.listen.retries import Retries, RetrySettings, path_of, retries_of
from transforms.listen.schedule import DEAD_LETTERS, PacedStream, PaceSettings, schedule_of
from transforms.listen.steps import _kept, outcome_of
from transforms.testing import ScriptedFirestore, always, status

JOB = "listen-1"
STREAM = StreamSettings((CollectionPattern("users"),))


class Time:
    """Now, moved by the test."""

    def __init__(self):
        self.seconds = 1_800_000_000.0

    def __call__(self):
        return self.seconds


class Desk:
    """A job that refused changes of the collection users, and tries them again."""

    def __init__(self, server, folder, query, **settings):
        self.server, self.path, self.time = server, str(folder), Time()
        self.client = server.target.connect()
        self.query, clock = ListenedQuery("users", query), retry.Clock(self.time, self.time, sleep=lambda seconds: None)
        pace = PaceSettings(f"{JOB} {folder}", (PacedStream("users"),), clock=clock)
        self.settings = RetrySettings(self.path, JOB, (self.query,), pace, clock=clock, **settings)
        self.retries, self.schedule = Retries(self.settings), schedule_of(pace)
        self.store = DeadLetterStore(DeadLetterFolder(self.path), "listen", JOB, clock, looks_for_earlier=False)

    def change(self, path, kind=MODIFIED):
        """What the stream says of a document as it is now."""
        (document,) = read_paths(self.client, [path])
        now = Reads(self.client, self.query.query).server_time()
        if kind == REMOVED:
            return Change(REMOVED, path, None, document.update_time if document.exists else None, now)
        return Change(kind, path, document, document.update_time, now)

    def refuse(self, *changes, retryable=True):
        """A batch of changes, all refused by a sink."""
        position = Follow(changes[0].read_time)
        batch = entered(ChangeBatch("users", changes, position, changes[0].read_time, StreamState.LIVE), JOB, STREAM)
        return self.keep(batch, batch.entries, retryable=retryable)

    def keep(self, batch, failing, *, retryable=True):
        """The batch behind the sinks, which refused some of its entries."""
        dead = [refused(entry, "CallHandler", "FAILED", "it said no", retryable=retryable) for entry in failing]
        kept = [entry for entry in batch.entries if entry not in failing]
        return _kept(batch.then(kept, dead), self.store, self.retries)

    def again(self, wait_s=300.0):
        """The batch that is due after a while, as the steps see it; None for none."""
        self.time.seconds += wait_s
        if self.retries.offer() is None:
            return None
        position = Follow(Reads(self.client, self.query.query).server_time())
        found = self.retries.take(self.server.target, {"users": position})
        assert found.position == position
        return entered(found, JOB, STREAM)

    def lines(self, kind):
        """What lies in a folder."""
        return [stored.fields for _, batch in DeadLetterFolder(self.path, (kind,)).stored() for stored in batch]


@pytest.fixture
def server():
    with ScriptedFirestore({"users/ada": {"n": 1}, "users/bob": {"n": 2}, "users/nil": {}}) as server:
        yield server


@pytest.fixture
def desk(server, tmp_path):
    def make(query=Query("users"), **settings):
        return Desk(server, tmp_path, query, **settings)

    return make


def shown(batch):
    return [(entry.change.kind, entry.key, entry.attempts) for entry in batch.entries]


def test_the_retries_are_of_their_process(desk):
    settings = RetrySettings("dir", "listen-pickled", (), PaceSettings("listen-pickled", ()))
    assert pickle.loads(pickle.dumps(retries_of(settings))) is retries_of(settings)


def test_a_dead_letter_comes_again_when_it_is_due_and_not_before(desk):
    users = desk()
    first = users.refuse(users.change("users/ada"))
    assert users.again(299) is None
    batch = users.again(61)  # the folder is looked through every minute
    assert (batch.batch_id, batch.source) == (first.batch_id, "users")
    assert shown(batch) == [(ADDED, "users/ada", 1)]
    assert batch.entries[0].change.document.fields == {"n": 1}
    assert batch.entries[0].position == first.dead_letters[0].position


def test_what_lands_is_replayed_and_leaves_its_file(desk):
    users = desk()
    users.refuse(users.change("users/ada"))
    users.keep(users.again(360), [])
    assert [len(users.lines(kind)) for kind in ("retryable", "replayed", "parked")] == [0, 1, 0]
    assert users.again(10_000) is None


def test_what_fails_again_has_one_attempt_more_is_due_later_and_is_parked_in_the_end(desk):
    users = desk(max_attempts=3)
    users.refuse(users.change("users/ada"))
    batch = users.again(360)
    users.keep(batch, batch.entries)
    (line,) = users.lines("retryable")
    assert (line["attempts"], line["time"]) == (2, iso(_at(users)))
    assert users.again(299) is None
    batch = users.again(61)
    assert shown(batch) == [(ADDED, "users/ada", 2)]
    users.keep(batch, batch.entries)
    assert [len(users.lines(kind)) for kind in ("retryable", "replayed", "parked")] == [0, 0, 1]
    assert users.lines("parked")[0]["attempts"] == 3
    assert users.again(10_000) is None


def _at(users):
    return datetime.datetime.fromtimestamp(users.time.seconds, datetime.timezone.utc)


def test_of_documents_that_one_commit_wrote_each_has_its_own_result(desk, server):
    users = desk()
    server.put({"users/x": {"n": 1}, "users/y": {"n": 2}, "users/z": {"n": 3}})
    changes = [users.change(f"users/{each}") for each in "xyz"]
    assert len({change.update_time for change in changes}) == 1
    users.refuse(*changes)
    batch = users.again(360)
    users.keep(batch, [batch.entries[1]])
    assert [line["record_id"] for line in users.lines("retryable")] == ["users/y"]
    assert sorted(line["record_id"] for line in users.lines("replayed")) == ["users/x", "users/z"]


@pytest.mark.parametrize("then", ["written again", "deleted", "deleted and created again"])
def test_a_document_that_has_changed_since_is_superseded(desk, server, then):
    users = desk()
    users.refuse(users.change("users/ada"), users.change("users/bob"))
    if then != "written again":
        server.delete("users/ada")
    if then != "deleted":
        server.put({"users/ada": {"n": 7}})
    batch = users.again(360)
    assert shown(batch) == [(ADDED, "users/bob", 1)]
    assert (batch.read, batch.superseded) == (2, 1)
    users.keep(batch, [])
    assert [len(users.lines(kind)) for kind in ("retryable", "replayed")] == [0, 2]


def test_a_document_that_is_still_gone_ends_again(desk, server):
    users = desk()
    gone = users.change("users/ada", REMOVED)
    server.delete("users/ada")
    users.refuse(gone)
    (entry,) = users.again(360).entries
    assert (entry.change.kind, entry.change.deleted, entry.change.update_time) == (REMOVED, True, gone.update_time)
    assert entry.change.read_time > gone.read_time


def test_a_document_that_was_created_again_does_not_end(desk, server):
    users = desk()
    gone = users.change("users/ada", REMOVED)
    server.delete("users/ada")
    users.refuse(gone)
    server.put({"users/ada": {"n": 9}})
    batch = users.again(360)
    assert (shown(batch), batch.superseded) == ([], 1)


@pytest.mark.parametrize(("n", "is_still_out"), [(5, True), (1, False)])
def test_a_document_that_left_the_filter_ends_again_unless_it_is_back(desk, server, n, is_still_out):
    users = desk(Query("users").where("n", "==", 1))
    left = users.change("users/ada", REMOVED)
    server.put({"users/ada": {"n": 4}})
    users.refuse(left)
    server.put({"users/ada": {"n": n}})
    batch = users.again(360)
    assert [(entry.change.kind, entry.change.deleted) for entry in batch.entries] == [(REMOVED, False)] * is_still_out


def test_a_document_without_fields_is_not_taken_for_one_that_is_gone(desk):
    users = desk()
    users.refuse(users.change("users/nil"))
    (entry,) = users.again(360).entries
    assert (entry.change.kind, entry.change.document.fields) == (ADDED, {})


def test_only_the_fields_that_are_listened_to_come_again(desk, server):
    server.put({"users/eve": {"n": 3, "secret": 4}})
    users = desk(Query("users").select("n"))
    users.refuse(users.change("users/eve"))
    (entry,) = users.again(360).entries
    assert entry.change.document.fields == {"n": 3}


def test_permanent_dead_letters_and_those_of_other_jobs_do_not_come_again(desk):
    users = desk()
    users.refuse(users.change("users/ada"), retryable=False)
    dead = users.refuse(users.change("users/bob"))
    origin = Origin("listen", "listen-2", "0123456789ab-1", "2020-01-01T00:00:00Z", "users")
    users.store.folder.store(origin, dead.dead_letters)
    assert shown(users.again(360)) == [(ADDED, "users/bob", 1)]
    assert users.retries.offer() is None


def test_a_stream_with_too_many_dead_letters_of_either_kind_is_held_until_there_are_fewer(desk):
    users = desk(max_dead_letters=2)
    users.refuse(users.change("users/ada"), retryable=False)
    assert users.schedule.held_of("users") == ""
    users.refuse(users.change("users/bob"))
    assert users.schedule.held_of("users").startswith(f"2 dead letters wait in {users.path}, at most 2 may; ")
    users.retries = Retries(users.settings)  # after a restart
    users.schedule.hold({})
    batch = users.again(360)
    assert users.schedule.held_of("users") != ""
    users.keep(batch, [])
    assert users.schedule.held_of("users") == ""


def test_while_the_database_does_not_answer_dead_letters_stay(desk, server):
    users = desk()
    users.refuse(users.change("users/ada"))
    server.script("BatchGetDocuments", always(status("UNAVAILABLE", "not now")))
    users.time.seconds += 360
    assert users.retries.offer() is not None
    position = Follow(_at(users))
    assert users.retries.take(server.target, {"users": position}) is None
    assert users.retries.offer() is None
    server.script("BatchGetDocuments", [])
    assert shown(users.again(60)) == [(ADDED, "users/ada", 1)]


def test_dead_letters_of_a_stream_that_is_read_elsewhere_stay(desk, server):
    users = desk()
    users.refuse(users.change("users/ada"))
    users.time.seconds += 360
    assert users.retries.offer() is not None
    assert users.retries.take(server.target, {}) is None


def test_a_batch_that_nobody_claimed_is_found_again(desk, server):
    users = desk()
    users.refuse(users.change("users/ada"))
    users.time.seconds += 360
    users.retries.offer()
    batch = users.retries.take(server.target, {"users": Follow(_at(users))})
    assert users.retries.offer() is None
    users.retries.put_back(batch)
    assert users.retries.offer().n_ready == 1


def test_each_dead_letter_counts_once(desk, server):
    users = desk()
    server.put({"users/eve": {"n": 3}})
    batch = users.refuse(*(users.change(f"users/{each}") for each in ("ada", "bob", "eve")))
    total = dict(outcome_of(batch).counts)
    assert {name: total[name] for name in ("read", "written", "dead_letter_count", "modified")} == {
        "read": 3,
        "written": 0,
        "dead_letter_count": 3,
        "modified": 3,
    }
    server.put({"users/eve": {"n": 4}})
    batch = users.again(360)
    batch = users.keep(batch, [entry for entry in batch.entries if entry.key == "users/bob"])
    total = {name: n + outcome_of(batch).counts[name] for name, n in total.items()}
    assert {name: n for name, n in total.items() if n and name != "bytes_read"} == {
        "read": 3,
        "written": 1,
        "superseded": 1,
        "dead_letter_count": 1,
        "modified": 3,
    }


def test_dead_letters_are_less_urgent_than_any_stream_and_do_not_starve(desk):
    users = desk()
    feed, pace = users.retries, users.schedule
    for each in "abc":
        users.refuse(users.change("users/ada"), users.change("users/bob") if each == "b" else users.change("users/nil"))
    users.time.seconds += 360
    chosen = []
    for _ in range(200):
        choice = pace.choose([Offer("users", 10, 1000), feed.offer() or Offer(DEAD_LETTERS, None)])
        chosen.append(choice.stream_id)
        if choice.stream_id == "users":
            now = _at(users)
            pace.handed_out(ChangeBatch("users", (None,) * 10, Follow(now), now, StreamState.LIVE))
        else:
            break
    assert "users" in chosen
    assert chosen[-1] == DEAD_LETTERS
    assert Unpaced().choose([Offer("users", None), Offer(DEAD_LETTERS, 1)]).stream_id == DEAD_LETTERS


def replay(users, *failing):
    """What `firebeam replay` does with all dead letters, of which those of some documents fail again."""
    folder, run = DeadLetterFolder(users.path), ReplayRun("replay-1", "2027-01-15T08:00:00Z", 5)
    for batch_id, stored in list(folder.stored()):
        failures = [
            DeadLetter("CallHandler", "FAILED", "no", None, path_of(each), each.position)
            for each in stored
            if path_of(each) in failing
        ]
        folder.resolve(batch_id, len(stored), failures, run, run.run)
        folder.clear(batch_id, run.run)


def test_what_a_replay_has_resolved_since_it_was_found_does_not_come_again(desk):
    users = desk()
    users.refuse(users.change("users/ada"))
    users.time.seconds += 360
    assert users.retries.offer() is not None
    replay(users)
    assert users.retries.take(users.server.target, {"users": Follow(_at(users))}) is None


def test_what_a_replay_resolves_while_it_is_tried_again_stays_where_the_replay_put_it(desk):
    users = desk()
    users.refuse(users.change("users/ada"), users.change("users/bob"))
    batch = users.again(360)
    replay(users, "users/bob")
    users.keep(batch, batch.entries)
    assert [(line["record_id"], line["attempts"]) for line in users.lines("retryable")] == [("users/bob", 3)]
    assert [line["record_id"] for line in users.lines("replayed")] == ["users/ada"]
    batch = users.again(360)
    replay(users)
    users.keep(batch, [])
    assert users.lines("retryable") == []
    assert sorted(line["record_id"] for line in users.lines("replayed")) == ["users/ada", "users/bob"]


def test_no_stream_waits_while_the_folder_is_looked_through_and_nothing_is_found_twice(desk):
    users, looks = desk(), []
    users.refuse(users.change("users/ada"))
    users.retries = Retries(users.settings, looks.append)
    assert users.retries.offer() is None  # looked through at once: what is due comes before streams end
    users.refuse(users.change("users/bob"))
    users.time.seconds += 360
    assert [users.retries.offer(), users.retries.offer()] == [None, None]
    looks.pop()()
    assert users.retries.offer().n_buffered == 2
    users.time.seconds += 60
    users.retries.offer()
    batch = users.again(0)
    looks.pop()()
    users.keep(batch, [])
    assert [users.retries.offer().n_buffered, looks] == [1, []]


def test_a_folder_that_cannot_be_read_ends_the_job_also_if_nobody_waited_for_it(desk):
    users, looks = desk(), []
    users.retries = Retries(users.settings, looks.append)
    users.retries.offer()
    users.refuse(users.change("users/ada"))
    (file,) = Path(users.path).rglob("*.jsonl")
    file.write_text("{}")
    users.time.seconds += 360
    users.retries.offer()
    looks.pop()()
    with pytest.raises(UsageError, match="is not a dead letter"):
        users.retries.offer()
