"""A provider's host for one test, in the test's own event loop: every request is kept, and a function answers it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from pipeline.providers import read_provider
from tests.support.clocks import no_waiting
from transforms.providers.api import HttpBatchApi
from transforms.providers.load import load_description
from transforms.retry import Retry
from transforms.secrets import parse_secret

KEY = "sk-never-shown-0123456789"
# A description of the tests' own.
ACME = """\
name: acme
base_url: https://api.acme.example
variables: {kind: fast, team: }
auth: {header: Authorization, value: "Bearer {secret}", secret: "env:ACME_API_KEY"}
create: {request: "POST /jobs?team={team}", body: {items: "{requests}", kind: "{kind}"}, id: job_id}
list: {request: "GET /jobs?page={page}", items: jobs, page_size: 100}
get: GET /jobs/{id}
batch:
  id: job_id
  created_at: created
  state: status
  states: {ready: [done], failed: [failed]}
  results: "[job_id]"
results: GET /jobs/{result}/rows
limits: {max_requests: 10000, max_bytes: 100000000, max_running: 10}
"""

Answer = Callable[["Asked"], Awaitable[web.StreamResponse] | web.StreamResponse]


@dataclass(frozen=True)
class Asked:
    """A request as the host saw it."""

    method: str
    path: str  # with its query
    headers: dict[str, str]
    body: bytes
    request: web.Request = field(compare=False, repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Host:
    """A host that listens."""

    def __init__(self, url: str, asked: list[Asked]):
        self.url, self.asked = url, asked

    @property
    def lines(self) -> list[str]:
        return [str(each) for each in self.asked]


@asynccontextmanager
async def host(answer: Answer) -> AsyncIterator[Host]:
    """Listens on a free port of this computer."""
    asked: list[Asked] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked.append(Asked(request.method, request.raw_path, dict(request.headers), body, request))
        answered = answer(asked[-1])
        return answered if isinstance(answered, web.StreamResponse) else await answered

    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield Host(f"http://127.0.0.1:{port}", asked)
    finally:
        await runner.cleanup()


def in_turn(*answers: Any) -> Answer:
    """Gives one answer after another: a response, a JSON value, a status, or a function of the request."""
    pending = iter(answers)

    def answer(asked: Asked) -> Awaitable[web.StreamResponse] | web.StreamResponse:
        return response_of(next(pending), asked)

    return answer


def response_of(what: Any, asked: Asked) -> Awaitable[web.StreamResponse] | web.StreamResponse:
    """What an answer of `in_turn` stands for."""
    if callable(what):
        return response_of(what(asked), asked)
    if isinstance(what, web.StreamResponse) or asyncio.iscoroutine(what):
        return what
    if isinstance(what, int):
        return web.json_response({"error": {"message": f"status {what}"}}, status=what)
    return web.json_response(what)


def described(name: str, url: str, *, creates: bool = True, base: str = "", **variables: str) -> Any:
    """A shipped description, at another address."""
    return read_provider(name).with_variables({"base_url": f"{url}{base}", **variables}, creates=creates)


def api_of(description: Any, *, slept: list[float] | None = None, max_attempts: int = 3) -> HttpBatchApi:
    """An api with a key, by whose clock nothing waits."""
    retry = Retry(max_attempts=max_attempts, clock=no_waiting(slept=slept))
    return HttpBatchApi(description, parse_secret("env:TEST_PROVIDER_KEY", "--api_key"), retry)


def loaded(text: str, url: str = "", **variables: str) -> Any:
    """A description of the test's own."""
    given = {"base_url": url, **variables} if url else variables
    return load_description(text, "acme.yaml").with_variables(given, creates=True)


def refused(status: int, code: str = "", text: str = "", **headers: str) -> web.Response:
    """An answer as OpenAI refuses."""
    return web.json_response({"error": {"code": code, "message": text}}, status=status, headers=headers)


async def cut(asked: Asked, content: bytes, claimed: int) -> web.StreamResponse:
    """An answer that ends before it has as many bytes as it says."""
    response = web.StreamResponse(headers={"Content-Length": str(claimed)})
    await response.prepare(asked.request)
    await response.write(content)
    assert asked.request.transport is not None
    asked.request.transport.close()
    return response


async def hang_up(asked: Asked) -> web.StreamResponse:
    """No answer at all."""
    assert asked.request.transport is not None
    asked.request.transport.close()
    return web.Response()


async def respond_file(asked: Asked, content: bytes) -> web.StreamResponse:
    """An answer that ends with the connection, without saying how long it is."""
    transport = asked.request.transport
    assert transport is not None
    transport.write(b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n" + content)  # type: ignore[attr-defined]
    transport.close()
    return web.Response()
