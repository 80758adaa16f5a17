"""The law of a stream of changes: at every position the changes up to it make the database as of its read time.

A model database is written to while a source follows it through everything that a server may do to it, and while the
process that runs the source is killed between any two of its steps: receive, journal, sink, save.
"""

from collections import deque

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.direct_firestore import DirectFirestore
from tests.support.inexact_firestore import Inexact, InexactFirestore
from transforms.firestore.changes.change import REMOVED
from transforms.firestore.changes.change_batch import StreamState, joined, n_together
from transforms.firestore.changes.journal import JournalEntry, MemoryJournal
from transforms.firestore.changes.limits import Limits
from transforms.firestore.changes.name_cache import NameCache, NamePool
from transforms.firestore.changes.options import ListenedQuery, ListenOptions
from transforms.firestore.changes.positions import Compare, Follow, from_json, to_json
from transforms.firestore.changes.source import Source
from transforms.firestore.client import RpcError
from transforms.firestore.query import Query

PATHS = [f"users/{name}" for name in ("a", "b", "c", "__id3__", "d d")]
ELSEWHERE = "others/x"
QUERIES = [Query("users"), Query("users").where("n", "==", 1), Query("users").where("n", ">", 1), Query.group("users")]
CODES = ["UNAVAILABLE", "INTERNAL", "ABORTED", "OK", "CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"]
MATCHES = {"==": lambda n, value: n == value, ">": lambda n, value: n > value}


# What is written, or deleted if None, while a stream is down.
MEANWHILE = st.lists(st.tuples(st.sampled_from(PATHS), st.none() | st.integers(0, 2)), max_size=4)


class NoJournal(MemoryJournal):
    """Writes nothing down."""

    def add(self, stream_id, entry):
        pass


class Listener(RuleBasedStateMachine):
    """A source, the process it runs in, and a sink that outlives it."""

    journal_type = MemoryJournal
    server_type: type[DirectFirestore] = DirectFirestore
    is_exact = True

    @initialize(
        query=st.sampled_from(QUERIES),
        max_names=st.sampled_from([1, 3, 100]),
        size=st.integers(1, 3),
        bits=st.sampled_from([0, 1, 20]),
        by_change=st.booleans(),
        seeds=st.sets(st.sampled_from(PATHS)),
    )
    def begin(self, query, max_names, size, bits, by_change, seeds):
        self.server = self.server_type()
        self.server.manners.bits_per_name, self.server.manners.departs_by_change = bits, by_change
        if any(condition.is_inequality for condition in query.conditions):
            max_names = 100  # of which all are needed to compare
        self.query = query
        options = ListenOptions(limits=Limits(size), max_names=max_names, exact_snapshots=self.is_exact)
        options = options.of(self.server.target)
        self.journal, self.pool = self.journal_type(), NamePool()
        self.others = NameCache(100, self.pool)
        self.source = lambda: Source(
            self.server, ListenedQuery("s", query), options, self.journal, self.server.time.clock, self.pool
        ).batches(self.claimed)
        for path in seeds:
            self.server.put(path, n=1)
        self.sink, self.saved, self.claimed, self.must_save, self.in_hand, self.steps = {}, None, None, False, None, []
        self.newest_change, self.waiting, self.began_at = None, deque(), self.server.time()
        self.batches = self.source()

    # What others do to the database.

    @rule(path=st.sampled_from(PATHS), n=st.integers(0, 2))
    def write(self, path, n):
        self.server.put(path, n=n)

    @rule(path=st.sampled_from(PATHS))
    def delete(self, path):
        self.server.delete(path)

    @rule(path=st.sampled_from(PATHS), n=st.integers(0, 2))
    def recreate(self, path, n):
        self.server.delete(path)
        self.server.put(path, n=n)

    @rule()
    def write_elsewhere(self):
        self.server.put(ELSEWHERE, n=1)

    # What the server does to the stream.

    # Within the hour in which old states can be read: what is lost later is said aloud, see test_source.py.
    @precondition(lambda self: self.server.time() < self.began_at + 2000)
    @rule(seconds=st.sampled_from([1, 30, 400]))
    def time_passes(self, seconds):
        self.server.time.sleep(seconds)

    @rule(after=st.integers(0, 6), code=st.sampled_from(CODES), meanwhile=MEANWHILE)
    def cut(self, after, code, meanwhile):
        self.server.cuts.append((after, code))
        self.interrupt_streams(meanwhile)

    @rule(meanwhile=MEANWHILE)
    def forget_deletes(self, meanwhile):
        self.interrupt_streams(meanwhile)
        self.server.tokens.forgotten_us = self.server.stored.read_time_us()

    @rule(meanwhile=MEANWHILE)
    def expire_tokens(self, meanwhile):
        self.server.tokens.expire()
        self.interrupt_streams(meanwhile)

    @rule(meanwhile=MEANWHILE)
    def forget_tokens(self, meanwhile):
        self.server.tokens.forget()
        self.interrupt_streams(meanwhile)

    @rule(
        n=st.integers(1, 3),
        code=st.sampled_from(["DEADLINE_EXCEEDED", "UNAVAILABLE", "INVALID_ARGUMENT"]),
        meanwhile=MEANWHILE,
    )
    def remove_targets(self, n, code, meanwhile):
        self.server.refusals += [RpcError(code, "the resume token is of no use")] * n
        self.interrupt_streams(meanwhile)

    @rule()
    def reset(self):
        for stream in self.server.streams[-1:]:
            stream.reset([1], self.server.stored.read_time_us())
            self.server.snapshot(stream)

    @rule()
    def count(self):
        for stream in self.server.streams[-1:]:
            stream.count([1], self.server.stored.read_time_us(), None)
            self.server.snapshot(stream)

    @rule(path=st.sampled_from(PATHS))
    def send_outdated(self, path):
        self.server.stale.append(path)

    def interrupt_streams(self, meanwhile):
        for stream in self.server.streams[-1:]:
            stream.cut(RpcError("UNAVAILABLE", "cut"))
        self.change(meanwhile)

    def change(self, meanwhile):
        for path, n in meanwhile:
            if n is None:
                self.server.delete(path)
            else:
                self.server.put(path, n=n)

    # What the process does, one step at a time.

    @rule(n=st.sampled_from([0, 2, 100]))
    def keep_names_of_other_streams(self, n):
        self.others.replace((f"others/{number}", 1) for number in range(n))

    @rule(n=st.integers(1, 6))
    def fall_behind(self, n):
        """More is received than handed out."""
        self.waiting += [next(self.batches) for _ in range(n)]

    @precondition(lambda self: not self.steps)
    @rule()
    def receive(self):
        if not self.waiting:
            self.fall_behind(1)
        n = n_together(self.waiting, max_changes=5, max_bytes=10**6)
        self.in_hand = joined([self.waiting.popleft() for _ in range(n)])
        self.steps = ["journal", "sink"]

    @precondition(lambda self: self.steps)
    @rule()
    def step(self):
        step, batch = self.steps.pop(0), self.in_hand
        if step == "journal":
            if batch.announced:
                self.journal.add("s", JournalEntry(batch.read_time, batch.announced))
        elif step == "sink":
            assert len({change.path for change in batch.changes}) == len(batch.changes)
            for change in batch.changes:
                self.apply(change)
                self.newest_change = max(self.newest_change or change.read_time, change.read_time)
            self.claimed = batch.position
            if batch.save_now:
                self.steps = ["save"]
        else:
            self.save()

    @precondition(lambda self: not self.steps)
    @rule()
    def save(self):
        self.saved = None if self.claimed is None else from_json(to_json(self.claimed))
        if isinstance(self.saved, Follow):
            self.journal.forget("s", self.saved.read_time)

    @precondition(lambda self: not self.steps)
    @rule(n=st.integers(1, 12))
    def run(self, n):
        for _ in range(n):
            self.receive()
            while self.steps:
                self.step()
                self.mirrors_the_database()

    @precondition(lambda self: not self.steps)
    @rule(path=st.sampled_from(PATHS), n=st.integers(0, 2))
    def write_and_run(self, path, n):
        self.server.put(path, n=n)
        self.run(3)

    # What happens to the process.

    @rule(meanwhile=MEANWHILE, is_removed=st.booleans())
    def kill(self, meanwhile, is_removed):
        """And documents change before it is started again, perhaps on a server that cannot catch up."""
        self.batches.close()
        self.change(meanwhile)
        if is_removed:
            self.server.refusals.insert(0, RpcError("DEADLINE_EXCEEDED", "datastore operation timed out"))
        self.claimed, self.steps, self.in_hand = self.saved, [], None
        self.waiting.clear()
        self.batches = self.source()

    @precondition(lambda self: not self.steps or self.steps == ["journal", "sink"])
    @rule()
    def move_to_another_worker(self):
        """A batch that was refused stays with the old one; the new one begins at the position that was claimed."""
        self.batches.close()
        self.steps, self.in_hand = [], None
        self.waiting.clear()
        self.batches = self.source()

    def apply(self, change):
        if change.kind == REMOVED:
            self.sink.pop(change.path, None)
            assert not change.deleted or change.path not in self.server.documents(change.read_time)
        else:
            assert change.document.update_time == change.update_time
            self.sink[change.path] = change.document.fields["n"]

    @invariant()
    def mirrors_the_database(self):
        if self.in_hand is None or self.steps in (["journal", "sink"], ["sink"]):
            return
        position, state = self.in_hand.position, self.in_hand.state
        if not isinstance(position, Follow) or position.after is not None or state is StreamState.RECONNECTING:
            return
        if self.newest_change is not None and self.newest_change > position.read_time:
            return  # the sink is ahead of a position that was resumed
        assert position.deletes_lost_since is None
        assert self.sink == self.matching(position.read_time), position
        assert position.documents in (None, len(self.sink))

    def matching(self, read_time):
        return {
            path: document.fields["n"]
            for path, document in self.server.documents(read_time).items()
            if path != ELSEWHERE
            and all(MATCHES[each.operator](document.fields["n"], each.value) for each in self.query.conditions)
        }

    def teardown(self):
        if not hasattr(self, "batches"):
            return
        while self.steps:
            self.step()
        self.server.time.sleep(700)  # whatever was compared may be compared again
        until = self.server.stored.read_time_us()
        for _ in range(200):
            self.receive()
            while self.steps:
                self.step()
            self.mirrors_the_database()
            position = self.claimed
            if isinstance(position, Follow) and position.read_time.timestamp() * 1e6 >= until and not position.after:
                break
            assert isinstance(position, Compare | Follow)
        assert self.sink == self.matching(position.read_time)
        self.batches.close()


TestLaw = Listener.TestCase
TestLaw.settings = settings(max_examples=250, stateful_step_count=40)


class EmulatorListener(Listener):
    """On a server whose snapshots are older than they say, or have not all documents; so they are read again."""

    server_type = InexactFirestore
    is_exact = False

    @rule(age_us=st.sampled_from([0, 1, 2, 3, 1_000, 10_000_000]), missing=st.frozensets(st.sampled_from(PATHS)))
    def send_inexact(self, age_us, missing):
        self.server.inexact.append(Inexact(age_us, missing))


TestLawOfEmulators = EmulatorListener.TestCase
TestLawOfEmulators.settings = settings(max_examples=150, stateful_step_count=40)


class TrustingListener(EmulatorListener):
    is_exact = True


def test_unless_they_are_read_again_inexact_snapshots_break_the_law():
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            TrustingListener, settings=settings(max_examples=1000, stateful_step_count=40, phases=[Phase.generate])
        )


class WithoutJournal(Listener):
    journal_type = NoJournal


def test_without_the_journal_the_law_does_not_hold():
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            WithoutJournal, settings=settings(max_examples=1000, stateful_step_count=40, phases=[Phase.generate])
        )


@pytest.mark.parametrize(("journal_type", "remaining"), [(MemoryJournal, set()), (NoJournal, {"users/a"})])
def test_created_announced_killed_deleted_resumed(journal_type, remaining):
    machine = type("Machine", (Listener,), {"journal_type": journal_type})()
    machine.begin(Query("users"), 100, 3, 20, False, set())
    machine.run(4)
    machine.save()
    machine.write("users/a", 1)
    machine.receive()
    while machine.steps:
        machine.step()
    assert machine.sink == {"users/a": 1}
    machine.kill([], False)
    machine.delete("users/a")
    for _ in range(3):
        machine.receive()
        while machine.steps:
            machine.step()
    assert machine.claimed.read_time.timestamp() * 1e6 >= machine.server.stored.read_time_us() - 1
    assert machine.sink.keys() == remaining
