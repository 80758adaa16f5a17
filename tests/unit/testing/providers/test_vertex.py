"""Vertex AI's server, driven by Google's own client; requests and results are files in a folder."""

import json

import pytest
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from tests.support.clocks import Clock
from tests.support.provider_client import ProviderClient
from tests.support.provider_in_thread import provider_in_thread

JOBS = "/v1/projects/demo/locations/us-central1/batchPredictionJobs"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock, tmp_path):
    with provider_in_thread("vertex", {"batches": [{"ready_s": 10}], "gs": str(tmp_path)}, clock) as provider:
        yield provider


@pytest.fixture
def client(server):
    options = types.HttpOptions(base_url=server.base_url, api_version="v1")
    return genai.Client(
        vertexai=True, project="demo", location="us-central1", credentials=Credentials("token"), http_options=options
    )


def write_requests(folder, n_requests=4):
    lines = [
        {"key": f"r{n}", "request": {"contents": [{"role": "user", "parts": [{"text": json.dumps({"n": n})}]}]}}
        for n in range(n_requests)
    ]
    file = folder / "bucket" / "in" / "requests.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def create(client, tmp_path, name="fb-1"):
    write_requests(tmp_path)
    config = types.CreateBatchJobConfig(display_name=name, dest="gs://bucket/out")
    return client.batches.create(model="gemini-2.5-flash", src="gs://bucket/in/requests.jsonl", config=config)


def results(raw, job, tmp_path):
    folder = raw.get(f"/v1/{job.name}").json["outputInfo"]["gcsOutputDirectory"]
    (file,) = (tmp_path / folder.removeprefix("gs://")).glob("predictions*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def raw(server):
    return ProviderClient(server.base_url)


def test_the_official_client_creates_and_lists_and_the_results_are_files(client, raw, clock, tmp_path):
    created, seen = create(client, tmp_path), []
    for clock.seconds in (0, 4, 7, 10):
        (listed,) = client.batches.list()
        seen.append(listed.state.name)
    assert seen == ["JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"]
    assert (listed.name, listed.display_name) == (created.name, "fb-1")
    lines = results(raw, created, tmp_path)
    answers = {line["key"]: types.GenerateContentResponse.model_validate(line["response"]).text for line in lines}
    assert answers == {f"r{n}": json.dumps({"n": n}) for n in range(4)}
    assert [line["key"] for line in lines] == ["r3", "r2", "r1", "r0"]
    assert all(line["status"] == "" and "contents" in line["request"] for line in lines)


@pytest.mark.parametrize(
    ("outcome", "state", "n_lines"),
    [
        ("complete", "JOB_STATE_SUCCEEDED", 4),
        ("partial", "JOB_STATE_PARTIALLY_SUCCEEDED", 2),
        ("expired", "JOB_STATE_EXPIRED", 2),
        ("cancelled", "JOB_STATE_CANCELLED", 2),
        ("failed", "JOB_STATE_FAILED", None),
    ],
)
def test_every_end_is_a_state_of_the_official_class(server, client, raw, tmp_path, outcome, state, n_lines):
    server.script({"batches": [{"ready_s": 0, "outcome": outcome}]})
    job = client.batches.get(name=create(client, tmp_path).name)
    assert isinstance(types.BatchJob.model_validate(job.model_dump(), strict=True), types.BatchJob)
    assert job.state.name == state
    if n_lines is None:
        assert (job.error.code, job.error.message, job.output_info) == (13, "scripted", None)
    else:
        assert len(results(raw, job, tmp_path)) == n_lines
        assert job.completion_stats.successful_count == n_lines


def test_a_request_in_error_has_a_line_with_a_status(server, client, raw, tmp_path):
    server.script({"batches": [{"ready_s": 0, "errors": 1, "missing": ["r3"]}]})
    lines = results(raw, create(client, tmp_path), tmp_path)
    assert [(line["key"], line["status"][:11], line["response"] == {}) for line in lines] == [
        ("r2", "", False), ("r1", "", False), ("r0", "Bad Request", True),
    ]  # fmt: skip


def test_requests_that_are_not_there_make_a_job_that_fails(client, raw, clock):
    asked = {
        "displayName": "a",
        "model": "publishers/google/models/gemini-2.5-flash",
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://bucket/nothing.jsonl"]}},
        "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": "gs://bucket/out"}},
    }
    created = raw.post(JOBS, asked).json
    clock.seconds = 10
    assert raw.get(f"/v1/{created['name']}").json["error"] == {
        "code": 5,
        "message": "no object gs://bucket/nothing.jsonl",
    }
    assert raw.post(JOBS, {**asked, "outputConfig": {}}).status == 400


def test_jobs_are_filtered_and_have_pages(client, raw, tmp_path):
    names = [create(client, tmp_path, f"fb-{n}").name for n in range(3)]
    assert [job.name for job in client.batches.list(config={"page_size": 2})] == names[::-1]
    found = raw.get(f'{JOBS}?filter=displayName="fb-1"').json["batchPredictionJobs"]
    assert [job["name"] for job in found] == [names[1]]


def test_a_job_is_cancelled_and_deleted(client, clock, tmp_path):
    created = create(client, tmp_path)
    client.batches.cancel(name=created.name)
    assert client.batches.get(name=created.name).state.name == "JOB_STATE_CANCELLING"
    clock.seconds = 1
    assert client.batches.get(name=created.name).state.name == "JOB_STATE_CANCELLED"
    client.batches.delete(name=created.name)
    assert list(client.batches.list()) == []


def test_nothing_of_cloud_storage_is_known_unless_somebody_says_where_it_is(monkeypatch):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    asked = {
        "displayName": "a",
        "model": "m",
        "inputConfig": {"gcsSource": {"uris": ["gs://bucket/in.jsonl"]}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://bucket/out"}},
    }
    with provider_in_thread("vertex") as server:
        refused = ProviderClient(server.base_url).post(JOBS, asked)
    assert refused.status == 400
    assert "STORAGE_EMULATOR_HOST" in refused.json["error"]["message"]
