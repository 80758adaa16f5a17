"""What a model is asked about one record, what comes back, and what can go wrong: the seam to every chat API.

    ChatRequest ──▶ ChatApi.ask ──▶ ChatAnswer ──▶ models/bodies.said_in ──▶ models/answers.answer_in
                       ├─▶ CallFailedError: about this call alone
                       └─▶ JobError: no call can succeed before somebody fixes what it names

Guarantee: no error and no `repr` shows what was asked or answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from transforms.errors import FirebeamError


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a model is asked about one record. The text that all records share comes first, for prompt caches.

    Attributes:
      instructions: the same for all records.
      schema: JSON Schema that the provider is asked to enforce on the answer.
      payload: the record's fields, JSON.
      max_output_tokens: where the answer is cut off.
    """

    instructions: str = field(repr=False)
    schema: Mapping[str, Any] = field(repr=False)
    payload: str = field(repr=False)
    max_output_tokens: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an answer is charged for.

    Attributes:
      input: of the request, cached ones included.
      cached: of the request, read from the provider's prompt cache.
      output: of the answer, its reasoning included.
      written: of the request, written to the prompt cache, which some providers charge more for.
    """

    input: int = 0
    cached: int = 0
    output: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """An answer that was given, and so is charged for, whatever it says.

    Attributes:
      provider: whose code an unusable answer gets: OPENAI, ANTHROPIC, GEMINI or VERTEX, as in `models.bodies.said_in`.
      body: the provider's response.
      tokens: None if the response does not say.
    """

    provider: str
    body: Mapping[str, Any] = field(repr=False)
    tokens: Tokens | None


class CallFailedError(FirebeamError):
    """One call got no answer; others may well get one.

    Args:
      code: the provider's own, or `HTTP_400`; `NO_ANSWER` if there was no response.
      text: the provider's own; empty if it repeats what was asked.
      retryable: the call was refused for want of capacity, or got no answer, as often as it was sent; else the request
        itself was refused.
    """

    def __init__(self, code: str, text: str, retryable: bool):
        self.code, self.text, self.retryable = code, text, retryable
        super().__init__(f"{code}: {text}" if text else code)

    def __reduce__(self) -> tuple[type[CallFailedError], tuple[str, str, bool]]:
        return CallFailedError, (self.code, self.text, self.retryable)


class ChatApi(Protocol):
    """A provider's chat API. Used in one event loop; calls overlap as the caller likes."""

    async def ask(self, request: ChatRequest) -> ChatAnswer:
        """One answer. Waits while the provider's limits say so.

        Raises:
          CallFailedError: this call failed.
          JobError: every call would fail: wrong key, no permission, no credit, no such model.
        """
        ...

    def throttled_s(self) -> float:
        """Seconds that calls have waited for the provider's limits since the last time this was asked."""
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...
