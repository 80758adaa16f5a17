"""Bright Data's server: triggers, progress, snapshots in pages and parts."""

import datetime
import json

import pytest

from tests.support.clocks import STARTED_AT, Clock
from tests.support.provider_client import ProviderClient
from tests.support.provider_in_thread import provider_in_thread

V3 = "/datasets/v3"
TRIGGER = f"{V3}/trigger?dataset_id=gd_1&include_errors=true"
RECORDS = [{"url": f"https://people.example/{n}", "name": f"n{n}"} for n in range(4)]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    with provider_in_thread("brightdata", {"batches": [{"ready_s": 10}]}, clock) as provider:
        yield provider


@pytest.fixture
def client(server):
    return ProviderClient(server.base_url)


def trigger(client, records=None, path=TRIGGER):
    return client.post(path, RECORDS if records is None else records).json["snapshot_id"]


def test_a_snapshot_has_the_inputs_as_its_records(client, clock):
    snapshot = trigger(client)
    clock.seconds = 10
    found = client.get(f"{V3}/snapshot/{snapshot}?format=jsonl")
    assert found.lines == RECORDS[::-1]
    assert client.get(f"{V3}/snapshot/{snapshot}?format=json").json == RECORDS[::-1]


def test_states_pass_and_results_that_are_asked_for_too_early_are_to_be_asked_for_again(client, clock):
    snapshot, seen = trigger(client), []
    for clock.seconds in (0, 2, 4, 6, 8, 10):
        seen.append(client.get(f"{V3}/progress/{snapshot}").json["status"])
    assert seen == ["starting", "running", "collecting", "digesting", "building", "ready"]
    clock.seconds = 9
    early = client.get(f"{V3}/snapshot/{snapshot}?format=jsonl")
    assert (early.status, early.json["status"]) == (202, "building")
    assert "try again in 10s" in early.json["message"]


def test_the_list_is_of_one_dataset_newest_first_in_pages_and_by_state_and_date(client, clock):
    ids = []
    for clock.seconds in (0, 1, 2):
        ids.append(trigger(client))
    trigger(client, path=f"{V3}/trigger?dataset_id=gd_2")
    clock.seconds = 11.5

    def listed(query):
        return [each["id"] for each in client.get(f"{V3}/snapshots?dataset_id=gd_1{query}").json]

    assert listed("") == ids[::-1]
    assert listed("&skip=1&limit=1") == [ids[1]]
    assert listed("&status=ready") == [ids[1], ids[0]]
    assert listed("&status=running") == [ids[2]]
    assert listed(f"&from_date={date(STARTED_AT + 1)}") == [ids[2], ids[1]]
    assert listed(f"&to_date={date(STARTED_AT + 1)}") == [ids[1], ids[0]]
    assert client.get(f"{V3}/snapshots").status == 400
    assert client.get(f"{V3}/snapshots?dataset_id=gd_1&limit=5001").status == 400


def test_parts_have_a_thousand_records_at_least(client, clock):
    snapshot = trigger(client, [{"id": n} for n in range(2_500)])
    assert client.get(f"{V3}/snapshot/{snapshot}/parts?batch_size=1000").status == 400
    clock.seconds = 10
    assert client.get(f"{V3}/snapshot/{snapshot}/parts?batch_size=1000").json == {"parts": 3}
    parts = [client.get(f"{V3}/snapshot/{snapshot}?format=jsonl&batch_size=1000&part={n}").lines for n in (1, 2, 3)]
    assert [len(part) for part in parts] == [1000, 1000, 500]
    assert sorted(record["id"] for part in parts for record in part) == list(range(2_500))
    assert client.get(f"{V3}/snapshot/{snapshot}?format=jsonl&batch_size=10&part=1").status == 400


def test_an_input_in_error_has_a_line_and_a_missing_one_has_none(server, client):
    server.script({"batches": [{"ready_s": 0, "errors": [RECORDS[0]["url"]], "missing": 1}]})
    snapshot = trigger(client)
    *answered, failed = client.get(f"{V3}/snapshot/{snapshot}?format=jsonl").lines
    assert answered == [RECORDS[2], RECORDS[1]]
    assert (failed["input"], failed["error_code"]) == (RECORDS[0], "crawl_failed")
    progress = client.get(f"{V3}/progress/{snapshot}").json
    assert (progress["records"], progress["errors"]) == (3, 1)


def test_a_failed_snapshot_says_why_and_has_no_results(server, client):
    failing = {"ready_s": 0, "outcome": "failed", "error_code": "no_peers", "error_text": "no peers"}
    server.script({"batches": [failing]})
    snapshot = trigger(client)
    progress = client.get(f"{V3}/progress/{snapshot}").json
    assert [progress[name] for name in ("status", "error_code", "error_message")] == ["failed", "no_peers", "no peers"]
    assert client.get(f"{V3}/snapshot/{snapshot}?format=jsonl").status == 400


def test_a_snapshot_is_cancelled_once(client, clock):
    snapshot = trigger(client)
    assert client.post(f"{V3}/snapshot/{snapshot}/cancel").body == b"OK"
    clock.seconds = 1
    assert client.get(f"{V3}/progress/{snapshot}").json["status"] == "cancelled"
    assert client.post(f"{V3}/snapshot/{snapshot}/cancel").status == 400


@pytest.mark.parametrize(("path", "records"), [(f"{V3}/trigger", RECORDS), (TRIGGER, []), (TRIGGER, ["a"])])
def test_a_trigger_that_is_wrong_is_refused(client, path, records):
    assert client.post(path, records).status == 400


def test_a_snapshot_of_nothing_is_an_error(server, client):
    server.script({"batches": [{"ready_s": 0, "missing": 4}]})
    answer = client.get(f"{V3}/snapshot/{trigger(client)}?format=jsonl")
    assert (answer.status, answer.json) == (400, {"error": "Snapshot is empty"})


def test_an_answer_to_try_again_can_be_scripted_for_a_snapshot_that_is_ready(server, client, clock):
    snapshot = trigger(client)
    clock.seconds = 10
    server.script({"endpoints": [{"endpoint": "download", "status": 202, "times": 2}]})
    path = f"{V3}/snapshot/{snapshot}?format=jsonl"
    assert [client.get(path).status for _ in range(3)] == [202, 202, 200]


def test_snapshots_that_exist_already_are_listed_and_read(server, client):
    old = {"id": "s_old", "requests": RECORDS, "parameters": {"dataset_id": "gd_1"}}
    server.script({"existing": [old]})
    assert [each["id"] for each in client.get(f"{V3}/snapshots?dataset_id=gd_1").json] == ["s_old"]
    assert client.get(f"{V3}/snapshot/s_old?format=jsonl").lines == RECORDS[::-1]


def test_errors_are_json_with_a_reason(server, client):
    assert json.loads(client.get(f"{V3}/progress/s_x").body) == {"error": "no batch s_x"}
    assert ProviderClient(server.base_url, {}).get(f"{V3}/progress/s_x").status == 401


def date(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat().replace("+00:00", "Z")
