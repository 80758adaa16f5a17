"""What a provider reports in place of an answer, as an error whose code is the provider's own."""

from __future__ import annotations

import re

from transforms.errors import RecordError

# What says nothing about the request: the same one may well be answered next time.
_PASSING = frozenset(
    {
        "RATE_LIMIT_EXCEEDED",
        "RATE_LIMIT_ERROR",
        "INSUFFICIENT_QUOTA",
        "SERVER_ERROR",
        "BATCH_EXPIRED",
        "BATCH_CANCELLED",
        "EXPIRED",
        "CANCELED",
        "CANCELLED",
        "OVERLOADED_ERROR",
        "API_ERROR",
        "TIMEOUT_ERROR",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "ABORTED",
        "INTERNAL",
        "TOO_MANY_REQUESTS",
        "SERVICE_UNAVAILABLE",
        "INTERNAL_SERVER_ERROR",
        "INTERNAL_ERROR",
        "GATEWAY_TIMEOUT",
        "UNKNOWN",
        "PAUSE_TURN",
        "REQUEST_TIMEOUT",
        "ENGINE_OVERLOADED",
        "THROTTLINGEXCEPTION",
        "SERVICEUNAVAILABLEEXCEPTION",
        "INTERNALSERVEREXCEPTION",
        "MODELTIMEOUTEXCEPTION",
    }
)
# Our own code, of an answer whose end nobody has judged.
NO_FINISH_REASON = "NO_FINISH_REASON"
_PASSING_HTTP = frozenset({408, 409, 429, *range(500, 600)})

_NAMES = {"OPENAI": "OpenAI", "ANTHROPIC": "Anthropic", "VERTEX": "Vertex AI", "GEMINI": "Gemini", "BEDROCK": "Bedrock"}


class ProviderError(RecordError):
    """A model gave no usable answer: refused, cut off, expired or failed.

    Args:
      provider: OPENAI, ANTHROPIC, VERTEX, GEMINI or BEDROCK.
      reason: the provider's own code, in its own spelling.
      http_status: of the provider's answer, where it has one.

    The dead letter is permanent, because the line it was made of will never hold an answer; `ask_again` says whether
    another batch may bring one.

    >>> ProviderError("OPENAI", "rate_limit_exceeded").code, ProviderError("OPENAI", "rate_limit_exceeded").ask_again
    ('OPENAI_RATE_LIMIT_EXCEEDED', True)
    """

    def __init__(self, provider: str, reason: str, http_status: int = 200):
        self._arguments = (provider, reason, http_status)
        code = re.sub(r"[^A-Z0-9]+", "_", reason.upper()).strip("_")[:60] or "ERROR"
        self.ask_again = code in _PASSING or http_status in _PASSING_HTTP
        if code == NO_FINISH_REASON:
            message = f"nothing says that the model's answer is complete: {_NAMES[provider]} reports {code}"
        else:
            again = "the same request may well be answered if it is sent again"
            advice = again if self.ask_again else "change the request"
            message = f"the model gave no complete answer: {_NAMES[provider]} reports {code}; {advice}"
        super().__init__(f"{provider}_{code}", message)

    def __reduce__(self) -> tuple[type[ProviderError], tuple[str, str, int]]:  # type: ignore[override]
        return ProviderError, self._arguments
