"""What differs between two states, from any place in the middle on: exactly, deletes included."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clocks import Clock
from transforms.errors import JobError
from transforms.firestore.changes.change import ADDED, MODIFIED, REMOVED
from transforms.firestore.changes.compare import compare
from transforms.firestore.changes.limits import Limits
from transforms.firestore.changes.name_cache import NameCache
from transforms.firestore.changes.positions import Compare, Follow
from transforms.firestore.changes.reads import Reads
from transforms.firestore.query import Query
from transforms.testing import ScriptedFirestore, name_key

IDS = ["a", "b", "__id7__", "__id10__", "z z", "ü"]
STATES = st.dictionaries(st.sampled_from(IDS), st.integers(0, 3))
QUERIES = [Query("users"), Query("users").where("n", "==", 1), Query("users").where("n", ">", 1), Query.group("users")]


class Database:
    """One state after another, each readable at its time."""

    def __init__(self, server, clock):
        self.server, self._clock = server, clock

    def become(self, state):
        """Writes, deletes and leaves alone what is equal. Returns the read time of the state."""
        self._clock.seconds += 1
        now = {path: document.fields["n"] for path, document in self.server.documents.items()}
        wanted = {f"users/{name}": n for name, n in state.items()}
        self.server.delete(*(now.keys() - wanted.keys()))
        changed = {path: {"n": n} for path, n in wanted.items() if now.get(path) != n}
        if changed:
            self.server.put(changed)
        self._clock.seconds += 1
        return datetime.datetime.fromtimestamp(self._clock(), datetime.timezone.utc)

    def reads(self, query):
        return Reads(self.server.target.connect(), query)


@pytest.fixture(scope="module")
def database():
    clock = Clock()
    with ScriptedFirestore(now=clock) as server:
        yield Database(server, clock)


def matching(state, query):
    tests = {"==": lambda n, m: n == m, ">": lambda n, m: n > m}
    return {
        f"users/{name}": n
        for name, n in state.items()
        if all(tests[each.operator](n, each.value) for each in query.conditions)
    }


def applied(mirror, changes):
    """The mirror after the changes, each of which must be possible."""
    for change in changes:
        assert (change.path in mirror) == (change.kind != ADDED)
        if change.kind == REMOVED:
            del mirror[change.path]
        else:
            mirror[change.path] = change.document.fields["n"]
    return mirror


@settings(max_examples=80)
@given(before=STATES, after=STATES, query=st.sampled_from(QUERIES), size=st.integers(1, 3))
def test_the_changes_make_the_later_state_of_the_earlier_one(before, after, query, size, database):
    since, to = database.become(before), database.become(after)
    names = NameCache(100)
    batches = list(compare(database.reads(query), Compare(since, to), (), Limits(size), names))
    changes = [change for batch, _ in batches for change in batch]
    expected = matching(after, query)
    assert applied(matching(before, query), changes) == expected
    assert all(len(batch) <= size for batch, _ in batches)
    assert batches[-1][1] == Follow(to, documents=len(expected))
    assert names.versions.keys() == expected.keys()
    for change in changes:
        assert change.read_time == to
        assert change.deleted == (change.kind == REMOVED and change.path.rpartition("/")[2] not in after)
        assert change.update_time is not None
        assert change.kind != MODIFIED or change.update_time > since


@settings(max_examples=40)
@given(before=STATES, after=STATES, query=st.sampled_from(QUERIES), size=st.integers(1, 3), data=st.data())
def test_it_resumes_behind_any_batch(before, after, query, size, data, database):
    since, to = database.become(before), database.become(after)
    reads = database.reads(query)
    whole = list(compare(reads, Compare(since, to), (), Limits(size), NameCache(100)))
    n = data.draw(st.integers(0, len(whole) - 1))
    position = whole[n - 1][1] if n else Compare(since, to)
    again = [change for batch, _ in compare(reads, position, (), Limits(2), NameCache(100)) for change in batch]
    if reads.is_in_name_order:
        assert again == [change for batch, _ in whole[n:] for change in batch]
    else:  # from its beginning
        assert sorted(map(str, again)) == sorted(str(change) for batch, _ in whole for change in batch)


@given(state=STATES, announced=st.sets(st.sampled_from(IDS)))
def test_a_document_that_was_announced_and_is_in_neither_state_is_removed(state, announced, database):
    since, to = database.become({}), database.become(state)
    paths = [f"users/{name}" for name in announced]
    (*_, (changes, _)) = list(compare(database.reads(Query("users")), Compare(since, to), paths, names=NameCache(9)))
    kinds = {change.path: change.kind for change in changes}
    missing = dict.fromkeys((f"users/{name}" for name in announced - state.keys()), REMOVED)
    assert kinds == {**{f"users/{name}": ADDED for name in state}, **missing}
    assert [change.path for change in changes] == sorted(kinds, key=name_key)


@given(before=STATES, after=STATES)
def test_where_the_earlier_state_cannot_be_read_versions_tell_what_changed(before, after, database):
    since, to = database.become(before), database.become(after)
    position = Compare(since, to, by_version=True, deletes_lost_since=since)
    ((changes, end),) = list(compare(database.reads(Query("users")), position))
    changed = {f"users/{name}" for name, n in after.items() if before.get(name) != n}
    assert {change.path for change in changes} == changed
    assert {change.path for change in changes if change.kind == MODIFIED} == {
        path for path in changed if path.rpartition("/")[2] in before
    }
    assert end.deletes_lost_since == since


def test_the_first_snapshot_is_everything_and_reads_nothing_twice(database):
    to = database.become({"a": 1, "b": 2})
    database.server.reset()
    ((changes, end),) = list(compare(database.reads(Query("users")), Compare(None, to), names=NameCache(1)))
    assert [(change.kind, change.path) for change in changes] == [(ADDED, "users/a"), (ADDED, "users/b")]
    assert end == Follow(to, documents=2)
    assert len(database.server.requests()) == 1


def test_batches_are_bounded_by_bytes(database):
    to = database.become({"a": 1, "b": 2, "z z": 3})
    batches = list(compare(database.reads(Query("users")), Compare(None, to), (), Limits(9, n_bytes=1)))
    assert [len(batch) for batch, _ in batches] == [1, 1, 1]


def test_a_long_stretch_without_changes_moves_the_position(database):
    with ScriptedFirestore({f"users/{n:04d}": {} for n in range(4100)}) as server:
        reads = Reads(server.target.connect(), Query("users"))
        now = reads.server_time()
        batches = list(compare(reads, Compare(now, now)))
    assert [len(batch) for batch, _ in batches] == [0, 0, 0]
    assert [position.after for _, position in batches[:-1]] == ["users/1999", "users/3999"]


def test_a_query_in_another_order_needs_memory_for_its_names(database):
    since = database.become({"a": 2, "b": 2, "ü": 3})
    with pytest.raises(JobError, match="has more than 2 documents; raise max_names, or listen without the inequality"):
        list(compare(database.reads(Query("users").where("n", ">", 1)), Compare(since, since), names=NameCache(2)))
