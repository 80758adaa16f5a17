"""A comparison finds exactly the documents that two stores do not hold alike, however it has to look for them."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.any_documents import records
from tests.support.memory_store import MemoryStore
from transforms.firestore.document_order import sort_key
from transforms.firestore.ranges import NameRange, ranges_between
from transforms.verify.comparison import Comparison, StoppedError
from transforms.verify.differences import DIFFERENT, MISSING_LEFT, MISSING_RIGHT
from transforms.verify.entries import Entry

UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = datetime.timedelta(seconds=1)

KEYS = st.one_of(
    st.text("ab!-0", min_size=1, max_size=3),
    st.integers(-3, 99).map(lambda n: f"__id{n}__"),
    st.lists(st.text("ab!", min_size=1, max_size=2), min_size=4, max_size=4).map("/".join),
)


def compare(left, right, spans=(NameRange(),), max_keys=3, since=None):
    comparison = Comparison(left, right, since, max_keys)
    found = [difference for span in spans for difference in comparison.differences(span)]
    return comparison.found, {difference.key: difference.kind for difference in found}, found


def numbered(n, **more):
    return [Entry(f"k{i:03d}", {"n": i, **more}, NOON - SECOND) for i in range(n)]


@st.composite
def corrupted(draw):
    """Documents, a copy of them with some corruption, and what is wrong with it."""
    documents = draw(st.dictionaries(KEYS, records, max_size=30))
    left = [Entry(key, fields) for key, fields in documents.items()]
    right, wrong = [], {}
    for key, fields in documents.items():
        kind = draw(st.sampled_from(["equal"] * 6 + [MISSING_RIGHT, DIFFERENT, "twice"]))
        if kind in (MISSING_RIGHT, DIFFERENT, "twice"):
            wrong[key] = DIFFERENT if kind == "twice" else kind
        if kind != MISSING_RIGHT:
            right.append(
                Entry(key, {**fields, "corrupted": 1} if kind == DIFFERENT else dict(reversed(fields.items())))
            )
        if kind == "twice":
            right.append(Entry(key, fields))
    for key in draw(st.lists(KEYS, max_size=3, unique=True)):
        if key not in documents:
            right.append(Entry(key, {}))
            wrong[key] = MISSING_LEFT
    return left, right, wrong


@given(corrupted(), st.integers(1, 8), st.lists(KEYS, max_size=4), st.integers(0, 9))
@settings(max_examples=150)
def test_exactly_what_is_corrupted_is_found_in_any_order_and_any_ranges(case, max_keys, cuts, seed):
    left, right, wrong = case
    spans = ranges_between(cuts)
    found, kinds, _ = compare(MemoryStore(left, seed), MemoryStore(right, seed + 1), spans, max_keys)
    assert kinds == wrong
    assert list(kinds) == sorted(kinds, key=sort_key)
    assert found.documents == len({entry.key for entry in (*left, *right)})
    assert found.equal == found.documents - len(wrong)
    _, mirrored, _ = compare(MemoryStore(right, seed), MemoryStore(left, seed), spans, max_keys)
    other = {MISSING_LEFT: MISSING_RIGHT, MISSING_RIGHT: MISSING_LEFT}
    assert mirrored == {key: other.get(kind, kind) for key, kind in wrong.items()}


def test_stores_that_are_equal_are_read_once():
    left, right = MemoryStore(numbered(500)), MemoryStore(numbered(500))
    found, kinds, _ = compare(left, right, max_keys=10)
    assert (kinds, found.equal, left.n_read, right.n_read) == ({}, 500, 500, 500)
    assert left.asked == right.asked == []


def test_only_ranges_that_differ_are_read_again():
    changed = [*numbered(500)[:499], Entry("k499", {"n": -1})]
    left, right = MemoryStore(numbered(500)), MemoryStore(changed)
    spans = ranges_between(f"k{i:03d}" for i in range(100, 500, 100))
    _, kinds, _ = compare(left, right, spans, max_keys=50)
    assert kinds == {"k499": DIFFERENT}
    assert left.n_read <= 700  # all once, the last hundred again in parts


def test_documents_are_read_again_a_hundred_at_a_time():
    left, right = MemoryStore(numbered(250)), MemoryStore([])
    _, kinds, _ = compare(left, right, max_keys=1000)
    assert set(kinds.values()) == {MISSING_RIGHT}
    assert [len(keys) for keys in right.asked] == [100, 100, 50]


def test_many_copies_of_one_key_are_one_difference():
    many = [Entry("a", {"n": n}) for n in range(50)] + numbered(5)
    found, kinds, differences = compare(
        MemoryStore(many), MemoryStore([Entry("a", {"n": 0}), *numbered(5)]), max_keys=2
    )
    assert kinds == {"a": DIFFERENT}
    assert (len(differences[0].left), len(differences[0].right), found.equal) == (50, 1, 5)


def changing(entries, key, content, update_time):
    """A store in which a document changes, or goes, after it was first read."""

    def change():
        store.held = [entry for entry in store.held if entry.key != key]
        if content is not None:
            store.held.append(Entry(key, content, update_time))

    store = MemoryStore(entries, before_refetch=change)
    return store


@pytest.mark.parametrize("content", [{"n": 7, "new": True}, None], ids=["changed", "gone"])
def test_a_document_that_changes_during_the_run_does_not_count(content):
    left = changing(numbered(9, stale=1), "k007", content, NOON + SECOND)
    right = MemoryStore([*numbered(7, stale=1), Entry("k007", {"n": 7, "other": 1}), *numbered(9, stale=1)[8:]])
    found, kinds, _ = compare(left, right, max_keys=100, since=NOON)
    assert (kinds, found.changed, found.equal) == ({}, 1, 8)


def test_a_document_that_has_become_equal_counts_as_equal():
    left = MemoryStore(numbered(3))
    right = changing(numbered(2), "k002", {"n": 2}, NOON + SECOND)
    found, kinds, _ = compare(left, right, max_keys=100, since=NOON)
    assert (kinds, found.changed, found.equal) == ({}, 0, 3)


def test_a_document_that_was_written_after_the_run_began_does_not_count():
    new = Entry("new", {}, NOON + SECOND)
    found, kinds, _ = compare(MemoryStore([*numbered(3), new]), MemoryStore(numbered(3)), max_keys=100, since=NOON)
    assert (kinds, found.changed, found.equal) == ({}, 1, 3)


def test_a_copy_that_is_behind_has_time_to_follow_before_it_counts():
    left, right = MemoryStore(numbered(9)), MemoryStore(numbered(5))
    waits = []

    def settle():
        waits.append(len(right.held))
        right.held = list(left.held[:8])

    comparison = Comparison(left, right, None, 100, let_settle=settle)
    assert [difference.kind for difference in comparison.differences(NameRange())] == ["MISSING_RIGHT"]
    assert (comparison.found.equal, waits) == (8, [5])


def test_stores_that_are_equal_wait_for_nothing():
    waits = []
    comparison = Comparison(
        MemoryStore(numbered(9)), MemoryStore(numbered(9)), None, 3, let_settle=lambda: waits.append(1)
    )
    assert (list(comparison.differences(NameRange())), waits) == ([], [])


def test_a_run_that_is_asked_to_stop_begins_no_further_range():
    comparison = Comparison(MemoryStore(numbered(3)), MemoryStore([]), None, 1, is_to_stop=lambda: True)
    with pytest.raises(StoppedError):
        list(comparison.differences(NameRange()))
