"""Vertex AI's scripted server with `gs://` at a Cloud Storage emulator, which Beam's own file systems reach as well."""

import json

from pipeline.emulators.start import BUCKET
from tests.support.provider_client import ProviderClient
from transforms import files
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
