"""DualStore and AsyncDualStore, as an application sees them: outcomes, log lines, reads, comparisons, counts."""

import asyncio
import logging
import subprocess
import sys
import time

import pytest

from pipeline.specs import read_spec
from transforms.dual.async_store import AsyncDualStore, InEventLoop
from transforms.dual.core import BothFailedError, ReadFailedError, Settings, WriteFailedError, core_of
from transforms.dual.kinds import Kind
from transforms.dual.memory import MemoryMigration, MemoryStore
from transforms.dual.store import DualStore
from transforms.dual.stored import COSMOS, FIRESTORE, Draft, Failed, Write
from transforms.dual.watch import FixedPhase, PhaseWatch
from transforms.errors import RecordError, UsageError
from transforms.migrate.documents import Stamp
from transforms.migrate.phases import (
    COSMOS_ONLY,
    COSMOS_RETIRED,
    DUAL_WRITE,
    FIRESTORE_ANALYTICS,
    FIRESTORE_PRIMARY,
    State,
)
from transforms.retry import Clock

KIND = Kind.of(read_spec("student_attempts"), "/student_id")
ITEM = {"id": "a-1", "student_id": "12345", "score": 1.0}


def deep(levels):
    """A map in a map in a map, and so on."""
    value = 1
    for _ in range(levels):
        value = {"a": value}
    return value


class Refusing:
    """A store whose writes fail in one way."""

    def __init__(self, failed):
        self.failed = failed

    def answer(self, key, request, timeout_s):
        return self.failed


class Silent:
    """A store that answers nothing, and lets everybody wait as long as they will."""

    def __init__(self):
        self.slept = []

    def answer(self, key, request, timeout_s):
        self.slept.append(timeout_s)
        return Failed("connection timeout")

    def monotonic(self):
        return sum(self.slept)


class Blocking:
    """Either DualStore with the methods of the synchronous one, over stores in memory."""

    def __init__(self, phase, is_async, settings=None, stores=None, sleeps=None, monotonic=time.monotonic):
        self.stores = {name: MemoryStore(name) for name in (COSMOS, FIRESTORE)} | (stores or {})
        self.is_async = is_async
        pause = sleeps.append if sleeps is not None else lambda seconds: None

        async def asleep(seconds):
            pause(seconds)

        settings = settings or Settings(shadow_ratio=0)
        core = core_of(KIND, FixedPhase(phase), settings, clock=Clock(sleep=pause, asleep=asleep, monotonic=monotonic))
        if is_async:
            wrapped = {name: InEventLoop(store) for name, store in self.stores.items()}
            self.dual = AsyncDualStore(KIND, FixedPhase(phase), core=core, **wrapped)
        else:
            self.dual = DualStore(KIND, FixedPhase(phase), core=core, **self.stores)

    def __getattr__(self, name):
        method = getattr(self.dual, name)
        if not self.is_async or name == "counts":
            return method

        def call(*args, **kwargs):
            async def called():
                answer = await method(*args, **kwargs)
                if self.dual._comparisons:
                    await asyncio.gather(*self.dual._comparisons)
                return answer

            return asyncio.run(called())

        return call

    def held(self, store):
        return [stored.content for _, stored in self.stores[store].documents()]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def open_store(request):
    return lambda phase=DUAL_WRITE, **options: Blocking(phase, request.param, **options)


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="firebeam.dual")
    return lambda: [f"{record.levelname}: {record.getMessage()}" for record in caplog.records]


def test_both_stores_get_a_write_and_the_log_says_so(open_store, lines):
    store = open_store()
    result = store.put({**ITEM, "_etag": "of an earlier read"})
    assert {name: outcome.state for name, outcome in result.outcomes.items()} == {
        COSMOS: "written", FIRESTORE: "written",
    }  # fmt: skip
    assert store.held(COSMOS) == store.held(FIRESTORE) == [ITEM]
    assert lines() == [
        "INFO: Successfully saved attempt to CosmosDB for student 12345",
        "INFO: Successfully saved attempt to Firestore for student 12345",
        "INFO: Dual write successful for attempt by student 12345",
    ]
    assert store.counts["success"] == 1


@pytest.mark.parametrize(
    ("down", "expected"),
    [
        (FIRESTORE, [
            "INFO: Successfully saved attempt to CosmosDB for student 12345",
            "ERROR: Failed to save attempt to Firestore: the store is down",
            "WARNING: Only CosmosDB write successful for attempt by student 12345",
        ]),
        (COSMOS, [
            "ERROR: Failed to save attempt to CosmosDB: the store is down",
            "INFO: Successfully saved attempt to Firestore for student 12345",
            "WARNING: Only Firestore write successful for attempt by student 12345",
        ]),
    ],
)  # fmt: skip
def test_one_store_that_is_down_fails_no_write(open_store, lines, down, expected):
    store = open_store()
    store.stores[down].is_down = True
    result = store.put(ITEM)
    assert lines() == expected
    assert result.is_pending == (down == COSMOS)
    assert store.counts["only_firestore" if down == COSMOS else "only_cosmos"] == 1


@pytest.mark.parametrize(("phase", "primary"), [(DUAL_WRITE, COSMOS), (FIRESTORE_PRIMARY, FIRESTORE)])
def test_a_primary_that_does_not_answer_leaves_time_for_the_other_store(open_store, phase, primary):
    silent = Silent()
    store = open_store(phase, stores={primary: silent}, monotonic=silent.monotonic)
    result = store.put(ITEM)
    assert result.is_pending
    assert result.outcomes[primary].state == "failed"
    assert silent.slept[0] == Settings().primary_timeout_s
    assert sum(silent.slept) == Settings().primary_timeout_s


def test_if_both_are_down_the_write_fails_and_says_why(open_store, lines):
    store = open_store()
    for each in store.stores.values():
        each.is_down = True
    with pytest.raises(BothFailedError, match="both stores failed: cosmos: the store is down; firestore: ") as failed:
        store.put(ITEM)
    assert failed.value.reasons == dict.fromkeys((COSMOS, FIRESTORE), "the store is down")
    assert lines()[-1] == "ERROR: Both writes failed for attempt by student 12345"


def test_in_a_phase_of_one_store_the_other_is_not_asked(open_store):
    store = open_store(COSMOS_ONLY)
    store.stores[FIRESTORE].is_down = True
    assert list(store.put(ITEM).outcomes) == [COSMOS]
    assert store.get("a-1", student_id="12345") == ITEM
    assert store.stores[FIRESTORE].n_requests == 0
    store.stores[COSMOS].is_down = True
    with pytest.raises(WriteFailedError, match="the store failed: cosmos: the store is down"):
        store.put(ITEM)
    retired = open_store(COSMOS_RETIRED)
    retired.put(ITEM)
    assert (retired.stores[COSMOS].n_requests, retired.held(FIRESTORE)) == (0, [ITEM])


def test_reads_come_from_the_primary_and_from_cosmos_if_firestore_is_down(open_store):
    store = open_store(FIRESTORE_PRIMARY)
    store.put(ITEM)
    store.stores[FIRESTORE].is_down = True
    assert store.get("a-1", student_id="12345") == ITEM
    assert store.query(("student_id", "==", "12345")) == [ITEM]
    assert store.counts["fallback_reads"] == 2
    store.stores[COSMOS].is_down = True
    with pytest.raises(ReadFailedError, match="firestore: the store is down; cosmos: the store is down"):
        store.get("a-1", student_id="12345")
    before = open_store(FIRESTORE_ANALYTICS)
    before.stores[COSMOS].is_down = True
    with pytest.raises(ReadFailedError, match=r"^cosmos: the store is down$"):
        before.query()


def test_patch_and_delete(open_store, lines):
    store = open_store()
    assert store.patch("a-1", {"score": 2}, student_id="12345") is None
    store.put(ITEM)
    assert store.patch("a-1", {"score": 2}, student_id="12345").is_accepted
    assert store.get("a-1", student_id="12345") == {**ITEM, "score": 2}
    store.delete("a-1", student_id="12345")
    assert lines()[-3:] == [
        "INFO: Successfully deleted attempt from CosmosDB for student 12345",
        "INFO: Successfully deleted attempt from Firestore for student 12345",
        "INFO: Dual write successful for attempt by student 12345",
    ]
    assert store.get("a-1", student_id="12345") is None
    assert store.query() == []


@pytest.mark.parametrize("phase", [DUAL_WRITE, FIRESTORE_PRIMARY])
@pytest.mark.parametrize("changes", [{"id": "a-2"}, {"student_id": "6"}, {"student_id": None}])
def test_a_patch_that_would_make_another_record_of_it_is_refused(open_store, phase, changes):
    store = open_store(phase)
    store.put(ITEM)
    with pytest.raises(RecordError, match="CHANGED_KEY: a patch cannot change what names an item"):
        store.patch("a-1", changes, student_id="12345")
    assert store.held(COSMOS) == store.held(FIRESTORE) == [ITEM]


def test_a_patch_does_not_leave_fields_out(open_store):
    store = open_store()
    store.put(ITEM)
    with pytest.raises(RecordError, match="RESERVED_FIELD: source_system"):
        store.patch("a-1", {"source_system": "mine"}, student_id="12345")


def test_a_query_answers_alike_from_either_store(open_store):
    items = [{"id": str(n), "student_id": "s", "score": n, "ok": n % 2 == 0} for n in range(5)]
    answers = []
    for phase in (DUAL_WRITE, FIRESTORE_PRIMARY):
        store = open_store(phase)
        for item in items:
            store.put(item)
        answers.append(store.query(("score", ">", 0), ("ok", "==", True), order_by="score", descending=True, limit=2))
    assert answers[0] == answers[1] == [items[4], items[2]]
    with pytest.raises(UsageError, match="an operator must be one of"):
        open_store().query(("score", "!=", 1))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"student_id": "s"}, "MISSING_ID: id must be text"),
        ({"id": "a"}, "MISSING_PARTITION_KEY: student_id is missing"),
        ({**ITEM, "n": float("nan")}, "NOT_JSON: n: JSON"),
        ({**ITEM, "n": [{1: "a"}]}, "NOT_JSON: a map has a name of type int"),
        ({**ITEM, "n": deep(3000)}, "TOO_DEEP"),
        ({**ITEM, "expire_at": 5}, "RESERVED_FIELD: expire_at"),
        ({**ITEM, "_meta": {"mine": 5}}, "RESERVED_FIELD: _meta"),
    ],
)
def test_an_item_that_cannot_be_stored_is_refused_before_any_write(open_store, item, message):
    store = open_store()
    with pytest.raises(RecordError, match=f"^{message}"):
        store.put(item)
    assert store.held(COSMOS) == []


def test_an_item_that_the_primary_refuses_is_an_error_of_the_item(open_store):
    store = open_store(stores={COSMOS: Refusing(Failed("too large", refused="DOCUMENT_TOO_LARGE"))})
    with pytest.raises(RecordError, match="DOCUMENT_TOO_LARGE: cosmos refuses the attempt"):
        store.put(ITEM)
    assert store.counts["refused"] == 1


def test_a_store_that_does_not_answer_is_skipped_until_one_request_finds_it_again(open_store):
    store = open_store()
    store.stores[FIRESTORE].is_down = True
    for _ in range(5):
        store.put(ITEM)
    asked = store.stores[FIRESTORE].n_requests
    result = store.put(ITEM)
    assert store.stores[FIRESTORE].n_requests == asked
    assert result.outcomes[FIRESTORE].reason == "skipped: the store has not answered for a while"


def test_reads_are_compared_twice_before_a_difference_counts_and_only_names_are_logged(open_store, lines):
    sleeps = []
    store = open_store(settings=Settings(shadow_ratio=1), sleeps=sleeps)
    store.put(ITEM)
    key = KIND.key_of(ITEM)
    other = Draft({**ITEM, "score": 7, "new": "secret"}, Stamp(1))
    store.stores[FIRESTORE].answer(key, Write(FIRESTORE, other, None, is_guarded=False))
    assert store.get("a-1", student_id="12345") == ITEM
    store.close()
    assert sleeps == [2.0]
    assert lines()[-1] == "WARNING: Shadow read of attempt differs between the stores in: new, score"
    assert store.counts["shadow_mismatch"] == 1


def test_an_equal_read_is_compared_once(open_store):
    sleeps = []
    store = open_store(settings=Settings(shadow_ratio=1), sleeps=sleeps)
    store.put(ITEM)
    store.get("a-1", student_id="12345")
    store.close()
    assert (sleeps, store.counts["shadow_equal"]) == ([], 1)


def test_a_phase_that_changes_is_followed_and_counts_are_saved():
    migration = MemoryMigration(State(DUAL_WRITE, poll_interval_s=3600))
    core = core_of(KIND, FixedPhase(DUAL_WRITE), Settings(shadow_ratio=0))
    watch = PhaseWatch(migration, core.stamper, core.counts)
    core.phases = watch
    stores = {name: MemoryStore(name) for name in (COSMOS, FIRESTORE)}
    with DualStore(KIND, watch, core=core, **stores) as store:
        assert list(store.put(ITEM).outcomes) == [COSMOS, FIRESTORE]
        migration.state = State(FIRESTORE_PRIMARY, poll_interval_s=3600)
        watch.poll()
        assert list(store.put(ITEM).outcomes) == [FIRESTORE, COSMOS]
    ((phase, counts, hours),) = migration.saved.values()
    assert (phase, counts["success"], [*hours.values()]) == (FIRESTORE_PRIMARY, 2, [{"total": 2, "success": 2}])


def test_who_cannot_read_the_phase_marks_what_one_store_alone_accepts():
    migration = MemoryMigration(State(DUAL_WRITE))
    migration.is_down = True
    core = core_of(KIND, FixedPhase(DUAL_WRITE))
    watch = PhaseWatch(migration, core.stamper, core.counts)
    view = watch.guide().view
    watch.close()
    assert (view.by_stamp, view.marks_alone) == (True, True)


def test_the_phase_of_the_environment_wins():
    core = core_of(KIND, FixedPhase(DUAL_WRITE))
    watch = PhaseWatch(MemoryMigration(State(FIRESTORE_PRIMARY)), core.stamper, core.counts, forced=COSMOS_ONLY)
    guide = watch.guide()
    watch.close()
    assert (guide.phase.name, guide.view.writes_both, guide.view.marks_alone) == (COSMOS_ONLY, False, True)


def test_importing_it_loads_neither_beam_nor_a_client():
    heavy = "('grpc', 'google.cloud.firestore_v1', 'apache_beam', 'azure')"
    imports = "import sys; from transforms import DualStore, AsyncDualStore"
    code = f"{imports}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
