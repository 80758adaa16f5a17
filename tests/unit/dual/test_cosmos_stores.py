"""CosmosStore and AsyncCosmosStore on the scripted account: how often a request is sent, and what failures mean."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest

from pipeline.specs import read_spec
from tests.support.cosmos import OwnContainer, new_container
from transforms.dual.async_cosmos_store import AsyncCosmosStore
from transforms.dual.cosmos_store import CosmosStore
from transforms.dual.finding import Search
from transforms.dual.kinds import Kind
from transforms.dual.stored import (
    COSMOS,
    Conflict,
    Draft,
    Failed,
    Found,
    Read,
    Remove,
    Stored,
    Version,
    Write,
    Written,
)
from transforms.errors import TransientError
from transforms.migrate.documents import Stamp
from transforms.retry import Clock, Retry
from transforms.secrets import SecretSource

KIND = Kind.of(read_spec("student_attempts"), "/student_id")
ITEM = {"id": "a", "student_id": "s1", "score": 1}
KEY = KIND.key_of(ITEM)
DRAFT = Draft(ITEM, Stamp(7, "i", 1))
TOMBSTONE = Stored(None, Version(1_000_000, "e"), Stamp(7))
READ, CREATE = Read(COSMOS, needs_content=True), Write(COSMOS, DRAFT, None)
REQUESTS = {
    "read": READ,
    "create": CREATE,
    "upsert": Write(COSMOS, DRAFT, None, is_guarded=False),
    "replace": Write(COSMOS, DRAFT, TOMBSTONE),
    "delete": Remove(COSMOS, TOMBSTONE),
}


class Asked:
    """Either store, for a caller without an event loop."""

    def __init__(self, container: OwnContainer, is_async: bool, **more):
        self.is_async = is_async
        self.container, self._loop, self.slept = container, asyncio.new_event_loop(), []
        clock = Clock(monotonic=lambda: sum(self.slept), sleep=self.slept.append, asleep=self._asleep)
        target = replace(container.target(), retry=Retry(clock=clock), **more)
        self._store = (AsyncCosmosStore if is_async else CosmosStore)(target)

    async def _asleep(self, seconds):
        self.slept.append(seconds)

    def answer(self, request, timeout_s=20.0):
        return self._done(self._store.answer(KEY, request, timeout_s))

    def query(self, timeout_s=20.0):
        return self._done(self._store.query(Search(), timeout_s))

    def _done(self, answer):
        return self._loop.run_until_complete(answer) if asyncio.iscoroutine(answer) else answer

    def close(self):
        with contextlib.suppress(AttributeError):  # the synchronous one has nothing to close
            self._loop.run_until_complete(self._store.close())
        self._loop.close()

    @contextlib.contextmanager
    def following(self, **rule):
        """The account does so, and how often it was asked is appended when that ends."""
        n_asked: list[int] = []
        before = len(self.container.server.requests(rule["operation"]))
        with self.container.server.following({"rules": [rule]}):
            yield n_asked
        n_asked.append(len(self.container.server.requests(rule["operation"])) - before)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def store(request, cosmos):
    asked = Asked(new_container(cosmos), request.param)
    asked.container.put({**ITEM, "id": "other"})
    assert asked.answer(READ) == Found(None)  # connected
    yield asked
    asked.close()


@pytest.mark.parametrize(
    ("status", "sub_status"), [(403, 3), (408, 0), (429, 0), (449, 0), (500, 0), (502, 0), (503, 0)]
)
@pytest.mark.parametrize("operation", REQUESTS)
def test_a_request_that_the_account_refuses_is_sent_once(store, operation, status, sub_status):
    with store.following(operation=operation, status=status, sub_status=sub_status) as n_asked:
        assert isinstance(store.answer(REQUESTS[operation]), Failed)
    assert n_asked == [1]


def test_a_read_for_which_the_replica_is_behind_is_sent_once(store):
    with store.following(operation="read", status=404, sub_status=1002) as n_asked:
        assert isinstance(store.answer(READ), Failed)
    assert n_asked == [1]


@pytest.mark.parametrize("operation", REQUESTS)
def test_a_request_whose_connection_breaks_is_sent_once(store, operation):
    with store.following(operation=operation, lost="after") as n_asked:
        assert isinstance(store.answer(REQUESTS[operation]), Failed)
    assert n_asked == [1]


def test_what_becomes_of_an_item_is_a_value(store):
    assert isinstance(store.answer(CREATE), Written)
    assert store.answer(CREATE) == Conflict()
    found = store.answer(READ).stored
    assert isinstance(store.answer(Write(COSMOS, DRAFT, found)), Written)
    assert store.answer(Write(COSMOS, DRAFT, found)) == Conflict()


@pytest.mark.parametrize("status", [429, 449])
@pytest.mark.parametrize("operation", REQUESTS)
def test_what_the_account_does_not_begin_waits_as_told_and_is_sent_again(store, operation, status):
    with store.following(operation=operation, status=status, retry_after_ms=40, times=3) as n_asked:
        assert not isinstance(store.answer(REQUESTS[operation]), Failed)
    assert (n_asked, store.slept) == ([4], [0.04] * 3)


@pytest.mark.parametrize("operation", REQUESTS)
def test_it_is_given_up_as_soon_as_its_time_would_not_suffice(store, operation):
    with store.following(operation=operation, status=429, retry_after_ms=400) as n_asked:
        failed = store.answer(REQUESTS[operation], timeout_s=1.0)
    assert isinstance(failed, Failed)
    assert not failed.refused
    assert "(status 429)" in failed.reason
    assert (n_asked, store.slept) == ([3], [0.4] * 2)


def test_a_store_that_is_ill_is_not_asked_again_whatever_it_says(store):
    with store.following(operation="upsert", status=503, retry_after_ms=40) as n_asked:
        assert isinstance(store.answer(REQUESTS["upsert"]), Failed)
    assert (n_asked, store.slept) == ([1], [])


def test_a_query_waits_as_told_within_its_time(store):
    with store.following(operation="query", status=429, retry_after_ms=400, times=2):
        assert store.query() == [{**ITEM, "id": "other"}]
    assert store.slept == [0.4] * 2
    with store.following(operation="query", status=429, retry_after_ms=400) as n_asked:
        with pytest.raises(TransientError, match="status 429"):
            store.query(timeout_s=1.0)
    assert n_asked == [3]


def test_a_read_for_versions_alone_has_no_content_but_of_a_tombstone(store):
    assert isinstance(store.answer(CREATE), Written)
    assert store.answer(Read(COSMOS)).stored.content == {}
    found = store.answer(READ).stored
    assert isinstance(store.answer(Write(COSMOS, Draft(None, Stamp(8)), found)), Written)
    assert store.answer(Read(COSMOS)).stored.is_tombstone


def test_a_key_that_is_none_is_a_failure_that_says_so(store, monkeypatch):
    monkeypatch.setenv("FIREBEAM_TEST_NO_KEY", "x")
    other = Asked(store.container, store.is_async, key=SecretSource("env:FIREBEAM_TEST_NO_KEY", "COSMOS_KEY"))
    failed = other.answer(READ)
    assert failed == Failed(f"{store.container.location}: COSMOS_KEY is not a key of Cosmos DB, which is base64")
    other.close()
