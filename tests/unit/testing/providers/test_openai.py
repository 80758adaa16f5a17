"""OpenAI's server, driven by OpenAI's own client, whose classes judge the answers strictly."""

import json

import openai
import pytest
from openai.types import Batch, FileObject
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.support.clocks import Clock
from tests.support.provider_client import ProviderClient, chat_lines
from tests.support.provider_in_thread import provider_in_thread

RECORDS = [{"name": f"n{n}"} for n in range(4)]
NOW, NEVER = {"batches": [{"ready_s": 0}]}, {"batches": [{"ready_s": None}]}


@pytest.fixture
def server():
    with provider_in_thread("openai", NOW) as provider:
        yield provider


@pytest.fixture
def client(server):
    with openai.OpenAI(api_key="key", base_url=server.base_url, max_retries=0) as official:
        yield official


def create(client, lines=None, key="fb-1", endpoint="/v1/chat/completions"):
    content = "".join(json.dumps(line) + "\n" for line in lines or chat_lines(*RECORDS))
    file = client.files.create(file=("requests.jsonl", content.encode()), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"firebeam_key": key}
    )


def lines_of(client, file_id):
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def records_of(lines):
    said = {line["custom_id"]: line["response"]["body"]["choices"][0]["message"] for line in lines}
    return {custom_id: json.loads(message["content"]) for custom_id, message in said.items()}


def test_the_official_client_creates_lists_and_reads(server, client):
    created = create(client)
    (listed,) = client.batches.list().data
    assert (listed.id, listed.status, listed.metadata) == (created.id, "completed", {"firebeam_key": "fb-1"})
    assert listed.request_counts.to_dict() == {"total": 4, "completed": 4, "failed": 0}
    lines = lines_of(client, listed.output_file_id)
    assert records_of(lines) == {f"r{n}": record for n, record in enumerate(RECORDS)}
    assert [line["custom_id"] for line in lines] == ["r3", "r2", "r1", "r0"]
    assert listed.error_file_id is None
    bodies = [ChatCompletion.model_validate(line["response"]["body"], strict=True) for line in lines]
    spent = sum(body.usage.prompt_tokens for body in bodies), sum(body.usage.completion_tokens for body in bodies)
    assert (listed.usage.input_tokens, listed.usage.output_tokens) == spent


@pytest.mark.parametrize("outcome", ["complete", "failed", "expired", "cancelled", None])
def test_every_state_is_a_batch_as_the_official_class_has_it(server, client, outcome):
    server.script({"batches": [{"ready_s": None} if outcome is None else {"ready_s": 0, "outcome": outcome}]})
    created = create(client)
    raw = ProviderClient(server.base_url)
    Batch.model_validate(raw.get(f"/batches/{created.id}").json, strict=True)
    for listed in raw.get("/batches").json["data"]:
        Batch.model_validate(listed, strict=True)
    FileObject.model_validate(raw.get(f"/files/{created.input_file_id}").json, strict=True)


def test_responses_are_answered_in_their_own_words(client):
    line = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"model": "gpt-4.1", "input": "{}"}}
    created = create(client, [line], endpoint="/v1/responses")
    (answered,) = lines_of(client, client.batches.retrieve(created.id).output_file_id)
    assert Response.model_validate(answered["response"]["body"]).output_text == "{}"


def test_an_expired_batch_keeps_what_it_has_and_says_what_it_has_not(server, client):
    server.script({"batches": [{"ready_s": 0, "outcome": "expired", "unanswered": 0.5, "errors": 1}]})
    batch = client.batches.retrieve(create(client).id)
    assert batch.status == "expired"
    assert [line["custom_id"] for line in lines_of(client, batch.output_file_id)] == ["r1"]
    said = {line["custom_id"]: line for line in lines_of(client, batch.error_file_id)}
    assert said["r0"]["response"]["status_code"] == 400
    assert {said[name]["error"]["code"] for name in ("r2", "r3")} == {"batch_expired"}
    assert {said[name]["response"] for name in ("r2", "r3")} == {None}


def test_a_failed_batch_has_a_code_and_no_results(server, client):
    failing = {"ready_s": 0, "outcome": "failed", "error_code": "token_limit_exceeded", "error_text": "queue full"}
    server.script({"batches": [failing]})
    batch = client.batches.retrieve(create(client).id)
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("failed", None, None)
    assert [(error.code, error.message) for error in batch.errors.data] == [("token_limit_exceeded", "queue full")]


def test_lines_may_be_missing_from_a_batch_called_completed(server, client):
    server.script({"batches": [{"ready_s": 0, "missing": ["r1"]}]})
    batch = client.batches.retrieve(create(client).id)
    assert batch.request_counts.completed == 4
    assert set(records_of(lines_of(client, batch.output_file_id))) == {"r0", "r2", "r3"}


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([{"custom_id": "a", "body": {}}] * 2, "duplicate_custom_id"),
        ([{"body": {}}], "missing_required_parameter"),
    ],
)
def test_a_file_that_is_wrong_makes_a_batch_that_fails(client, lines, code):
    batch = client.batches.retrieve(create(client, lines).id)
    assert (batch.status, batch.errors.data[0].code) == ("failed", code)


def test_a_batch_is_cancelled_and_its_results_are_kept():
    clock = Clock()
    with provider_in_thread("openai", NEVER, clock) as server:
        client = openai.OpenAI(api_key="key", base_url=server.base_url, max_retries=0)
        created = create(client)
        assert client.batches.cancel(created.id).status == "cancelling"
        clock.seconds = 1
        batch = client.batches.retrieve(created.id)
        assert (batch.status, batch.cancelled_at) == ("cancelled", int(batch.created_at))
        assert len(lines_of(client, batch.output_file_id)) == 2
        with pytest.raises(openai.ConflictError):
            client.batches.cancel(created.id)


def test_states_pass_by_the_clock():
    clock = Clock()
    with provider_in_thread("openai", {"batches": [{"ready_s": 30}]}, clock) as server:
        client = openai.OpenAI(api_key="key", base_url=server.base_url, max_retries=0)
        created, seen = create(client), []
        for clock.seconds in (0, 10, 20, 30):
            batch = client.batches.retrieve(created.id)
            seen.append((batch.status, batch.request_counts.total, batch.request_counts.completed))
    assert seen == [("validating", 0, 0), ("in_progress", 4, 1), ("finalizing", 4, 2), ("completed", 4, 4)]


def test_the_list_has_pages(client):
    ids = [create(client, key=f"fb-{n}").id for n in range(5)]
    page = client.batches.list(limit=2)
    assert ([batch.id for batch in page.data], page.has_more) == ([ids[4], ids[3]], True)
    assert [batch.id for batch in client.batches.list(limit=2)] == ids[::-1]
    with pytest.raises(openai.BadRequestError):
        client.batches.list(limit=101)


def test_what_is_not_there_and_a_missing_key_are_errors_of_the_official_client(server, client):
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_x")
    with pytest.raises(openai.NotFoundError):
        client.files.content("file-x")
    server.script({"api_key": "other"})
    with pytest.raises(openai.AuthenticationError):
        client.batches.list()


def test_batches_that_exist_already_are_listed_and_read(server, client):
    server.script({"existing": [{"id": "batch_old", "key": "fb-0", "requests": chat_lines({"a": 1}), "age_s": 60}]})
    (listed,) = client.batches.list().data
    assert (listed.id, listed.status, listed.metadata) == ("batch_old", "completed", {"key": "fb-0"})
    assert records_of(lines_of(client, listed.output_file_id)) == {"r0": {"a": 1}}
    assert lines_of(client, listed.input_file_id) == chat_lines({"a": 1})


@pytest.mark.parametrize("provider", ["groq", "azure_openai"])
def test_others_with_this_api_are_at_their_own_addresses(provider):
    with provider_in_thread(provider, NOW) as server:
        assert server.base_url.endswith("/openai/v1")
        client = openai.OpenAI(api_key="key", base_url=server.base_url, max_retries=0)
        assert len(lines_of(client, client.batches.retrieve(create(client).id).output_file_id)) == 4


def test_azure_has_a_header_of_its_own_for_the_key():
    with provider_in_thread("azure_openai") as server:
        assert ProviderClient(server.base_url, {"api-key": "key"}).get("/batches").status == 200
        assert ProviderClient(server.base_url, {}).get("/batches").status == 401
