"""The status page over HTTP: GET only, nothing is ever changed.

/                       the recent jobs; ?state=…&name=… for some of them
/jobs/ID                a job
/events, /jobs/ID/events        what changes there, as server-sent events
/api/jobs, /api/jobs/ID         the published documents, as JSON
/static/FILE            style, script and libraries
/healthz                200, or 503 when a job is interrupted or the ledger out of reach; says no more than that
/metrics                OpenMetrics
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import html
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from aiohttp import web

from pipeline.present.page.assets import asset
from pipeline.present.page.metrics import CONTENT_TYPE, metrics
from pipeline.present.page.render import Rendered, page, render_job, render_jobs
from pipeline.present.page.updates import Known, as_json, changes
from pipeline.serve.access import COOKIE, SECURITY_HEADERS, host_is_allowed, token_is_right
from pipeline.serve.watch import State, Topic, Topics
from transforms.errors import UsageError

JOBS_TOPIC = ""  # no job has an empty id

_MAX_VIEWERS = 200
_KEPT_A_DAY = "public, max-age=86400, immutable"
_MAX_FILTER = 200
_RESTART_MS = 2_000
_OK, _FORBIDDEN, _UNAUTHORIZED, _NOT_FOUND, _NOT_ALLOWED, _UNAVAILABLE = 200, 403, 401, 404, 405, 503

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Pages:
    """The answers.

    Attributes:
      topics: what people look at.
      host: that the server listens on.
      token: that everybody must have; empty for none.
    """

    topics: Topics
    host: str
    token: str = ""
    viewers: int = 0

    def app(self) -> web.Application:
        """The application."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._page)
        app.router.add_get("/events", self._events)
        app.router.add_get("/api/jobs", self._document)
        app.router.add_get("/api/jobs/{job_id}", self._document)
        app.router.add_get("/jobs/{job_id}", self._page)
        app.router.add_get("/jobs/{job_id}/events", self._events)
        app.router.add_get("/static/{name}", self._static)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.on_response_prepare.append(_secure)
        app.on_shutdown.append(self._close)
        return app

    async def _close(self, app: web.Application) -> None:
        await self.topics.close()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not host_is_allowed(request.headers.get("Host"), self.host):
            return _text(_FORBIDDEN, "This server answers to names of this computer only, such as localhost.")
        if request.method not in ("GET", "HEAD"):
            return _text(_NOT_ALLOWED, "There is nothing here to change: GET only.", Allow="GET, HEAD")
        if self.token and request.path != "/healthz":
            given = request.query.get("token")
            if given is not None and token_is_right(self.token, given, None):
                return self._with_cookie(request)
            if not token_is_right(self.token, request.cookies.get(COOKIE), request.headers.get("Authorization")):
                return _text(_UNAUTHORIZED, "Open the address with ?token=… that `firebeam serve` printed.")
        try:
            return await handler(request)
        except UsageError as error:
            return _text(_NOT_FOUND, str(error))
        except web.HTTPNotFound:
            return _text(_NOT_FOUND, "There is no such page; / has the jobs.")

    def _with_cookie(self, request: web.Request) -> web.StreamResponse:
        """Keeps the token in a cookie and goes on without it in the address, where others would see it.

        By a page and not by a redirection: to a browser that comes from another site, one would be that site's request,
        without cookie.
        """
        query = [(name, value) for name, value in request.query.items() if name != "token"]
        to = html.escape(request.path + (f"?{urlencode(query)}" if query else ""), quote=True)
        text = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Firebeam</title>'
            f'<meta http-equiv="refresh" content="0; url={to}"><p><a href="{to}">Continue</a></p></html>'
        )
        response = web.Response(text=text, content_type="text/html")
        response.set_cookie(COOKIE, self.token, path="/", httponly=True, samesite="Strict", secure=request.secure)
        return response

    async def _page(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info.get("job_id", JOBS_TOPIC)
        state = await self._fresh(path)
        if state.document is None:
            return _text(_UNAVAILABLE, state.trouble)
        rendered = await asyncio.to_thread(self._renderer(request), state.document)
        events = f"/jobs/{quote(path, safe='')}/events" if path else "/events"
        query = _filter(request)
        events_url = f"{events}?{urlencode(query)}" if query else events
        body = page(rendered, events_url=events_url, version=Known.of(rendered).version)
        return web.Response(text=body, content_type="text/html")

    async def _document(self, request: web.Request) -> web.StreamResponse:
        state = await self._fresh(request.match_info.get("job_id", JOBS_TOPIC))
        if state.document is None:
            return _text(_UNAVAILABLE, state.trouble)
        return web.json_response(state.document, dumps=as_json)

    async def _fresh(self, name: str) -> State:
        try:
            return await self._topic(name).fresh()
        except UsageError:
            self.topics.forget(name)
            raise

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self.viewers >= _MAX_VIEWERS:
            return _text(_UNAVAILABLE, f"{_MAX_VIEWERS} pages are open already.")
        name = request.match_info.get("job_id", JOBS_TOPIC)
        state, topic, render = await self._fresh(name), self._topic(name), self._renderer(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        await response.write(f"retry: {_RESTART_MS}\n\n".encode())
        known, version = Known(), request.query.get("version")
        self.viewers += 1
        try:
            while True:
                change: dict[str, object] = {}
                if state.document is not None:
                    rendered = await asyncio.to_thread(render, state.document)
                    if version is not None and version == (now := Known.of(rendered)).version:
                        known = now
                    version = None
                    change, known = changes(known, rendered)
                at = datetime.datetime.now(datetime.timezone.utc).isoformat()
                await response.write(_event({**change, "at": at, "trouble": state.trouble}))
                state = await topic.newer(state.number)
        except ConnectionResetError:  # who looked has left
            return response
        finally:
            self.viewers -= 1

    async def _static(self, request: web.Request) -> web.StreamResponse:
        found = asset(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        headers = {"Content-Type": found.content_type, "Cache-Control": _KEPT_A_DAY}
        response = web.Response(body=found.body, headers=headers)
        response.enable_compression()
        return response

    async def _health(self, request: web.Request) -> web.StreamResponse:
        state = await self._fresh(JOBS_TOPIC)
        if state.document is None or state.trouble:
            return _text(_UNAVAILABLE, "the ledger is out of reach")
        if any(each["state"] == "interrupted" for each in state.document["jobs"]):
            return _text(_UNAVAILABLE, "a job is interrupted")
        return _text(_OK, "ok")

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        state = await self._fresh(JOBS_TOPIC)
        if state.document is None or state.trouble:
            return _text(_UNAVAILABLE, state.trouble)
        return web.Response(body=metrics(state.document), headers={"Content-Type": CONTENT_TYPE})

    def _topic(self, name: str) -> Topic:
        return self.topics.of(name)

    def _renderer(self, request: web.Request) -> Callable[..., Rendered]:
        if "job_id" in request.match_info:
            return render_job
        chosen = _filter(request)
        return functools.partial(render_jobs, state=chosen.get("state", ""), name=chosen.get("name", ""))


async def _secure(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        if name != "Cache-Control" or name not in response.headers:
            response.headers[name] = value


def _filter(request: web.Request) -> dict[str, str]:
    found = {name: request.query.get(name, "")[:_MAX_FILTER] for name in ("state", "name")}
    return {name: value for name, value in found.items() if value}


def _event(change: object) -> bytes:
    return f"event: update\ndata: {as_json(change)}\n\n".encode()


def _text(status: int, text: str, **headers: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers=headers)
