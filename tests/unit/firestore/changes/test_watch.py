"""Messages of Listen become consistent snapshots, and nothing is seen before one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.listened import (
    PREFIX,
    current,
    existence,
    found,
    gone,
    left,
    removed,
    reset,
    snapshot,
    target,
)
from transforms.firestore.changes.watch import State, TargetRemovedError, TooManyChangesError, Watch

POSITION = 100


def watch(known=None, **limits):
    return Watch(POSITION, PREFIX, known, **{"max_replayed": 1000, **limits})


def snapshots(messages, watching=None):
    watching = watching or watch()
    taken = []
    for message in messages:
        if (snapshot := watching.take(message)) is not None:
            taken.append(snapshot)
            watching.accept(snapshot.read_time_us, None)
    return taken


def states(snapshot):
    return {path: latest.state for path, latest in snapshot.latest.items()}


def test_nothing_is_seen_before_a_consistent_snapshot():
    watching = watch()
    for message in [target("ADD"), found("users/a", 110), snapshot(115), current(), target("NO_CHANGE", 118, b"t")]:
        assert watching.take(message) is None
    taken = watching.take(snapshot(120, b"token"))
    assert (taken.read_time_us, taken.token, taken.is_full) == (120, b"token", False)
    assert states(taken) == {"users/a": State.CHANGED}


def test_a_heartbeat_is_a_snapshot_without_changes():
    (first, second) = snapshots([current(), found("users/a", 110), snapshot(120), snapshot(150, b"later")])
    assert (second.read_time_us, second.token, second.latest) == (150, b"later", {})
    assert len(first.latest) == 1


def test_read_times_never_go_back():
    assert [each.read_time_us for each in snapshots([current(), snapshot(90), snapshot(120), snapshot(110)])] == [
        100,
        120,
        120,
    ]


ABOUT_A = {
    "old": (found("users/a", 105, n=1), State.CHANGED),
    "new": (found("users/a", 110, n=2), State.CHANGED),
    "deleted": (gone("users/a", 112), State.DELETED),
    "left": (left("users/a", 113), State.LEFT),
    "removed": (gone("users/a", 114, "document_remove"), State.GONE),
    "recreated": (found("users/a", 120, n=3), State.CHANGED),
}
IN_ORDER = list(ABOUT_A)


@given(st.permutations(IN_ORDER).flatmap(lambda order: st.integers(1, len(order)).map(lambda n: order[:n])))
def test_of_a_document_the_newest_version_counts_in_whatever_order_they_come(order):
    (taken,) = snapshots([*(ABOUT_A[each][0] for each in order), current(), snapshot(200)])
    newest = max(order, key=IN_ORDER.index)
    assert states(taken) == {"users/a": ABOUT_A[newest][1]}
    if newest in ("old", "new", "recreated"):
        assert taken.latest["users/a"].document.message == ABOUT_A[newest][0].document_change.document


def test_a_removal_without_a_read_time_counts_as_it_comes():
    removal = gone("users/a", 0)
    removal.document_delete.ClearField("read_time")
    (taken,) = snapshots([found("users/a", 110), removal, current(), snapshot(200)])
    assert states(taken) == {"users/a": State.DELETED}


def test_a_document_that_the_position_covers_is_known_by_its_name_only():
    (taken,) = snapshots([found("users/a", 100), found("users/b", 101), current(), snapshot(200)])
    assert states(taken) == {"users/a": State.REPLAYED, "users/b": State.CHANGED}
    assert taken.latest["users/a"].document is None


def test_where_versions_are_known_they_decide_what_is_new():
    known = {"users/a": 90, "users/b": 90}
    messages = [found("users/a", 90), found("users/b", 95), found("users/c", 80), current(), snapshot(200)]
    (taken,) = snapshots(messages, watch(known))
    assert states(taken) == {"users/a": State.REPLAYED, "users/b": State.CHANGED, "users/c": State.CHANGED}


def test_after_a_reset_everything_comes_again_and_what_came_before_is_forgotten():
    messages = [
        *(current(), found("users/a", 110), existence(7)),
        *(reset(), found("users/b", 111), snapshot(150), current(), snapshot(200)),
    ]
    (taken,) = snapshots(messages)
    assert (taken.is_full, taken.filter, states(taken)) == (True, None, {"users/b": State.CHANGED})


def test_only_the_snapshot_behind_a_reset_is_full():
    assert [each.is_full for each in snapshots([reset(), current(), snapshot(120), snapshot(130)])] == [True, False]


def test_a_filter_says_what_had_been_sent_by_then():
    messages = [
        *(found("users/a", 110), found("users/b", 90), gone("users/c", 111), found("users/e", 111, create_us=50)),
        *(existence(7), found("users/d", 112), gone("users/a", 113), current(), snapshot(120), snapshot(130)),
    ]
    taken, later = snapshots(messages)
    assert taken.filter.n_documents == 7
    assert taken.filter.bloom is None
    assert taken.filter.present == {"users/a", "users/b", "users/e"}
    assert taken.filter.gone == {"users/c"}
    assert (taken.filter.n_changed, taken.filter.n_created) == (2, 1)
    assert later.filter is None


@pytest.mark.parametrize("was_current", [True, False])
def test_a_target_that_is_removed_says_why(was_current):
    with pytest.raises(TargetRemovedError) as caught:
        snapshots([*([current()] if was_current else []), removed(4)])
    assert (caught.value.code, caught.value.message, caught.value.was_current) == (
        "DEADLINE_EXCEEDED",
        "datastore operation timed out",
        was_current,
    )


def test_memory_before_a_consistent_point_is_bounded():
    with pytest.raises(TooManyChangesError, match=r"more than 1,000 bytes of documents"):
        snapshots([found(f"users/{n}", 110, text="x" * 300) for n in range(4)], watch(max_bytes=1000))
    with pytest.raises(TooManyChangesError, match=r"more than 3 documents changed"):
        snapshots([found(f"users/{n}", 110) for n in range(4)], watch(max_changes=3))
    with pytest.raises(TooManyChangesError, match=r"more than 3 documents again"):
        snapshots([reset(), *(found(f"users/{n}", 90) for n in range(4))], watch(max_replayed=3))


def test_a_document_that_changes_often_takes_the_memory_of_one():
    messages = [found("users/a", 110 + n, text="x" * 300) for n in range(10)]
    (taken,) = snapshots([*messages, current(), snapshot(200)], watch(max_bytes=1000, max_changes=1))
    assert taken.latest["users/a"].version_us == 119
