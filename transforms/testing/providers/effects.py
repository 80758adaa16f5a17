"""What happens to a request in place of, or beside, answering it, as a script's entries for endpoints say.

request ──▶ the first entry for its endpoint that is not used up ──▶ delay ──▶ refused │ lost │ cut │ redirected
                              │ none
                              └▶ answered as it should be
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from aiohttp import web

from transforms.testing.providers.dialect import Dialect
from transforms.testing.providers.script import ANY_ENDPOINT, CHAT, SIGNED, EndpointEntry

Answer: TypeAlias = Callable[[], Awaitable[web.StreamResponse]]

SIGNED_PATH = "/signed/{token}"
# By its name the loopback host is another one than by its number, as far as a client can tell.
_FOREIGN_NAME = "localhost"


class Effects:
    """Entries of a script, and how often each was used."""

    def __init__(self, dialect: Dialect):
        self._dialect = dialect
        self._signed: dict[str, tuple[bytes, str]] = {}
        self.replace(())

    def replace(self, entries: Sequence[EndpointEntry]) -> None:
        """Has these entries from now on, none of them used."""
        self._entries = tuple(entries)
        self._seen: Counter[tuple[int, bytes]] = Counter()

    async def apply(self, endpoint: str, request: web.Request, answer: Answer) -> web.StreamResponse:
        """The answer to a request, or what a script has in its place."""
        entry = await self._next(endpoint, request)
        if entry is None:
            return await answer()
        await asyncio.sleep(entry.delay_s)
        if entry.status is not None:
            refuse = self._dialect.refused_question if endpoint == CHAT else self._dialect.refusal
            return refuse(entry.status, entry.code, entry.text, entry.retry_after)
        if entry.lost == "before":
            return cut_off(request)
        answered = await answer()
        if entry.lost == "after":
            return cut_off(request)
        if isinstance(answered, web.Response) and answered.status < 300:
            if entry.redirect is not None:
                return self._redirected(entry.redirect, request, answered)
            if entry.cut_after_bytes is not None:
                return await _cut(request, answered, entry.cut_after_bytes)
        return answered

    def signed(self, token: str) -> web.Response | None:
        """What is behind a signed link."""
        body, content_type = self._signed.get(token, (None, ""))
        return None if body is None else web.Response(body=body, content_type=content_type)

    async def _next(self, endpoint: str, request: web.Request) -> EndpointEntry | None:
        for n, entry in enumerate(self._entries):
            if entry.endpoint in (endpoint, ANY_ENDPOINT):
                # Only where it is asked for: a form can be read only once.
                body = await request.read() if entry.each or entry.has else b""
                if not _has(body, entry):
                    continue
                counted = (n, hashlib.sha256(body).digest() if entry.each else b"")
                self._seen[counted] += 1
                n_due = self._seen[counted] - entry.skip
                if n_due > 0 and (entry.times is None or n_due <= entry.times):
                    return entry
        return None

    def _redirected(self, to: str, request: web.Request, answered: web.Response) -> web.Response:
        if to == SIGNED:
            token = uuid.uuid4().hex
            self._signed[token] = _body(answered), answered.content_type
            to = str(request.url.with_host(_FOREIGN_NAME).with_path(SIGNED_PATH.format(token=token)))
        return web.Response(status=302, headers={"Location": to})


def _has(body: bytes, entry: EndpointEntry) -> bool:
    return entry.has is None or any(each.encode() in body for each in entry.has)


def cut_off(request: web.Request) -> web.Response:
    """Ends the connection at once; what is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _cut(request: web.Request, answered: web.Response, n_bytes: int) -> web.StreamResponse:
    """Sends the beginning of an answer whose header says that it is longer."""
    body = _body(answered)
    stream = web.StreamResponse(status=answered.status, headers={"Content-Type": answered.content_type})
    stream.content_length = len(body)
    await stream.prepare(request)
    await stream.write(body[:n_bytes])
    if request.transport is not None:
        request.transport.close()
    return stream


def _body(answered: web.Response) -> bytes:
    assert isinstance(answered.body, bytes)
    return answered.body
