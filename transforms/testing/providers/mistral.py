"""Mistral's batch jobs: OpenAI's files, other batches.

    POST files (purpose=batch) ──▶ POST batch/jobs {input_files | requests, endpoint, metadata} ──▶ GET batch/jobs[/id]
                                                    GET files/{output_file | error_file}/content ◀──┘

A line of requests has a custom id and a body, nothing else. Lists have numbered pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiohttp import web

from transforms.testing.providers.batches import Batch, Phase
from transforms.testing.providers.chat_forms import completions
from transforms.testing.providers.dialect import RefusedRequestError, json_body, json_lines, number
from transforms.testing.providers.openai import OpenAi
from transforms.testing.providers.request_files import StoredFile, requests_of
from transforms.testing.providers.results import error_lines
from transforms.testing.providers.script import ExistingBatch

_MAX_PAGE = 1_000
_UNBOUNDED = 10**9
_WORDS = {"complete": "SUCCESS", "failed": "FAILED", "cancelled": "CANCELLED"}


class Mistral(OpenAi):
    """See the module."""

    base_path = ""
    files_path = upload_path = "/v1/files"
    batches_path = "/v1/batch/jobs"
    chat = completions(
        "/v1/chat/completions", {"requests": "x-ratelimit-*-req-minute", "tokens": "x-ratelimit-*-tokens-minute"}
    )
    states = ("QUEUED", "RUNNING")
    cancelling = "CANCELLATION_REQUESTED"

    def error(self, status: int, code: str, text: str) -> Any:
        if status == 401:
            return {"detail": "Unauthorized"}
        kind = code or ("rate_limited" if status == 429 else "invalid_request_error")
        return {"object": "error", "message": text, "type": kind, "param": None, "code": None}

    def word(self, phase: Phase) -> str:
        return phase.state or _WORDS.get(phase.outcome or "", "TIMEOUT_EXCEEDED")

    def add_existing(self, existing: ExistingBatch) -> None:
        file = self.files.add("requests.jsonl", self.purpose, json_lines(existing.requests))
        metadata = {"key": existing.key} if existing.key else None
        parameters = {
            "endpoint": "/v1/chat/completions",
            **existing.parameters,
            "input_files": [file.id],
            "metadata": metadata,
        }
        requests = requests_of(existing.requests)
        self.batches.add_existing(existing.id, requests, existing.key, parameters, existing.age_s)

    async def _create(self, request: web.Request) -> web.Response:
        asked = await json_body(request)
        if "endpoint" not in asked or not (asked.get("input_files") or asked.get("requests")):
            raise RefusedRequestError(422, "endpoint, and input_files or requests, are required")
        if asked.get("input_files"):
            requests, problem = self._requests_in(*asked["input_files"])
        else:
            requests, problem = requests_of(asked["requests"]), None
        key = next(iter((asked.get("metadata") or {}).values()), None)
        parameters = {name: value for name, value in asked.items() if name != "requests"}
        return web.json_response(self._shown(self.batches.create(str, requests, key, parameters, problem)))

    async def _list(self, request: web.Request) -> web.Response:
        size, page = number(request, "page_size", 100, 1, _MAX_PAGE), number(request, "page", 0, 0, _UNBOUNDED)
        listed = self.batches.listed()
        if request.query.get("order_by", "-created") == "created":
            listed.reverse()
        data = [self._shown(batch) for batch in listed[page * size : (page + 1) * size]]
        return web.json_response({"object": "list", "data": data, "total": len(listed)})

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self.found(request)
        self.batches.cancel(batch)
        return web.json_response(self._shown(batch))

    def _errors(self, batch: Batch) -> Iterator[dict[str, Any]]:
        return error_lines(self.batches, batch, self.error(400, "", "scripted"))

    def _shown(self, batch: Batch) -> dict[str, Any]:
        phase, counts = self.batches.phase(batch), self.batches.counts(batch)
        _, text = self.batches.problem(batch)
        output, errors = self._result_files(batch, phase)
        return {
            "id": batch.id,
            "object": "batch",
            "input_files": batch.parameters.get("input_files") or [],
            "metadata": batch.parameters.get("metadata"),
            "endpoint": batch.parameters["endpoint"],
            "model": batch.parameters.get("model"),
            "agent_id": None,
            "output_file": output,
            "error_file": errors,
            "errors": [{"message": text, "count": 1}] if phase.outcome == "failed" else [],
            "status": self.word(phase),
            "created_at": int(batch.created_at),
            "started_at": int(batch.created_at) if phase.state != self.states[0] else None,
            "completed_at": None if phase.ended_at is None else int(phase.ended_at),
            "total_requests": counts.total,
            "completed_requests": counts.answered + counts.errors,
            "succeeded_requests": counts.answered,
            "failed_requests": counts.errors,
            "outputs": None,
        }

    def _shown_file(self, file: StoredFile) -> dict[str, Any]:
        return {
            **super()._shown_file(file),
            "sample_type": "batch_request",
            "source": "upload",
            "num_lines": file.content.count(b"\n"),
        }
