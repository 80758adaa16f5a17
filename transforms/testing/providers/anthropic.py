"""Anthropic's message batches.

    POST messages/batches {requests: [{custom_id, params}]} ──▶ GET messages/batches[/id] ──▶ GET results_url

There is no name or metadata to find a batch by, every batch ends as `ended`, and its counts stay 0 until then. A batch
that a script has failed ends with an error for each request, because there is no other failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from transforms.testing.providers import answers
from transforms.testing.providers.batches import Batch, Fate, Phase, Request
from transforms.testing.providers.chat_forms import ChatForm, read_message, write_message
from transforms.testing.providers.dialect import (
    Dialect,
    RefusedRequestError,
    Route,
    following,
    json_body,
    lines_response,
    number,
    rfc3339,
)
from transforms.testing.providers.request_files import requests_of
from transforms.testing.providers.results import text_of
from transforms.testing.providers.script import ExistingBatch

_BATCHES = "/v1/messages/batches"
_WINDOW_S = 24 * 3600
_MAX_REQUESTS = 100_000
_MAX_PAGE = 1_000
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Anthropic(Dialect):
    """See the module."""

    states = ("in_progress",)
    chat = ChatForm(
        "/v1/messages",
        read_message,
        write_message,
        {"requests": "anthropic-ratelimit-requests-*", "tokens": "anthropic-ratelimit-tokens-*"},
        resets_at=True,
    )
    cancelling = "canceling"

    def routes(self) -> Iterable[Route]:
        return (
            Route("create", "POST", _BATCHES, self._create),
            Route("list", "GET", _BATCHES, self._list),
            Route("get", "GET", _BATCHES + "/{id}", self._get),
            Route("download", "GET", _BATCHES + "/{id}/results", self._results),
            Route("cancel", "POST", _BATCHES + "/{id}/cancel", self._cancel),
            Route("delete", "DELETE", _BATCHES + "/{id}", self._delete),
        )

    def error(self, status: int, code: str, text: str) -> Any:
        kind = code or _KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")
        return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_scripted"}

    def word(self, phase: Phase) -> str:
        return phase.state or "ended"

    def credentials(self, request: web.Request) -> str | None:
        return request.headers.get("x-api-key") or super().credentials(request)

    def add_existing(self, existing: ExistingBatch) -> None:
        requests = requests_of(existing.requests, "params")
        self.batches.add_existing(existing.id, requests, None, existing.parameters, existing.age_s)

    async def _create(self, request: web.Request) -> web.Response:
        if "anthropic-version" not in request.headers:
            raise RefusedRequestError(400, "anthropic-version: header is required")
        asked = await json_body(request)
        lines = asked.get("requests") or ()
        if not 0 < len(lines) <= _MAX_REQUESTS:
            raise RefusedRequestError(400, f"requests: there must be 1 to {_MAX_REQUESTS}, got {len(lines)}")
        for n, line in enumerate(lines):
            if not _CUSTOM_ID.fullmatch(str(line.get("custom_id"))):
                raise RefusedRequestError(
                    400, f"requests.{n}.custom_id: String should match pattern '^{_CUSTOM_ID.pattern}$'"
                )
            if "params" not in line:
                raise RefusedRequestError(400, f"requests.{n}.params: Field required")
        requests = requests_of(lines, "params")
        if len({each.custom_id for each in requests}) < len(requests):
            raise RefusedRequestError(400, "requests: custom_id must be unique")
        return web.json_response(self._shown(request, self.batches.create("msgbatch_{}".format, requests, None, {})))

    async def _list(self, request: web.Request) -> web.Response:
        limit, listed = number(request, "limit", 20, 1, _MAX_PAGE), self.batches.listed()
        query = request.query
        if "before_id" in query:
            newer = following(listed[::-1], lambda each: each.id == query["before_id"])
            page, has_more = newer[:limit][::-1], len(newer) > limit
        else:
            rest = following(listed, lambda each: each.id == query["after_id"]) if "after_id" in query else listed
            page, has_more = rest[:limit], len(rest) > limit
        data = [self._shown(request, batch) for batch in page]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return web.json_response({"data": data, "has_more": has_more, "first_id": first, "last_id": last})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._shown(request, self.found(request)))

    async def _results(self, request: web.Request) -> web.Response:
        batch = self.found(request)
        if self.batches.phase(batch).outcome is None:
            raise RefusedRequestError(404, f"Batch {batch.id} has no results yet.")
        batch.n_downloads += 1
        return lines_response(reversed(list(self._lines(batch))), "application/binary")

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self.found(request)
        self.batches.cancel(batch)
        return web.json_response(self._shown(request, batch))

    async def _delete(self, request: web.Request) -> web.Response:
        batch = self.found(request)
        if self.batches.phase(batch).outcome is None:
            raise RefusedRequestError(400, f"Batch {batch.id} cannot be deleted while it is processing.")
        self.batches.remove(batch.id)
        return web.json_response({"id": batch.id, "type": "message_batch_deleted"})

    def _shown(self, request: web.Request, batch: Batch) -> dict[str, Any]:
        phase = self.batches.phase(batch)
        is_over = phase.outcome is not None
        url = request.url.with_path(f"{_BATCHES}/{batch.id}/results").with_query(None)
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": self.word(phase),
            "request_counts": self.batches.when_over(batch, "request_counts", lambda: self._counts(batch)),
            "created_at": rfc3339(batch.created_at),
            "expires_at": rfc3339(batch.created_at + _WINDOW_S),
            "ended_at": rfc3339(phase.ended_at) if phase.ended_at is not None else None,
            "cancel_initiated_at": rfc3339(batch.cancelled_at) if batch.cancelled_at is not None else None,
            "archived_at": None,
            "results_url": str(url) if is_over else None,
        }

    def _counts(self, batch: Batch) -> dict[str, int]:
        counts = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        if self.batches.phase(batch).outcome is None:
            return {**counts, "processing": len(batch.requests)}
        for line in self._results_of(batch):
            counts[line["type"]] += 1
        return counts

    def _results_of(self, batch: Batch) -> Iterator[dict[str, Any]]:
        """What became of each request; one that has no line counts as succeeded."""
        outcome = self.batches.phase(batch).outcome
        for n, (request, fate) in enumerate(self.batches.fates(batch)):
            if fate in (Fate.ANSWERED, Fate.MISSING):
                text = text_of(self.batches, batch, request)
                yield {"type": "succeeded", "message": answers.message(n, request.body, text)}
            elif fate is Fate.ERROR:
                yield {"type": "errored", "error": self.error(400, "", "scripted")}
            elif outcome == "failed":
                yield {"type": "errored", "error": self.error(500, *self.batches.problem(batch))}
            else:
                yield {"type": "canceled" if outcome == "cancelled" else "expired"}

    def _lines(self, batch: Batch) -> Iterator[dict[str, Any]]:
        fates: Iterable[tuple[Request, Fate]] = self.batches.fates(batch)
        for (request, fate), result in zip(fates, self._results_of(batch), strict=True):
            if fate is not Fate.MISSING:
                yield {"custom_id": request.custom_id, "result": result}
