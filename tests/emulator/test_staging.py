"""Every job as Dataflow gets it: constructed and staged with --template_location, and read back."""

import hashlib
import io
import json
import os
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
from apache_beam.runners.pipeline_context import PipelineContext

import pipeline
from pipeline import JOBS
from pipeline.__main__ import main
from tests.support.credentials import write_credentials
from tests.support.launchable import LAUNCHABLE, PROJECT, REGION, SERVICE_ACCOUNT, Place
from transforms.batch import Batch, Record
from transforms.runtime.batch_coder import SampledCoder
from transforms.testing.cosmos.process import KEY as COSMOS_KEY

pytestmark = pytest.mark.emulator

IMAGE = "europe-west1-docker.pkg.dev/demo-firebeam/firebeam/job:0.1.0"
SNAPSHOTS = Path(__file__).parents[1] / "snapshots" / "steps"
WRITES_SNAPSHOTS = os.environ.get("FIREBEAM_WRITE_SNAPSHOTS") == "1"

EXPERIMENTS = {"use_runner_v2", "use_portable_job_submission", "use_multiple_sdk_containers"}
# What every job's options say, beside Beam's own defaults.
OPTIONS = {
    "autoscaling_algorithm": "THROUGHPUT_BASED",
    "dataflow_endpoint": "http://localhost:1",
    "disk_size_gb": 30,
    "machine_type": "n2-standard-2",
    "max_num_workers": 10,
    "project": PROJECT,
    "region": REGION,
    "runner": "DataflowRunner",
    "save_main_session": False,
    "sdk_container_image": IMAGE,
    "service_account_email": SERVICE_ACCOUNT,
    "streaming": False,
}
# Where Beam's own transforms label none of their steps, the names have a line of Beam's source.
BEAMS_LINES = re.compile(r"(?<=\.py):\d+")
UNLABELLED = re.compile(r"^\w+\(")


@dataclass
class Staged:
    """A job that was staged, and what the launcher said."""

    job: dict
    pipeline: beam_runner_api_pb2.Pipeline
    raw: bytes
    exit_code: int

    @property
    def environment(self):
        return self.job["environment"]

    @property
    def options(self):
        return self.environment["sdkPipelineOptions"]["options"]

    @property
    def pool(self):
        (pool,) = self.environment["workerPools"]
        return pool

    @property
    def steps(self):
        roots = set(self.pipeline.root_transform_ids)
        steps = self.pipeline.components.transforms.items()
        return sorted(BEAMS_LINES.sub("", step.unique_name) for key, step in steps if key not in roots)


def stage(job, place, **more):
    """Stages a job; `more` replaces or adds flags."""
    flags = LAUNCHABLE[job].arguments(
        place, dataflow_endpoint="http://localhost:1", template_location=f"{place.folder}/{job}.json", **more
    )
    return main([job, *flags])


@pytest.fixture(scope="module")
def place(firestore_host, bigquery, cosmos):
    of = Place(firestore_host, bigquery.gcs, bigquery.rest, "staging", cosmos=cosmos)
    with of.named_in_environment():
        yield of


@pytest.fixture(scope="module", params=JOBS)
def staged(request, place, tmp_path_factory):
    LAUNCHABLE[request.param].prepare(place, 5)
    with pytest.MonkeyPatch.context() as patch:
        file = write_credentials(tmp_path_factory.mktemp("secret"), token="a-secret-token")
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        exit_code = stage(request.param, place, sdk_container_image=IMAGE)
    job = json.loads(place.read(f"{request.param}.json"))
    raw = place.read(
        job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"].removeprefix(f"{place.folder}/")
    )
    return request.param, Staged(job, beam_runner_api_pb2.Pipeline.FromString(raw), raw, exit_code)


def test_a_job_is_constructed_and_staged(staged):
    name, of = staged
    assert of.exit_code == 0
    assert of.options["pipelineProtoHash"] == hashlib.sha256(of.raw).hexdigest()
    assert of.job["name"].startswith(f"{name}-")


def test_a_job_is_of_its_type_and_has_the_experiments_of_todays_runner(staged):
    name, of = staged
    assert of.job["type"] == ("JOB_TYPE_STREAMING" if JOBS[name].streaming else "JOB_TYPE_BATCH")
    assert set(of.environment["experiments"]) >= EXPERIMENTS


def test_workers_are_of_the_default_type_as_the_account_and_in_the_image_asked_for(staged):
    _, of = staged
    (container,) = of.pool["sdkHarnessContainerImages"]
    assert (container["containerImage"], of.pool["workerHarnessContainerImage"]) == (IMAGE, IMAGE)
    assert container["useSingleCorePerContainer"] is True
    assert (of.pool["machineType"], of.pool["diskSizeGb"]) == ("n2-standard-2", 30)
    assert of.pool["autoscalingSettings"] == {"algorithm": "AUTOSCALING_ALGORITHM_BASIC", "maxNumWorkers": 10}
    assert of.environment["serviceAccountEmail"] == SERVICE_ACCOUNT


def test_a_job_says_what_it_is_in_its_labels(staged):
    name, of = staged
    assert of.job["labels"]["firebeam-job"] == name
    assert re.fullmatch(r"[a-z0-9_-]+", of.job["labels"]["firebeam-version"])


def test_an_image_needs_no_package_beside_it(staged):
    _, of = staged
    assert [package["name"] for package in of.pool["packages"]] == ["submission_environment_dependencies.txt"]


def test_a_checkout_brings_its_own_package_with_every_module_and_data_file(place):
    LAUNCHABLE["ingest"].prepare(place, 5)
    assert stage("ingest", place, job_id="from-a-checkout") == 0
    (path,) = (path for path in place.blobs() if path.endswith("/workflow.tar.gz"))
    with tarfile.open(fileobj=io.BytesIO(place.read(path))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    root = Path(pipeline.__file__).parents[1]
    files = (file for folder in ("pipeline", "transforms") for file in (root / folder).rglob("*") if file.is_file())
    assert {str(file.relative_to(root)) for file in files if "__pycache__" not in file.parts} - packed == set()


def test_options_are_those_asked_for_and_pass_beams_own_checks(staged):
    name, of = staged
    expected = {**OPTIONS, "streaming": JOBS[name].streaming}
    assert {option: of.options.get(option) for option in expected} == expected
    # With the service's own endpoint, where Beam looks at what it skips for a local one.
    checked = PipelineOptions([], **{name: _whole(value) for name, value in of.options.items()})
    checked.view_as(GoogleCloudOptions).dataflow_endpoint = "https://dataflow.googleapis.com"
    assert PipelineOptionsValidator(checked, DataflowRunner()).validate() == []


def test_nothing_secret_and_nothing_of_the_launching_computer_travels_with_a_job(staged):
    _, of = staged
    travelling = json.dumps(of.job).encode() + of.raw
    # Cloudpickle keeps the file names of functions that it takes along by value; here it has no reason to.
    folders = str(Path.home()), str(Path(__file__).parents[2])
    for word in ("a-secret-token", "refresh_token", "private_key", COSMOS_KEY, *folders):
        assert word.encode() not in travelling, word


def test_every_step_of_ours_is_labelled(staged):
    _, of = staged
    assert unlabelled(of.pipeline) == []


def test_a_step_without_label_is_found():
    graph = beam.Pipeline()
    _ = graph | "Two" >> beam.Create([2]) | "Unlabelled" >> Unlabelled()
    (name,) = unlabelled(graph.to_runner_api())
    assert name.startswith("Unlabelled/Map(<lambda at test_staging.py:")


class Unlabelled(beam.PTransform):
    def expand(self, numbers):
        return numbers | beam.Map(lambda number: number)


def test_steps_have_the_names_that_were_reviewed(staged):
    """A running job is updated by the names of its steps. After a deliberate change: make snapshots."""
    name, of = staged
    file = SNAPSHOTS / f"{name}.txt"
    text = "".join(f"{step}\n" for step in of.steps)
    if WRITES_SNAPSHOTS:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert file.read_text() == text, "run `make snapshots` and review what it changes"


# The steps that make something else of a batch: its outcome for the ledger, its rows, the shapes of its fields.
END_OF_BATCHES = re.compile(r"/(Outcome|Save|Encode/ParDo\(_CollectRowsFn\)|Observe)$")


def test_what_a_step_makes_of_batches_is_never_pickled_only_to_be_measured(staged):
    """Where Beam does not know that a step hands on batches, it pickles all their records for an estimate."""
    _, of = staged
    assert [step for step in pickling(of.pipeline) if not END_OF_BATCHES.search(step)] == []


def test_a_step_whose_batches_lose_their_type_is_found():
    graph = beam.Pipeline()
    batches = graph | "None" >> beam.Create([]).with_output_types(Batch[Record])
    _ = batches | "Keep" >> beam.Map(lambda batch: batch).with_output_types(Batch[Record])
    _ = batches | "Lose" >> beam.Map(lambda batch: batch).with_output_types(Any)
    assert pickling(graph.to_runner_api()) == ["Lose"]


def pickling(graph):
    """The steps that take batches and whose output Beam would pickle as it would anything."""
    coders = PipelineContext(graph.components).coders
    collections = graph.components.pcollections

    def are_batches(ids):
        return [isinstance(coders.get_by_id(collections[name].coder_id), SampledCoder) for name in ids]

    primitives = [step for step in graph.components.transforms.values() if not step.subtransforms]
    takers = [step for step in primitives if any(are_batches(step.inputs.values()))]
    return sorted(step.unique_name for step in takers if not all(are_batches(step.outputs.values())))


def unlabelled(graph):
    """The steps that have Beam's default name, but for those that a transform of Beam's has inside."""
    steps = graph.components.transforms
    ours = [step for step in steps.values() if not step.annotations["python_type"].startswith(b"apache_beam.")]
    names = [steps[child].unique_name for step in ours for child in step.subtransforms]
    return [name for name in names if UNLABELLED.search(name.rpartition("/")[2])]


def _whole(value):
    """JSON's numbers are all floats to protobuf."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
