"""The server: an account's HTTP API on a loopback port, and beside it what only a test may ask.

    client ──HTTP──▶ journal ──▶ script ──▶ key ──▶ budget ──▶ Account
    test   ──HTTP──▶ /_scripted/script, /requests, /split, /garble, /items

It keeps everything in memory and answers one request after the other.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from transforms.testing.cosmos.account import Account, Request
from transforms.testing.cosmos.answers import CHARGE, Answer, RefusedError
from transforms.testing.cosmos.authorization import check_authorized
from transforms.testing.cosmos.control import LOST_STATUS, CosmosRequest
from transforms.testing.cosmos.effects import Effects
from transforms.testing.cosmos.items import check_item
from transforms.testing.cosmos.script import Script, parse_script
from transforms.testing.own_process import CONTROL

LOOPBACK = "127.0.0.1"

_MAX_BODY_BYTES = 2**31
_MAX_JOURNAL = 100_000


class CosmosServer:
    """Answers for one account. `start` begins, `stop` ends."""

    def __init__(self) -> None:
        self._script, self._data = Script(), {}  # type: Script, dict[str, Any]
        self._effects = Effects(self._script, time.monotonic)
        self._account = Account(lambda: self._script, lambda: time.time() + self._script.clock_offset_s)
        self._journal: deque[CosmosRequest] = deque(maxlen=_MAX_JOURNAL)
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)
        self._url = ""

    def script(self, data: Mapping[str, Any]) -> None:
        """Follows a script from now on; parts that it does not have stay as they are. Raises ValueError."""
        self._script = parse_script({**self._data, **data})
        self._data.update(data)
        self._effects.replace(self._script)

    async def start(self, port: int = 0) -> str:
        """Listens on the loopback interface; returns the account's endpoint."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, port)
        await site.start()
        self._url = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}/"
        return self._url

    async def stop(self) -> None:
        """Ends, whoever is still being answered."""
        await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_put(f"{CONTROL}/script", self._controlled(self.script))
        app.router.add_get(f"{CONTROL}/requests", self._show_requests)
        app.router.add_post(f"{CONTROL}/split", self._controlled(self._split))
        app.router.add_post(f"{CONTROL}/garble", self._controlled(self._garble))
        app.router.add_post(f"{CONTROL}/items", self._controlled(self._put_items))
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, came: web.Request) -> web.StreamResponse:
        path = [unquote(each) for each in came.raw_path.partition("?")[0].strip("/").split("/") if each]
        headers = {name.lower(): value for name, value in came.headers.items()}
        request = Request(came.method, path, headers, await came.read())
        container = path[3] if len(path) > 3 else None
        rule = self._effects.rule(request.operation, container)
        if rule is not None:
            await asyncio.sleep(rule.delay_s)
        if rule is not None and rule.lost == "before":
            return self._lose(came, request)
        if rule is not None and rule.status is not None:
            refused = RefusedError(rule.status, "The script says so", rule.sub_status, rule.retry_after_ms)
            answer = refused.answer()
        else:
            answer = self._own(request)
        if rule is not None and rule.lost == "after":
            return self._lose(came, request)
        self._note(request, answer.status, answer.charge)
        content = {"content-type": "application/json"} if answer.body else {}
        return web.Response(
            status=answer.status, body=answer.body, headers={**content, **answer.headers, CHARGE: str(answer.charge)}
        )

    def _own(self, request: Request) -> Answer:
        try:
            check_authorized(request, self._script.key)
            self._effects.check_budget(request.headers.get("x-ms-cosmos-priority-level", "").lower() == "low")
            answer = self._account.answer(request, self._url)
        except RefusedError as refused:
            answer = refused.answer()
        self._effects.spend(answer.charge)
        return answer

    def _lose(self, came: web.Request, request: Request) -> web.Response:
        self._note(request, LOST_STATUS, 0.0)
        if came.transport is not None:
            came.transport.abort()
        return web.Response(status=500)

    def _note(self, request: Request, status: int, charge: float) -> None:
        path, priority = "/".join(request.path), request.headers.get("x-ms-cosmos-priority-level")
        self._journal.append(CosmosRequest(request.operation, path, status, charge, priority))

    def _controlled(self, do: Callable[[dict[str, Any]], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(came: web.Request) -> web.Response:
            try:
                return web.json_response(do(await came.json()))
            except (KeyError, TypeError, ValueError, RefusedError) as error:
                return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

        return answer

    async def _show_requests(self, came: web.Request) -> web.Response:
        return web.json_response([each._asdict() for each in self._journal])

    def _split(self, body: dict[str, Any]) -> list[str]:
        container = self._account.container(body["database"], body["container"])
        return list(container.split(body.get("partition") or container.partitions[0].id))

    def _garble(self, body: dict[str, Any]) -> None:
        container = self._account.container(body["database"], body["container"])
        container.garble(body["key"], body["id"])

    def _put_items(self, body: dict[str, Any]) -> int:
        container = self._account.container(body["database"], body["container"])
        for item in body["items"]:
            container.put(check_item(item))
        return len(body["items"])
