"""What a job needs before it is submitted to Dataflow: every problem at once, each with its fix, and sensible defaults.

    flags ─▶ check_submission   refuses what would fail in the cloud, minutes later or not at all
          ─▶ set_defaults       worker type, disk, autoscaling, labels, package; flags that are given win
          ─▶ CloudJob           what the submitted job is called, and the commands that show and cancel it

Nothing here calls a service.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)

from pipeline.locations import BATCHES, TABLE_PREFIXES
from pipeline.run.flags import Flag, flags_of
from pipeline.run.job_config import JobConfig
from transforms.errors import UsageError
from transforms.files import GCS
from transforms.firestore.qos import RAMP_UP_WRITES_PER_S
from transforms.ledger.owners import Owner
from transforms.runtime.parallelism import declared_parallelism
from transforms.runtime.services import services_of

# The image that this program runs in, which can be the workers' as well; set when the image is built.
IMAGE_VARIABLE = "FIREBEAM_IMAGE"

# Dataflow's price is by vCPU whatever the family, and a job's time goes into the CPU: the faster family costs less.
MACHINE_TYPE = "n2-standard-2"
# Records are never shuffled, so the disk holds little but the container's image.
DISK_SIZE_GB = 30
MAX_NUM_WORKERS = 10
AUTOSCALING = "THROUGHPUT_BASED"

_STREAMING_MODE = "streaming_mode_"
_WRITES_PER_PAIR = 2
_MAX_JOB_NAME = 63
_LABEL_TEXT = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True)
class CloudJob:
    """A job of Dataflow's: where it runs and what it is called there."""

    project: str
    region: str
    name: str

    @classmethod
    def of(cls, options: PipelineOptions) -> CloudJob:
        """The one that these options submit."""
        cloud = options.view_as(GoogleCloudOptions)
        return cls(cloud.project, cloud.region, cloud.job_name)

    @property
    def owner(self) -> Owner:
        """Of the run in the ledger."""
        return Owner.on_dataflow(self.region, self.name)

    def console_link(self, dataflow_id: str) -> str:
        """The job's page.

        >>> CloudJob("acme", "europe-west1", "ingest-1f").console_link("2026-01")
        'https://console.cloud.google.com/dataflow/jobs/europe-west1/2026-01?project=acme'
        """
        return f"https://console.cloud.google.com/dataflow/jobs/{self.region}/{dataflow_id}?project={self.project}"

    def cancel_command(self, dataflow_id: str) -> str:
        """
        >>> CloudJob("acme", "europe-west1", "ingest-1f").cancel_command("2026-01")
        'gcloud dataflow jobs cancel 2026-01 --project=acme --region=europe-west1'
        """
        return shlex.join(
            [
                "gcloud",
                "dataflow",
                "jobs",
                "cancel",
                dataflow_id,
                f"--project={self.project}",
                f"--region={self.region}",
            ]
        )


def check_submission(job: str, config: JobConfig, options: PipelineOptions, *, streaming: bool) -> None:
    """Refuses a job that would not run on Dataflow as its flags are.

    Args:
      job: its name, such as `ingest`.
      config: its own flags.
      options: Beam's, with their defaults set.
      streaming: whether the job has no end.

    Raises:
      UsageError: all problems, one per line, each with what to do.
    """
    problems = [
        *_missing(options),
        *_out_of_reach(config),
        *_not_at_once(config, options),
        *_over_budget(config, options),
    ]
    if options.view_as(StandardOptions).streaming and not streaming:
        problems.append(f"{job} ends when its input does, which is a batch job: remove --streaming")
    if not options.view_as(WorkerOptions).sdk_container_image:
        problems += _no_package(options)
    if problems:
        heading = f"{job} cannot be submitted to Dataflow as asked for"
        raise UsageError("\n".join([f"{heading}:", *(f"  {problem}" for problem in problems)]))


def set_defaults(
    job: str, config: JobConfig, options: PipelineOptions, environ: Mapping[str, str], *, streaming: bool
) -> None:
    """Fills in what the flags leave open."""
    cloud, workers, setup = (options.view_as(of) for of in (GoogleCloudOptions, WorkerOptions, SetupOptions))
    services = services_of(options)
    cloud.project = config.firestore(services).project  # the environment's, unless the flag is given
    options.view_as(StandardOptions).streaming = streaming or options.view_as(StandardOptions).streaming
    workers.machine_type = workers.machine_type or MACHINE_TYPE
    workers.disk_size_gb = workers.disk_size_gb or DISK_SIZE_GB
    workers.max_num_workers = workers.max_num_workers or max(MAX_NUM_WORKERS, workers.num_workers or 0)
    workers.autoscaling_algorithm = workers.autoscaling_algorithm or AUTOSCALING
    if not workers.sdk_container_image and not setup.setup_file:
        workers.sdk_container_image = environ.get(IMAGE_VARIABLE) or None
        if not workers.sdk_container_image:
            setup.setup_file = own_setup_file()
    given = list(cloud.labels or ())
    keys = {label.partition("=")[0] for label in given}
    asked = list(cloud.dataflow_service_options or ())
    if streaming and not any(option.startswith(_STREAMING_MODE) for option in asked):
        # What comes twice has the same id everywhere, so nothing is gained by the service's own deduplication.
        cloud.dataflow_service_options = [*asked, f"{_STREAMING_MODE}at_least_once"]
    own = {"firebeam-job": job, "firebeam-version": label_text(importlib.metadata.version("firebeam"))}
    cloud.labels = given + [f"{key}={value}" for key, value in own.items() if key not in keys]


def name_job(options: PipelineOptions, job_id: str) -> None:
    """Calls the Dataflow job after the ledger's, unless it has a name: the service then refuses a second one, too."""
    cloud = options.view_as(GoogleCloudOptions)
    cloud.job_name = cloud.job_name or job_name(job_id)


def notes(config: JobConfig, options: PipelineOptions) -> Iterator[str]:
    """What is worth knowing about a submission that nothing is wrong with."""
    cloud = options.view_as(GoogleCloudOptions)
    if not cloud.service_account_email:
        yield (
            "--service_account_email is not given: workers run as the project's default one, "
            "PROJECT_NUMBER-compute@developer.gserviceaccount.com, which often may do more than they need"
        )
    rate = _first_rate(config, options)
    if rate is not None:
        processes = declared_parallelism(options)
        yield (
            f"Firestore's write budget begins at {rate:,.0f} writes/s, {rate / processes:,.0f} for each of up to "
            f"{processes:,} processes, and grows by half every five minutes"
        )


def job_name(job_id: str) -> str:
    """What Dataflow takes as a job's name: lower-case letters, digits and hyphens, beginning with a letter.

    >>> job_name("ingest-0c4a6d1f52"), job_name("Nightly_2026.01"), job_name("7")
    ('ingest-0c4a6d1f52', 'nightly-2026-01', 'job-7')
    """
    text = re.sub(r"[^a-z0-9]+", "-", job_id.lower()).strip("-")
    text = text if text[:1].isalpha() else f"job-{text}"
    return text[:_MAX_JOB_NAME].rstrip("-")


def label_text(text: str) -> str:
    """What a label's value may be.

    >>> label_text("0.1.0")
    '0-1-0'
    """
    return _LABEL_TEXT.sub("-", text.lower())[:_MAX_JOB_NAME]


def own_setup_file() -> str | None:
    """The setup.py beside this package; None where it is installed without one."""
    file = Path(__file__).resolve().parents[2] / "setup.py"
    return str(file) if file.is_file() and 'name="firebeam"' in file.read_text(encoding="utf-8") else None


def _missing(options: PipelineOptions) -> Iterator[str]:
    cloud = options.view_as(GoogleCloudOptions)
    if not cloud.region:
        yield "--region is missing: pass the region of the database or the one nearest to it, such as europe-west1"
    if not cloud.temp_location:
        yield "--temp_location is missing: pass --temp_location=gs://BUCKET/tmp, a bucket in the same region"
    for name in ("temp_location", "staging_location"):
        folder = getattr(cloud, name)
        if folder and not folder.startswith(GCS):
            yield f"--{name}={folder} is not a bucket: pass --{name}=gs://BUCKET/tmp"


def _no_package(options: PipelineOptions) -> Iterator[str]:
    file = options.view_as(SetupOptions).setup_file
    image = "--sdk_container_image=IMAGE, which `make image` builds"
    if not file:
        yield f"workers have no Firebeam: pass {image}, or from a checkout --setup_file=./setup.py"
    elif not Path(file).is_file():
        yield f"--setup_file={file} is not there: pass {image}, or the setup.py of a checkout"
    elif importlib.util.find_spec("setuptools") is None:
        yield f"{file} needs setuptools: pip install 'firebeam[dataflow]', or pass {image}"


def _out_of_reach(config: JobConfig) -> Iterator[str]:
    """Values that name something of the launching computer's."""
    for flag in flags_of(type(config)):
        for value in _values(flag, getattr(config, flag.field)):
            if flag.declared.prefixes and not value.startswith(flag.declared.prefixes):
                if value.startswith(TABLE_PREFIXES):
                    yield (
                        f"--{flag.name}={value} is a table of a database, which is not read on Dataflow here: run the "
                        "command where the server can be reached, without --runner"
                    )
                    continue
                where = " or ".join(p for p in flag.declared.prefixes if p not in (BATCHES, *TABLE_PREFIXES))
                yield (
                    f"--{flag.name}={value} is on this computer, where workers cannot reach it: "
                    f"copy or create it under {where} and pass that"
                )


def _values(flag: Flag, value: Any) -> tuple[str, ...]:
    if value is None:  # also of several: in a replay it means the job's own
        return ()
    return value if flag.several else (str(value),)


def _not_at_once(config: JobConfig, options: PipelineOptions) -> Iterator[str]:
    template = options.view_as(GoogleCloudOptions).template_location
    if options.view_as(TestOptions).dry_run:
        yield "--dry_run would open the ledger of a job that never begins: leave it out"
    if config.wait and template:
        yield "--wait waits for a job, and --template_location starts none: remove one of them"
    elif config.summary and not config.wait:
        yield f"--summary={config.summary} is written when the job has ended: pass --wait as well, or leave it out"


def _over_budget(config: JobConfig, options: PipelineOptions) -> Iterator[str]:
    rate, processes = _first_rate(config, options), declared_parallelism(options)
    workers = options.view_as(WorkerOptions)
    if rate is not None and rate < processes * _WRITES_PER_PAIR:
        fits = int(rate * workers.max_num_workers / processes / _WRITES_PER_PAIR)
        yield (
            f"--max_num_workers={workers.max_num_workers} means {processes:,} processes on {workers.machine_type}, "
            f"which share {rate:,.0f} writes/s: less than one pair of documents per second each; "
            + (f"pass --max_num_workers={fits} or less" if fits else "raise --max_writes_per_s")
        )


def _first_rate(config: JobConfig, options: PipelineOptions) -> float | None:
    """Writes per second with which a job begins; None for one that is not paced."""
    bound: float | None = getattr(config, "max_writes_per_s", 0)  # a job without the flag is not paced
    if bound == 0 or services_of(options).firestore_emulator:
        return None
    return min(RAMP_UP_WRITES_PER_S, bound or RAMP_UP_WRITES_PER_S)
