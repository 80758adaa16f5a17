"""The law of dead letters: whatever fails whenever, no sink gets an older state of a document behind a newer one."""

import tempfile
import threading
from collections import Counter

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.unit.listen.test_retries import Desk
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.firestore.changes.journal import MemoryJournal
from transforms.firestore.changes.open_streams import OpenStreams
from transforms.firestore.changes.options import ListenOptions
from transforms.firestore.changes.pace import Unpaced
from transforms.firestore.changes.positions import Follow
from transforms.firestore.changes.reads import Reads
from transforms.firestore.collection_patterns import CollectionPattern
from transforms.firestore.query import Query
from transforms.firestore.reader import read_paths
from transforms.listen.entries import StreamSettings, entered
from transforms.listen.steps import outcome_of
from transforms.testing import ScriptedFirestore

PATHS = ("users/a", "users/b", "users/c")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sets(st.sampled_from(PATHS), min_size=1)),
        st.tuples(st.just("delete"), st.sampled_from(PATHS)),
        st.tuples(st.just("wait"), st.sampled_from([61, 300])),
        st.tuples(st.just("serve"), st.integers(0, 7)),  # the bits say which of its changes the sink refuses
    ),
    min_size=5,
    max_size=30,
)


class Job:
    """One stream and its dead letters, in one loop, into a sink that refuses what it is told to."""

    def __init__(self, server, folder):
        self.server, self.desk = server, Desk(server, folder, Query("users"), max_attempts=100)
        self.positions = {"users": Follow(Reads(self.desk.client, Query("users")).server_time())}
        self.wake = threading.Event()
        options = ListenOptions(exact_snapshots=True).of(server.target)
        args = (server.target, [self.desk.query], options, MemoryJournal(), Unpaced(), self.desk.settings.clock)
        self.streams = OpenStreams(*args, self.wake.set, self.desk.retries)
        self.newest, self.sink, self.counts = {}, {}, {}

    def serve(self, refused_bits):
        """One batch through the loop, if there is one. Returns whether there was."""
        self.streams.serve(self.positions)
        batch = self.streams.next(self.positions)
        if batch is None:
            return False
        self.streams.accept(batch)
        self.positions["users"] = batch.position
        self.finish(entered(batch, "listen-1", StreamSettings((CollectionPattern("users"),))), refused_bits)
        return True

    def work(self, refused_bits):
        """Serves what comes within a moment."""
        for _ in range(5):
            while self.serve(refused_bits):
                pass
            self.wake.wait(0.002)
            self.wake.clear()

    def finish(self, batch, refused_bits):
        failing = [entry for n, entry in enumerate(batch.entries) if refused_bits >> n & 1]
        for entry in batch.entries:
            state = (entry.change.read_time if entry.is_removed else entry.change.update_time), entry.is_removed
            assert state >= self.newest.get(entry.key, state), f"{entry.key}: an older state behind a newer one"
            self.newest[entry.key] = state
            if entry not in failing:
                self.sink[entry.key] = None if entry.is_removed else entry.change.document.fields
        outcome = outcome_of(self.desk.keep(batch, failing))
        for name, n in outcome.counts.items():
            self.counts[name] = self.counts.get(name, 0) + n

    def settle(self):
        """Serves with a sink that takes everything, until it has what the database has."""
        for _ in range(1000):
            if not self.serve(0):
                self.wake.wait(0.01)
            self.wake.clear()
            self.desk.time.seconds += 10
            if self.state() == self.there() and not self.counts.get("dead_letter_count"):
                return

    def state(self):
        return {path: fields for path, fields in self.sink.items() if fields is not None}

    def there(self):
        return {each.path: each.fields for each in read_paths(self.desk.client, PATHS) if each.exists}


@settings(max_examples=20, deadline=None, phases=[Phase.generate])
@given(STEPS)
def test_no_older_state_comes_behind_a_newer_one_and_in_the_end_the_sink_has_them_all(steps):
    with ScriptedFirestore() as server, tempfile.TemporaryDirectory() as folder:
        job = Job(server, folder)
        for number, (step, what) in enumerate(steps):
            if step == "put":
                server.put({path: {"n": number} for path in what})
            elif step == "delete":
                server.delete(what)
            elif step == "wait":
                job.desk.time.seconds += what
            else:
                job.work(what)
        job.settle()
        job.streams.close()
        assert job.state() == job.there()
        counts = Counter(job.counts)
        assert counts["read"] == counts["written"] + counts["superseded"] + counts["dead_letter_count"]
        assert counts["dead_letter_count"] == 0
        assert list(DeadLetterFolder(folder).stored()) == []
