"""The splittable DoFn driven by hand, and on the local runner: streams are opened once, and nothing is missed."""

import datetime
import pickle

import apache_beam as beam
import pytest
from apache_beam.coders.typecoders import registry
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.sdf_utils import (
    RestrictionTrackerView,
    ThreadsafeRestrictionTracker,
    ThreadsafeWatermarkEstimator,
)

from transforms.errors import JobError, UsageError
from transforms.firestore.changes.change import ADDED, MODIFIED, REMOVED, Change
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState
from transforms.firestore.changes.journal import MemoryJournal
from transforms.firestore.changes.options import ListenedQuery, ListenOptions
from transforms.firestore.changes.parking import PARKING
from transforms.firestore.changes.positions import Follow
from transforms.firestore.changes.reads import Reads
from transforms.firestore.changes.tracker import GroupProvider, GroupTracker
from transforms.firestore.listen import ListenFn, ListenToFirestore, StreamGroup
from transforms.firestore.query import Query
from transforms.runtime.stopping import ask_to_stop, forget_request
from transforms.testing import ScriptedFirestore, always, cut_after, status

PEOPLE = {"users/ada": {"n": 1}, "users/bob": {"n": 2}}
EXACT = ListenOptions(exact_snapshots=True)


@pytest.fixture
def server():
    with ScriptedFirestore(PEOPLE) as server:
        yield server
        PARKING.close_expired(0)


class Unpicklable:
    """Fails whoever pickles it."""

    def __reduce__(self):
        raise pickle.PicklingError("looked at")


class InterruptedTracker(GroupTracker):
    """The runner asks for a checkpoint just before the first claim."""

    residual = None

    def try_claim(self, claim):
        if self.residual is None:
            _, self.residual = self.try_split(0)
        return super().try_claim(claim)


class Reader:
    """One bundle of the DoFn, one output at a time."""

    def __init__(
        self, group, restriction=None, journal=None, checkpoint_s=100.0, options=EXACT, tracker_type=GroupTracker
    ):
        restriction = restriction or GroupProvider().initial_restriction(group)
        self.own_tracker = tracker_type(restriction)
        self.tracker = ThreadsafeRestrictionTracker(self.own_tracker)
        self.watermark = ThreadsafeWatermarkEstimator(ManualWatermarkEstimator(None))
        do_fn = ListenFn(options.of(group.target), journal or MemoryJournal(), checkpoint_s)
        self.outputs = do_fn.process(group, RestrictionTrackerView(self.tracker), self.watermark)

    def batch(self):
        return next(self.outputs).value

    def changes(self, n_changes):
        """The next changes, at least so many."""
        changes = []
        while len(changes) < n_changes:
            changes += self.batch().changes
        return changes

    def checkpoint(self):
        """What is left for another bundle."""
        _, residual = self.tracker.try_split(0)
        return residual

    def finish(self):
        assert list(self.outputs) == []
        self.tracker.check_done()


def follow(server):
    """A position now."""
    return Follow(Reads(server.target.connect(), Query("users")).server_time())


def group_of(server, *ids, position=None, until=None):
    streams = tuple(ListenedQuery(stream_id, Query("users")) for stream_id in ids or ("users",))
    positions = tuple((stream.stream_id, position) for stream in streams) if position else ()
    return StreamGroup(server.target, streams, positions, until)


def n_opened(server):
    return len(server.requests("Listen"))


def test_a_snapshot_comes_first_and_then_every_change(server):
    reader = Reader(group_of(server))
    first = reader.batch()
    assert (first.save_now, first.changes, first.state) == (True, (), StreamState.COMPARING)
    assert [(change.kind, change.path) for change in reader.changes(2)] == [
        (ADDED, "users/ada"),
        (ADDED, "users/bob"),
    ]
    server.listen.wait_for_targets(1)
    server.put({"users/ada": {"n": 7}})
    (change,) = reader.changes(1)
    assert (change.kind, change.document.fields) == (MODIFIED, {"n": 7})
    server.delete("users/bob")
    (change,) = reader.changes(1)
    assert (change.kind, change.path, change.deleted) == (REMOVED, "users/bob", True)
    assert reader.watermark.current_watermark() is not None
    reader.checkpoint()
    reader.finish()


def test_five_checkpoints_before_the_first_claim_open_one_stream(server):
    group = group_of(server, position=follow(server))
    restriction = None
    for _ in range(5):
        reader = Reader(group, restriction, tracker_type=InterruptedTracker)
        reader.finish()
        restriction = reader.own_tracker.residual
    server.listen.wait_for_targets(1)
    server.put({"users/eve": {"n": 3}})
    reader = Reader(group, restriction)
    assert [change.path for change in reader.changes(1)] == ["users/eve"]
    assert n_opened(server) == 1
    reader.outputs.close()


def test_a_batch_that_was_refused_is_handed_out_by_the_next_bundle_in_whatever_instance(server):
    group = group_of(server, position=follow(server))
    reader = Reader(group)
    reader.batch()
    server.put({"users/eve": {"n": 3}})
    residual = reader.checkpoint()
    reader.finish()
    again = Reader(group, residual)
    assert [change.path for change in again.changes(1)] == ["users/eve"]
    assert n_opened(server) == 1
    again.outputs.close()


def test_a_bundle_that_is_repeated_begins_where_it_began(server):
    group = group_of(server, position=follow(server))
    begun = GroupProvider().initial_restriction(group)
    reader = Reader(group, begun)
    reader.batch()
    server.put({"users/eve": {"n": 3}})
    assert [change.path for change in reader.changes(1)] == ["users/eve"]
    reader.outputs.close()
    again = Reader(group, begun)
    assert [change.path for change in again.changes(1)] == ["users/eve"]
    assert n_opened(server) == 2
    again.outputs.close()


def test_half_of_the_streams_continue_elsewhere(server):
    group = group_of(server, "a", "b", position=follow(server))
    reader = Reader(group)
    reader.batch()
    server.listen.wait_for_targets(2)
    _, given = reader.tracker.try_split(0.5)
    assert [stream_id for stream_id, _ in given.positions] == ["b"]
    other = Reader(group, given)
    server.put({"users/eve": {"n": 3}})
    for each, stream_id in [(reader, "a"), (other, "b")]:
        batch = each.batch()
        while not batch.changes:
            batch = each.batch()
        assert (batch.stream_id, [change.path for change in batch.changes]) == (stream_id, ["users/eve"])
        each.outputs.close()


def test_what_is_added_is_in_the_journal_before_anybody_sees_it(server):
    journal = MemoryJournal()
    reader = Reader(group_of(server, position=follow(server)), journal=journal)
    reader.batch()
    server.put({"users/eve": {"n": 3}, "users/ada": {"n": 5}})
    reader.changes(2)
    ((_, paths),) = journal.entries("users")
    assert paths == ("users/eve",) or set(paths) == {"users/eve", "users/ada"}
    reader.outputs.close()


def test_a_bundle_ends_by_itself_and_the_next_one_takes_the_stream_up(server):
    group = group_of(server, position=follow(server))
    reader = Reader(group, checkpoint_s=0.0)
    assert list(reader.outputs) == []
    residual, _ = reader.tracker.deferred_status()
    again = Reader(group, residual)
    again.batch()
    assert n_opened(server) == 1
    again.outputs.close()


def test_one_stream_fails_and_the_others_go_on(server):
    server.script(
        "AddTarget",
        lambda target, n: (
            status("PERMISSION_DENIED", "not for you")
            if target.query.structured_query.from_[0].collection_id == "secrets"
            else None
        ),
    )
    position = follow(server)
    streams = (ListenedQuery("good", Query("users")), ListenedQuery("bad", Query("secrets")))
    group = StreamGroup(server.target, streams, (("good", position), ("bad", position)))
    reader = Reader(group)
    batch = reader.batch()
    while batch.state is not StreamState.FAILED:
        batch = reader.batch()
    assert batch.stream_id == "bad"
    assert "PERMISSION_DENIED: not for you" in batch.reason
    assert "Grant the job's account roles/datastore.user" in batch.reason
    server.put({"users/eve": {"n": 3}})
    assert [change.path for change in reader.changes(1)] == ["users/eve"]
    reader.outputs.close()


def test_when_every_stream_has_failed_so_has_the_job(server):
    server.script("AddTarget", always(status("PERMISSION_DENIED", "not for you")))
    reader = Reader(group_of(server, position=follow(server)))
    with pytest.raises(JobError, match=r"stream users: Firestore refused .* with PERMISSION_DENIED: not for you"):
        list(reader.outputs)


def test_streams_end_where_they_are_told_to(server):
    until = Reads(server.target.connect(), Query("users")).server_time()
    reader = Reader(group_of(server, "a", "b", until=until))
    batches = [output.value for output in reader.outputs]
    reader.tracker.check_done()
    ends = {batch.stream_id: batch.position for batch in batches}
    assert all(end.read_time >= until for end in ends.values())
    assert len(ends) == 2
    assert sum(len(batch.changes) for batch in batches) == 2 * len(PEOPLE)


def test_a_pipeline_that_is_asked_to_stop_ends(server):
    reader = Reader(group_of(server, position=follow(server)))
    reader.batch()
    ask_to_stop()
    try:
        reader.finish()
    finally:
        forget_request()
    server.listen.wait_for_targets(0)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INTERNAL", "ABORTED"])
def test_a_stream_that_is_cut_is_opened_again_at_its_position(server, code):
    server.script("Listen", [cut_after(3, code)])  # ADD, CURRENT, NO_CHANGE
    reader = Reader(group_of(server, position=follow(server)))
    token = reader.batch().position.token
    batch = reader.batch()
    assert (batch.state, batch.reason) == (StreamState.RECONNECTING, f"{code}: the stream was cut")
    server.put({"users/eve": {"n": 3}})
    assert [change.path for change in reader.changes(1)] == ["users/eve"]
    _, again = server.requests("Listen")
    assert again.add_target.resume_token == token
    reader.outputs.close()


SEEN = []


def see(batch):
    SEEN.extend((change.kind, change.path) for change in batch.changes)


def test_on_the_local_runner_changes_flow_until_the_given_time(server):
    SEEN.clear()
    position = follow(server)
    server.put({"users/eve": {"n": 3}})
    server.delete("users/bob")
    arguments = {"target": server.target, "options": EXACT, "until": follow(server).read_time}
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        batches = pipeline | ListenToFirestore("users", positions={"users": position}, **arguments)
        assert not batches.is_bounded
        batches | beam.Map(see)
    assert SEEN == [(ADDED, "users/eve"), (REMOVED, "users/bob")]
    assert n_opened(server) == 1


def test_streams_need_ids_of_their_own_and_queries_without_order():
    with pytest.raises(UsageError, match="two streams have the id 'a'; give each its own"):
        ListenToFirestore([ListenedQuery("a", Query("users")), ListenedQuery("a", Query("posts"))])
    with pytest.raises(UsageError, match="there is no stream to listen to"):
        ListenToFirestore([])
    with pytest.raises(UsageError, match="stream 'users': a listened query has neither order nor limit; remove them"):
        ListenToFirestore(Query("users").limit(3))


def test_a_batch_is_measured_by_its_first_change_alone_and_what_listens_gives_such_batches(server):
    """Where Beam does not know what a step hands on, it pickles whole batches for an estimate."""
    batches = beam.Pipeline() | ListenToFirestore("users", target=server.target)
    now = datetime.datetime.now(datetime.timezone.utc)
    first = Change(ADDED, "users/ada", None, now, now)
    coder = registry.get_coder(batches.element_type)
    measured = coder.estimate_size(ChangeBatch("users", (first, Unpicklable()), None, now, StreamState.LIVE))
    assert 2 * len(pickle.dumps(first)) - 50 < measured < 2 * len(pickle.dumps(first)) + 50


def test_a_batch_of_changes_arrives_whole_and_an_empty_one_has_no_size():
    now = datetime.datetime.now(datetime.timezone.utc)
    sent = ChangeBatch("users", (Change(REMOVED, "users/ada", None, now, now),), None, now, StreamState.LIVE)
    coder = registry.get_coder(ChangeBatch)
    assert coder.decode(coder.encode(sent)) == sent
    assert coder.estimate_size(ChangeBatch("users", (), None, now, StreamState.LIVE)) == 0
