"""Anthropic's server, driven by Anthropic's own client, whose classes judge the answers strictly."""

import json

import anthropic
import pytest
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

from tests.support.clocks import Clock
from tests.support.provider_client import ProviderClient
from tests.support.provider_in_thread import provider_in_thread

NOW, NEVER = {"batches": [{"ready_s": 0}]}, {"batches": [{"ready_s": None}]}
HEADERS = {"x-api-key": "key", "anthropic-version": "2023-06-01"}


@pytest.fixture
def server():
    with provider_in_thread("anthropic", NOW) as provider:
        yield provider


@pytest.fixture
def client(server):
    with anthropic.Anthropic(api_key="key", base_url=server.base_url, max_retries=0) as official:
        yield official


def requests(n_requests=4):
    return [
        {
            "custom_id": f"r{n}",
            "params": {
                "model": "claude-haiku-4-5",
                "max_tokens": 100,
                "messages": [{"role": "user", "content": json.dumps({"n": n})}],
            },
        }
        for n in range(n_requests)
    ]


def create(client, n_requests=4):
    return client.messages.batches.create(requests=requests(n_requests))


def outcomes(client, batch_id):
    return {each.custom_id: each.result.type for each in client.messages.batches.results(batch_id)}


def test_the_official_client_creates_lists_and_reads(client):
    created = create(client)
    (listed,) = client.messages.batches.list().data
    assert (listed.id, listed.processing_status) == (created.id, "ended")
    assert listed.request_counts.to_dict() == {
        "processing": 0, "succeeded": 4, "errored": 0, "canceled": 0, "expired": 0,
    }  # fmt: skip
    found = list(client.messages.batches.results(created.id))
    assert [each.custom_id for each in found] == ["r3", "r2", "r1", "r0"]
    assert [json.loads(each.result.message.content[0].text) for each in found] == [{"n": n} for n in (3, 2, 1, 0)]
    assert all(each.result.message.usage.input_tokens > 0 for each in found)


@pytest.mark.parametrize("outcome", ["complete", "failed", "expired", "cancelled", None])
def test_every_state_and_every_line_is_as_the_official_classes_have_it(server, client, outcome):
    settings = {"ready_s": None} if outcome is None else {"ready_s": 0, "outcome": outcome, "errors": 1}
    server.script({"batches": [settings]})
    raw = ProviderClient(server.base_url, HEADERS)
    created = create(client)
    # Times are text in JSON, and a strict check of Python's own values has no way to take them.
    MessageBatch.model_validate_json(raw.get(f"/v1/messages/batches/{created.id}").body, strict=True)
    for listed in raw.get("/v1/messages/batches").json["data"]:
        MessageBatch.model_validate_json(json.dumps(listed), strict=True)
    for line in raw.get(f"/v1/messages/batches/{created.id}/results").body.splitlines() if outcome else ():
        MessageBatchIndividualResponse.model_validate_json(line, strict=True)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("expired", {"r0": "errored", "r1": "succeeded", "r2": "expired", "r3": "expired"}),
        ("cancelled", {"r0": "errored", "r1": "succeeded", "r2": "canceled", "r3": "canceled"}),
        ("failed", {"r0": "errored", "r1": "errored", "r2": "errored", "r3": "errored"}),
    ],
)
def test_a_batch_that_ends_otherwise_says_so_for_each_request(server, client, outcome, expected):
    server.script({"batches": [{"ready_s": 0, "outcome": outcome, "errors": 1}]})
    created = create(client)
    assert outcomes(client, created.id) == expected
    counts = client.messages.batches.retrieve(created.id).request_counts.to_dict()
    assert sum(counts.values()) == 4
    assert all(counts[word] == list(expected.values()).count(word) for word in set(expected.values()))


def test_while_it_runs_nothing_is_counted_and_there_are_no_results(server, client):
    server.script(NEVER)
    created = create(client)
    assert (created.processing_status, created.request_counts.processing, created.results_url) == (
        "in_progress", 4, None,
    )  # fmt: skip
    with pytest.raises(anthropic.AnthropicError, match="No `results_url` for the given batch"):
        client.messages.batches.results(created.id)


def test_lines_may_be_missing(server, client):
    server.script({"batches": [{"ready_s": 0, "missing": 1}]})
    created = create(client)
    assert set(outcomes(client, created.id)) == {"r0", "r1", "r2"}
    assert client.messages.batches.retrieve(created.id).request_counts.succeeded == 4


def test_a_batch_is_cancelled():
    clock = Clock()
    with provider_in_thread("anthropic", NEVER, clock) as server:
        client = anthropic.Anthropic(api_key="key", base_url=server.base_url, max_retries=0)
        created = create(client)
        assert client.messages.batches.cancel(created.id).processing_status == "canceling"
        clock.seconds = 1
        assert client.messages.batches.retrieve(created.id).processing_status == "ended"
        kinds = ("succeeded", "succeeded", "canceled", "canceled")
        assert outcomes(client, created.id) == {f"r{n}": kind for n, kind in enumerate(kinds)}


def test_the_list_has_pages_both_ways(client):
    ids = [create(client, 1).id for _ in range(5)]
    page = client.messages.batches.list(limit=2)
    assert ([batch.id for batch in page.data], page.has_more) == ([ids[4], ids[3]], True)
    assert [batch.id for batch in client.messages.batches.list(limit=2)] == ids[::-1]
    newer = client.messages.batches.list(limit=2, before_id=ids[1])
    assert ([batch.id for batch in newer.data], newer.has_more) == ([ids[3], ids[2]], True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "requests: there must be 1 to 100000"),
        (requests(1) * 2, "custom_id must be unique"),
        ([{"custom_id": "a b", "params": {}}], "requests.0.custom_id: String should match pattern"),
        ([{"custom_id": "a"}], "requests.0.params: Field required"),
    ],
)
def test_requests_that_are_wrong_are_refused_as_a_whole(server, client, wrong, message):
    with pytest.raises(anthropic.BadRequestError, match=message):
        client.messages.batches.create(requests=wrong)
    assert server.batches() == []


def test_the_version_header_is_required_and_a_missing_key_is_an_error_of_the_official_client(server):
    without_version = ProviderClient(server.base_url, {"x-api-key": "key"})
    assert without_version.post("/v1/messages/batches", {"requests": requests()}).status == 400
    server.script({"api_key": "other"})
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(api_key="key", base_url=server.base_url, max_retries=0).messages.batches.list()


@pytest.mark.parametrize(("status", "error"), [(529, anthropic.InternalServerError), (429, anthropic.RateLimitError)])
def test_scripted_errors_are_those_of_the_official_client(server, client, status, error):
    server.script({"endpoints": [{"endpoint": "list", "status": status, "retry_after": 7}]})
    with pytest.raises(error) as refused:
        client.messages.batches.list()
    assert refused.value.response.headers["retry-after"] == "7"
    assert client.messages.batches.list().data == []
