"""Mistral's server: batch jobs in numbered pages."""

import json

import pytest

from tests.support.clocks import Clock
from tests.support.provider_client import ProviderClient
from tests.support.provider_in_thread import provider_in_thread

JOBS = "/v1/batch/jobs"
LINES = [
    {"custom_id": f"r{n}", "body": {"messages": [{"role": "user", "content": json.dumps({"n": n})}]}} for n in range(4)
]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    with provider_in_thread("mistral", {"batches": [{"ready_s": 10}]}, clock) as provider:
        yield provider


@pytest.fixture
def client(server):
    return ProviderClient(server.base_url)


def create(client, key="fb-1", **instead):
    source = instead or {"input_files": [client.upload("/v1/files", LINES, "batch")]}
    asked = {"endpoint": "/v1/chat/completions", "model": "mistral-small", "metadata": {"firebeam_key": key}, **source}
    return client.post(JOBS, asked).json


def texts(client, file_id):
    lines = client.get(f"/v1/files/{file_id}/content").lines
    return {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"] for line in lines}


def test_a_job_goes_from_queued_to_success_and_counts(client, clock):
    created, seen = create(client), []
    for clock.seconds in (0, 5, 10):
        job = client.get(f"{JOBS}/{created['id']}").json
        seen.append((job["status"], job["succeeded_requests"]))
    assert seen == [("QUEUED", 0), ("RUNNING", 2), ("SUCCESS", 4)]
    assert job["metadata"] == {"firebeam_key": "fb-1"}
    assert (job["total_requests"], job["completed_requests"], job["failed_requests"]) == (4, 4, 0)
    assert texts(client, job["output_file"]) == {f"r{n}": json.dumps({"n": n}) for n in range(4)}
    assert job["error_file"] is None


def test_requests_may_be_in_the_body_that_creates_the_job(client, clock):
    created = create(client, requests=LINES[:1])
    clock.seconds = 10
    job = client.get(f"{JOBS}/{created['id']}").json
    assert texts(client, job["output_file"]) == {"r0": '{"n": 0}'}


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("expired", "TIMEOUT_EXCEEDED"), ("cancelled", "CANCELLED"), ("failed", "FAILED")],
)
def test_every_bad_end_has_a_word(server, client, outcome, status):
    server.script({"batches": [{"ready_s": 0, "outcome": outcome, "errors": 1, "error_text": "why"}]})
    job = create(client)
    assert job["status"] == status
    assert job["errors"] == ([{"message": "why", "count": 1}] if outcome == "failed" else [])
    assert (job["output_file"] is None) == (outcome == "failed")
    if outcome != "failed":
        (failed,) = client.get(f"/v1/files/{job['error_file']}/content").lines
        assert (failed["custom_id"], failed["response"]["status_code"]) == ("r0", 400)


def test_the_list_has_numbered_pages_in_either_order(client, clock):
    ids = []
    for clock.seconds in range(5):
        ids.append(create(client)["id"])

    def page(query):
        return [job["id"] for job in client.get(f"{JOBS}?{query}").json["data"]]

    assert [page(f"page_size=2&page={n}") for n in range(4)] == [ids[:2:-1], ids[2:0:-1], ids[:1], []]
    assert page("order_by=created&page_size=2") == ids[:2]
    assert client.get(JOBS).json["total"] == 5


def test_a_job_is_cancelled(client, clock):
    created = create(client)
    assert client.post(f"{JOBS}/{created['id']}/cancel").json["status"] == "CANCELLATION_REQUESTED"
    clock.seconds = 1
    assert client.get(f"{JOBS}/{created['id']}").json["status"] == "CANCELLED"


def test_a_wrong_key_a_missing_field_and_jobs_that_exist_already(server, client):
    assert ProviderClient(server.base_url, {}).get(JOBS).json == {"detail": "Unauthorized"}
    assert client.post(JOBS, {"endpoint": "/v1/chat/completions"}).status == 422
    server.script({"existing": [{"id": "j", "key": "fb-0", "requests": LINES}]})
    job = client.get(f"{JOBS}/j").json
    assert (job["status"], job["metadata"], len(texts(client, job["output_file"]))) == ("SUCCESS", {"key": "fb-0"}, 4)
