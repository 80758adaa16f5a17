"""Together's server: OpenAI's lines, batches of its own."""

import json

import pytest

from tests.support.provider_client import ProviderClient, chat_lines
from tests.support.provider_in_thread import provider_in_thread


@pytest.fixture
def server():
    with provider_in_thread("together", {"batches": [{"ready_s": 0}]}) as provider:
        yield provider


@pytest.fixture
def client(server):
    return ProviderClient(server.base_url)


def create(client, name="fb-1.jsonl"):
    file_id = client.upload("/files/upload", chat_lines({"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}), "batch-api", name)
    return client.post("/batches", {"input_file_id": file_id, "endpoint": "/v1/chat/completions"}).json


def test_a_new_batch_is_inside_of_job_and_the_list_is_an_array_of_batches(client):
    created = create(client)
    assert set(created) == {"job", "warning"}
    (listed,) = client.get("/batches").json
    assert listed == client.get(f"/batches/{created['job']['id']}").json
    assert (listed["status"], listed["progress"], listed["error"]) == ("COMPLETED", 100.0, None)
    lines = client.get(f"/files/{listed['output_file_id']}/content").lines
    assert [line["custom_id"] for line in lines] == ["r3", "r2", "r1", "r0"]
    assert json.loads(lines[0]["response"]["body"]["choices"][0]["message"]["content"]) == {"n": 3}


def test_a_batch_is_found_by_the_name_of_its_file(server, client):
    job = create(client, "fb-77.jsonl")["job"]
    assert client.get(f"/files/{job['input_file_id']}").json["filename"] == "fb-77.jsonl"
    assert [batch.key for batch in server.batches()] == ["fb-77.jsonl"]
    server.script({"existing": [{"id": "b", "key": "fb-0.jsonl", "requests": chat_lines({"n": 0})}]})
    old = client.get("/batches/b").json
    assert client.get(f"/files/{old['input_file_id']}").json["filename"] == "fb-0.jsonl"


@pytest.mark.parametrize(
    ("outcome", "status", "output", "errors"),
    [
        ("complete", "COMPLETED", True, False),
        ("expired", "EXPIRED", True, True),
        ("cancelled", "CANCELLED", True, False),
        ("failed", "FAILED", False, False),
    ],
)
def test_every_end_has_a_word_and_the_files_there_are(server, client, outcome, status, output, errors):
    server.script({"batches": [{"ready_s": 0, "outcome": outcome}]})
    job = create(client)["job"]
    assert job["status"] == status
    assert [job[name] is not None for name in ("output_file_id", "error_file_id")] == [output, errors]
    assert (job["error"] == "scripted") == (outcome == "failed")


def test_states_on_the_way_and_a_file_with_another_purpose(server, client):
    server.script({"batches": [{"ready_s": None}]})
    assert create(client)["job"]["status"] == "VALIDATING"
    with pytest.raises(AssertionError, match="is not one of"):
        client.upload("/files/upload", chat_lines({"n": 0}), "batch")
