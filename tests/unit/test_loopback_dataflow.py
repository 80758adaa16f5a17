"""The stand-in for Dataflow refuses what the service would refuse, or a check that passes would prove nothing."""

import hashlib
import json
import urllib.error
import urllib.request

import pytest
from apache_beam.portability.api import beam_runner_api_pb2 as beam_api

from pipeline.commands.templates import metadata
from tests.launch.service import DONE, FAILED, LoopbackDataflow, RefusedError, check_job, parameter_problems


@pytest.fixture
def resource(tmp_path):
    """A job that may run; its pipeline has one artifact."""
    artifact = tmp_path / "workflow.tar.gz"
    artifact.write_bytes(b"package")
    payload = beam_api.ArtifactUrlPayload(url=str(artifact), sha256=hashlib.sha256(b"package").hexdigest())
    pipeline = beam_api.Pipeline()
    environment = pipeline.components.environments["e"]
    environment.dependencies.add(type_payload=payload.SerializeToString())
    pipeline.components.pcollections["p"].is_bounded = beam_api.IsBounded.BOUNDED
    return staged(tmp_path, pipeline)


def staged(folder, pipeline, **more):
    file, content = folder / "pipeline.pb", pipeline.SerializeToString()
    file.write_bytes(content)
    options = {"pipelineUrl": str(file), "pipelineProtoHash": hashlib.sha256(content).hexdigest()}
    return {
        "name": "ingest-1",
        "type": 1,
        "environment": {
            "experiments": ["use_runner_v2", "use_portable_job_submission"],
            "sdkPipelineOptions": {"options": options},
            "workerPools": [{"sdkHarnessContainerImages": [{"containerImage": "image"}]}],
        },
        **more,
    }


def test_a_job_in_order_is_taken(resource):
    assert list(check_job(resource).components.environments) == ["e"]


def test_a_pipeline_that_changed_after_it_was_hashed_is_refused(resource, tmp_path):
    (tmp_path / "pipeline.pb").write_bytes(b"")
    with pytest.raises(RefusedError, match="the pipeline is not the one that was hashed"):
        check_job(resource)


def test_an_artifact_that_changed_after_it_was_hashed_is_refused(resource, tmp_path):
    (tmp_path / "workflow.tar.gz").write_bytes(b"another package")
    with pytest.raises(RefusedError, match=r"the artifact .*/workflow.tar.gz is not the one that was hashed"):
        check_job(resource)


def test_a_job_for_the_runner_of_before_is_refused(resource):
    resource["environment"]["experiments"] = ["use_runner_v2"]
    with pytest.raises(RefusedError, match="the job lacks the experiments use_portable_job_submission"):
        check_job(resource)


def test_a_batch_job_without_end_is_refused(tmp_path):
    pipeline = beam_api.Pipeline()
    pipeline.components.pcollections["p"].is_bounded = beam_api.IsBounded.UNBOUNDED
    with pytest.raises(RefusedError, match="a batch job reads a source that has no end"):
        check_job(staged(tmp_path, pipeline))
    check_job(staged(tmp_path, pipeline, type="JOB_TYPE_STREAMING"))


def test_workers_without_image_and_a_name_that_is_none_are_refused(resource):
    resource["name"] = "Ingest_1"
    with pytest.raises(RefusedError, match="job name 'Ingest_1' is not one"):
        check_job(resource)
    resource["name"] = "ingest-1"
    resource["environment"]["workerPools"][0]["sdkHarnessContainerImages"][0]["containerImage"] = ""
    with pytest.raises(RefusedError, match="workers have no container image"):
        check_job(resource)


def test_parameters_are_refused_as_the_service_does():
    right = {"input": "gs://b/*.jsonl", "dead_letters": "gs://b/dead"}
    assert parameter_problems(metadata("ingest"), right) == []
    assert parameter_problems(metadata("ingest"), {"input": "in.jsonl", "inputs": "x"}) == [
        "inputs: Unrecognized parameter",
        "input: Parameter didn't match regex '^(((gs://|s3://|azfs://|firestore://|batches://|postgresql://|mysql://)[^,]+)(,((gs://|s3://|azfs://|firestore://|batches://|postgresql://|mysql://)[^,]+))*)$'",
        "dead_letters: Missing required parameter",
    ]


@pytest.mark.parametrize(("failure", "state"), [(None, DONE), (RuntimeError("no table"), FAILED)])
def test_a_job_ends_as_its_pipeline_does(resource, failure, state):
    def run(pipeline):
        if failure:
            raise failure
        return [{"scalar": 1}]

    with LoopbackDataflow(run, lambda image, flags: (0, "")) as service:
        jobs = f"{service.endpoint}/v1b3/projects/p/locations/r/jobs"
        job_id = call(jobs, resource)["id"]
        assert service.jobs[job_id].ended.wait(60)
        assert call(f"{jobs}/{job_id}")["currentState"] == state
        assert [found["id"] for found in call(jobs)["jobs"]] == [job_id]
        assert call(f"{jobs}/{job_id}/metrics")["metrics"] == ([] if failure else [{"scalar": 1}])
        assert ("no table" in json.dumps(call(f"{jobs}/{job_id}/messages"))) == bool(failure)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            call(f"{jobs}/another")


def call(url, body=None):
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())
