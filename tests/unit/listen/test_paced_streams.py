"""Streams of a scripted Firestore, served at the pace of a schedule: what is open, what is closed, what is parked."""

import datetime
import threading

import pytest

from transforms import retry
from transforms.errors import JobError
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState
from transforms.firestore.changes.journal import MemoryJournal
from transforms.firestore.changes.open_streams import OpenStreams
from transforms.firestore.changes.options import ListenedQuery, ListenOptions
from transforms.firestore.changes.parking import PARKING
from transforms.firestore.changes.positions import Follow
from transforms.firestore.changes.reads import Reads
from transforms.firestore.query import Query
from transforms.listen.schedule import PacedStream, PaceSettings, Schedule
from transforms.testing import ScriptedFirestore, always, status

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


class Time:
    seconds = 1_800_000_000.0

    def __call__(self):
        return self.seconds


class Reader:
    """One loop over the streams `s0`, `s1`, …, all of the collection users."""

    def __init__(self, server, n_streams, priority=None, **settings):
        self.server, self.time, self.wake = server, Time(), threading.Event()
        ids = [f"s{n}" for n in range(n_streams)]
        position = Follow(Reads(server.target.connect(), Query("users")).server_time())
        self.positions = dict.fromkeys(ids, position)
        clock = retry.Clock(now=self.time, monotonic=self.time)
        paced = tuple(PacedStream(each, priority) for each in ids)
        self.schedule = Schedule(PaceSettings("listen-1", paced, clock=clock, report_s=0, **settings))
        self.queries = [ListenedQuery(each, Query("users")) for each in ids]
        self.begin()

    def begin(self):
        """As a bundle does that follows another one."""
        options = ListenOptions(exact_snapshots=True).of(self.server.target)
        clock = self.schedule.settings.clock
        args = (self.server.target, self.queries, options, MemoryJournal(), self.schedule, clock, self.wake.set)
        self.streams = OpenStreams(*args)

    def next(self):
        """The next batch, accepted; None if none may go."""
        self.streams.serve(self.positions)
        batch = self.streams.next(self.positions)
        if batch is not None:
            self.streams.accept(batch)
            self.positions[batch.stream_id] = batch.position
        return batch

    def wait(self):
        """The next batch, whenever it comes."""
        while (batch := self.next()) is None:
            self.wake.wait(0.01)
            self.wake.clear()
        return batch

    def live(self, n_streams):
        """Ids of so many streams, once each has said that it is live."""
        ids = set()
        while len(ids) < n_streams:
            batch = self.wait()
            ids |= {batch.stream_id} if batch.state is StreamState.LIVE else set()
        return ids


@pytest.fixture
def server():
    with ScriptedFirestore({"users/ada": {}}) as server:
        yield server
        PARKING.close_expired(0)


def test_so_many_streams_are_open_as_may_be_and_all_get_their_turn(server):
    reader = Reader(server, 5, max_concurrent_streams=2, turn_s=60)
    seen = []
    for _ in range(3):
        ids = reader.live(2)
        server.listen.wait_for_targets(2)
        seen.append(ids)
        reader.time.seconds += 60
    assert seen == [{"s0", "s1"}, {"s2", "s3"}, {"s4", "s0"}]
    reader.streams.close()
    server.listen.wait_for_targets(0)


def test_a_stream_sees_in_its_turn_what_happened_while_it_was_closed(server):
    reader = Reader(server, 2, max_concurrent_streams=1, turn_s=60)
    assert reader.live(1) == {"s0"}
    reader.time.seconds += 60
    assert reader.live(1) == {"s1"}
    server.put({"users/eve": {}})
    reader.time.seconds += 60
    batch = reader.wait()
    while batch.stream_id != "s0" or not batch.changes:
        batch = reader.wait()
    assert [change.path for change in batch.changes] == ["users/eve"]
    reader.streams.close()


def test_a_stream_whose_turn_ended_between_two_bundles_does_not_stay_open(server):
    reader = Reader(server, 2, max_concurrent_streams=1, turn_s=60)
    reader.live(1)
    reader.streams.park()
    reader.time.seconds += 60
    reader.begin()
    assert reader.live(1) == {"s1"}
    server.listen.wait_for_targets(1)
    reader.streams.close()


def test_a_stream_whose_rate_is_used_up_waits_and_its_changes_with_it(server):
    reader = Reader(server, 1, "low")
    reader.live(1)
    server.put({f"users/u{n:03d}": {} for n in range(120)})
    n_changes = []
    while sum(n_changes) < 48:
        n_changes.append(len(reader.wait().changes))
    assert reader.next() is None
    reader.time.seconds += 60
    assert len(reader.next().changes) == 48
    assert reader.next() is None
    reader.streams.close()


def test_the_job_fails_when_all_streams_have_also_those_that_are_closed(server):
    server.script("AddTarget", always(status("PERMISSION_DENIED", "not for you")))
    reader = Reader(server, 2, max_concurrent_streams=1, turn_s=60)
    assert reader.wait().state is StreamState.FAILED
    reader.streams.check_failures(reader.positions)
    reader.time.seconds += 60
    assert reader.wait().stream_id == "s1"
    with pytest.raises(JobError, match=r"stream s0: .* not for you.*; stream s1: .* not for you"):
        reader.streams.check_failures(reader.positions)
    reader.streams.close()


def test_a_stream_that_ended_or_is_another_process_s_makes_room(server):
    reader = Reader(server, 3, max_concurrent_streams=1, turn_s=60)
    assert reader.live(1) == {"s0"}
    reader.streams.end("s0")
    del reader.positions["s0"]
    assert reader.live(1) == {"s1"}
    del reader.positions["s1"]
    assert reader.live(1) == {"s2"}
    reader.streams.close()


def test_a_report_of_a_stream_that_nobody_claims_is_said_later(server):
    reader = Reader(server, 1)
    reader.schedule = Schedule(PaceSettings("listen-1", (PacedStream("s0"),), clock=reader.schedule.settings.clock))
    reader.begin()
    reader.live(1)
    while reader.next() is not None:
        pass
    reader.time.seconds += 30
    reader.streams.serve(reader.positions)
    report = reader.streams.next(reader.positions)
    assert (report.state, report.changes, report.position) == (StreamState.LIVE, (), reader.positions["s0"])
    reader.streams.put_back(report)
    assert reader.streams.next(reader.positions) is None
    reader.streams.close()


def test_a_silent_stream_is_opened_anew_with_another_connection(server):
    reader = Reader(server, 1, silence_s=600)
    reader.live(1)
    while reader.next() is not None:
        pass
    cut = ChangeBatch("s0", (), reader.positions["s0"], NOW, StreamState.RECONNECTING, "UNAVAILABLE")
    reader.schedule.handed_out(cut)
    reader.time.seconds += 601
    reader.streams.check_silence()
    assert reader.streams.n_opened == 2
    assert reader.live(1) == {"s0"}
    reader.streams.close()
