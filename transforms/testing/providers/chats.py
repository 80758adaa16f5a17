"""Single questions: what each is answered, how much may be asked, and the bill.

question ──▶ limits ──▶ latency ──▶ answer by the script, or one that fits the schema ──▶ bill
               │ too much: 429
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from transforms.testing.providers import answers
from transforms.testing.providers.chat_forms import Asked, ChatForm, Said, Spent
from transforms.testing.providers.chat_script import ChatScript
from transforms.testing.providers.control import ProviderCall
from transforms.testing.providers.dialect import Dialect, RefusedRequestError, json_body, rfc3339
from transforms.testing.providers.made_up import answer_to, violating
from transforms.testing.providers.script import Script

_CHARS_PER_TOKEN = 4
_REFUSAL = "I cannot help with that."


class Chats:
    """All questions of a server.

    Args:
      script: as it is now.
      now: seconds since 1970.

    Attributes:
      calls: those that were answered, in the order of their answers.
    """

    def __init__(self, dialect: Dialect, form: ChatForm, script: Callable[[], Script], now: Callable[[], float]):
        self.calls: list[ProviderCall] = []
        self._dialect, self._form, self._script, self._now = dialect, form, script, now
        self._n_asked, self._under_way = 0, 0
        self._cached: set[str] = set()
        self._used: dict[str, tuple[float, float]] = {}  # what of a limit was used at a time

    async def answer(self, request: web.Request) -> web.Response:
        """Answers a question. Raises RefusedRequestError."""
        body = await json_body(request)
        asked = self._form.read(body, request.match_info.get("model", ""))
        if asked.problem:
            raise RefusedRequestError(400, asked.problem)
        ordinal, self._n_asked = self._n_asked, self._n_asked + 1
        tokens = _tokens(asked.instructions) + _tokens(asked.payload)
        wait_s = max(self._wait_s("requests", 1), self._wait_s("tokens", tokens))
        if wait_s > 0:
            retry_after = max(1, round(wait_s + 0.5)) if self._script().limits.retry_after else None
            refused = self._dialect.refused_question(429, "", "Rate limit reached", retry_after)
            refused.headers.update(self._headers())
            return refused
        self._use("requests", 1)
        self._use("tokens", tokens)
        script = self._script().of_question(ordinal, asked.payload)
        self._under_way += 1
        at_once = self._under_way
        try:
            await asyncio.sleep(script.latency_s)
        finally:
            self._under_way -= 1
        said = self._said(asked, script)
        self._use("tokens", said.spent.output)
        self._bill(ordinal, asked, said, at_once)
        answered = self._form.write(ordinal, self._now(), asked.model, said)
        return web.json_response(answered, headers=self._headers())

    def _said(self, asked: Asked, script: ChatScript) -> Said:
        answer = script.answer
        if answer is None and asked.schema is not None:
            answer = answer_to(asked.schema, asked.payload)
        if answer is None:
            answer = answers.echo(asked.payload)
        if script.outcome == "violation":
            answer = violating(asked.schema or {}, answer)
        elif script.outcome == "several":
            answer = [answer, violating(asked.schema or {}, answer)]
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        if script.outcome == "refused":
            text = _REFUSAL
        elif script.outcome in ("cut_off", "broken"):
            text = text[: max(1, len(text) // 2)]
        return Said(text, script.outcome, self._spent(asked, text))

    def _spent(self, asked: Asked, text: str) -> Spent:
        shared = _tokens(asked.instructions)
        cached = written = 0
        if asked.is_cached and shared >= self._script().cache_min_tokens:
            key = f"{asked.model}\n{asked.instructions}"
            cached, written = (shared, 0) if key in self._cached else (0, shared)
            self._cached.add(key)
        return Spent(shared + _tokens(asked.payload), cached, written, _tokens(text))

    def _bill(self, ordinal: int, asked: Asked, said: Said, at_once: int) -> None:
        payload_hash = hashlib.sha256(asked.payload.encode("utf-8", "surrogatepass")).hexdigest()
        self.calls.append(
            ProviderCall(ordinal, payload_hash, asked.model, said.outcome, self._now(), at_once, *said.spent)
        )

    def _limit_of(self, counted: str) -> float | None:
        limits = self._script().limits
        return limits.requests_per_min if counted == "requests" else limits.tokens_per_min

    def _left(self, counted: str, limit: float) -> float:
        used, at = self._used.get(counted, (0.0, 0.0))
        return min(limit, limit - used + (self._now() - at) * limit / 60)

    def _wait_s(self, counted: str, amount: float) -> float:
        limit = self._limit_of(counted)
        if limit is None:
            return 0.0
        return max(0.0, (min(amount, limit) - self._left(counted, limit)) * 60 / limit)

    def _use(self, counted: str, amount: float) -> None:
        limit = self._limit_of(counted)
        if limit is not None:
            self._used[counted] = (limit - self._left(counted, limit) + amount, self._now())

    def _headers(self) -> Mapping[str, str]:
        """What is left, where the provider says so and the script has limits."""
        headers: dict[str, str] = {}
        for counted, pattern in self._form.limits.items():
            limit = self._limit_of(counted)
            if limit is None or not self._script().limits.says:
                continue
            left = self._left(counted, limit)
            reset_s = (limit - left) * 60 / limit
            reset: Any = rfc3339(self._now() + reset_s) if self._form.resets_at else f"{reset_s:.3f}s"
            for part, value in (("limit", int(limit)), ("remaining", max(0, int(left))), ("reset", reset)):
                headers[pattern.replace("*", part)] = str(value)
        return headers


def _tokens(text: str) -> int:
    return max(1, len(text) // _CHARS_PER_TOKEN)
