"""Vertex AI's scripted server with `gs://` at a Cloud Storage emulator, which Beam's own file systems reach as well."""

import asyncio
import json

from pipeline.emulators.start import BUCKET
from pipeline.providers import read_provider
from tests.support.provider_client import ProviderClient
from transforms import files
from transforms.providers.api import HttpBatchApi
from transforms.providers.remote import State
from transforms.testing.providers import scripted_provider

JOBS = "/v1/projects/demo/locations/us-central1/batchPredictionJobs"


def test_requests_and_results_are_objects_that_beam_reads_and_writes(bigquery, monkeypatch, firestore_project):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bigquery.gcs)
    folder = f"gs://{BUCKET}/{firestore_project}"
    request = {"key": "r0", "request": {"contents": [{"role": "user", "parts": [{"text": '{"n": 1}'}]}]}}
    with files.replaced_file(f"{folder}/in.jsonl", "application/jsonl") as file:
        file.write(json.dumps(request).encode())
    asked = {
        "displayName": "fb-1",
        "model": "publishers/google/models/gemini-2.5-flash",
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [f"{folder}/in.jsonl"]}},
        "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": f"{folder}/out"}},
    }
    with scripted_provider("vertex", {"batches": [{"ready_s": 0}]}) as provider:
        created = ProviderClient(provider.base_url).post(JOBS, asked).json
    (found,) = files.list_folder(created["outputInfo"]["gcsOutputDirectory"], ".jsonl")
    with files.open_file(found) as results:
        (line,) = map(json.loads, results)
    assert line["key"] == "r0"
    assert line["response"]["candidates"][0]["content"]["parts"][0]["text"] == '{"n": 1}'


def test_the_shipped_description_brings_requests_there_and_takes_results(
    bigquery, monkeypatch, firestore_project, tmp_path
):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bigquery.gcs)
    requests = tmp_path / "requests.jsonl"
    contents = [{"role": "user", "parts": [{"text": '{"n": 1}'}]}]
    requests.write_text(
        "".join(json.dumps({"key": f"r{n}", "request": {"contents": contents}}) + "\n" for n in range(3))
    )

    async def scenario(base_url):
        storage = f"gs://{BUCKET}/{firestore_project}"
        given = {"project": "demo", "bucket": BUCKET, "model": "m", "storage": storage, "base_url": base_url}
        description = read_provider("vertex").with_variables(given, creates=True)
        async with HttpBatchApi(description) as api:
            batch = await api.get(await api.create(requests, 3, "fb-2"))
            assert batch.state is State.READY
            return await api.download(batch, tmp_path)

    with scripted_provider("vertex", {"batches": [{"ready_s": 0}]}) as provider:
        (path,) = asyncio.run(scenario(provider.base_url))
    assert sorted(json.loads(line)["key"] for line in path.read_text().splitlines()) == ["r0", "r1", "r2"]
