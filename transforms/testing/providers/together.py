"""Together's batches: OpenAI's lines and files, another kind of batch.

    POST files/upload (purpose=batch-api) ──▶ POST batches ──▶ GET batches, without pages ──▶ GET files/{id}/content

A new batch is inside of `job`, every other answer is the batch itself. There is no metadata: what a client calls its
batch is the name of the file.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from transforms.testing.providers.batches import Batch, Phase
from transforms.testing.providers.chat_forms import completions
from transforms.testing.providers.dialect import RefusedRequestError, json_body, json_lines, rfc3339
from transforms.testing.providers.openai import OpenAi
from transforms.testing.providers.request_files import StoredFile, requests_of
from transforms.testing.providers.script import ExistingBatch

_WINDOW_S = 24 * 3600
_WORDS = {"complete": "COMPLETED", "failed": "FAILED", "cancelled": "CANCELLED"}


class Together(OpenAi):
    """See the module."""

    upload_path = "/files/upload"
    purpose = "batch-api"
    chat = completions("/chat/completions", {})
    states = ("VALIDATING", "IN_PROGRESS")
    cancelling = "IN_PROGRESS"

    def word(self, phase: Phase) -> str:
        return phase.state or _WORDS.get(phase.outcome or "", "EXPIRED")

    def add_existing(self, existing: ExistingBatch) -> None:
        file = self.files.add(existing.key or "requests.jsonl", self.purpose, json_lines(existing.requests))
        parameters = {"endpoint": "/v1/chat/completions", **existing.parameters, "input_file_id": file.id}
        requests = requests_of(existing.requests)
        self.batches.add_existing(existing.id, requests, existing.key, parameters, existing.age_s)

    async def _create(self, request: web.Request) -> web.Response:
        asked = await json_body(request)
        for name in ("input_file_id", "endpoint"):
            if name not in asked:
                raise RefusedRequestError(400, f"{name} is required", "missing_required_parameter")
        file = self.files.get(asked["input_file_id"])
        requests, problem = self._requests_in(file.id)
        batch = self.batches.create(str, requests, file.name, asked, problem)
        return web.json_response({"job": self._shown(batch), "warning": ""})

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response([self._shown(batch) for batch in self.batches.listed()])

    def _shown(self, batch: Batch) -> dict[str, Any]:
        phase = self.batches.phase(batch)
        output, errors = self._result_files(batch, phase)
        file_id = batch.parameters["input_file_id"]
        return {
            "id": batch.id,
            "user_id": "user-scripted",
            "input_file_id": file_id,
            "file_size_bytes": len(self.files.get(file_id).content),
            "status": self.word(phase),
            "job_deadline": rfc3339(batch.created_at + _WINDOW_S),
            "created_at": rfc3339(batch.created_at),
            "endpoint": batch.parameters["endpoint"],
            "progress": 100.0 * phase.share,
            "model_id": next((each.body["model"] for each in batch.requests if "model" in each.body), None),
            "output_file_id": output,
            "error_file_id": errors,
            "error": ": ".join(filter(None, self.batches.problem(batch))) if phase.outcome == "failed" else None,
            "completed_at": rfc3339(phase.ended_at) if phase.ended_at is not None else None,
        }

    def _shown_file(self, file: StoredFile) -> dict[str, Any]:
        return {**super()._shown_file(file), "FileType": "jsonl", "Processed": True, "LineCount": 0}
