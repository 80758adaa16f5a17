"""A Dataflow on this computer: the REST methods that Beam's client and gcloud use, in front of whoever runs the job.

    jobs.create ─▶ check_job ─▶ run ─▶ JOB_STATE_DONE or JOB_STATE_FAILED
    flexTemplates.launch ─▶ the parameters against the metadata ─▶ the launcher's program ─▶ its job file ─▶ as above
    jobs.get, list, update, messages, metrics

It refuses what the service would refuse; what it cannot know, such as quotas and permissions, it accepts.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from apache_beam.io.filesystems import FileSystems
from apache_beam.portability.api import beam_runner_api_pb2 as beam_api

from pipeline.emulators.processes import LOOPBACK

RUNNING, DONE, FAILED = "JOB_STATE_RUNNING", "JOB_STATE_DONE", "JOB_STATE_FAILED"

_JOBS = re.compile(r"/v1b3/projects/([^/]+)/locations/([^/]+)/jobs(?:/([^/:]+))?(/messages|/metrics)?")
_LAUNCH = re.compile(r"/v1b3/projects/([^/]+)/locations/([^/]+)/flexTemplates:launch")
_JOB_NAME = re.compile(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")
_NEEDED_EXPERIMENTS = frozenset({"use_runner_v2", "use_portable_job_submission"})
_TYPES = {"JOB_TYPE_BATCH": 1, "JOB_TYPE_STREAMING": 2}
# What a launch may say of its workers in the place of parameters, by the flag it becomes.
_ENVIRONMENT_FLAGS = {
    "maxWorkers": "max_num_workers",
    "machineType": "worker_machine_type",
    "serviceAccountEmail": "service_account_email",
    "stagingLocation": "staging_location",
    "tempLocation": "temp_location",
}


class RefusedError(Exception):
    """A request that the service does not take."""

    def __init__(self, message: str, code: int = 400, status: str = "INVALID_ARGUMENT"):
        self.code, self.status = code, status
        super().__init__(message)


@dataclass
class SubmittedJob:
    """A job that the service has taken.

    Attributes:
      resource: as the API shows it.
      pipeline: what it runs.
      is_watched: set when somebody waits for its end.
      ended: set when it has reached its last state.
    """

    resource: dict[str, Any]
    pipeline: beam_api.Pipeline
    metrics: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    is_watched: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def state(self) -> str:
        """Its state, as the API calls it."""
        return str(self.resource["currentState"])

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.resource.get("labels", {})


class LoopbackDataflow:
    """The service, for the duration of a `with` block.

    Args:
      run: runs a pipeline to its end and returns its counters as the API shows them; raises if it fails.
      launch: starts a template's program with these flags and returns its exit code and what it said.
    """

    def __init__(
        self,
        run: Callable[[beam_api.Pipeline], list[dict[str, Any]]],
        launch: Callable[[str, list[str]], tuple[int, str]],
    ):
        self._run, self._launch = run, launch
        self._lock = threading.Lock()
        self.jobs: dict[str, SubmittedJob] = {}

    def __enter__(self) -> LoopbackDataflow:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def do_PUT(self) -> None:
                self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                path = unquote(urlsplit(self.path).path)
                try:
                    code, answer = 200, service.answer(self.command, path, json.loads(body) if body else {})
                except RefusedError as refusal:
                    error = {"code": refusal.code, "message": str(refusal), "status": refusal.status}
                    code, answer = refusal.code, {"error": error}
                content = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("content-type", "application/json; charset=UTF-8")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> str:
        """Where it answers; `localhost`, because Beam's client speaks REST and HTTP to that name only."""
        return f"http://localhost:{self._server.server_port}"

    def answer(self, method: str, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Does what a request asks for. Raises RefusedError."""
        if launched := _LAUNCH.fullmatch(path):
            return self._launch_template(launched[1], launched[2], body["launchParameter"], body)
        found = _JOBS.fullmatch(path)
        if not found:
            raise RefusedError(f"there is no {path}", 404, "NOT_FOUND")
        project, region, job_id, part = found.groups()
        if job_id is None:
            if method == "POST":
                return self._create(project, region, dict(body)).resource
            return {"jobs": [job.resource for job in self.jobs.values()]}
        if job_id not in self.jobs:
            raise RefusedError(f"there is no job {job_id}", 404, "NOT_FOUND")
        job = self.jobs[job_id]
        if part == "/messages":
            job.is_watched.set()
            return {"jobMessages": job.messages}
        if part == "/metrics":
            return {"metrics": job.metrics}
        if method == "PUT":
            job.resource["currentState"] = body["requestedState"]
        return job.resource

    def _create(self, project: str, region: str, resource: dict[str, Any]) -> SubmittedJob:
        with self._lock:
            for job in self.jobs.values():
                if job.resource["name"] == resource["name"] and job.state == RUNNING:
                    return job
            pipeline = check_job(resource)
            moment = datetime.datetime.now(datetime.timezone.utc)
            job_id = f"{moment:%Y-%m-%d_%H_%M_%S}-{uuid.uuid4().int % 10**19}"
            resource |= {"id": job_id, "projectId": project, "location": region, "currentState": RUNNING}
            resource["createTime"] = _timestamp(moment)
            job = self.jobs[job_id] = SubmittedJob(resource, pipeline)
        threading.Thread(target=self._execute, args=(job,), daemon=True).start()
        return job

    def _execute(self, job: SubmittedJob) -> None:
        try:
            job.metrics = self._run(job.pipeline)
            job.resource["currentState"] = DONE
        except BaseException:
            moment = _timestamp(datetime.datetime.now(datetime.timezone.utc))
            text, importance = traceback.format_exc()[-4_000:], "JOB_MESSAGE_ERROR"
            job.messages.append({"id": "1", "time": moment, "messageText": text, "messageImportance": importance})
            job.resource["currentState"] = FAILED
        finally:
            job.ended.set()

    def _launch_template(
        self, project: str, region: str, launch: Mapping[str, Any], body: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        template = json.loads(_read(launch["containerSpecGcsPath"]))
        parameters = launch.get("parameters", {})
        if problems := parameter_problems(template["metadata"], parameters):
            raise RefusedError(f"The template parameters are invalid. Details: {'; '.join(problems)}")
        if body.get("validateOnly"):
            return {}
        environment = {**template.get("defaultEnvironment", {}), **launch.get("environment", {})}
        job_file = f"{environment['stagingLocation']}/template_launches/{uuid.uuid4().hex[:8]}/job_object"
        flags = {"runner": "DataflowRunner", "project": project, "region": region, "job_name": launch["jobName"]}
        flags |= {flag: environment[name] for name, flag in _ENVIRONMENT_FLAGS.items() if name in environment}
        flags |= {"template_location": job_file, "dataflow_endpoint": self.endpoint, **parameters}
        code, said = self._launch(template["image"], [f"--{name}={value}" for name, value in flags.items()])
        if code:
            raise RefusedError(f"Error occurred in the launcher container: {said}", 500, "INTERNAL")
        return {"job": self._create(project, region, json.loads(_read(job_file))).resource}


def check_job(resource: Mapping[str, Any]) -> beam_api.Pipeline:
    """The pipeline of a job, if the service would run it. Raises RefusedError."""
    environment = resource["environment"]
    options = environment["sdkPipelineOptions"]["options"]
    if not _JOB_NAME.fullmatch(resource["name"]):
        raise RefusedError(f"job name {resource['name']!r} is not one")
    content = _read(options["pipelineUrl"])
    if hashlib.sha256(content).hexdigest() != options["pipelineProtoHash"]:
        raise RefusedError("the pipeline is not the one that was hashed")
    if missing := _NEEDED_EXPERIMENTS - set(environment["experiments"]):
        raise RefusedError(f"the job lacks the experiments {', '.join(sorted(missing))}")
    pipeline = beam_api.Pipeline.FromString(content)
    components = pipeline.components
    endless = any(of.is_bounded == beam_api.IsBounded.UNBOUNDED for of in components.pcollections.values())
    kind = resource["type"]
    if endless and _TYPES.get(kind, kind) != _TYPES["JOB_TYPE_STREAMING"]:
        raise RefusedError("a batch job reads a source that has no end")
    for pool in environment["workerPools"]:
        for container in pool["sdkHarnessContainerImages"]:
            if not container.get("containerImage"):
                raise RefusedError("workers have no container image")
    for of in components.environments.values():
        for dependency in of.dependencies:
            payload = beam_api.ArtifactUrlPayload.FromString(dependency.type_payload)
            if payload.sha256 and hashlib.sha256(_read(payload.url)).hexdigest() != payload.sha256:
                raise RefusedError(f"the artifact {payload.url} is not the one that was hashed")
    return pipeline


def parameter_problems(metadata: Mapping[str, Any], given: Mapping[str, str]) -> list[str]:
    """What the service says of parameters that a template does not take."""
    known = {parameter["name"]: parameter for parameter in metadata["parameters"]}
    problems = [f"{name}: Unrecognized parameter" for name in given if name not in known]
    for name, parameter in known.items():
        if name in given:
            wrong = [regex for regex in parameter.get("regexes", ()) if not re.fullmatch(regex, given[name])]
            problems += [f"{name}: Parameter didn't match regex '{regex}'" for regex in wrong]
        elif not parameter.get("isOptional"):
            problems.append(f"{name}: Missing required parameter")
    return problems


def _read(url: str) -> bytes:
    with FileSystems.open(url, compression_type="uncompressed") as file:
        content: bytes = file.read()
    return content


def _timestamp(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
