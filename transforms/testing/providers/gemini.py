"""The Gemini API's batches.

    POST upload/v1beta/files (resumable) ──▶ POST v1beta/models/{model}:batchGenerateContent ──▶ GET v1beta/batches[/id]
                                             GET download/v1beta/{responsesFile}:download?alt=media ◀──┘

A batch is an operation whose metadata says how it is. Requests may also be in the body that creates it; then the
results are in the batch itself. Only a batch that succeeded has any.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
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
    lines_response,
    rfc3339,
    without_nones,
)
from transforms.testing.providers.request_files import StoredFile, StoredFiles
from transforms.testing.providers.script import ExistingBatch

_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch"
_WORDS = {"complete": "SUCCEEDED", "failed": "FAILED", "cancelled": "CANCELLED"}
_PREFIX = "BATCH_STATE_"
_MAX_INLINE_BYTES = 20 * 1024 * 1024
_UPLOAD = "/upload/v1beta/files"
_FILE, _BATCH = "/v1beta/files/{id:[^:/]+}", "/v1beta/batches/{id:[^:/]+}"
_RESULTS = "batch-"


class Gemini(Dialect):
    """See the module."""

    chat = ChatForm("/v1beta/models/{model}:generateContent", read_contents, write_contents, {})
    states = ("BATCH_STATE_PENDING", "BATCH_STATE_RUNNING")
    cancelling = "BATCH_STATE_RUNNING"

    def __init__(self, batches: Batches):
        super().__init__(batches)
        self._files = StoredFiles(batches.now, str)
        self._uploads: dict[str, tuple[str, bytearray]] = {}

    def routes(self) -> Iterable[Route]:
        return (
            Route("upload", "POST", _UPLOAD, self._upload),
            Route("files", "GET", _FILE, self._get_file),
            Route("files", "DELETE", _FILE, self._delete_file),
            Route("download", "GET", f"/download{_FILE}:download", self._download),
            Route("download", "GET", f"{_FILE}:download", self._download),
            Route("create", "POST", "/v1beta/models/{model}:batchGenerateContent", self._create),
            Route("list", "GET", "/v1beta/batches", self._list),
            Route("get", "GET", _BATCH, self._get),
            Route("cancel", "POST", f"{_BATCH}:cancel", self._cancel),
            Route("delete", "DELETE", _BATCH, self._delete),
        )

    def error(self, status: int, code: str, text: str) -> Any:
        return google.http_error(status, code, text)

    def credentials(self, request: web.Request) -> str | None:
        return request.headers.get("x-goog-api-key") or request.query.get("key") or super().credentials(request)

    def needs_key(self, request: web.Request) -> bool:
        return "upload_id" not in request.query  # the address of an upload is a secret by itself

    def refused_question(self, status: int, code: str, text: str, retry_after: str | float | None) -> web.Response:
        return google.refusal(self.error(status, code, text), status, retry_after)

    def word(self, phase: Phase) -> str:
        return phase.state or _PREFIX + _WORDS.get(phase.outcome or "", "EXPIRED")

    def add_existing(self, existing: ExistingBatch) -> None:
        parameters = {"model": "models/scripted", **existing.parameters}
        requests = google.keyed_requests(existing.requests)
        batch_id = existing.id.removeprefix("batches/")
        self.batches.add_existing(batch_id, requests, existing.key, parameters, existing.age_s)

    async def _upload(self, request: web.Request) -> web.Response:
        commands = request.headers.get("X-Goog-Upload-Command", "").replace(" ", "").split(",")
        if "start" in commands:
            asked = (await json_body(request)).get("file", {})
            upload_id = uuid.uuid4().hex
            self._uploads[upload_id] = _either(asked, "displayName") or "", bytearray()
            to = request.url.with_path(_UPLOAD).with_query(upload_id=upload_id, upload_protocol="resumable")
            return web.json_response({}, headers={"X-Goog-Upload-URL": str(to), "X-Goog-Upload-Status": "active"})
        upload_id = request.query.get("upload_id", "")
        if upload_id not in self._uploads:
            raise RefusedRequestError(400, "an upload begins with X-Goog-Upload-Command: start")
        name, content = self._uploads[upload_id]
        if "upload" in commands:
            offset = int(request.headers.get("X-Goog-Upload-Offset", "0"))
            if offset != len(content):
                raise RefusedRequestError(400, f"{len(content)} bytes were received, the offset is {offset}")
            content += await request.read()
        if "finalize" not in commands:
            received = {"X-Goog-Upload-Status": "active", "X-Goog-Upload-Size-Received": str(len(content))}
            return web.json_response({}, headers=received)
        file = self._files.add(name, "", bytes(content))
        del self._uploads[upload_id]
        return web.json_response({"file": _shown_file(request, file)}, headers={"X-Goog-Upload-Status": "final"})

    async def _get_file(self, request: web.Request) -> web.Response:
        return web.json_response(_shown_file(request, self._files.get(request.match_info["id"])))

    async def _delete_file(self, request: web.Request) -> web.Response:
        self._files.remove(request.match_info["id"])
        return web.json_response({})

    async def _download(self, request: web.Request) -> web.Response:
        batch = self.batches.find(request.match_info["id"].removeprefix(_RESULTS))
        if batch is None or self.batches.phase(batch).outcome != "complete":
            raise RefusedRequestError(404, "no such file, or one that was uploaded")
        batch.n_downloads += 1
        return lines_response({"key": request.custom_id, **result} for request, result in self._results(batch))

    async def _create(self, request: web.Request) -> web.Response:
        asked = (await json_body(request)).get("batch") or {}
        source, name = _either(asked, "inputConfig") or {}, _either(asked, "displayName")
        file_name, problem = _either(source, "fileName"), None
        inline = (source.get("requests") or {}).get("requests")
        parameters = {"model": f"models/{request.match_info['model']}", "is_inline": inline is not None}
        if inline is not None:
            if (request.content_length or 0) > _MAX_INLINE_BYTES:
                raise RefusedRequestError(400, f"the body is larger than {_MAX_INLINE_BYTES} bytes")
            keys = [(each.get("metadata") or {}).get("key", n) for n, each in enumerate(inline)]
            requests = [Request(str(key), each["request"], each) for key, each in zip(keys, inline, strict=True)]
        elif file_name:
            file = self._files.get(file_name.removeprefix("files/"))
            try:
                requests = google.keyed_requests([json.loads(line) for line in file.content.splitlines()])
            except ValueError:
                requests, problem = [], ("INVALID_ARGUMENT", "a line of the file is not JSON")
        else:
            raise RefusedRequestError(400, "batch.input_config must be specified")
        return web.json_response(self._shown(self.batches.create(str, requests, name, parameters, problem)))

    async def _list(self, request: web.Request) -> web.Response:
        batches, following = google.page(request, self.batches.listed())
        return web.json_response({"operations": [self._shown(batch) for batch in batches], **following})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._shown(self.found(request)))

    async def _cancel(self, request: web.Request) -> web.Response:
        self.batches.cancel(self.found(request))
        return web.json_response({})

    async def _delete(self, request: web.Request) -> web.Response:
        self.batches.remove(self.found(request).id)
        return web.json_response({})

    def _shown(self, batch: Batch) -> dict[str, Any]:
        phase = self.batches.phase(batch)
        output = self._output(batch) if phase.outcome == "complete" else None
        updated = phase.ended_at if phase.ended_at is not None else self.batches.now()
        metadata = {
            "@type": _TYPE,
            "model": batch.parameters["model"],
            "displayName": batch.key,
            "output": output,
            "createTime": rfc3339(batch.created_at),
            "endTime": rfc3339(phase.ended_at) if phase.ended_at is not None else None,
            "updateTime": rfc3339(updated),
            "batchStats": self._stats(batch),
            "state": self.word(phase),
            "name": f"batches/{batch.id}",
        }
        shown: dict[str, Any] = {"name": f"batches/{batch.id}", "metadata": without_nones(metadata)}
        if phase.outcome is not None:
            shown["done"] = True
        if output is not None:
            shown["response"] = {"@type": f"{_TYPE}Output", **output}
        if phase.outcome == "failed":
            shown["error"] = google.job_error(*self.batches.problem(batch))
        return shown

    def _stats(self, batch: Batch) -> dict[str, str]:
        """Numbers as Google's JSON has them, without those that are 0."""
        counts = self.batches.counts(batch)
        numbers = {
            "requestCount": counts.total,
            "successfulRequestCount": counts.answered,
            "failedRequestCount": counts.errors,
            "pendingRequestCount": counts.unanswered,
        }
        return {name: str(count) for name, count in numbers.items() if count}

    def _output(self, batch: Batch) -> dict[str, Any]:
        if not batch.parameters.get("is_inline"):
            return {"responsesFile": f"files/{_RESULTS}{batch.id}"}
        responses = [
            without_nones({"metadata": request.line.get("metadata"), **result})
            for request, result in self._results(batch)
        ]
        return {"inlinedResponses": {"inlinedResponses": responses}}

    def _results(self, batch: Batch) -> Iterator[tuple[Request, Mapping[str, Any]]]:
        """In the order of the requests."""
        for n, (request, fate) in enumerate(self.batches.fates(batch)):
            if fate is Fate.ANSWERED:
                yield request, {"response": google.generated(self.batches, batch, n, request)}
            elif fate is Fate.ERROR:
                yield request, {"error": google.job_error("INVALID_ARGUMENT", "scripted")}


def _either(fields: Mapping[str, Any], name: str) -> Any:
    """A field whose name is in camel or in snake case.

    >>> _either({"display_name": "a"}, "displayName"), _either({"displayName": "b"}, "displayName")
    ('a', 'b')
    """
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return fields.get(name, fields.get(snake))


def _shown_file(request: web.Request, file: StoredFile) -> dict[str, Any]:
    return {
        "name": f"files/{file.id}",
        "displayName": file.name,
        "mimeType": "application/jsonl",
        "sizeBytes": str(len(file.content)),
        "createTime": rfc3339(file.created_at),
        "updateTime": rfc3339(file.created_at),
        "uri": str(request.url.with_path(f"/v1beta/files/{file.id}").with_query(None)),
        "state": "ACTIVE",
        "source": "UPLOADED",
    }
