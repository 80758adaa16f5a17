"""OpenAI's batches, and those of Azure OpenAI and Groq, who have the same API at other addresses.

    POST files ──▶ POST batches {input_file_id, endpoint, …} ──▶ GET batches[/id] ──▶ GET files/{output|error}/content

A file that is not a file of requests makes a batch that fails. One that expired has a line `batch_expired` for each
request that was not answered; one that was cancelled has no line for those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from aiohttp import web

from transforms.testing.providers import answers
from transforms.testing.providers.batches import Batch, Batches, Phase, Request
from transforms.testing.providers.chat_forms import completions
from transforms.testing.providers.dialect import (
    Dialect,
    RefusedRequestError,
    Route,
    following,
    json_body,
    json_lines,
    lines_response,
    number,
)
from transforms.testing.providers.request_files import StoredFile, StoredFiles, read_requests, requests_of
from transforms.testing.providers.results import error_lines, output_lines, tokens, unanswered_lines
from transforms.testing.providers.script import ExistingBatch

_WINDOW_S = 24 * 3600
_MAX_METADATA, _MAX_NAME, _MAX_VALUE = 16, 64, 512
_MAX_PAGE = 100
_WORDS = {"complete": "completed", "failed": "failed", "expired": "expired", "cancelled": "cancelled"}
_EXPIRED = "This request could not be executed before the completion window expired."
_KINDS = {401: "invalid_request_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 402: "insufficient_quota", 429: "rate_limit_exceeded"}
_RESPONSES = "/responses"
# Files of results have the id of their batch in their own.
_OUTPUT, _ERRORS = "file-output-", "file-error-"


class OpenAi(Dialect):
    """See the module.

    Attributes:
      batches_path, files_path, upload_path: behind the base path.
      purpose: of a file of requests.
    """

    base_path: ClassVar[str] = "/v1"
    batches_path: ClassVar[str] = "/batches"
    files_path: ClassVar[str] = "/files"
    upload_path: ClassVar[str] = "/files"
    purpose: ClassVar[str] = "batch"
    chat = completions("/chat/completions", {"requests": "x-ratelimit-*-requests", "tokens": "x-ratelimit-*-tokens"})
    states: ClassVar[Sequence[str]] = ("validating", "in_progress", "finalizing")
    cancelling = "cancelling"

    def __init__(self, batches: Batches):
        super().__init__(batches)
        self.files = StoredFiles(batches.now, "file-{}".format)

    def routes(self) -> Iterable[Route]:
        files, batches = self.base_path + self.files_path, self.base_path + self.batches_path
        return (
            Route("upload", "POST", self.base_path + self.upload_path, self._upload),
            Route("files", "GET", files, self._list_files),
            Route("files", "GET", files + "/{id}", self._get_file),
            Route("files", "DELETE", files + "/{id}", self._delete_file),
            Route("download", "GET", files + "/{id}/content", self._download),
            Route("create", "POST", batches, self._create),
            Route("list", "GET", batches, self._list),
            Route("get", "GET", batches + "/{id}", self._get),
            Route("cancel", "POST", batches + "/{id}/cancel", self._cancel),
        )

    def error(self, status: int, code: str, text: str) -> Any:
        kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
        return {"error": {"message": text, "type": kind, "param": None, "code": code or _CODES.get(status)}}

    def word(self, phase: Phase) -> str:
        return phase.state or _WORDS.get(phase.outcome or "", "expired")

    def add_existing(self, existing: ExistingBatch) -> None:
        file = self.files.add("requests.jsonl", self.purpose, json_lines(existing.requests))
        metadata = {"key": existing.key} if existing.key else None
        parameters = {
            "endpoint": "/v1/chat/completions",
            **existing.parameters,
            "input_file_id": file.id,
            "metadata": metadata,
        }
        self.batches.add_existing(existing.id, requests_of(existing.requests), existing.key, parameters, existing.age_s)

    async def _upload(self, request: web.Request) -> web.Response:
        file = await self.files.add_form(request)
        if file.purpose != self.purpose:
            self.files.remove(file.id)
            raise RefusedRequestError(400, f"'{file.purpose}' is not one of ['{self.purpose}']")
        return web.json_response(self._shown_file(file))

    async def _list_files(self, request: web.Request) -> web.Response:
        data = [self._shown_file(file) for file in self.files.newest_first()]
        return web.json_response({"object": "list", "data": data, "has_more": False, "total": len(data)})

    async def _get_file(self, request: web.Request) -> web.Response:
        return web.json_response(self._shown_file(self.files.get(request.match_info["id"])))

    async def _delete_file(self, request: web.Request) -> web.Response:
        file_id = request.match_info["id"]
        self.files.remove(file_id)
        return web.json_response({"id": file_id, "object": "file", "deleted": True})

    async def _download(self, request: web.Request) -> web.Response:
        file_id = request.match_info["id"]
        for prefix, lines in ((_OUTPUT, self._output), (_ERRORS, self._errors)):
            batch = self.batches.find(file_id.removeprefix(prefix))
            if batch is not None and file_id.startswith(prefix):
                found = list(lines(batch))
                if self.batches.phase(batch).outcome is not None and found:
                    batch.n_downloads += 1
                    return lines_response(reversed(found), "application/octet-stream")
        return web.Response(body=self.files.get(file_id).content, content_type="application/octet-stream")

    async def _create(self, request: web.Request) -> web.Response:
        asked = await json_body(request)
        for name in ("input_file_id", "endpoint", "completion_window"):
            if name not in asked:
                raise RefusedRequestError(400, f"Missing required parameter: '{name}'.", "missing_required_parameter")
        metadata = asked.get("metadata") or {}
        if len(metadata) > _MAX_METADATA or any(
            len(name) > _MAX_NAME or len(value) > _MAX_VALUE for name, value in metadata.items()
        ):
            raise RefusedRequestError(400, "metadata has more than 16 entries, or one that is too long")
        requests, problem = self._requests_in(asked["input_file_id"])
        key = next(iter(metadata.values()), None)
        parameters = {**asked, "metadata": asked.get("metadata")}
        return web.json_response(
            self._shown(self.batches.create("batch_{}".format, requests, key, parameters, problem))
        )

    def _requests_in(self, *file_ids: str) -> tuple[list[Request], tuple[str, str] | None]:
        """What files ask for, and what is wrong with them. Raises RefusedRequestError for one that is not there."""
        content = b"\n".join(self.files.get(file_id).content.rstrip() for file_id in file_ids)
        try:
            return read_requests(content), None
        except RefusedRequestError as refused:
            return [], (refused.code, refused.text)

    async def _list(self, request: web.Request) -> web.Response:
        limit, listed = number(request, "limit", 20, 1, _MAX_PAGE), self.batches.listed()
        after = request.query.get("after")
        rest = following(listed, lambda each: each.id == after) if after else listed
        page = [self._shown(batch) for batch in rest[:limit]]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        return web.json_response({"object": "list", "data": page, **ends, "has_more": len(rest) > limit})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._shown(self.found(request)))

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self.found(request)
        if not self.batches.cancel(batch):
            raise RefusedRequestError(409, f"Cannot cancel a batch with status '{self.state(batch)}'.")
        return web.json_response(self._shown(batch))

    def _shown(self, batch: Batch) -> dict[str, Any]:
        phase, counts = self.batches.phase(batch), self.batches.counts(batch)
        state = self.word(phase)
        created, ended = int(batch.created_at), phase.ended_at and int(phase.ended_at)
        output, errors = self._result_files(batch, phase)
        times = {f"{word}_at": ended if state == word else None for word in _WORDS.values()}
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.parameters["endpoint"],
            "model": next((each.body["model"] for each in batch.requests if "model" in each.body), None),
            "errors": self._problems(batch) if phase.outcome == "failed" else None,
            "input_file_id": batch.parameters["input_file_id"],
            "completion_window": batch.parameters.get("completion_window", "24h"),
            "status": state,
            "output_file_id": output,
            "error_file_id": errors,
            "created_at": created,
            "in_progress_at": created if state not in ("validating", "failed") else None,
            "expires_at": created + _WINDOW_S,
            "finalizing_at": ended if has_results(phase) else None,
            **times,
            "cancelling_at": batch.cancelled_at and int(batch.cancelled_at),
            "request_counts": {
                # Nobody has looked at the file yet while it is validated.
                "total": 0 if phase.state == self.states[0] else counts.total,
                "completed": counts.answered,
                "failed": counts.errors + (counts.unanswered if phase.outcome == "expired" else 0),
            },
            "usage": self.batches.when_over(batch, "usage", lambda: self._usage(batch)) if has_results(phase) else None,
            "metadata": batch.parameters["metadata"],
        }

    def _result_files(self, batch: Batch, phase: Phase) -> tuple[str | None, str | None]:
        """Ids of the files of answers and of errors, as far as those have a line."""

        def names() -> tuple[str | None, str | None]:
            has_output, has_errors = any(self._output(batch)), any(self._errors(batch))
            return _OUTPUT + batch.id if has_output else None, _ERRORS + batch.id if has_errors else None

        return self.batches.when_over(batch, "files", names) if has_results(phase) else (None, None)

    def _problems(self, batch: Batch) -> dict[str, Any]:
        code, text = self.batches.problem(batch)
        return {
            "object": "list",
            "data": [{"code": code or "server_error", "message": text, "param": None, "line": None}],
        }

    def _usage(self, batch: Batch) -> dict[str, Any]:
        spent = tokens(self.batches, batch)
        return {
            "input_tokens": spent.input,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": spent.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": spent.total,
        }

    def _output(self, batch: Batch) -> Iterator[dict[str, Any]]:
        is_response = str(batch.parameters["endpoint"]).endswith(_RESPONSES)
        return output_lines(self.batches, batch, answers.response if is_response else answers.chat_completion)

    def _errors(self, batch: Batch) -> Iterator[dict[str, Any]]:
        yield from error_lines(self.batches, batch, self.error(400, "invalid_value", "scripted"))
        if self.batches.phase(batch).outcome == "expired":
            yield from unanswered_lines(self.batches, batch, {"code": "batch_expired", "message": _EXPIRED})

    def _shown_file(self, file: StoredFile) -> dict[str, Any]:
        return {
            "id": file.id,
            "object": "file",
            "bytes": len(file.content),
            "created_at": int(file.created_at),
            "filename": file.name,
            "purpose": file.purpose,
            "status": "processed",
            "expires_at": None,
            "status_details": None,
        }


def has_results(phase: Phase) -> bool:
    """Whether a batch is over, and did not fail."""
    return phase.outcome not in (None, "failed")


class Groq(OpenAi):
    """OpenAI's API at another address."""

    base_path = "/openai/v1"


class AzureOpenAi(OpenAi):
    """OpenAI's API at another address, with the key in a header of its own, or a token of Entra ID."""

    base_path = "/openai/v1"

    def credentials(self, request: web.Request) -> str | None:
        return request.headers.get("api-key") or super().credentials(request)
