"""SDK worker processes that hold only what the image holds, and the runner that gives them a job's bundles.

Two of them; one for a job that reads a source without an end, which Beam's local runner cannot divide.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as beam_api
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from tests.support.dockerfile import ROOT
from tests.support.launchable import without_emulators

N_WORKERS = 2
_WORKER = "apache_beam.runners.worker.sdk_worker_main"


class _RunnerOfSeveral(FnApiRunner):
    def __init__(self, n_workers: int):
        super().__init__()
        self._num_workers = n_workers  # the option for it is not looked at for a pipeline that is a message already


def n_workers_of(pipeline: beam_api.Pipeline) -> int:
    """How many workers run a pipeline."""
    collections = pipeline.components.pcollections.values()
    return 1 if any(each.is_bounded == beam_api.IsBounded.UNBOUNDED for each in collections) else N_WORKERS


class Workers:
    """A container of the image, as far as this computer can be one.

    Args:
      python: of the environment that holds what the image holds.
      directory: an empty one, in which programs start: nothing there can be imported by accident.
      environ: what they find beside the usual: where the emulators are, and credentials.
    """

    def __init__(self, python: Path, directory: Path, environ: Mapping[str, str]):
        self._python, self._directory, self._environ = python, directory, environ
        self._log = directory.with_suffix(".started")

    def run(self, pipeline: beam_api.Pipeline) -> list[dict[str, Any]]:
        """Runs a pipeline and returns its counters. Raises RuntimeError if it fails."""
        # Firestore's emulator is named in the job itself; workers in the cloud would not have that variable either.
        found = {name: value for name, value in self._environ.items() if name != "FIRESTORE_EMULATOR_HOST"}
        hidden = [f"--unset={name}" for name in ("PYTHONPATH", "FIRESTORE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST")]
        settings = [f"{name}={value}" for name, value in found.items() if name != "BIGQUERY_EMULATOR_HOST"]
        command = shlex.join(["env", *hidden, *settings, str(self._python), "-m", _WORKER])
        payload = (
            f"echo started >> {shlex.quote(str(self._log))} && cd {shlex.quote(str(self._directory))} && exec {command}"
        )
        for environment in pipeline.components.environments.values():
            del environment.dependencies[:]
            environment.urn, environment.payload = python_urns.SUBPROCESS_SDK, payload.encode()
        before, n_workers = self._started(), n_workers_of(pipeline)
        result: Any = _RunnerOfSeveral(n_workers).run_via_runner_api(pipeline, PipelineOptions([]))
        result.wait_until_finish()
        if self._started() - before != n_workers:
            raise RuntimeError(f"{self._started() - before} workers ran the job, not {n_workers}")
        return [
            {
                "name": {
                    "origin": "user",
                    "name": found.key.metric.name,
                    "context": {"namespace": found.key.metric.namespace, "step": found.key.step},
                },
                "scalar": found.committed,
            }
            for found in result.metrics().query()["counters"]
        ]

    def _started(self) -> int:
        return len(self._log.read_text().splitlines()) if self._log.exists() else 0

    def firebeam(self, *arguments: str, **environ: str) -> tuple[int, str]:
        """Runs `firebeam …` and returns its exit code and what it said."""
        return self._python_runs(["-m", "pipeline", *arguments], environ)

    def launch_template(self, job: str, image: str, flags: list[str]) -> tuple[int, str]:
        """Runs the template's own program, as the launcher in the image does."""
        environ = {"FIREBEAM_JOB": job, "FIREBEAM_IMAGE": image}
        return self._python_runs([str(ROOT / "templates" / "main.py"), *flags], environ)

    def _python_runs(self, arguments: list[str], environ: Mapping[str, str]) -> tuple[int, str]:
        done = subprocess.run(
            [str(self._python), *arguments],
            cwd=self._directory,
            env={**without_emulators(), **self._environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr
