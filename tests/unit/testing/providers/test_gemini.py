"""The Gemini API's server, driven by Google's own client, whose classes judge the answers strictly."""

import io
import json

import pytest
from google import genai
from google.genai import types

from tests.support.clocks import Clock
from tests.support.provider_client import ProviderClient
from tests.support.provider_in_thread import provider_in_thread

NOW = {"batches": [{"ready_s": 0}]}


@pytest.fixture
def server():
    with provider_in_thread("gemini", NOW) as provider:
        yield provider


@pytest.fixture
def client(server):
    return genai.Client(api_key="key", http_options=types.HttpOptions(base_url=server.base_url))


@pytest.fixture
def raw(server):
    return ProviderClient(server.base_url, {"x-goog-api-key": "key"})


def contents(n):
    return [{"role": "user", "parts": [{"text": json.dumps({"n": n})}]}]


def create(client, n_requests=3, name="fb-1"):
    lines = [{"key": f"r{n}", "request": {"contents": contents(n)}} for n in range(n_requests)]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    config = types.UploadFileConfig(display_name=name, mime_type="application/jsonl")
    file = client.files.upload(file=io.BytesIO(content), config=config)
    return client.batches.create(model="gemini-2.5-flash", src=file.name, config={"display_name": name})


def records_of(lines):
    return {line["key"]: json.loads(line["response"]["candidates"][0]["content"]["parts"][0]["text"]) for line in lines}


def test_the_official_client_creates_lists_and_reads(client):
    created = create(client)
    (listed,) = client.batches.list()
    assert (listed.name, listed.display_name, listed.state.name) == (created.name, "fb-1", "JOB_STATE_SUCCEEDED")
    lines = [json.loads(line) for line in client.files.download(file=listed.dest.file_name).splitlines()]
    assert records_of(lines) == {"r0": {"n": 0}, "r1": {"n": 1}, "r2": {"n": 2}}
    assert [line["key"] for line in lines] == ["r0", "r1", "r2"]
    for line in lines:
        assert types.GenerateContentResponse.model_validate(line["response"]).usage_metadata.total_token_count > 0


def test_results_are_also_where_the_documentation_downloads_them(client, raw):
    create(client)
    (operation,) = raw.get("/v1beta/batches").json["operations"]
    found = raw.get(f"/download/v1beta/{operation['response']['responsesFile']}:download?alt=media")
    assert len(found.lines) == 3


def test_requests_in_the_body_have_their_results_in_the_batch(client):
    inline = [{"contents": contents(n), "metadata": {"key": f"r{n}"}} for n in range(2)]
    created = client.batches.create(model="gemini-2.5-flash", src=inline, config={"display_name": "fb-2"})
    responses = client.batches.get(name=created.name).dest.inlined_responses
    found = {each.metadata["key"]: json.loads(each.response.text) for each in responses}
    assert found == {"r0": {"n": 0}, "r1": {"n": 1}}


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("complete", "JOB_STATE_SUCCEEDED"),
        ("failed", "JOB_STATE_FAILED"),
        ("expired", "JOB_STATE_EXPIRED"),
        ("cancelled", "JOB_STATE_CANCELLED"),
    ],
)
def test_every_end_is_a_state_of_the_official_class_and_only_success_has_results(server, client, outcome, state):
    server.script({"batches": [{"ready_s": 0, "outcome": outcome}]})
    job = client.batches.get(name=create(client).name)
    assert isinstance(types.BatchJob.model_validate(job.model_dump(), strict=True), types.BatchJob)
    assert job.state.name == state
    assert (job.dest is not None) == (outcome == "complete")


def test_a_failed_batch_has_a_code_and_a_request_in_error_has_one_too(server, client, raw):
    failing = {"ready_s": 0, "outcome": "failed", "error_code": "RESOURCE_EXHAUSTED", "error_text": "too much"}
    server.script({"batches": [failing]})
    created = create(client)
    assert raw.get(f"/v1beta/{created.name}").json["error"] == {"code": 8, "message": "too much"}
    server.script({"batches": [{"ready_s": 0, "errors": 1, "missing": 1}]})
    operation = raw.get(f"/v1beta/{created.name}").json
    lines = raw.get(f"/v1beta/{operation['response']['responsesFile']}:download?alt=media").lines
    assert [(line["key"], "error" in line) for line in lines] == [("r0", True), ("r1", False)]
    assert operation["metadata"]["batchStats"] == {
        "requestCount": "3", "successfulRequestCount": "2", "failedRequestCount": "1",
    }  # fmt: skip


def test_states_pass_by_the_clock_and_a_batch_is_cancelled_and_deleted():
    clock = Clock()
    with provider_in_thread("gemini", {"batches": [{"ready_s": 10}]}, clock) as server:
        client = genai.Client(api_key="key", http_options=types.HttpOptions(base_url=server.base_url))
        created = create(client)
        assert created.state.name == "JOB_STATE_PENDING"
        clock.seconds = 5
        assert client.batches.get(name=created.name).state.name == "JOB_STATE_RUNNING"
        client.batches.cancel(name=created.name)
        clock.seconds = 6
        assert client.batches.get(name=created.name).state.name == "JOB_STATE_CANCELLED"
        client.batches.delete(name=created.name)
        assert list(client.batches.list()) == []


def test_the_list_has_pages(client, raw):
    names = [create(client, 1, f"fb-{n}").name for n in range(5)]
    assert [job.name for job in client.batches.list(config={"page_size": 2})] == names[::-1]
    first = raw.get("/v1beta/batches?pageSize=2").json
    assert [each["name"] for each in first["operations"]] == names[:2:-1]
    assert raw.get(f"/v1beta/batches?pageSize=2&pageToken={first['nextPageToken']}").status == 200
    assert raw.get("/v1beta/batches?pageToken=x").status == 400


def test_an_upload_goes_on_where_it_stopped_and_no_byte_is_there_twice(raw):
    start = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    begun = raw.post("/upload/v1beta/files", {"file": {"displayName": "a"}}, **start)
    url = begun.headers["X-Goog-Upload-URL"]

    def send(command, offset, content=b""):
        headers = {"X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": str(offset)}
        return ProviderClient("", {}).ask("POST", url, content, headers)

    assert send("upload", 0, b"abc").headers["X-Goog-Upload-Size-Received"] == "3"
    assert send("upload", 0, b"abc").status == 400
    assert send("query", 0).headers["X-Goog-Upload-Size-Received"] == "3"
    file = send("upload, finalize", 3, b"de").json["file"]
    assert (file["sizeBytes"], file["displayName"], file["state"]) == ("5", "a", "ACTIVE")
    assert raw.get(f"/v1beta/{file['name']}").json["sizeBytes"] == "5"


def test_a_create_at_the_limit_says_resource_exhausted(server, client):
    server.script({"endpoints": [{"endpoint": "create", "status": 429}]})
    with pytest.raises(genai.errors.ClientError, match="RESOURCE_EXHAUSTED"):
        create(client)


def test_batches_that_exist_already_are_listed_and_read(server, client):
    request = {"key": "r0", "request": {"contents": contents(7)}}
    server.script({"existing": [{"id": "batches/old", "key": "fb-0", "requests": [request]}]})
    (job,) = client.batches.list()
    assert (job.name, job.display_name) == ("batches/old", "fb-0")
    assert records_of(map(json.loads, client.files.download(file=job.dest.file_name).splitlines())) == {"r0": {"n": 7}}
