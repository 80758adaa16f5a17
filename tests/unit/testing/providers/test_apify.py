"""Apify's server: runs of an Actor, and the datasets they fill."""

import pytest

from tests.support.clocks import Clock
from tests.support.provider_client import ProviderClient
from tests.support.provider_in_thread import provider_in_thread

RUNS = "/v2/acts/apify~web-scraper/runs"
RECORDS = [{"url": f"https://people.example/{n}"} for n in range(4)]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    with provider_in_thread("apify", {"batches": [{"ready_s": 10}]}, clock) as provider:
        yield provider


@pytest.fixture
def client(server):
    return ProviderClient(server.base_url)


def run(client, asked=None):
    answer = client.post(RUNS, {"startUrls": RECORDS} if asked is None else asked)
    assert answer.status == 201
    return answer.json["data"]


def items(client, started, query=""):
    return client.get(f"/v2/datasets/{started['defaultDatasetId']}/items?format=jsonl{query}").lines


@pytest.mark.parametrize("asked", [{"startUrls": RECORDS}, RECORDS, {"maxItems": 3, "urls": RECORDS}])
def test_a_run_puts_its_inputs_into_its_dataset(client, clock, asked):
    started, seen = run(client, asked), []
    for clock.seconds in (0, 5, 10):
        seen.append(client.get(f"/v2/actor-runs/{started['id']}").json["data"]["status"])
    assert seen == ["READY", "RUNNING", "SUCCEEDED"]
    assert items(client, started) == RECORDS
    assert items(client, started, "&offset=1&limit=2") == RECORDS[1:3]


def test_the_dataset_grows_while_the_run_goes_on(client, clock):
    started = run(client)
    clock.seconds = 5
    assert items(client, started) == RECORDS[:2]


@pytest.mark.parametrize(
    ("outcome", "status"), [("failed", "FAILED"), ("expired", "TIMED-OUT"), ("cancelled", "ABORTED")]
)
def test_a_bad_end_keeps_what_the_dataset_has(server, client, outcome, status):
    server.script({"batches": [{"ready_s": 0, "outcome": outcome, "error_text": "why"}]})
    started = run(client)
    assert started["status"] == status
    assert started["statusMessage"] == ("why" if outcome == "failed" else None)
    assert items(client, started) == RECORDS[:2]


def test_an_input_in_error_is_marked_and_a_missing_one_is_not_there(server, client):
    server.script({"batches": [{"ready_s": 0, "errors": 1, "missing": 2}]})
    assert items(client, run(client)) == [{"#error": True, "input": RECORDS[0]}, RECORDS[1]]


def test_runs_are_listed_oldest_first_unless_asked_otherwise_in_pages_and_by_state(client, clock):
    ids = []
    for clock.seconds in range(3):
        ids.append(run(client)["id"])
    clock.seconds = 11

    def listed(query, path="/v2/actor-runs"):
        return [each["id"] for each in client.get(f"{path}?{query}").json["data"]["items"]]

    assert listed("") == ids
    assert listed("desc=1&limit=2") == ids[:0:-1]
    assert listed("offset=2") == ids[2:]
    assert listed("status=SUCCEEDED") == ids[:2]
    assert listed("desc=1", RUNS) == ids[::-1]
    assert listed("", "/v2/acts/another/runs") == []


def test_a_long_poll_is_answered_when_the_run_is_over(server, client):
    server.script({"batches": [{"ready_s": 0}]})
    started = run(client)
    assert client.get(f"/v2/actor-runs/{started['id']}?waitForFinish=60").json["data"]["status"] == "SUCCEEDED"
    assert client.get(f"/v2/actor-runs/{started['id']}?waitForFinish=61").status == 400


def test_a_run_is_aborted(client, clock):
    started = run(client)
    assert client.post(f"/v2/actor-runs/{started['id']}/abort").json["data"]["status"] == "ABORTING"
    clock.seconds = 1
    assert client.get(f"/v2/actor-runs/{started['id']}").json["data"]["status"] == "ABORTED"


def test_the_key_may_be_in_the_query_and_runs_exist_already(server):
    server.script({"existing": [{"id": "old", "requests": RECORDS}], "batches": [{"ready_s": 0}]})
    client = ProviderClient(server.base_url, {})
    assert client.get("/v2/actor-runs/old").status == 401
    started = client.get("/v2/actor-runs/old?token=key").json["data"]
    assert started["status"] == "SUCCEEDED"
