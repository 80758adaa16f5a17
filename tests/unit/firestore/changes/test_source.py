"""One stream through rare events: nothing is compared and billed again and again, lost deletes are said aloud."""

import itertools

import pytest

from tests.support.direct_firestore import EVERYTHING, DirectFirestore
from tests.support.inexact_firestore import Inexact, InexactFirestore
from transforms.errors import JobError
from transforms.firestore.changes.change import ADDED, MODIFIED, REMOVED
from transforms.firestore.changes.change_batch import StreamState
from transforms.firestore.changes.journal import MemoryJournal
from transforms.firestore.changes.limits import Limits
from transforms.firestore.changes.options import ListenedQuery, ListenOptions
from transforms.firestore.changes.positions import Compare, Follow
from transforms.firestore.changes.reads import Reads
from transforms.firestore.changes.source import Source
from transforms.firestore.changes.times import micros
from transforms.firestore.client import RpcError
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget
from transforms.testing.documents import Retention

HOUR_S, MINUTE_S = 3600.0, 60.0
AN_HOUR = Retention(HOUR_S, 0, forgets=True)
A_WEEK_OF_MINUTES = Retention(HOUR_S, 7 * 24 * HOUR_S, forgets=True)
CANNOT_CATCH_UP = RpcError("DEADLINE_EXCEEDED", "datastore operation timed out")


class Listener:
    """A source, and everything it has handed out."""

    def __init__(self, retention=EVERYTHING, server_type=DirectFirestore, **options):
        self.server = server_type(retention)
        self.options = ListenOptions(**{"limits": Limits(10), **options}).of(self.server.target)
        self.handed_out = []
        self.begin(None)

    def begin(self, position):
        """In another process."""
        listened = ListenedQuery("users", Query("users"))
        source = Source(self.server, listened, self.options, MemoryJournal(), self.server.time.clock)
        self.batches = source.batches(position)

    def next(self):
        batch = next(self.batches)
        self.handed_out.append(batch)
        return batch

    def until(self, is_reached, max_batches=100):
        """The first batch for which that is true, and the changes up to it."""
        taken = []
        for _ in range(max_batches):
            taken.append(self.next())
            if is_reached(taken[-1]):
                return taken[-1], [change for batch in taken for change in batch.changes]
        raise AssertionError([batch.state for batch in taken])

    def live(self):
        """Until it has caught up with everything that is written by now."""
        now_us = self.server.stored.read_time_us()

        def has_caught_up(batch):
            return batch.state in (StreamState.LIVE, StreamState.DEGRADED) and micros(batch.read_time) >= now_us

        return self.until(has_caught_up)


def reads(server):
    return Reads(server, Query("users"))


def kinds(changes):
    return {change.path: change.kind for change in changes}


def test_a_target_that_never_catches_up_is_compared_once_and_then_left_alone_for_ten_minutes():
    listener = Listener()
    listener.live()
    began_at = listener.server.time()
    listener.server.refusals = [CANNOT_CATCH_UP] * 1000
    listener.server.cut_now("UNAVAILABLE")
    while listener.server.time() < began_at + 9 * MINUTE_S:
        listener.next()
    assert [batch.state for batch in listener.handed_out].count(StreamState.COMPARING) == 2 + 2  # first, then one more
    while listener.server.time() < began_at + 25 * MINUTE_S:
        listener.next()
    assert [batch.state for batch in listener.handed_out].count(StreamState.COMPARING) <= 2 + 2 * 3
    listener.server.refusals.clear()
    assert listener.live()[0].state is StreamState.LIVE


def test_waits_between_streams_grow_to_a_minute_and_begin_again_after_a_snapshot():
    listener = Listener()
    listener.live()
    listener.server.cuts = [(0, "UNAVAILABLE")] * 12
    listener.server.cut_now("UNAVAILABLE")
    times = []
    for _ in range(13):
        listener.until(lambda batch: batch.state is StreamState.RECONNECTING)
        times.append(listener.server.time())
    waits = [round(later - earlier, 1) for earlier, later in itertools.pairwise(times)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0]  # half of 1 to 60 s
    listener.live()
    listener.server.cut_now("UNAVAILABLE")
    listener.until(lambda batch: batch.state is StreamState.RECONNECTING)
    before = listener.server.time()
    listener.live()
    assert listener.server.time() - before < 1


def test_a_stream_is_opened_again_before_the_server_s_hour_without_a_wait():
    listener = Listener()
    listener.live()
    listener.server.time.sleep(54 * MINUTE_S)  # in the middle of 50 and 58
    listener.server.cut_now("DEADLINE_EXCEEDED")
    before = listener.server.time()
    assert listener.live()[0].state is StreamState.LIVE
    assert len(listener.server.requests) == 2
    assert listener.server.time() - before < 0.1


def test_a_quiet_stream_stays_new():
    listener = Listener()
    listener.live()
    listener.server.time.sleep(2 * HOUR_S)
    batch, _ = listener.live()
    assert listener.server.time() - batch.position.read_time.timestamp() < 1
    assert batch.changes == ()


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "INTERNAL"])
def test_credentials_that_run_out_are_renewed(code):
    listener = Listener()
    listener.live()
    listener.server.cut_now(code)
    assert listener.next().state is StreamState.RECONNECTING
    assert listener.live()[0].state is StreamState.LIVE


@pytest.mark.parametrize(
    ("code", "message", "text"),
    [
        ("UNAUTHENTICATED", "no", "Firestore refused .* with UNAUTHENTICATED: no"),
        ("FAILED_PRECONDITION", "The query requires an index. https://…", "needs an index that .* https://"),
        ("PERMISSION_DENIED", "no", "roles/datastore.user"),
    ],
)
def test_a_stream_that_is_refused_at_once_says_what_to_do(code, message, text):
    listener = Listener()
    listener.server.refusals = [RpcError(code, message)]
    with pytest.raises(JobError, match=text):
        listener.live()


def test_a_token_that_is_refused_is_replaced_by_its_read_time():
    listener = Listener()
    position = listener.live()[0].position
    listener.server.put("users/ada", n=1)
    listener.begin(Follow(position.read_time, b"from another database"))
    listener.next()
    _, changes = listener.live()
    assert kinds(changes) == {"users/ada": ADDED}
    *_, refused, taken = [request.add_target.WhichOneof("resume_type") for request in listener.server.requests]
    assert (refused, taken) == ("resume_token", "read_time")


def test_a_database_that_is_away_is_waited_for():
    listener = Listener()
    listener.server.put("users/ada", n=1)
    answer, listener.server.run_query = listener.server.run_query, away
    for _ in range(3):
        assert listener.until(lambda batch: batch.state is StreamState.RECONNECTING)[0].changes == ()
    listener.server.run_query = answer
    assert kinds(listener.live()[1]) == {"users/ada": ADDED}


def away(*arguments):
    raise RpcError("UNAVAILABLE", "nobody is there")


def stopped_for(seconds, retention, **options):
    """A listener that knew ada, bob and cem, and was away while bob was deleted and cem and dan were written."""
    listener = Listener(retention, **options)
    for name in ("ada", "bob", "cem"):
        listener.server.put(f"users/{name}", n=1)
    listener.server.time.sleep(2 * MINUTE_S)
    position = listener.live()[0].position
    listener.server.time.sleep(seconds / 2)
    listener.server.delete("users/bob")
    listener.server.put("users/cem", n=2)
    listener.server.put("users/dan", n=2)
    listener.server.time.sleep(seconds / 2)
    listener.server.refusals = [CANNOT_CATCH_UP]
    listener.begin(position)
    return listener, position


def test_within_the_hour_a_repair_finds_deletes():
    listener, _ = stopped_for(0.9 * HOUR_S, AN_HOUR)
    batch, changes = listener.live()
    assert kinds(changes) == {"users/bob": REMOVED, "users/cem": MODIFIED, "users/dan": ADDED}
    assert (batch.state, batch.position.deletes_lost_since) == (StreamState.LIVE, None)


def test_after_it_changes_are_exact_and_lost_deletes_are_said_aloud_also_by_the_next_process():
    listener, position = stopped_for(3 * HOUR_S, AN_HOUR)
    batch, changes = listener.live()
    assert kinds(changes) == {"users/cem": MODIFIED, "users/dan": ADDED}
    assert batch.state is StreamState.DEGRADED
    assert batch.position.deletes_lost_since == position.read_time
    assert f"the state at {position.read_time.isoformat()} could not be read" in batch.reason
    assert "firebeam export --deletes=mark" in batch.reason
    listener.begin(batch.position)
    assert listener.live()[0].state is StreamState.DEGRADED


def test_a_stream_may_rather_stop():
    listener, _ = stopped_for(3 * HOUR_S, AN_HOUR, stop_on_lost_deletes=True)
    with pytest.raises(JobError, match="can no longer be read, so deletes since then are not known; documents deleted"):
        listener.live()


def test_with_point_in_time_recovery_deletes_are_found_for_a_week():
    listener, position = stopped_for(30 * HOUR_S, A_WEEK_OF_MINUTES)
    batch, changes = listener.live()
    assert kinds(changes) == {"users/bob": REMOVED, "users/cem": MODIFIED, "users/dan": ADDED}
    assert batch.state is StreamState.LIVE
    assert [each.position.since for each in listener.handed_out if isinstance(each.position, Compare)][-1] == (
        position.read_time.replace(second=0, microsecond=0)
    )


def test_names_that_are_known_find_deletes_however_old_they_are():
    listener = Listener(AN_HOUR)
    for name in ("ada", "bob"):
        listener.server.put(f"users/{name}", n=1)
    listener.live()
    listener.server.time.sleep(3 * HOUR_S)
    listener.server.delete("users/bob")
    listener.server.refusals = [CANNOT_CATCH_UP]
    listener.server.cut_now("UNAVAILABLE")
    batch, changes = listener.live()
    assert kinds(changes) == {"users/bob": REMOVED}
    assert batch.state is StreamState.LIVE


def test_a_first_snapshot_that_was_interrupted_for_hours_begins_again_and_misses_no_document():
    listener = Listener(AN_HOUR, limits=Limits(1))
    for name in ("ada", "bob", "cem"):
        listener.server.put(f"users/{name}", n=1)
    position, _ = listener.until(lambda batch: batch.changes)
    listener.server.time.sleep(3 * HOUR_S)
    listener.begin(position.position)
    batch, changes = listener.live()
    assert kinds(changes).keys() == {"users/ada", "users/bob", "users/cem"}
    assert batch.state is StreamState.DEGRADED


def test_more_than_is_kept_in_memory_is_compared():
    listener = Listener(max_names=3)
    listener.live()
    for n in range(9):
        listener.server.put(f"users/{n}", n=1)
    listener.live()
    listener.server.tokens.expire()
    listener.server.cut_now("UNAVAILABLE")
    listener.server.delete("users/4")
    _, changes = listener.live()
    assert kinds(changes) == {"users/4": REMOVED}
    assert StreamState.COMPARING in [batch.state for batch in listener.handed_out[3:]]


def inexact(*names):
    """A listener that knows some documents, on a server whose snapshots cannot be trusted."""
    listener = Listener(server_type=InexactFirestore, exact_snapshots=False)
    for name in names:
        listener.server.put(f"users/{name}", n=1)
    listener.live()
    return listener


def test_a_snapshot_from_between_a_delete_and_what_came_after_it_does_not_end_the_new_document():
    listener = inexact("ada")
    listener.server.delete("users/ada")
    listener.server.put("users/ada", n=2)
    listener.server.inexact = [Inexact(age_us=1)]
    assert kinds(listener.live()[1]) == {"users/ada": MODIFIED}


def test_a_document_that_an_inexact_snapshot_leaves_out_is_not_removed():
    listener = inexact("ada", "bob")
    listener.server.put("users/bob", n=2)
    listener.server.inexact = [Inexact(missing=frozenset({"users/ada"}))] * 2
    assert kinds(listener.live()[1]) == {"users/bob": MODIFIED}


def test_a_position_behind_an_inexact_snapshot_is_exact_for_the_next_process():
    listener = inexact("ada", "bob")
    listener.server.delete("users/ada")
    listener.server.put("users/bob", n=2)
    listener.server.inexact = [Inexact(age_us=10_000_000)]
    batch = listener.next()
    changes = list(batch.changes)
    listener.begin(batch.position)
    changes += listener.live()[1]
    assert kinds(changes) == {"users/ada": REMOVED, "users/bob": MODIFIED}


def test_inexact_snapshots_that_waited_cost_one_read_together():
    listener = inexact("ada")
    listener.server.put("users/ada", n=2)
    listener.server.inexact = [Inexact(age_us=age_us) for age_us in (2, 1, 0)]
    before = listener.server.n_queries
    listener.next()
    listener.server.cut_now("UNAVAILABLE")
    assert listener.next().state is StreamState.RECONNECTING  # what waited has been received
    assert listener.server.n_queries == before + 1


def test_a_listener_of_an_emulator_reads_again_and_one_of_the_service_does_not():
    emulator = FirestoreTarget("demo", emulator_host="localhost:1")
    assert not ListenOptions().of(emulator).exact_snapshots
    assert ListenOptions().of(FirestoreTarget("demo")).exact_snapshots
    assert ListenOptions(exact_snapshots=True).of(emulator).exact_snapshots
