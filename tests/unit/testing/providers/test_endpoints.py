"""What a script does to single requests: refuse, lose, cut, redirect; and what the server tells a test of them."""

import http.client
import json
import time

import pytest

from tests.support.provider_client import ProviderClient, chat_lines
from tests.support.provider_in_thread import provider_in_thread
from transforms.testing.providers import PROVIDERS

CREATE = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {"firebeam_key": "fb-1"}}


@pytest.fixture
def server():
    with provider_in_thread("openai", {"batches": [{"ready_s": 0}]}) as provider:
        yield provider


@pytest.fixture
def client(server):
    return ProviderClient(server.base_url)


def create(client):
    file_id = client.upload("/files", chat_lines({"n": 1}, {"n": 2}), "batch")
    return client.post("/batches", {**CREATE, "input_file_id": file_id})


def results(client):
    (batch,) = client.get("/batches").json["data"]
    return f"/files/{batch['output_file_id']}/content"


def test_a_create_whose_answer_is_lost_has_created_the_batch(server, client):
    server.script({"endpoints": [{"endpoint": "create", "lost": "after"}]})
    with pytest.raises(http.client.RemoteDisconnected):
        create(client)
    assert [batch.key for batch in server.batches()] == ["fb-1"]
    assert create(client).status == 200
    assert [batch.n_triggers for batch in server.batches()] == [2, 2]


def test_a_create_that_is_lost_on_its_way_has_created_nothing(server, client):
    server.script({"endpoints": [{"endpoint": "create", "lost": "before"}]})
    with pytest.raises(http.client.RemoteDisconnected):
        create(client)
    assert server.batches() == []


def test_a_refused_create_has_created_nothing_and_says_so_in_the_provider_s_words(server, client):
    server.script({"endpoints": [{"endpoint": "create", "status": 429, "retry_after": 3, "times": 2}]})
    refused = create(client)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "3")
    assert refused.json["error"]["code"] == "rate_limit_exceeded"
    assert [create(client).status for _ in range(2)] == [429, 200]
    assert len(server.batches()) == 1


def test_a_code_of_its_own_and_no_retry_after(server, client):
    entry = {"endpoint": "create", "status": 400, "code": "token_limit_exceeded", "text": "too many"}
    server.script({"endpoints": [entry]})
    refused = create(client)
    assert refused.json["error"]["code"] == "token_limit_exceeded"
    assert "Retry-After" not in refused.headers


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [401, 402, 403, 429, 503, 529])
def test_every_provider_refuses_in_json(provider, status):
    with provider_in_thread(provider, {"endpoints": [{"endpoint": "*", "status": status, "times": None}]}) as server:
        refused = ProviderClient(server.base_url).get("/anything")
    assert refused.status == status
    assert isinstance(json.loads(refused.body), dict)


def test_entries_skip_requests_and_are_used_up_in_their_order(server, client):
    server.script(
        {
            "endpoints": [
                {"endpoint": "list", "skip": 1, "times": 1, "status": 500},
                {"endpoint": "*", "skip": 2, "times": 1, "status": 503},
            ]
        }
    )
    assert [client.get("/batches").status for _ in range(5)] == [200, 500, 200, 503, 200]


def test_a_download_that_is_cut_can_be_asked_for_again(server, client):
    create(client)
    path = results(client)
    server.script({"endpoints": [{"endpoint": "download", "cut_after_bytes": 100}]})
    with pytest.raises(http.client.IncompleteRead) as cut:
        client.get(path)
    assert len(cut.value.partial) == 100
    assert len(client.get(path).lines) == 2
    assert [batch.n_downloads for batch in server.batches()] == [2]


def test_a_redirect_leads_to_another_host_that_wants_no_credentials(server, client):
    create(client)
    path = results(client)
    server.script({"endpoints": [{"endpoint": "download", "redirect": "signed"}]})
    redirect = client.get(path)
    assert redirect.status == 302
    link = redirect.headers["Location"]
    assert link.startswith("http://localhost:")
    assert len(ProviderClient("", {}).get(link).lines) == 2
    assert client.get(link).status == 400
    assert [(each.status, each.has_credentials) for each in server.requests("signed")] == [(200, False), (400, True)]
    assert ProviderClient("", {}).get(link + "x").status == 403


def test_a_redirect_may_lead_anywhere(server, client):
    create(client)
    path = results(client)
    server.script({"endpoints": [{"endpoint": "download", "redirect": "https://elsewhere.example/x"}]})
    assert client.get(path).headers["Location"] == "https://elsewhere.example/x"


def test_an_answer_may_be_late(server, client):
    server.script({"endpoints": [{"endpoint": "list", "delay_s": 0.1}]})
    began = time.monotonic()
    assert client.get("/batches").status == 200
    assert time.monotonic() - began >= 0.1


def test_every_request_is_in_the_journal_with_its_path_and_status_and_nothing_of_its_body(server, client):
    create(client)
    server.script({"endpoints": [{"endpoint": "list", "lost": "before"}]})
    with pytest.raises(http.client.RemoteDisconnected):
        client.get("/batches?limit=3")
    client.get("/nothing/here")
    seen = [(each.method, each.path, each.endpoint, each.status) for each in server.requests()]
    assert seen == [
        ("POST", "/v1/files", "upload", 200),
        ("POST", "/v1/batches", "create", 200),
        ("GET", "/v1/batches?limit=3", "list", 0),
        ("GET", "/v1/nothing/here", "unknown", 404),
    ]
    assert [each.status for each in server.requests("create", "list")] == [200, 0]


def test_what_the_server_knows_of_a_batch(server, client):
    created = create(client).json
    (batch,) = server.batches()
    assert batch._replace(parameters={}, created_at=0.0) == (
        0, created["id"], "fb-1", {}, ["r0", "r1"], 0.0, "completed", "complete", 1, 0,
    )  # fmt: skip
    assert batch.parameters["metadata"] == {"firebeam_key": "fb-1"}


def test_a_script_that_names_batches_leaves_endpoints_as_they_are(server, client):
    server.script({"endpoints": [{"endpoint": "list", "status": 500}]})
    server.script({"batches": [{"ready_s": None}]})
    assert [client.get("/batches").status for _ in range(2)] == [500, 200]
    create(client)
    assert client.get("/batches").json["data"][0]["status"] == "validating"


def test_the_model_s_answers_can_be_scripted(server, client):
    server.script({"batches": [{"ready_s": 0, "answers": {"r1": "I would rather not."}}]})
    create(client)
    texts = [line["response"]["body"]["choices"][0]["message"]["content"] for line in client.get(results(client)).lines]
    assert texts == ["I would rather not.", '{"n": 1}']


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_request_without_a_key_is_refused_but_by_vertex_until_a_script_has_one(provider):
    with provider_in_thread(provider) as server:
        client = ProviderClient(server.base_url, {})
        assert client.get("/anything").status == (404 if provider == "vertex" else 401)
        server.script({"api_key": "other"})
        assert client.get("/anything").status == 401
