"""make launch-check: every job through a loopback Dataflow, on workers that hold only what the image holds.

    firebeam JOB … ─real client─▶ ┐                                        ┌ 2 SDK worker processes of .venv-launch
    a template's launch ─────────▶┴ LoopbackDataflow: checks, then runs ─▶ ┴ emulators of all three services

Prints one table and ends with 1 if a cell of it failed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataflow_v1beta3
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import pipeline.specs
from pipeline import JOBS
from pipeline.commands.templates import metadata
from pipeline.emulators.start import EmulatorMissingError, EmulatorStartError, bigquery_emulator, firestore_emulator
from tests.launch import image
from tests.launch.service import DONE, LoopbackDataflow, SubmittedJob, check_job
from tests.launch.workers import Workers
from tests.support.credentials import write_credentials
from tests.support.launchable import (
    PROJECT,
    PROVIDER_KEY,
    PROVIDER_KEY_VARIABLE,
    REGION,
    ROWS,
    SERVICE_ACCOUNT,
    Place,
)
from tests.support.templates import lint, metadata_problems
from transforms.ledger.jobs import job_document, read_job
from transforms.ledger.totals import Totals
from transforms.testing.cosmos import scripted_cosmos
from transforms.testing.providers import scripted_provider

IMAGE = f"{REGION}-docker.pkg.dev/{PROJECT}/firebeam/{{job}}:0.1.0"
COLUMNS = ("constructs", "metadata", "image lint", "submitted", "executed", "exact")
N_RECORDS = {"ingest": 1_000}
N_RECORDS_OF_OTHERS = 200
TIMEOUT_S = 180.0
WIDTH = 120


class Check:
    """One row: what was launched how, and what came of each step."""

    def __init__(self, name: str):
        self.name = name
        self.cells: dict[str, bool] = {}
        self.problems: list[str] = []
        self.seconds = 0.0

    @contextlib.contextmanager
    def column(self, name: str) -> Iterator[None]:
        """The step succeeded if the block ends without an exception; after one that failed nothing is tried."""
        if not all(self.cells.values()):
            raise SkippedError
        began_at = time.monotonic()
        try:
            yield
            self.cells[name] = True
        except Exception as failure:
            self.cells[name] = False
            self.problems.append(f"{self.name}, {name}: {type(failure).__name__}: {failure}")
        finally:
            self.seconds += time.monotonic() - began_at

    @property
    def passed(self) -> bool:
        """Whether every step was done and succeeded."""
        return all(self.cells.get(name) for name in COLUMNS)


class SkippedError(Exception):
    """A step before failed."""


class Launcher:
    """Launches jobs on the loopback service, each in a place of its own.

    Args:
      service: the service.
      workers: what the image is here.
      place: names the emulators; every row has a place of its own beside it.
    """

    def __init__(self, service: LoopbackDataflow, workers: Workers, place: Callable[[str], Place]):
        self._service, self._workers, self._place = service, workers, place
        self._constructed: set[str] = set()

    def check(self, row: str, how: str, submit: Callable[[str, Place, int], SubmittedJob]) -> Check:
        """All of one row."""
        check, of, n = Check(f"{row} {how}"), ROWS[row], N_RECORDS.get(row, N_RECORDS_OF_OTHERS)
        job, place = of.job or row, self._place(f"{row}-{how}")
        with contextlib.suppress(SkippedError):
            with check.column("constructs"):
                of.prepare(place, n)
                if row not in self._constructed:
                    self._construct(row, place)
                    self._constructed.add(row)
            with check.column("metadata"):
                assert metadata_problems(job) == []
            with check.column("image lint"):
                lint()
            with check.column("submitted"):
                submitted = submit(row, place, n)
                assert submitted.labels["firebeam-job"] == job
            with check.column("executed"):
                assert submitted.ended.wait(TIMEOUT_S), f"still {submitted.state} after {TIMEOUT_S:.0f} s"
                assert submitted.state == DONE, submitted.messages[-1]["messageText"]
            with check.column("exact"):
                of.check(place, n)
                _check_ledger(job, place)
        return check

    def _construct(self, row: str, place: Place) -> None:
        """Stages the job without submitting it; a job id of its own keeps it out of the way of the one that runs."""
        file, job = f"{place.folder}/constructed.json", ROWS[row].job or row
        flags = ROWS[row].arguments(
            place, job_id="constructed", template_location=file, dataflow_endpoint=self._service.endpoint
        )
        _succeed(self._workers.firebeam(job, *flags, FIREBEAM_IMAGE=IMAGE.format(job=job)))
        check_job(json.loads(place.read("constructed.json")))

    def from_a_checkout(self, row: str, place: Place, n: int) -> SubmittedJob:
        """As a developer does it: a package that is built from the sources, a record spec of the computer's own, which
        is gone when the workers start; or, where a job has no such flag, staying until it has ended."""
        job = ROWS[row].job or row
        with TemporaryDirectory() as directory:
            more = {"setup_file": str(image.ROOT / "setup.py"), "dataflow_endpoint": self._service.endpoint}
            if job == "ingest":
                spec = Path(directory) / "own.yaml"
                spec.write_text((Path(pipeline.specs.__file__).parent / "profiles.yaml").read_text())
                more["spec"] = str(spec)
            else:
                more["wait"] = "true"
            flags = ROWS[row].arguments(place, job_id=_job_id(place), **more)
            expected = ROWS[row].exit_code if "wait" in more else 0
            said = _succeed(self._workers.firebeam(job, *flags), expected)
        submitted = self._newest()
        assert submitted.resource["id"] in said, said
        assert "https://console.cloud.google.com/dataflow/jobs/" in said, said
        assert f"firebeam status {_job_id(place)}" in said, said
        assert (submitted.state == DONE) or ("wait" not in more), said
        return submitted

    def from_a_template(self, row: str, place: Place, n: int) -> SubmittedJob:
        """As somebody with a console does it."""
        answer = self.launch(ROWS[row].job or row, place, **ROWS[row].parameters(place, job_id=_job_id(place)))
        return self._service.jobs[answer.job.id]

    def launch(self, job: str, place: Place, **parameters: str) -> dataflow_v1beta3.LaunchFlexTemplateResponse:
        """Launches a template with these parameters. Raises GoogleAPICallError if the service refuses."""
        template = {"image": IMAGE.format(job=job), "metadata": metadata(job), "sdkInfo": {"language": "PYTHON"}}
        place.write(f"templates/{job}.json", json.dumps(template))
        client = dataflow_v1beta3.FlexTemplatesServiceClient(
            credentials=AnonymousCredentials(),
            client_options=ClientOptions(api_endpoint=self._service.endpoint),
            transport="rest",
        )
        environment = {
            "temp_location": f"{place.folder}/tmp",
            "staging_location": f"{place.folder}/staging",
            "service_account_email": SERVICE_ACCOUNT,
            "max_workers": 2,
        }
        launch = {
            "job_name": f"nightly-{job}",
            "container_spec_gcs_path": f"{place.folder}/templates/{job}.json",
            "parameters": parameters,
            "environment": environment,
        }
        return client.launch_flex_template(
            {"project_id": PROJECT, "location": REGION, "launch_parameter": launch}, timeout=TIMEOUT_S
        )

    def refused(self) -> str:
        """What the service says of a parameter that is wrong."""
        place = self._place("refused")
        right = ROWS["ingest"].parameters(place)
        try:
            self.launch("ingest", place, **{**right, "batch_size": "many"})
        except GoogleAPICallError as refusal:
            return str(refusal.message)
        return ""

    def _newest(self) -> SubmittedJob:
        return list(self._service.jobs.values())[-1]


def _job_id(place: Place) -> str:
    return f"job-{place.name}"


def _check_ledger(job: str, place: Place) -> None:
    found = read_job(job_document(place.target.connect(), _job_id(place)))
    assert found is not None, f"the ledger has no job {_job_id(place)}"
    assert (found.job, found.state, found.error) == (job, "completed", None), found
    assert found.owner.dataflow_job is not None, found.owner
    assert Totals.of(JOBS[job].usage.config.counters, found.totals).adds_up, found.totals


def _succeed(ended: tuple[int, str], expected: int = 0) -> str:
    code, said = ended
    assert code == expected, f"exit code {code}:\n{said}"
    return said


def main() -> int:
    """Runs the checks and prints the table; returns the exit code."""
    console = Console(width=WIDTH)
    logging.getLogger("apache_beam").setLevel(logging.ERROR)  # every worker warns of what it lacks beside a container
    console.print("building what the image holds in .venv-launch …")
    try:
        return _run(console, image.build())
    except (image.BuildError, EmulatorMissingError, EmulatorStartError) as failure:
        console.print(escape(str(failure)), highlight=False, soft_wrap=True)
        return 1


def _run(console: Console, python: Path) -> int:
    with contextlib.ExitStack() as running:
        directory = Path(running.enter_context(TemporaryDirectory()))
        empty = directory / "empty"
        empty.mkdir()
        credentials = str(write_credentials(directory))
        firestore = running.enter_context(firestore_emulator())
        emulated = running.enter_context(bigquery_emulator(PROJECT))

        def place(name: str) -> Place:
            return Place(firestore, str(emulated.gcs), emulated.rest, name, provider.base_url, cosmos)

        cosmos = running.enter_context(scripted_cosmos())
        script = {"api_key": PROVIDER_KEY, "batches": [{"ready_s": 1}]}
        provider = running.enter_context(scripted_provider("openai", script))
        environ = {**place("").environ, "GOOGLE_APPLICATION_CREDENTIALS": credentials}
        workers = Workers(python, empty, {**environ, PROVIDER_KEY_VARIABLE: PROVIDER_KEY})
        patch = running.enter_context(pytest.MonkeyPatch.context())
        for name, value in environ.items():
            patch.setenv(name, value)

        def launch_template(image_of_job: str, flags: list[str]) -> tuple[int, str]:
            job = image_of_job.rpartition("/")[2].partition(":")[0]
            return workers.launch_template(job, image_of_job, flags)

        service = running.enter_context(LoopbackDataflow(workers.run, launch_template))
        launcher = Launcher(service, workers, place)
        checks = []
        for row in ROWS:
            for how, submit in (("submitted", launcher.from_a_checkout), ("template", launcher.from_a_template)):
                console.print(f"{row}, {how} …")
                checks.append(launcher.check(row, how, submit))
        refusal = launcher.refused()
    return _report(console, checks, refusal)


def _report(console: Console, checks: list[Check], refusal: str) -> int:
    table = Table(title="every job on a loopback Dataflow", title_justify="left")
    for column in ("job", *COLUMNS, "seconds"):
        table.add_column(column, no_wrap=True)
    for check in checks:
        cells = ({True: "yes", False: "NO", None: "–"}[check.cells.get(column)] for column in COLUMNS)
        table.add_row(check.name, *cells, f"{check.seconds:.0f}")
    console.print(table)
    for problem in (problem for check in checks for problem in check.problems):
        console.print(escape(problem), highlight=False, soft_wrap=True)
    wanted = r"batch_size: Parameter didn't match regex '^(\d+)$'"
    is_refused = wanted in refusal
    console.print(f"a wrong parameter is {'' if is_refused else 'NOT '}refused: {escape(refusal)}", soft_wrap=True)
    return 0 if is_refused and all(check.passed for check in checks) else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # Beam's threads, which wait for workers that are gone, would keep the process alive
