"""Bright Data's datasets API: scrapers that collect a record for each input.

    POST trigger?dataset_id=… [input, …] ──▶ GET snapshots?dataset_id=… or progress/{id} ──▶ GET snapshot/{id}

A result is the input itself. An input in error has a line that says so, because that is what `include_errors` asks for.
Results that are asked for too early are answered with 202 and the advice to try again.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web

from transforms.testing.providers.batches import Batch, Fate, Phase, Request
from transforms.testing.providers.dialect import (
    Dialect,
    RefusedRequestError,
    Route,
    json_body,
    lines_response,
    number,
    rfc3339,
    without_nones,
)
from transforms.testing.providers.script import ExistingBatch

_V3 = "/datasets/v3"
_MAX_PAGE = 5_000
_MIN_PART = 1_000
_UNBOUNDED = 10**9
_WORDS = {"complete": "ready", "failed": "failed", "cancelled": "cancelled"}
# The list knows fewer words than the progress of a snapshot.
_LISTED = {"starting": "starting", "ready": "ready", "failed": "failed", "cancelled": "cancelled"}


class BrightData(Dialect):
    """See the module."""

    states = ("starting", "running", "collecting", "digesting", "building")
    cancelling = "running"

    def routes(self) -> Iterable[Route]:
        return (
            Route("create", "POST", f"{_V3}/trigger", self._trigger),
            Route("list", "GET", f"{_V3}/snapshots", self._list),
            Route("get", "GET", _V3 + "/progress/{id}", self._progress),
            Route("download", "GET", _V3 + "/snapshot/{id}", self._snapshot),
            Route("parts", "GET", _V3 + "/snapshot/{id}/parts", self._parts),
            Route("cancel", "POST", _V3 + "/snapshot/{id}/cancel", self._cancel),
        )

    def error(self, status: int, code: str, text: str) -> Any:
        if status == 202:
            return {"status": code or "building", "message": "Snapshot is building, try again in 10s"}
        return {"error": text, **({"code": code} if code else {})}

    def word(self, phase: Phase) -> str:
        return phase.state or _WORDS.get(phase.outcome or "", "ready")

    def add_existing(self, existing: ExistingBatch) -> None:
        parameters = {"dataset_id": "gd_scripted", **existing.parameters}
        self.batches.add_existing(existing.id, inputs(existing.requests), None, parameters, existing.age_s)

    async def _trigger(self, request: web.Request) -> web.Response:
        if not request.query.get("dataset_id"):
            raise RefusedRequestError(400, "dataset missing")
        asked = await json_body(request)
        records = asked if isinstance(asked, list) else asked.get("input")
        if not records or not all(isinstance(each, dict) for each in records):
            raise RefusedRequestError(400, "No data to trigger")
        batch = self.batches.create("s_{}".format, inputs(records), None, dict(request.query))
        return web.json_response({"snapshot_id": batch.id})

    async def _list(self, request: web.Request) -> web.Response:
        dataset_id, status = request.query.get("dataset_id"), request.query.get("status")
        if not dataset_id:
            raise RefusedRequestError(400, "dataset_id is missing")
        skip = number(request, "skip", 0, 0, _UNBOUNDED)
        limit = number(request, "limit", 1_000, 1, _MAX_PAGE)
        shown = [
            self._listed(batch)
            for batch in self.batches.listed()
            if batch.parameters["dataset_id"] == dataset_id and _is_between(request, batch.created_at)
        ]
        return web.json_response([each for each in shown if status in (None, each["status"])][skip : skip + limit])

    async def _progress(self, request: web.Request) -> web.Response:
        batch = self.found(request)
        state, script = self.state(batch), self.batches.scripted(batch)
        shown = {"snapshot_id": batch.id, "dataset_id": batch.parameters["dataset_id"], "status": state}
        if state == "ready":
            records = self._records(batch)
            shown |= {"records": len(records), "errors": sum("error" in each for each in records)}
            shown["collection_duration"] = int(1000 * (script.ready_s or 0))
        if state == "failed":
            code, text = self.batches.problem(batch)
            shown |= {"error_message": text, **({"error_code": code} if code else {})}
        return web.json_response(shown)

    async def _snapshot(self, request: web.Request) -> web.Response:
        batch = self.found(request)
        phase = self.batches.phase(batch)
        state = self.word(phase)
        if phase.outcome is None:
            told = {"status": state, "message": "Snapshot is not ready yet, try again in 10s"}
            return web.json_response(told, status=202)
        if state != "ready":
            raise RefusedRequestError(400, f"Snapshot {state}")
        records: Sequence[Mapping[str, Any]] = self._records(batch)
        if "part" in request.query:
            size = number(request, "batch_size", _MIN_PART, _MIN_PART, _UNBOUNDED)
            part = number(request, "part", 1, 1, _UNBOUNDED)
            records = records[(part - 1) * size : part * size]
        if not records:
            raise RefusedRequestError(400, "Snapshot is empty")
        batch.n_downloads += 1
        form = request.query.get("format", "json")
        if form == "json":
            return web.Response(body=json.dumps(records).encode(), content_type="application/json")
        if form in ("jsonl", "ndjson"):
            return lines_response(records)
        raise RefusedRequestError(400, f"format must be json, ndjson or jsonl here, got {form}")

    async def _parts(self, request: web.Request) -> web.Response:
        size = number(request, "batch_size", _MIN_PART, _MIN_PART, _UNBOUNDED)
        batch = self.found(request)
        if self.state(batch) != "ready":
            raise RefusedRequestError(400, "Snapshot is not ready")
        return web.json_response({"parts": math.ceil(len(self._records(batch)) / size)})

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self.found(request)
        if not self.batches.cancel(batch):
            raise RefusedRequestError(400, "Snapshot is not running")
        return web.Response(text="OK")

    def _listed(self, batch: Batch) -> dict[str, Any]:
        state = self.state(batch)
        is_ready = state == "ready"
        return without_nones(
            {
                "id": batch.id,
                "created": rfc3339(batch.created_at),
                "status": _LISTED.get(state, "running"),
                "dataset_id": batch.parameters["dataset_id"],
                "dataset_size": len(self._records(batch)) if is_ready else None,
            }
        )

    def _records(self, batch: Batch) -> list[dict[str, Any]]:
        """All results, the last one first."""
        return self.batches.when_over(batch, "records", lambda: _results(self.batches.fates(batch)))


def inputs(records: Iterable[Mapping[str, Any]]) -> list[Request]:
    """Requests as a scraper takes them: an input is known by its `custom_id`, `url` or `id`, or else by its place.

    >>> [request.custom_id for request in inputs([{"url": "https://a.example"}, {"name": "b"}])]
    ['https://a.example', '1']
    """
    names = ("custom_id", "url", "id")
    return [
        Request(str(next((each[name] for name in names if name in each), n)), each, each)
        for n, each in enumerate(records)
    ]


def _results(fates: Sequence[tuple[Request, Fate]]) -> list[dict[str, Any]]:
    records = []
    for request, fate in reversed(fates):
        if fate is Fate.ANSWERED:
            records.append(dict(request.line))
        elif fate is Fate.ERROR:
            records.append({"input": request.line, "error": "Crawl failed", "error_code": "crawl_failed"})
    return records


def _is_between(request: web.Request, created_at: float) -> bool:
    """Whether a time is after `from_date` and before `to_date` of the query."""
    bounds = {name: _seconds(request.query[name]) for name in ("from_date", "to_date") if name in request.query}
    return bounds.get("from_date", created_at) <= created_at <= bounds.get("to_date", created_at)


def _seconds(date: str) -> float:
    try:
        time = datetime.datetime.fromisoformat(date.replace("Z", "+00:00"))
    except ValueError:
        raise RefusedRequestError(400, f"{date} is not a date") from None
    return (time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)).timestamp()
