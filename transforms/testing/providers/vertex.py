"""Vertex AI's batch prediction jobs of Gemini models.

    gs://…/requests.jsonl ──▶ POST batchPredictionJobs {displayName, labels, model, inputConfig, outputConfig}
                                ──▶ GET batchPredictionJobs[/id] ──▶ gs://…/prediction-model-TIME/predictions.jsonl

Requests and results are objects of Cloud Storage; `storage.py` says where those are here. Results are written when
somebody first asks for a job that is over. What a job did before it expired or was cancelled is there as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from transforms.testing.providers import google
from transforms.testing.providers.batches import Batch, Batches, Fate, Phase, Request
from transforms.testing.providers.chat_forms import ChatForm, read_contents, write_contents
from transforms.testing.providers.dialect import (
    Dialect,
    RefusedRequestError,
    Route,
    json_body,
    json_lines,
    rfc3339,
    without_nones,
)
from transforms.testing.providers.script import ExistingBatch
from transforms.testing.providers.storage import Storage

_JOBS = "/{version:v1|v1beta1}/projects/{project}/locations/{location}/batchPredictionJobs"
_MODEL = "/{version:v1|v1beta1}/projects/{project}/locations/{location}/publishers/google/models/{model}"
_JOB = _JOBS + "/{id:[^:/]+}"
_WORDS = {
    "complete": "SUCCEEDED",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
    "partial": "PARTIALLY_SUCCEEDED",
    "expired": "EXPIRED",
}
_PREFIX = "JOB_STATE_"
_HAVE_RESULTS = ("complete", "partial", "expired", "cancelled")
_PARENT = "projects/scripted/locations/us-central1"


class Vertex(Dialect):
    """See the module."""

    chat = ChatForm(f"{_MODEL}:generateContent", read_contents, write_contents, {})
    states = ("JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING")
    cancelling = "JOB_STATE_CANCELLING"

    def __init__(self, batches: Batches):
        super().__init__(batches)
        self._written: set[str] = set()

    def routes(self) -> Iterable[Route]:
        return (
            Route("create", "POST", _JOBS, self._create),
            Route("list", "GET", _JOBS, self._list),
            Route("get", "GET", _JOB, self._get),
            Route("cancel", "POST", f"{_JOB}:cancel", self._cancel),
            Route("delete", "DELETE", _JOB, self._delete),
        )

    def error(self, status: int, code: str, text: str) -> Any:
        return google.http_error(status, code, text)

    def needs_key(self, request: web.Request) -> bool:
        return self.batches.script.api_key is not None  # clients have no account for a server on this computer

    def refused_question(self, status: int, code: str, text: str, retry_after: str | float | None) -> web.Response:
        return google.refusal(self.error(status, code, text), status, retry_after)

    def word(self, phase: Phase) -> str:
        return phase.state or _PREFIX + _WORDS[phase.outcome or ""]

    def add_existing(self, existing: ExistingBatch) -> None:
        job = {
            "model": "publishers/google/models/scripted",
            "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": []}},
            "outputConfig": {
                "predictionsFormat": "jsonl",
                "gcsDestination": {"outputUriPrefix": existing.parameters.get("output", "gs://scripted/results")},
            },
        }
        parameters = {"parent": existing.parameters.get("parent", _PARENT), "job": {**job, "displayName": existing.key}}
        requests = google.keyed_requests(existing.requests)
        self.batches.add_existing(existing.id.rpartition("/")[2], requests, existing.key, parameters, existing.age_s)

    async def _create(self, request: web.Request) -> web.Response:
        asked = await json_body(request)
        for name in ("displayName", "model", "inputConfig", "outputConfig"):
            if not asked.get(name):
                raise RefusedRequestError(400, f"{name} is required")
        _prefix(asked)
        requests: list[Request] = []
        problem = None
        try:
            for uri in asked["inputConfig"].get("gcsSource", {}).get("uris", ()):
                content = await self._storage.read(uri)
                requests += google.keyed_requests([json.loads(line) for line in content.splitlines()])
        except RefusedRequestError as refused:
            if refused.status != 404:
                raise
            problem = ("NOT_FOUND", refused.text)
        except ValueError:
            problem = ("INVALID_ARGUMENT", "a line of the requests is not JSON")
        place = request.match_info
        parameters = {"parent": f"projects/{place['project']}/locations/{place['location']}", "job": asked}
        batch = self.batches.create(
            lambda digits: str(int(digits[:15], 16)), requests, asked["displayName"], parameters, problem
        )
        return web.json_response(await self._shown(batch))

    async def _list(self, request: web.Request) -> web.Response:
        listed = [batch for batch in self.batches.listed() if _is_meant(request, batch, self.state(batch))]
        batches, following = google.page(request, listed)
        return web.json_response({"batchPredictionJobs": [await self._shown(batch) for batch in batches], **following})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(await self._shown(self.found(request)))

    async def _cancel(self, request: web.Request) -> web.Response:
        self.batches.cancel(self.found(request))
        return web.json_response({})

    async def _delete(self, request: web.Request) -> web.Response:
        batch = self.found(request)
        self.batches.remove(batch.id)
        return web.json_response({"name": f"{batch.parameters['parent']}/operations/{batch.id}", "done": True})

    @property
    def _storage(self) -> Storage:
        return Storage(self.batches.script.gs)

    async def _shown(self, batch: Batch) -> dict[str, Any]:
        phase = self.batches.phase(batch)
        updated = phase.ended_at if phase.ended_at is not None else self.batches.now()
        is_started = phase.state not in self.states[:-1]
        folder = await self._results_folder(batch) if phase.outcome in _HAVE_RESULTS else None
        return without_nones(
            {
                **batch.parameters["job"],
                "name": f"{batch.parameters['parent']}/batchPredictionJobs/{batch.id}",
                "state": self.word(phase),
                "createTime": rfc3339(batch.created_at),
                "startTime": rfc3339(batch.created_at) if is_started else None,
                "endTime": rfc3339(phase.ended_at) if phase.ended_at is not None else None,
                "updateTime": rfc3339(updated),
                "error": google.job_error(*self.batches.problem(batch)) if phase.outcome == "failed" else None,
                "outputInfo": {"gcsOutputDirectory": folder} if folder is not None else None,
                "completionStats": self._stats(batch) if phase.outcome is not None else None,
            }
        )

    def _stats(self, batch: Batch) -> dict[str, str]:
        counts = self.batches.counts(batch)
        numbers = {
            "successfulCount": counts.answered,
            "failedCount": counts.errors,
            "incompleteCount": counts.unanswered,
        }
        return {name: str(count) for name, count in numbers.items() if count}

    async def _results_folder(self, batch: Batch) -> str:
        """Where the results are; writes them, if nobody has asked yet."""
        folder = f"{_prefix(batch.parameters['job'])}/prediction-model-{rfc3339(batch.created_at)}-{batch.id}"
        if batch.id not in self._written:
            await self._storage.write(f"{folder}/predictions.jsonl", json_lines(self._lines(batch)))
            self._written.add(batch.id)
        return folder

    def _lines(self, batch: Batch) -> Iterable[dict[str, Any]]:
        """Each line of requests with its answer, the last one first."""
        at = rfc3339(batch.created_at)
        for n, (request, fate) in reversed(list(enumerate(self.batches.fates(batch)))):
            if fate is Fate.ANSWERED:
                response = google.generated(self.batches, batch, n, request)
                yield {**request.line, "status": "", "processed_time": at, "response": response}
            elif fate is Fate.ERROR:
                status = f"Bad Request: {json.dumps(self.error(400, '', 'scripted'))}"
                yield {**request.line, "status": status, "processed_time": at, "response": {}}


def _prefix(job: dict[str, Any]) -> str:
    """Where a job's results are to go. Raises RefusedRequestError with 400 if that is not Cloud Storage."""
    prefix = job["outputConfig"].get("gcsDestination", {}).get("outputUriPrefix")
    if not prefix:
        raise RefusedRequestError(400, "outputConfig.gcsDestination.outputUriPrefix is required here")
    return str(prefix).rstrip("/")


def _is_meant(request: web.Request, batch: Batch, state: str) -> bool:
    """Whether the list's `filter` means a job: one or several of `name="value"`, joined by AND."""
    fields = {"state": state, "displayName": batch.key, "display_name": batch.key}
    labels = batch.parameters["job"].get("labels") or {}
    fields |= {f"labels.{name}": value for name, value in labels.items()}
    for condition in filter(None, request.query.get("filter", "").split(" AND ")):
        name, _, value = condition.partition("=")
        if fields.get(name.strip()) != value.strip().strip('"'):
            return False
    return True
