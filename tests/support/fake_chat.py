"""A model in memory: answers by the payload, fails as told, counts what was paid for."""

import asyncio
import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field

from transforms.analysis.chat import CallFailedError, ChatAnswer, Tokens
from transforms.errors import JobError

TOKENS = Tokens(100, 40, 10)


def chat_body(text, finish="stop"):
    """A response of OpenAI's."""
    message = {"role": "assistant", "content": text}
    return {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}


@dataclass
class FakeChat:
    """The model's side; outlives every process.

    Attributes:
      failures: by payload, what happens to the first calls about it, in turn: a code that is retryable if it is lower
        case, `no key`, `refused`, `cut off`, `broken`, `several`, `wrong` (breaks the schema).
      paid: how many answers each payload has had.
      most_at_once: of the calls in flight.
      kill_at: number of the call at which the process is gone.
    """

    failures: dict = field(default_factory=dict)
    paid: Counter = field(default_factory=Counter)
    order: list = field(default_factory=list)
    in_flight: int = 0
    most_at_once: int = 0
    kill_at: int | None = None
    opened: int = 0
    closed: int = 0

    @contextlib.asynccontextmanager
    async def connect(self):
        self.opened += 1
        yield self
        self.closed += 1

    def throttled_s(self):
        return 0.0

    async def ask(self, request):
        self.in_flight += 1
        self.most_at_once = max(self.most_at_once, self.in_flight)
        try:
            return await self._ask(request)
        finally:
            self.in_flight -= 1

    async def _ask(self, request):
        self.order.append(request.payload)
        await asyncio.sleep(0.001)
        left = self.failures.get(request.payload)
        kind = left.pop(0) if left else ""
        if self.kill_at is not None and len(self.order) >= self.kill_at:
            raise KilledError
        if kind == "no key":
            raise JobError("the provider refuses the key")
        if kind.isupper():
            raise CallFailedError(kind, "", False)
        if kind in ("overloaded", "timeout"):
            raise CallFailedError(kind, "", True)
        self.paid[request.payload] += 1
        answer = {"level": "senior" if "senior" in request.payload else "junior"}
        text = {
            "broken": '{"level": ',
            "several": '[{"level": "junior"}, {"level": "senior"}]',
            "wrong": '{"level": 7}',
            "near": '{"level": "junior",}',
        }.get(kind, json.dumps(answer))
        return ChatAnswer("OPENAI", chat_body(text, "length" if kind == "cut off" else "stop"), TOKENS)


class KilledError(Exception):
    """The process is gone."""
