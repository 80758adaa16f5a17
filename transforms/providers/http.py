"""Requests to one provider: whose they are, when they may be sent, how often, and what their answers mean.

    ask      a question: sent again while it fails transiently
    once     a question of several parts, which is sent again as a whole by whoever asks
    create   sent again only if it has not reached the host; each on a connection of its own, because one that the host
             has just closed would leave open whether the request arrived
    stream   an answer of any size, read as it comes, after redirects

A GET whose connection breaks before an answer is sent once more by aiohttp itself, which cannot be told not to; a POST,
as every create is one, is not.

Guarantee: the key goes to the provider's own address and to no other (`hosts`), and into no message.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, NamedTuple

import aiohttp
import yarl

from transforms.errors import JobError
from transforms.providers.answers import error_in
from transforms.providers.description import Call, Errors, ProviderDescription
from transforms.providers.failures import BROKEN, NOT_SENT, NotJsonError, Provider, RefusalError
from transforms.providers.hosts import gets_headers, origin_of
from transforms.providers.keys import ProviderKey
from transforms.providers.pace import Pace, retry_after_s
from transforms.providers.remote import QueueFullError
from transforms.providers.templates import fill_url
from transforms.retry import Retry
from transforms.secrets import SecretSource

# A request's body, made anew each time it is sent: what aiohttp calls data.
Body = Callable[[], AbstractContextManager[Any]]

_CONNECTIONS = 32
_CONNECT_S, _SILENCE_S = 20.0, 120.0
# A create may be answered only when the provider has read and checked all of 256 MB.
_CREATE_SILENCE_S = 600.0
_MAX_ANSWER_BYTES = 64 * 2**20
_MAX_REFUSAL_BYTES = 64 * 2**10
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_JSON = {"Content-Type": "application/json"}
# What a request that was sent once can raise, beside JobError.
FAILURES = (RefusalError, NotJsonError, *BROKEN)


class Answer(NamedTuple):
    """Of a question: what its JSON says, and the headers."""

    value: Any
    headers: Mapping[str, str]


class ProviderHttp:
    """To be opened, used and closed in one event loop.

    Args:
      description: with its variables filled in.
      secret: where the key is; None for an account of Google Cloud.
      retry: of questions.
      credentials: returns what google.auth calls credentials.
    """

    def __init__(
        self,
        description: ProviderDescription,
        secret: SecretSource | None,
        retry: Retry,
        credentials: Callable[[], Any],
    ):
        origin = origin_of(description.base_url)
        if origin is None:
            raise JobError(f"{description.name}: base_url must be an https:// address")
        self._description, self.retry = description, retry
        self._origin = origin
        self._paces: dict[tuple[str, int], Pace] = {}
        self._key = ProviderKey(description.auth, secret, origin.is_loopback, credentials)
        self.provider = Provider(description.name, origin.host, secret.source if secret else "", description.errors)

    async def open(self) -> None:
        """Reads the key. Raises JobError or TransientError as `SecretSource.read`."""
        await self._key.read()
        self._session = self._connect(force_close=False, silence_s=_SILENCE_S)
        self._creating = self._connect(force_close=True, silence_s=_CREATE_SILENCE_S)

    def _connect(self, *, force_close: bool, silence_s: float) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, force_close=force_close),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=silence_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "firebeam"},
            trust_env=not self._origin.is_loopback,  # proxies
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()
        await self._creating.close()

    async def ask(
        self,
        call: Call,
        values: Mapping[str, str],
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body = nullcontext,
    ) -> Answer:
        """A question and its answer. Raises as `Provider.meaning` says."""
        url = self.url(call, values, query)
        return await self.retry.acall(
            lambda: self.once(call.method, url, headers or {}, body),
            catch=FAILURES,
            meaning=lambda error, attempts: self.provider.meaning(error),
        )

    def check_may_create(self) -> None:
        """Raises QueueFullError if so many requests have been refused that a create must wait, and is not sent."""
        if self._pace_of(self._description.base_url).is_too_early_to_create():
            raise QueueFullError(f"{self.provider.name} has refused too many requests in the last 5 minutes")

    async def create(self, call: Call, values: Mapping[str, str], *, headers: Mapping[str, str], body: Body) -> Answer:
        """A create and its answer. Raises as `Provider.meaning_of_create` says."""
        url = self.url(call, values)
        try:
            return await self.retry.acall(
                lambda: self._asked(self._creating, call.method, url, headers, body),
                catch=NOT_SENT,
                meaning=lambda error, attempts: self.provider.meaning_of_create(error),
            )
        except FAILURES as error:
            raise self.provider.meaning_of_create(error) from error

    async def once(self, method: str, url: str, headers: Mapping[str, str], body: Body) -> Answer:
        """As `ask`, sent once. Raises JobError, or one of FAILURES."""
        return await self._asked(self._session, method, url, headers, body)

    @asynccontextmanager
    async def stream(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a GET, after redirects. Raises RefusalError, JobError or what is in BROKEN."""
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._answered(self._session, "GET", url, headers, None) as response:
                location = response.headers.get("Location")
                if response.status not in _REDIRECTS or not location:
                    if response.status >= 300:
                        raise await self._refusal(response)
                    yield response
                    return
                url = urllib.parse.urljoin(url, location)
        raise JobError(f"{self.provider.name} redirects a download more than {_MAX_REDIRECTS} times")

    def url(self, call: Call, values: Mapping[str, str], query: Mapping[str, str] | None = None) -> str:
        """The address of a request."""
        url = f"{self._description.base_url}{fill_url(call.path, values)}"
        if not query:
            return url
        return f"{url}{'&' if '?' in call.path else '?'}{urllib.parse.urlencode(query)}"

    def is_own(self, url: str) -> bool:
        """Whether an address is the provider's own. Raises JobError if it must not be asked."""
        return gets_headers(url, self._origin)

    async def _asked(
        self, session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str], body: Body
    ) -> Answer:
        with body() as data:
            async with self._answered(session, method, url, headers, data) as response:
                if response.status >= 300:
                    raise await self._refusal(response)
                return Answer(parsed(await read_all(response, _MAX_ANSWER_BYTES)), response.headers)

    @asynccontextmanager
    async def _answered(
        self, session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str], data: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request; its turn is over when the status is known, however long the rest of the answer takes."""
        own = await self._own_headers() if self.is_own(url) else {}
        async with self._pace_of(url).turn() as turn:
            response = await session.request(
                method, yarl.URL(url, encoded=True), headers={**own, **headers}, data=data, allow_redirects=False
            )
            turn.status = response.status
            turn.retry_after_s = retry_after_s(response.headers, self.retry.clock.now())
        async with response:
            yield response

    def _pace_of(self, url: str) -> Pace:
        parts = urllib.parse.urlsplit(url)
        host = (parts.hostname or "", parts.port or 0)
        if host not in self._paces:
            self._paces[host] = Pace(self.retry.clock)
        return self._paces[host]

    async def _refusal(self, response: aiohttp.ClientResponse) -> RefusalError:
        _, refusal = await refusal_in(response, self._description.errors, self._key)
        return refusal

    async def _own_headers(self) -> Mapping[str, str]:
        return {**self._description.headers, **await self._key.headers()}


async def refusal_in(
    response: aiohttp.ClientResponse, errors: Errors, key: ProviderKey | None
) -> tuple[Any, RefusalError]:
    """What an answer says that says no: its JSON, None if it is not, and its code and text, without the key."""
    try:
        raw = await read_all(response, _MAX_REFUSAL_BYTES)
    except (NotJsonError, *BROKEN):
        raw = b""  # the status says enough
    text = raw.decode("utf-8", "replace")
    try:
        value = parsed(raw)
    except NotJsonError:
        value = None
        text = "" if text.lstrip().startswith("<") else text  # a page of a proxy or a gateway
    code, said = error_in(value, errors, text)
    return value, RefusalError(response.status, code, key.hidden(said) if key else said)


def json_body(value: Any) -> tuple[Mapping[str, str], Body]:
    """Headers and body of a request that sends JSON."""
    return _JSON, lambda: nullcontext(json.dumps(value).encode())


def parsed(raw: bytes) -> Any:
    """The JSON of an answer; None of an empty one, and its text of one that is a word, as "OK".

    >>> parsed(b'{"id": 1}'), parsed(b""), parsed(b"OK")
    ({'id': 1}, None, 'OK')
    """
    if not raw.strip():
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        if len(raw) <= 20 and raw.isalpha():
            return raw.decode()
        raise NotJsonError from None


async def read_all(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The body of an answer. Raises NotJsonError if it is longer, or what is in BROKEN."""
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > max_bytes:
            raise NotJsonError
    return bytes(content)
