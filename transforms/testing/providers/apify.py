"""Apify's Actor runs: scrapers that put records into a dataset.

    POST acts/{actor}/runs ──▶ GET actor-runs[/id], with a long poll ──▶ GET datasets/{defaultDatasetId}/items

A result is the input itself. A run that failed, timed out or was aborted keeps what its dataset has. Lists have the
oldest run first, unless `desc=1`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from transforms.testing.providers.batches import Batch, Fate, Phase
from transforms.testing.providers.bright_data import inputs
from transforms.testing.providers.dialect import (
    Dialect,
    RefusedRequestError,
    Route,
    json_body,
    lines_response,
    number,
    rfc3339,
)
from transforms.testing.providers.script import ExistingBatch

_WORDS = {"complete": "SUCCEEDED", "failed": "FAILED", "expired": "TIMED-OUT", "cancelled": "ABORTED"}
_MAX_WAIT_S = 60
_POLL_S = 0.02
_MAX_PAGE = 1_000
_UNBOUNDED = 10**9
_TRUE = ("1", "true")
_DATASET = "dataset-"


class Apify(Dialect):
    """See the module."""

    states = ("READY", "RUNNING")
    cancelling = "ABORTING"
    keeps_failed = True

    def routes(self) -> Iterable[Route]:
        return (
            Route("create", "POST", "/v2/acts/{actor}/runs", self._run),
            Route("list", "GET", "/v2/acts/{actor}/runs", self._list),
            Route("list", "GET", "/v2/actor-runs", self._list),
            Route("get", "GET", "/v2/actor-runs/{id}", self._get),
            Route("download", "GET", "/v2/datasets/{dataset}/items", self._items),
            Route("cancel", "POST", "/v2/actor-runs/{id}/abort", self._abort),
        )

    def error(self, status: int, code: str, text: str) -> Any:
        kinds = {401: "user-or-token-not-found", 404: "record-not-found", 429: "rate-limit-exceeded"}
        return {"error": {"type": code or kinds.get(status, "invalid-request"), "message": text}}

    def credentials(self, request: web.Request) -> str | None:
        return super().credentials(request) or request.query.get("token")

    def word(self, phase: Phase) -> str:
        return phase.state or _WORDS.get(phase.outcome or "", "TIMED-OUT")

    def add_existing(self, existing: ExistingBatch) -> None:
        parameters = {"actor": "scripted", **existing.parameters}
        self.batches.add_existing(existing.id, inputs(existing.requests), None, parameters, existing.age_s)

    async def _run(self, request: web.Request) -> web.Response:
        asked = await json_body(request)
        arrays = [asked] if isinstance(asked, list) else [each for each in asked.values() if isinstance(each, list)]
        records = arrays[0] if arrays else [asked]
        if not all(isinstance(each, dict) for each in records):
            raise RefusedRequestError(400, "the input must be an array of objects, or an object that has one")
        parameters = {"actor": request.match_info["actor"]}
        batch = self.batches.create(str, inputs(records), None, parameters)
        await self._wait(request, batch)
        return web.json_response({"data": self._shown(batch)}, status=201)

    async def _list(self, request: web.Request) -> web.Response:
        actor, status = request.match_info.get("actor"), request.query.get("status")
        offset = number(request, "offset", 0, 0, _UNBOUNDED)
        limit = number(request, "limit", _MAX_PAGE, 1, _MAX_PAGE)
        is_descending = request.query.get("desc", "") in _TRUE
        found = [
            batch
            for batch in self.batches.listed()
            if actor in (None, batch.parameters["actor"]) and (not status or self.state(batch) in status.split(","))
        ]
        items = [self._shown(batch) for batch in (found if is_descending else found[::-1])][offset : offset + limit]
        numbers = {"total": len(found), "offset": offset, "limit": limit, "desc": is_descending, "count": len(items)}
        return web.json_response({"data": {**numbers, "items": items}})

    async def _get(self, request: web.Request) -> web.Response:
        batch = self.found(request)
        await self._wait(request, batch)
        return web.json_response({"data": self._shown(batch)})

    async def _items(self, request: web.Request) -> web.Response:
        batch = self.batches.find(request.match_info["dataset"].removeprefix(_DATASET))
        if batch is None:
            raise RefusedRequestError(404, "Dataset was not found")
        records = self._records(batch)
        offset = number(request, "offset", 0, 0, _UNBOUNDED)
        limit = number(request, "limit", _UNBOUNDED, 1, _UNBOUNDED)
        items = records[offset : offset + limit]
        batch.n_downloads += 1
        form = request.query.get("format", "json")
        if form == "jsonl":
            answered = lines_response(items)
        elif form == "json":
            answered = web.Response(body=json.dumps(items).encode(), content_type="application/json")
        else:
            raise RefusedRequestError(400, f"format must be json or jsonl here, got {form}")
        numbers = {"Total": len(records), "Offset": offset, "Limit": limit, "Count": len(items)}
        answered.headers.update({f"X-Apify-Pagination-{name}": str(value) for name, value in numbers.items()})
        return answered

    async def _abort(self, request: web.Request) -> web.Response:
        batch = self.found(request)
        self.batches.cancel(batch)
        return web.json_response({"data": self._shown(batch)})

    async def _wait(self, request: web.Request, batch: Batch) -> None:
        """Until the run is over, as long as the query's `waitForFinish` says."""
        wait_s = number(request, "waitForFinish", 0, 0, _MAX_WAIT_S)
        until = asyncio.get_running_loop().time() + wait_s
        while self.batches.phase(batch).outcome is None and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_POLL_S)

    def _shown(self, batch: Batch) -> dict[str, Any]:
        phase = self.batches.phase(batch)
        is_failed = phase.outcome == "failed"
        return {
            "id": batch.id,
            "actId": batch.parameters["actor"],
            "userId": "scripted",
            "startedAt": rfc3339(batch.created_at),
            "finishedAt": rfc3339(phase.ended_at) if phase.ended_at is not None else None,
            "status": self.word(phase),
            "statusMessage": self.batches.problem(batch)[1] if is_failed else None,
            "meta": {"origin": "API"},
            "stats": {"runTimeSecs": max(0.0, (phase.ended_at or self.batches.now()) - batch.created_at)},
            "options": {"build": "latest", "timeoutSecs": 300, "memoryMbytes": 1024, "diskMbytes": 2048},
            "buildId": "scripted",
            "exitCode": int(is_failed) if phase.outcome is not None else None,
            "defaultKeyValueStoreId": f"store-{batch.id}",
            "defaultDatasetId": _DATASET + batch.id,
            "defaultRequestQueueId": f"queue-{batch.id}",
            "usageTotalUsd": 0.0,
        }

    def _records(self, batch: Batch) -> list[dict[str, Any]]:
        """What the dataset has by now."""
        if self.batches.phase(batch).outcome is None:
            return [dict(each.line) for each in batch.requests[: self.batches.counts(batch).answered]]
        records = []
        for request, fate in self.batches.fates(batch):
            if fate is Fate.ANSWERED:
                records.append(dict(request.line))
            elif fate is Fate.ERROR:
                records.append({"#error": True, "input": request.line})
        return records
