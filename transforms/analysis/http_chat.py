"""`HttpChatApi`: a provider's chat API as its description says it, through HTTP.

    request ─▶ body ─▶ limits ─▶ POST ─▶ answer with its tokens
                          ▲        │ refused for want of capacity, or not answered: again, bounded
                          └────────┘

async with HttpChatApi(description.for_chat({}), "gpt-5-mini", secret) as api:
    answers = await asyncio.gather(*map(api.ask, requests))

A call takes a tenth of the time that a client library takes: no model of the answer is built, and what all requests
share is made once.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import aiohttp
import yarl

from transforms.analysis.chat import CallFailedError, ChatAnswer, ChatRequest, Tokens
from transforms.analysis.levels import seconds_in
from transforms.analysis.limits import Call, Forecast, Limits
from transforms.analysis.questions import Questions
from transforms.analysis.refusals import meaning, without_request
from transforms.errors import JobError
from transforms.providers.answers import number_at
from transforms.providers.chat import MODEL, Chat, Usage
from transforms.providers.description import ProviderDescription
from transforms.providers.failures import BROKEN, NotJsonError, Provider, RefusalError, is_busy
from transforms.providers.hosts import origin_of
from transforms.providers.http import parsed, read_all, refusal_in
from transforms.providers.keys import ProviderKey
from transforms.providers.pace import retry_after_s
from transforms.providers.templates import fill_url
from transforms.records.paths import AnyPath
from transforms.retry import Retry
from transforms.secrets import SecretSource
from transforms.services import APPLICATION_DEFAULT

_KEY_FLAG = "--analyse_api_key"
_CONNECT_S = 20.0
_TIMEOUT_S = 600.0  # as the clients of OpenAI and Anthropic have it: models that reason take minutes
_MAX_ANSWER_BYTES = 16 * 2**20
_KEEPALIVE_S = 60.0
_FAILURES = (RefusalError, NotJsonError, *BROKEN)


class HttpChatApi:
    """A `ChatApi`. To be opened (`async with`), used and closed in one event loop.

    Args:
      description: with the variables of its chat filled in, see `ProviderDescription.for_chat`.
      model: that is asked.
      secret: where the key is; None: where the description says, or none at an address of a user's own.
      retry: of every call.
      tokens_per_min: that this process may use; None: as the provider's headers say.
      timeout_s: for one attempt.
      credentials: for providers of Google Cloud; returns what google.auth calls credentials.

    Raises:
      ValueError: the description has no chat.
    """

    def __init__(
        self,
        description: ProviderDescription,
        model: str,
        secret: SecretSource | None = None,
        retry: Retry = Retry(),  # noqa: B008  # frozen
        tokens_per_min: float | None = None,
        *,
        timeout_s: float = _TIMEOUT_S,
        credentials: Callable[[], Any] = APPLICATION_DEFAULT,  # frozen
    ):
        chat, origin = description.chat, origin_of(description.base_url)
        if chat is None:
            raise ValueError(f"{description.name} has no chat: section")
        if origin is None:
            raise JobError(f"{description.name}: its address must begin with https:// or http://")
        if secret is None and chat.has_key and not description.auth.is_google:
            secret = SecretSource(description.auth.secret, _KEY_FLAG)
        has_key = secret is not None or chat.has_key
        self._description, self._chat, self._model, self._retry = description, chat, model, retry
        self._is_loopback, self._timeout_s = origin.is_loopback, timeout_s
        self._key = ProviderKey(description.auth, secret, origin.is_loopback, credentials) if has_key else None
        self._provider = Provider(
            description.name,
            origin.host,
            secret.source if secret else "",
            description.errors,
            secret.flag if secret else _KEY_FLAG,
            is_google=description.auth.is_google,
        )
        self._url = yarl.URL(f"{description.base_url}{fill_url(chat.path, {MODEL: model})}", encoded=True)
        self._questions, self._forecast = Questions(chat.body, model), Forecast()
        self._tokens_per_min = tokens_per_min

    async def __aenter__(self) -> HttpChatApi:
        """Reads the key. Raises JobError or TransientError as `SecretSource.read`."""
        if self._key is not None:
            await self._key.read()
        self._limits = Limits(self._retry.clock, self._chat.limits, self._tokens_per_min)
        self._session = aiohttp.ClientSession(
            # Whoever asks bounds how many calls there are at once.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=_CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "firebeam", "Content-Type": "application/json", **self._description.headers},
            proxy=None if self._is_loopback else _proxy_of(self._url),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """See `ChatApi`."""
        await self._session.close()

    def throttled_s(self) -> float:
        """See `ChatApi`."""
        return self._limits.throttled_s()

    async def ask(self, request: ChatRequest) -> ChatAnswer:
        """See `ChatApi`."""
        body = self._questions.body(request)
        attempts, place = self._retry.attempts(), self._limits.place()
        while True:
            try:
                return await self._asked(request, body, place)
            except _FAILURES as error:
                meant = meaning(error, self._provider, self._model)
                if not (isinstance(meant, CallFailedError) and meant.retryable):
                    raise meant from None
                delay_s = attempts.again_after_s()
                if delay_s is None:
                    raise meant from None
                if is_busy(error):
                    self._limits.hold(delay_s)  # for all: whoever is sent meanwhile would take this one's place
                else:
                    await self._retry.clock.asleep(delay_s)

    async def _asked(self, request: ChatRequest, body: bytes, place: int) -> ChatAnswer:
        """One attempt. Raises JobError, or one of _FAILURES."""
        call = await self._limits.enter(place, self._forecast.of(len(body), request.max_output_tokens))
        is_answered, tokens = False, None
        try:
            headers = await self._key.headers() if self._key is not None else None
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                self._limits.note(response.headers)
                if response.status != 200:
                    raise await self._refusal(response, request, call)
                answer = parsed(await read_all(response, _MAX_ANSWER_BYTES))
            if not isinstance(answer, dict):
                raise NotJsonError
            is_answered, tokens = True, tokens_in(answer, self._chat.usage)
            if tokens is not None:
                self._forecast.learn(len(body), tokens)
            return ChatAnswer(self._chat.provider, answer, tokens)
        finally:
            self._limits.leave(call, is_answered, tokens)

    async def _refusal(self, response: aiohttp.ClientResponse, request: ChatRequest, call: Call) -> RefusalError:
        said, refusal = await refusal_in(response, self._description.errors, self._key)
        refusal.text = without_request(refusal.text, request)
        if is_busy(refusal):
            self._limits.refused(call)
            self._limits.hold(_wait_s(response.headers, said, self._chat, self._retry.clock.now()))
        return refusal


def _proxy_of(url: yarl.URL) -> str | None:
    """What the environment says, looked up once: aiohttp would do that for each call, which takes as long as the call,
    and would look for an account in ~/.netrc as well."""
    return None if urllib.request.proxy_bypass(url.host or "") else urllib.request.getproxies().get(url.scheme)


def tokens_in(answer: Mapping[str, Any], usage: Usage) -> Tokens | None:
    """What an answer is charged for; None if it does not say."""
    parts = (usage.input, usage.cached, usage.output, usage.written)
    numbers = [_sum_at(paths, answer) for paths in parts]
    if numbers[0] is None and numbers[2] is None:
        return None
    return Tokens(*(number or 0 for number in numbers))


def _sum_at(paths: tuple[AnyPath, ...], answer: Mapping[str, Any]) -> int | None:
    found = [number for path in paths if (number := number_at(path, answer)) is not None]
    return sum(found) if found else None


def _wait_s(headers: Mapping[str, str], said: Any, chat: Chat, now: float) -> float:
    """How long a refusal asks to wait; 0 if it does not."""
    seconds = retry_after_s(headers, now)
    if seconds or chat.retry_after is None:
        return seconds
    found = chat.retry_after.read(said)
    return (seconds_in(found) or 0.0) if isinstance(found, str) else float(found or 0.0)
