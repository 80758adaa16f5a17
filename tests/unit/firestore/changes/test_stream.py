"""A stream in its thread: bounded, opened again when silent, tried again when it failed, closed when it is left."""

import threading

import pytest

from transforms import retry
from transforms.firestore.changes.change_batch import StreamState
from transforms.firestore.changes.journal import MemoryJournal
from transforms.firestore.changes.limits import Limits
from transforms.firestore.changes.options import ListenedQuery, ListenOptions
from transforms.firestore.changes.parking import Parking
from transforms.firestore.changes.positions import Compare, Follow
from transforms.firestore.changes.reads import Reads
from transforms.firestore.changes.stream import Stream
from transforms.firestore.query import Query
from transforms.testing import ScriptedFirestore, status

USERS = ListenedQuery("users", Query("users"))


class Time:
    """Moved by the test."""

    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def server():
    with ScriptedFirestore({f"users/u{n:03d}": {} for n in range(300)}) as server:
        yield server


@pytest.fixture
def streams():
    """Makes streams that end with the test."""
    opened = []

    def open_stream(server, position=None, clock=retry.SYSTEM_CLOCK, **options):
        options = ListenOptions(**{"limits": Limits(10), "exact_snapshots": True, **options}).of(server.target)
        stream = Stream(server.target.connect(), USERS, position, options, MemoryJournal(), clock, try_again_s=0)
        opened.append(stream)
        return stream

    yield open_stream
    for stream in opened:
        stream.close()
        stream.join()


def next_batch(stream):
    ready = []
    while not stream.is_ready:
        stream.attach(lambda: ready.append(1))
    batch = stream.take()
    stream.accept(batch)
    return batch


def follow(server):
    return Follow(Reads(server.target.connect(), Query("users")).server_time())


def test_it_stops_receiving_when_nobody_takes_and_drops_nothing(server, streams):
    stream = streams(server, max_buffered=25)
    changes = []
    while len(changes) < 300:
        assert stream.n_buffered <= 25 + 10
        changes += next_batch(stream).changes
    assert [change.path for change in changes] == [f"users/u{n:03d}" for n in range(300)]


def test_it_is_bounded_by_bytes_as_well(server, streams):
    stream = streams(server, max_buffered_bytes=1)
    batch = next_batch(stream)
    while not batch.changes:
        batch = next_batch(stream)
    assert stream.n_buffered <= 10


def test_batches_without_changes_are_joined(server, streams):
    stream = streams(server, follow(server))
    server.listen.wait_for_targets(1)
    first = next_batch(stream)
    for _ in range(5):
        server.listen.heartbeat()
    server.put({"users/new": {}})
    batches = [next_batch(stream)]
    while not batches[-1].changes:
        batches.append(next_batch(stream))
    assert batches[-1].position.read_time > first.position.read_time


def test_a_batch_that_is_put_back_is_the_next_one(server, streams):
    stream = streams(server)
    next_batch(stream)
    while not stream.is_ready:
        pass
    batch = stream.take()
    stream.put_back()
    assert isinstance(stream.position, Compare)
    assert next_batch(stream) == batch
    assert stream.position == batch.position


def pieces_of_a_snapshot(server, streams, n_changes):
    """A stream whose next snapshot waits in pieces of 10."""
    stream = streams(server, follow(server))
    next_batch(stream)
    server.put({f"users/new{n:03d}": {} for n in range(n_changes)})
    while stream.n_buffered < n_changes:
        pass
    return stream


def test_pieces_of_one_snapshot_are_taken_together_as_many_as_wanted(server, streams):
    stream = pieces_of_a_snapshot(server, streams, 45)
    assert (stream.offer().n_ready, stream.offer().n_buffered) == (10, 45)
    batch = stream.take(35)
    assert [change.path for change in batch.changes] == [f"users/new{n:03d}" for n in range(30)]
    assert batch.announced == tuple(change.path for change in batch.changes)
    assert batch.position.after.path == "users/new029"
    stream.accept(batch)
    rest = stream.take(500)
    assert len(rest.changes) == 15
    assert rest.position.after is None
    stream.accept(rest)
    assert stream.offer()[1:3] == (None, 0)


def snapshots(server, streams, *snapshots_of_names, **options):
    """A stream for which snapshots wait, each of some documents."""
    stream = streams(server, follow(server), **options)
    next_batch(stream)
    server.listen.automatic, n_changes = False, 0
    for names in snapshots_of_names:
        server.put({f"users/{name}": {"n": n_changes} for name in names})
        server.listen.publish()
        n_changes += len(names)
        while stream.n_buffered < n_changes:
            pass
    return stream


def paths(batch):
    return [change.path.removeprefix("users/") for change in batch.changes]


def test_of_a_late_stream_snapshots_are_taken_together_up_to_the_last_one_s_position(server, streams):
    stream = snapshots(server, streams, "b", "ac", "d")
    batch = stream.take(500)
    assert (paths(batch), batch.n_snapshots) == (["b", "a", "c", "d"], 3)
    assert batch.announced == tuple(change.path for change in batch.changes)
    assert batch.position == Follow(batch.read_time, batch.position.token, batch.position.documents)
    read_times = [change.read_time for change in batch.changes]
    assert read_times[0] < read_times[1] == read_times[2] < read_times[3] == batch.read_time
    stream.put_back()
    assert [paths(next_batch(stream)) for _ in range(3)] == [["b"], ["a", "c"], ["d"]]


def test_a_batch_of_several_snapshots_is_as_large_as_one_may_be_and_changes_no_document_twice(server, streams):
    stream = snapshots(server, streams, "ab", "a", "c", "ca", "de")
    taken = []
    while stream.n_buffered:
        taken.append(stream.take(3))
        stream.accept(taken[-1])
    assert [paths(batch) for batch in taken] == [["a", "b"], ["a", "c"], ["a", "c"], ["d", "e"]]
    limited = snapshots(server, streams, "uv", "w", limits=Limits(10, n_bytes=1))
    assert paths(limited.take(500)) == ["u"]


def test_what_is_put_back_comes_again_in_its_pieces(server, streams):
    stream = pieces_of_a_snapshot(server, streams, 25)
    position = stream.position
    stream.take(500)
    stream.put_back()
    assert stream.position == position
    assert [len(next_batch(stream).changes) for _ in range(3)] == [10, 10, 5]


def test_it_counts_how_often_it_was_full(server, streams):
    stream = streams(server, max_buffered=25)
    while stream.n_full < 1:
        pass
    assert stream.n_buffered >= 25


def test_a_stream_that_falls_silent_is_opened_again(server, streams):
    time = Time()
    stream = streams(server, follow(server), retry.Clock(now=time, monotonic=time), silence_s=120)
    next_batch(stream)
    server.listen.wait_for_targets(1)
    time.now += 119
    stream.check_silence()
    assert stream.n_silences == 0
    time.now += 2
    stream.check_silence()
    stream.check_silence()
    assert stream.n_silences == 1
    batch = next_batch(stream)
    assert (batch.state, batch.reason[:9]) == (StreamState.RECONNECTING, "CANCELLED")
    assert next_batch(stream).state is StreamState.LIVE
    assert len(server.requests("Listen")) == 2


def test_a_stream_that_nobody_takes_from_is_not_silent(server, streams):
    time = Time()
    clock = retry.Clock(now=time, monotonic=time)
    stream = streams(server, follow(server), clock, silence_s=120, max_buffered=1, limits=Limits(1))
    next_batch(stream)
    server.listen.wait_for_targets(1)
    server.put({f"users/new{n}": {} for n in range(3)})  # one snapshot, of which one change fits
    while not stream.n_buffered:
        pass
    time.now += 1000
    stream.check_silence()
    assert stream.n_silences == 0
    changes = []
    while len(changes) < 3:
        changes += next_batch(stream).changes
    assert len(server.requests("Listen")) == 1


def test_a_stream_that_failed_says_why_and_is_tried_again_where_it_was(server, streams):
    server.script("AddTarget", [status("PERMISSION_DENIED", "not for you")])
    position = follow(server)
    stream = streams(server, position)
    batch = next_batch(stream)
    assert (batch.state, batch.position) == (StreamState.FAILED, position)
    assert "PERMISSION_DENIED: not for you" in stream.failure
    assert next_batch(stream).state is StreamState.LIVE
    assert stream.failure == ""


def test_a_closed_stream_ends_its_rpc(server, streams):
    stream = streams(server, follow(server))
    server.listen.wait_for_targets(1)
    stream.close()
    stream.join()
    server.listen.wait_for_targets(0)


@pytest.mark.parametrize("rpc", ["BatchGetDocuments", "RunQuery", "Listen"])
def test_a_closed_stream_does_not_wait_for_a_database_that_is_away(server, streams, rpc):
    asked = threading.Event()

    def refuse(request, ordinal):
        asked.set()
        return status("UNAVAILABLE")

    server.script(rpc, refuse)
    stream = streams(server, None)
    asked.wait()
    stream.close()
    stream.join()
    assert stream.error is None


def test_a_parked_stream_is_taken_at_its_position_only(server, streams):
    position, other = follow(server), follow(server)
    parking = Parking()
    stream = streams(server, position)
    parking.park("here", stream)
    assert parking.take("there", USERS, position) is None
    assert parking.take("here", USERS, position) is stream
    parking.park("here", stream)
    assert parking.take("here", USERS, other) is None
    stream.join()
    assert parking.take("here", USERS, position) is None


def test_a_parked_stream_of_another_query_is_not_taken(server, streams):
    position = follow(server)
    parking = Parking()
    parking.park("here", streams(server, position))
    assert parking.take("here", ListenedQuery("users", Query("others")), position) is None


def test_a_parked_stream_that_nobody_takes_is_closed_after_a_minute(server, streams):
    time = Time()
    parking = Parking(60, time)
    position = follow(server)
    stream = streams(server, position)
    parking.park("here", stream)
    time.now += 59
    parking.close_expired()
    assert parking.take("here", USERS, position) is stream
    parking.park("here", stream)
    time.now += 60
    parking.close_expired()
    stream.join()
    assert parking.take("here", USERS, position) is None


def test_of_two_streams_at_one_place_the_last_one_stays(server, streams):
    position = follow(server)
    parking = Parking()
    first, second = streams(server, position), streams(server, position)
    parking.park("here", first)
    parking.park("here", second)
    first.join()
    assert parking.take("here", USERS, position) is second


def test_the_timer_closes_what_was_forgotten(server, streams):
    parking = Parking(0.05)
    stream = streams(server, follow(server))
    parking.park("here", stream)
    stream.join()
