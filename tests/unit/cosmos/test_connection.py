"""One retry layer, what failures mean, and what requests cost."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support.cosmos import OwnContainer, new_container
from transforms.cosmos import reads, writes
from transforms.cosmos.connection import Connection, Refused
from transforms.cosmos.target import CosmosTarget
from transforms.errors import JobError, RecordError, TransientError
from transforms.retry import Clock
from transforms.testing.cosmos import ScriptedCosmos, scripted_cosmos

ADA = {"id": "ada", "student_id": "s1", "score": 1}
REQUESTS = {
    "read": lambda connection: reads.read_item(connection, "ada", ["s1"]),
    "replace": lambda connection: writes.replace(connection, ADA),
}


@pytest.fixture(scope="module")
def container(cosmos: ScriptedCosmos) -> OwnContainer:
    made = new_container(cosmos)
    made.put(ADA)
    return made


@pytest.mark.parametrize("status", [408, 429, 449, 500, 502, 503])
@pytest.mark.parametrize("operation", REQUESTS)
def test_a_request_is_sent_as_often_as_our_own_retries_say(container, status, operation):
    connection = container.connection(max_attempts=3)
    assert connection.properties
    before = len(container.server.requests(operation))
    with container.server.following({"rules": [{"operation": operation, "status": status}]}):
        with pytest.raises(TransientError, match=f"status {status}"):
            REQUESTS[operation](connection)
    assert len(container.server.requests(operation)) - before == 3


@pytest.mark.parametrize("operation", REQUESTS)
def test_a_connection_that_breaks_counts_as_one_attempt(container, operation):
    connection = container.connection(max_attempts=3)
    assert connection.properties
    before = len(container.server.requests(operation))
    with container.server.following({"rules": [{"operation": operation, "lost": "after", "times": 2}]}):
        assert REQUESTS[operation](connection)
    assert len(container.server.requests(operation)) - before == 3


def test_a_service_that_is_busy_is_asked_again_when_it_says(container):
    slept = list[float]()
    connection = container.connection(max_attempts=2, slept=slept)
    assert connection.properties
    rule = {"operation": "read", "status": 429, "retry_after_ms": 40, "times": 9}
    with container.server.following({"rules": [rule]}):
        assert reads.read_item(connection, "ada", ["s1"]) is not None
    assert slept == [0.04] * 9


@pytest.mark.parametrize(
    ("status", "sub_status", "problem"),
    [
        (401, 0, "the account refuses the key; check that COSMOS_KEY is one of its keys"),
        (403, 0, "set COSMOS_KEY, or sign in for Entra ID"),
        (403, 3, "accepts no writes just now"),
        (404, 1003, "there is no such database or container"),
    ],
)
def test_what_no_item_can_mend_stops_the_job_at_once(container, status, sub_status, problem):
    connection = container.connection()
    assert connection.properties
    before = len(container.server.requests("create"))
    with container.server.following({"rules": [{"operation": "create", "status": status, "sub_status": sub_status}]}):
        with pytest.raises(JobError, match=problem) as stopped:
            writes.create(connection, {**ADA, "id": "x"})
    assert str(stopped.value).startswith(container.location)
    assert len(container.server.requests("create")) - before == 1


def test_charges_are_counted_and_a_budget_is_kept(container):
    now, slept = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    target = container.target(max_request_units_per_s=10)
    clock = Clock(monotonic=lambda: now[0], sleep=sleep, random=lambda: 0.0)
    connection = Connection(replace(target, retry=replace(target.retry, clock=clock)))
    for _ in range(40):
        reads.read_item(connection, "ada", ["s1"])
    assert connection.budget.spent >= 40
    assert now[0] == pytest.approx((connection.budget.spent - 10) / 10, abs=0.2)
    assert connection.budget.waited_s == pytest.approx(sum(slept))


def test_an_item_whose_address_would_be_another_one_is_found_and_never_written(cosmos):
    made = new_container(cosmos)
    made.put({"id": "..", "student_id": "s1"}, {"id": "..", "student_id": "s2", "score": 2})
    connection = made.connection()
    assert reads.read_item(connection, "..", ["s2"])["score"] == 2
    assert reads.read_item(connection, ".", ["s2"]) is None
    for write in (writes.delete, lambda *named: writes.patch(*named, [])):
        with pytest.raises(RecordError, match="INVALID_ID"):
            write(connection, "..", ["s1"])
    assert len(made.items()) == 2


def test_requests_of_low_priority_say_so(container):
    reads.read_item(container.connection(is_low_priority=True), "ada", ["s1"])
    assert container.server.requests("read")[-1].priority == "Low"


@pytest.mark.parametrize("missing", ["azure", "azure.cosmos"])
def test_without_the_client_a_job_says_how_to_install_it(missing):
    program = f"""
import sys
sys.modules[{missing!r}] = None
from transforms.cosmos import feed, reads, writes
from transforms.cosmos.check import check_container
from transforms.cosmos.target import CosmosTarget
from transforms.errors import JobError
environ = {{"COSMOS_ENDPOINT": "http://127.0.0.1:1", "COSMOS_KEY": "env:HOME"}}
try:
    check_container(CosmosTarget.of("cosmos://d/c", "--from", environ))
except JobError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Cosmos DB needs a client that is not installed: pip install 'firebeam[cosmos]'"


def test_nobody_answers_at_a_wrong_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    target = CosmosTarget.of("cosmos://d/c", "--from", {"COSMOS_ENDPOINT": endpoint, "COSMOS_KEY": "env:NOT_SET_HERE"})
    with pytest.raises(JobError, match="NOT_SET_HERE is not set"):
        assert target.connect().properties


def test_a_wrong_key_stops_the_job_and_is_not_shown(monkeypatch):
    monkeypatch.setenv("COSMOS_KEY", "d3JvbmcgYnV0IHNlY3JldA==")
    with scripted_cosmos({"key": "cmlnaHQ="}) as server:
        target = CosmosTarget.of(
            "cosmos://d/c", "--from", {"COSMOS_ENDPOINT": server.endpoint, "COSMOS_KEY": "d3JvbmcgYnV0IHNlY3JldA=="}
        )
        with pytest.raises(JobError, match="the account refuses the key") as stopped:
            assert Connection(target).properties
    assert "d3Jvbmc" not in str(stopped.value)


class TestAWrite:
    @pytest.fixture
    def connection(self, cosmos):
        return new_container(cosmos).connection()

    def test_says_what_it_found_in_its_place(self, connection):
        first = writes.create(connection, ADA)
        assert isinstance(first, writes.Written)
        assert first.charge > 0
        assert writes.create(connection, ADA) is Refused.EXISTS
        second = writes.replace(connection, {**ADA, "score": 2}, first.version.etag)
        assert isinstance(second, writes.Written)
        assert second.version.ts >= first.version.ts
        assert writes.replace(connection, {**ADA, "score": 3}, first.version.etag) is Refused.CHANGED
        assert writes.delete(connection, "ada", ["s1"], first.version.etag) is Refused.CHANGED
        changed = writes.patch(connection, "ada", ["s1"], [{"op": "incr", "path": "/score", "value": 5}])
        assert isinstance(changed, writes.Written)
        assert reads.read_item(connection, "ada", ["s1"])["score"] == 7
        assert isinstance(writes.delete(connection, "ada", ["s1"]), writes.Written)
        assert writes.delete(connection, "ada", ["s1"]) is Refused.MISSING
        assert writes.replace(connection, ADA) is Refused.MISSING
        assert reads.read_item(connection, "ada", ["s1"]) is None

    def test_of_an_item_that_cdb_cannot_hold_is_about_that_item(self, connection):
        with pytest.raises(RecordError, match="TOO_LARGE"):
            writes.create(connection, {**ADA, "text": "x" * 2**21})
        for name in ("", "a/b", "x" * 1024, "a\tb", "a "):
            with pytest.raises(RecordError, match="INVALID_ID"):
                writes.create(connection, {**ADA, "id": name})

    def test_of_a_batch_is_done_as_a_whole_or_says_which_one_failed(self, connection):
        done = writes.batch(connection, ["s1"], [("create", (ADA,)), ("create", ({**ADA, "id": "b"},))])
        assert [each.version is not None for each in done] == [True, True]
        failed = writes.batch(connection, ["s1"], [("delete", ("b",)), ("create", (ADA,))])
        assert failed == writes.Failed(1, Refused.EXISTS)
        assert writes.batch(connection, ["s1"], [("delete", ("b",))])[0].version is None


class TestReads:
    @pytest.fixture
    def connection(self, cosmos):
        made = new_container(cosmos)
        made.put(*({"id": f"i{n:03}", "student_id": f"s{n % 7}", "n": n} for n in range(250)))
        return made.connection()

    def test_items_of_a_range_of_ids_come_once(self, connection):
        pages = reads.items_between(connection, "i010", "i020")
        assert sorted(item["id"] for page in pages for item in page) == [f"i{n:03}" for n in range(10, 20)]
        everything = [item["id"] for page in reads.items_between(connection, None, None) for item in page]
        assert len(everything) == len(set(everything)) == 250

    def test_keys_name_every_item_with_its_version(self, connection):
        keys = [key for page in reads.keys(connection) for key in page]
        assert sorted((key.id, key.key) for key in keys) == [(f"i{n:03}", (f"s{n % 7}",)) for n in range(250)]
        item = reads.read_item(connection, keys[0].id, keys[0].key)
        assert (item["_ts"], item["_etag"]) == keys[0].version

    def test_items_are_counted_exactly_and_about(self, connection):
        assert reads.count(connection) == reads.size(connection).items == 250

    def test_a_query_of_many_pages_goes_on_behind_the_last_one_after_a_failure(self, connection, cosmos):
        assert connection.properties
        rule = {"operation": "query", "status": 503, "skip": 1, "every": 2, "times": 8}
        with cosmos.following({"rules": [rule]}):
            pages = [*reads.query(connection, "SELECT * FROM c", max_items=20)]
        found = [item["id"] for page in pages for item in page]
        assert len(found) == len(set(found)) == 250

    def test_hierarchical_and_missing_keys_are_found(self, cosmos):
        made = new_container(cosmos, "/tenant", "/user")
        made.put({"id": "a", "tenant": "t", "user": 1}, {"id": "b", "tenant": "t"})
        connection = made.connection()
        assert reads.read_item(connection, "a", ["t", 1])["id"] == "a"
        assert [key.key for page in reads.keys(connection) for key in page] in (
            [("t", 1), ("t", {})],
            [("t", {}), ("t", 1)],
        )

    @pytest.mark.parametrize("key", [None, {}, True, 1.5, "é"])
    def test_a_key_of_any_kind_names_an_item(self, cosmos, key):
        made = new_container(cosmos)
        item = {"id": "a"} if key == {} else {"id": "a", "student_id": key}
        made.put(item)
        connection = made.connection()
        assert reads.read_item(connection, "a", [key]) is not None
        assert isinstance(writes.replace(connection, {**item, "n": 1}), writes.Written)
        assert isinstance(writes.delete(connection, "a", reads.key_of(connection, item)), writes.Written)

    def test_provisioned_throughput_is_read_where_there_is_some(self, cosmos):
        assert reads.provisioned_units_per_s(new_container(cosmos, offer_throughput=700).connection()) == 700
        assert reads.provisioned_units_per_s(new_container(cosmos).connection()) is None
