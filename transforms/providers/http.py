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

import asyncio
import json
import urllib.parse
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, NamedTuple

import aiohttp
import yarl

from transforms.errors import JobError
from transforms.providers.answers import error_in
from transforms.providers.description import Call, ProviderDescription
from transforms.providers.failures import BROKEN, NOT_SENT, NotJsonError, Provider, RefusalError
from transforms.providers.hosts import gets_headers, origin_of
from transforms.providers.pace import Pace, retry_after_s
from transforms.providers.remote import QueueFullError
from transforms.providers.templates import fill_url
from transforms.retry import Retry
from transforms.secrets import SecretSource
from transforms.services import SIGN_IN

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
_OF_AN_EMULATOR = "Bearer owner"  # as emulators of Google Cloud know accounts
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
        self._description, self._secret, self.retry, self._credentials = description, secret, retry, credentials
        self._origin = origin
        self._paces: dict[tuple[str, int], Pace] = {}
        self._account: Any = None
        self._key_header: dict[str, str] = {}
        self.provider = Provider(description.name, origin.host, secret.source if secret else "", description.errors)

    async def open(self) -> None:
        """Reads the key. Raises JobError or TransientError as `SecretSource.read`."""
        auth = self._description.auth
        if self._secret is not None:
            secret = await asyncio.to_thread(self._secret.read)
            self._key_header = {auth.header: auth.value.replace("{secret}", secret)}
        elif self._origin.is_loopback:
            self._key_header = {auth.header: _OF_AN_EMULATOR}
        elif auth.is_google:
            self._account = await asyncio.to_thread(self._find_account)
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
                return Answer(_parsed(await _read(response, _MAX_ANSWER_BYTES)), response.headers)

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
        try:
            raw = await _read(response, _MAX_REFUSAL_BYTES)
        except (NotJsonError, *BROKEN):
            raw = b""  # the status says enough
        text = raw.decode("utf-8", "replace")
        try:
            value = _parsed(raw)
        except NotJsonError:
            value = None
            text = "" if text.lstrip().startswith("<") else text  # a page of a proxy or a gateway
        code, said = error_in(value, self._description.errors, text)
        return RefusalError(response.status, code, self._without_key(said))

    def _without_key(self, text: str) -> str:
        for value in self._key_header.values():
            text = text.replace(value.rpartition(" ")[2], "…")
        return text

    async def _own_headers(self) -> dict[str, str]:
        account = self._account
        if account is None:
            return {**self._description.headers, **self._key_header}
        if not account.valid:
            await asyncio.to_thread(self._refresh)
        return {**self._description.headers, "Authorization": f"Bearer {account.token}"}

    def _find_account(self) -> Any:
        from google.auth.exceptions import GoogleAuthError

        try:
            return self._credentials()
        except GoogleAuthError as error:
            raise JobError(f"{str(error.args[0]).rstrip('.')}. {SIGN_IN}") from None

    def _refresh(self) -> None:
        import google.auth.transport.requests
        from google.auth.exceptions import GoogleAuthError, TransportError

        try:
            self._account.refresh(google.auth.transport.requests.Request())
        except TransportError as error:
            raise OSError(f"Google's accounts did not answer ({type(error).__name__})") from None
        except GoogleAuthError as error:
            raise JobError(f"{str(error.args[0]).rstrip('.')}. {SIGN_IN}") from None


def json_body(value: Any) -> tuple[Mapping[str, str], Body]:
    """Headers and body of a request that sends JSON."""
    return _JSON, lambda: nullcontext(json.dumps(value).encode())


def _parsed(raw: bytes) -> Any:
    """The JSON of an answer; None of an empty one, and its text of one that is a word, as "OK".

    >>> _parsed(b'{"id": 1}'), _parsed(b""), _parsed(b"OK")
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


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > max_bytes:
            raise NotJsonError
    return bytes(content)
