"""The server: a provider's API on a loopback port, and beside it what only a test may ask.

    client ──HTTP──▶ journal ──▶ script ──▶ key ──▶ dialect ──▶ batches, chats
    test   ──HTTP──▶ /_scripted/batches, /_scripted/requests, /_scripted/calls, /_scripted/script

Guarantee: the same requests at the same times have the same answers but for ids. It keeps everything in memory.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from transforms.testing.own_process import CONTROL
from transforms.testing.providers.batches import Batch, Batches
from transforms.testing.providers.chats import Chats
from transforms.testing.providers.control import CUT, ProviderBatch, ProviderRequest
from transforms.testing.providers.dialect import Dialect, RefusedRequestError, Route, json_body
from transforms.testing.providers.dialects import dialect_of
from transforms.testing.providers.effects import SIGNED_PATH, Effects
from transforms.testing.providers.script import CHAT, parse_script

LOOPBACK = "127.0.0.1"

_MAX_BODY_BYTES = 2**31


class ProviderServer:
    """Answers for one provider. `start` begins, `stop` ends.

    Args:
      provider: one of PROVIDERS.
      now: seconds since 1970.
    """

    def __init__(self, provider: str, now: Callable[[], float] = time.time):
        dialect_class = dialect_of(provider)
        self._batches = Batches(now, dialect_class.states, dialect_class.cancelling, dialect_class.keeps_failed)
        self._dialect: Dialect = dialect_class(self._batches)
        self._effects = Effects(self._dialect)
        form = self._dialect.chat
        self._chats = form and Chats(self._dialect, form, lambda: self._batches.script, now)
        self._journal: list[ProviderRequest] = []
        self._data: dict[str, Any] = {}
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)

    def script(self, data: Mapping[str, Any]) -> None:
        """Follows a script from now on; parts that it does not have stay as they are. Raises ValueError."""
        script = parse_script({**self._data, **data})
        for each in script.existing if "existing" in data else ():
            self._dialect.add_existing(each)
        if "endpoints" in data:
            self._effects.replace(script.endpoints)
        self._data.update(data)
        self._batches.script = script

    async def start(self, port: int = 0) -> str:
        """Listens on the loopback interface; returns the address that the provider's own base URL is replaced by."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, port)
        await site.start()
        bound = self._runner.addresses[0][1]
        return f"http://{LOOPBACK}:{bound}{self._dialect.base_path}"

    async def stop(self) -> None:
        """Ends, whoever is still being answered."""
        await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_get(f"{CONTROL}/batches", self._show_batches)
        app.router.add_get(f"{CONTROL}/requests", self._show_requests)
        app.router.add_get(f"{CONTROL}/calls", self._show_calls)
        app.router.add_put(f"{CONTROL}/script", self._set_script)
        routes = [*self._dialect.routes()]
        if self._chats and self._dialect.chat:
            routes.append(Route(CHAT, "POST", self._dialect.base_path + self._dialect.chat.path, self._chats.answer))
        for route in routes:
            app.router.add_route(route.method, route.path, self._answering(route))
        app.router.add_get(SIGNED_PATH, self._answering(Route("signed", "GET", SIGNED_PATH, self._signed)))
        app.router.add_route("*", "/{path:.*}", self._answering(Route("unknown", "*", "", self._unknown)))
        return app

    def _answering(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            came = ProviderRequest(
                request.method,
                str(request.rel_url),
                route.endpoint,
                self._batches.now(),
                CUT,
                self._dialect.credentials(request) is not None,
            )
            place = len(self._journal)
            self._journal.append(came)
            answered = await self._effects.apply(route.endpoint, request, lambda: self._own(route, request))
            if request.transport is not None and not request.transport.is_closing():
                self._journal[place] = came._replace(status=answered.status)
            return answered

        return answer

    async def _own(self, route: Route, request: web.Request) -> web.StreamResponse:
        try:
            if route.endpoint != "signed" and self._dialect.needs_key(request):
                self._check_key(request)
            return await route.handle(request)
        except RefusedRequestError as refused:
            body = self._dialect.error(refused.status, refused.code, refused.text)
            return web.json_response(body, status=refused.status)

    def _check_key(self, request: web.Request) -> None:
        given = self._dialect.credentials(request)
        if not given or given != (self._batches.script.api_key or given):
            raise RefusedRequestError(401, "the key is wrong or missing")

    async def _signed(self, request: web.Request) -> web.Response:
        if self._dialect.credentials(request) is not None:
            raise RefusedRequestError(400, "a signed link is not asked for with credentials")
        found = self._effects.signed(request.match_info["token"])
        if found is None:
            raise RefusedRequestError(403, "the signature is wrong")
        return found

    async def _unknown(self, request: web.Request) -> web.Response:
        raise RefusedRequestError(404, f"nothing at {request.method} {request.path}")

    async def _show_batches(self, request: web.Request) -> web.Response:
        n_triggers = Counter(map(_content, self._batches))
        seen = (self._truth(batch, n_triggers[_content(batch)]) for batch in self._batches)
        return web.json_response([each._asdict() for each in seen])

    async def _show_requests(self, request: web.Request) -> web.Response:
        return web.json_response([each._asdict() for each in self._journal])

    async def _show_calls(self, request: web.Request) -> web.Response:
        return web.json_response([each._asdict() for each in (self._chats.calls if self._chats else ())])

    async def _set_script(self, request: web.Request) -> web.Response:
        try:
            self.script(await json_body(request))
        except (RefusedRequestError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({})

    def _truth(self, batch: Batch, n_triggers: int) -> ProviderBatch:
        return ProviderBatch(
            batch.ordinal,
            batch.id,
            batch.key,
            batch.parameters,
            [each.custom_id for each in batch.requests],
            batch.created_at,
            self._dialect.state(batch),
            self._batches.phase(batch).outcome,
            n_triggers,
            batch.n_downloads,
        )


def _content(batch: Batch) -> tuple[str, ...]:
    """What two batches have in common if the second is the first once more."""
    return (batch.key,) if batch.key else tuple(str(each.line) for each in batch.requests)
