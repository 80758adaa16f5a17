"""What a write does, request by request, where random schedules would not say which one was wrong."""

import datetime

import pytest

from transforms.dual import repairs
from transforms.dual.memory import MemoryStore
from transforms.dual.protocol import FAILED, REFUSED, SUPERSEDED, WRITTEN, Act, patch, put
from transforms.dual.rules import View
from transforms.dual.stored import COSMOS, FIRESTORE, Draft, Failed, Read, Version, Write
from transforms.dual.views import forced_view, view_of
from transforms.migrate.documents import Stamp
from transforms.migrate.phases import DUAL_WRITE, FIRESTORE_ANALYTICS, FIRESTORE_PRIMARY, State, phase_of

STEADY = View(COSMOS)
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)


class Desk:
    """Two stores in memory, and a count of what each was asked."""

    def __init__(self):
        self.stores = {COSMOS: MemoryStore(COSMOS, lambda: 100.0), FIRESTORE: MemoryStore(FIRESTORE, lambda: 100.0)}
        self.asked = []
        self.fails = {}
        self.n = 0
        self.age_s = 0.0

    def act(self):
        return Act(self.stamp, lambda: self.age_s, timeout_s=10)

    def stamp(self, seen=()):
        self.n += 1
        return Stamp(max([self.n, *(stamp.time + 1 for stamp in seen)]), "i", self.n)

    def run(self, steps):
        answer = None
        while True:
            try:
                request = steps.send(answer)
            except StopIteration as end:
                return end.value
            self.asked.append((type(request).__name__, request.store))
            failed = self.fails.get((type(request).__name__, request.store))
            answer = failed or self.stores[request.store].answer("k", request)

    def held(self, store):
        return self.stores[store].answer("k", Read(store)).stored


@pytest.fixture
def desk():
    return Desk()


def test_a_steady_write_asks_cosmos_once(desk):
    result = desk.run(put({"n": 1}, STEADY, desk.act()))
    assert desk.asked == [("Read", FIRESTORE), ("Write", COSMOS), ("Write", FIRESTORE)]
    assert {store: outcome.state for store, outcome in result.outcomes.items()} == {
        COSMOS: WRITTEN, FIRESTORE: WRITTEN,
    }  # fmt: skip
    assert desk.held(FIRESTORE).copied == desk.held(COSMOS).version
    assert not result.is_pending


def test_what_one_store_alone_accepts_is_marked_and_carried_over_with_its_stamp(desk):
    desk.stores[COSMOS].is_down = True
    result = desk.run(put({"n": 1}, STEADY, desk.act()))
    assert (result.outcomes[COSMOS].state, result.outcomes[FIRESTORE].state, result.is_pending) == (
        FAILED, WRITTEN, True,
    )  # fmt: skip
    assert desk.held(FIRESTORE).is_pending
    desk.stores[COSMOS].is_down = False
    assert desk.run(repairs.resolve(FIRESTORE, STEADY)).done == repairs.COPIED
    assert desk.held(COSMOS).is_same_write(desk.held(FIRESTORE))
    assert not desk.held(FIRESTORE).is_pending


def test_a_pending_write_that_a_later_one_replaces_is_named(desk):
    desk.stores[COSMOS].is_down = True
    desk.run(put({"n": 1}, STEADY, desk.act()))
    desk.stores[COSMOS].is_down = False
    later = Draft({"n": 2}, Stamp(99))
    desk.stores[COSMOS].answer("k", Write(COSMOS, later, None, is_guarded=False))
    done = desk.run(repairs.carry(FIRESTORE, STEADY))
    assert (done.done, done.superseded.content) == (repairs.RETURNED, {"n": 1})
    assert desk.held(FIRESTORE).content == {"n": 2}


def test_a_document_that_the_primary_refuses_is_not_written_to_the_other_store(desk):
    desk.fails[("Write", COSMOS)] = Failed("too large", refused="DOCUMENT_TOO_LARGE")
    result = desk.run(put({"n": 1}, STEADY, desk.act()))
    assert result.outcomes[COSMOS] == (REFUSED, "DOCUMENT_TOO_LARGE")
    assert not result.is_accepted
    assert desk.held(FIRESTORE) is None


def test_while_stamps_decide_a_superseded_write_goes_to_neither_store(desk):
    act = Act(lambda seen: Stamp(1), lambda: 0.0, 10)  # by a clock that is behind
    desk.stores[COSMOS].answer("k", Write(COSMOS, Draft({"n": 2}, Stamp(99)), None))
    result = desk.run(put({"n": 1}, View(COSMOS, by_stamp=True), act))
    assert {outcome.state for outcome in result.outcomes.values()} == {SUPERSEDED}
    assert desk.held(FIRESTORE) is None


def test_a_write_whose_answer_was_lost_is_found_to_be_there(desk):
    desk.run(put({"n": 1}, STEADY, desk.act()))
    stamp = desk.held(FIRESTORE).stamp
    act = Act(lambda seen: stamp, lambda: 0.0, 10)
    assert desk.run(put({"n": 1}, View(FIRESTORE), act)).outcomes[FIRESTORE].state == WRITTEN
    assert desk.stores[FIRESTORE].n_requests == 4  # no write again


def test_a_late_write_is_not_sent(desk):
    desk.age_s = 11
    result = desk.run(put({"n": 1}, STEADY, desk.act()))
    assert not result.is_accepted
    assert ("Write", COSMOS) not in desk.asked


def test_patch_changes_what_is_there_and_says_if_nothing_is(desk):
    assert desk.run(patch(lambda content: content, STEADY, desk.act())) is None
    desk.run(put({"n": 1}, STEADY, desk.act()))
    result = desk.run(patch(lambda content: {**content, "m": 2}, STEADY, desk.act()))
    assert result.content == desk.held(COSMOS).content == desk.held(FIRESTORE).content == {"n": 1, "m": 2}
    desk.run(put(None, STEADY, desk.act()))
    assert desk.run(patch(lambda content: content, STEADY, desk.act())) is None


def test_patch_uses_the_copy_while_the_primary_is_down(desk):
    desk.run(put({"n": 1}, STEADY, desk.act()))
    desk.stores[COSMOS].is_down = True
    result = desk.run(patch(lambda content: {**content, "m": 2}, STEADY, desk.act()))
    assert (result.is_pending, desk.held(FIRESTORE).content) == (True, {"n": 1, "m": 2})


def test_within_one_second_of_cosmos_the_source_is_read_again(desk):
    desk.run(put({"n": 1}, STEADY, desk.act()))
    old = desk.held(COSMOS)
    desk.run(put({"n": 2}, STEADY, desk.act()))
    assert old.version.is_newer_than(desk.held(COSMOS).version) is None
    desk.asked.clear()
    assert desk.run(repairs.repair(COSMOS, old, STEADY)).done == repairs.NOTHING
    assert ("Read", COSMOS) in desk.asked
    assert desk.held(FIRESTORE).content == {"n": 2}


def test_a_tombstone_is_forgotten_in_both_stores_when_it_is_old(desk):
    desk.run(put({"n": 1}, STEADY, desk.act()))
    desk.run(put(None, STEADY, desk.act()))
    assert desk.run(repairs.forget(STEADY, now=5_000_000, older_writes_end_s=10)).done == repairs.NOTHING
    assert desk.run(repairs.forget(STEADY, now=50_000_000, older_writes_end_s=10)).done == repairs.FORGOTTEN
    assert desk.held(COSMOS) is desk.held(FIRESTORE) is None


@pytest.mark.parametrize(
    ("seconds_ago", "state", "expected"),
    [
        (1, State(DUAL_WRITE), View(COSMOS)),
        (21, State(DUAL_WRITE), View(COSMOS, by_stamp=True, marks_alone=True)),
        (None, State(), View(COSMOS, writes_both=False, by_stamp=True, marks_alone=True)),
        (1, State(FIRESTORE_ANALYTICS).announce(FIRESTORE_PRIMARY, NOON), View(COSMOS, by_stamp=True)),
        (1, State(FIRESTORE_ANALYTICS).announce(FIRESTORE_PRIMARY, NOON - datetime.timedelta(seconds=30)),
         View(FIRESTORE, by_stamp=True)),
    ],
)  # fmt: skip
def test_who_has_not_read_the_state_for_two_intervals_expects_a_change(seconds_ago, state, expected):
    read_at = None if seconds_ago is None else NOON - datetime.timedelta(seconds=seconds_ago)
    assert view_of(state, NOON, read_at) == expected


def test_a_forced_phase_marks_what_the_others_may_lack():
    view = forced_view(phase_of("cosmos_only"))
    assert view == View(COSMOS, writes_both=False, by_stamp=True, marks_alone=True)


def test_versions_of_one_second_cannot_be_told_apart():
    assert Version(1, "a").is_newer_than(Version(1, "a")) is False
    assert Version(1, "a").is_newer_than(Version(1, "b")) is None


def test_a_new_record_is_created_in_cosmos_without_a_read(desk):
    desk.run(put({"n": 1}, View(FIRESTORE), desk.act()))
    assert desk.asked == [("Read", FIRESTORE), ("Write", FIRESTORE), ("Write", COSMOS)]
    desk.asked.clear()
    desk.run(put({"n": 2}, View(FIRESTORE), desk.act()))
    assert desk.asked == [("Read", FIRESTORE), ("Write", FIRESTORE), ("Read", COSMOS), ("Write", COSMOS)]


def test_a_record_that_is_new_in_the_primary_alone_is_read_in_the_other_store(desk):
    desk.stores[COSMOS].answer("k", Write(COSMOS, Draft({"n": 0}, Stamp(0)), None))
    desk.run(put({"n": 1}, View(FIRESTORE), desk.act()))
    assert desk.held(COSMOS).content == {"n": 1}
