"""What a model is to say to single questions, and how much a client may ask, as plain data.

    {
      "chat": [
        {"latency_s": 0.2},                                            all of them
        {"has": "Ada", "outcome": "cut_off"},                          those that have this text in them
        {"nth": [3, 4], "answer": {"name": "Grace", "level": "senior"}}
      ],
      "limits": {"requests_per_min": 600, "tokens_per_min": 60000, "retry_after": false},
      "cache_min_tokens": 0
    }

A question has the settings of every entry that means it; later entries win.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OUTCOMES = ("answered", "refused", "cut_off", "broken", "violation", "several", "unfinished")


@dataclass(frozen=True, slots=True)
class ChatScript:
    """How a question goes.

    Attributes:
      latency_s: until its answer.
      outcome: `refused` (the model will not), `cut_off` (by the limit of output tokens), `broken` (half of a JSON text,
        said to be whole), `violation` (a property is missing), `several` (two records), `unfinished` (nothing says that
        the answer is whole).
      answer: what it says in place of an answer that fits the schema: text as it is, anything else as JSON.
    """

    latency_s: float = 0.0
    outcome: str = "answered"
    answer: Any = None


@dataclass(frozen=True, slots=True)
class ChatEntry:
    """Settings, and the questions they mean: by ordinals of arrival, by texts they have one of, or all."""

    nth: frozenset[int] | None
    has: frozenset[str] | None
    settings: Mapping[str, Any]

    def means(self, ordinal: int, said: str) -> bool:
        """Whether it means this question."""
        is_nth = self.nth is None or ordinal in self.nth
        return is_nth and (self.has is None or any(each in said for each in self.has))


@dataclass(frozen=True, slots=True)
class ChatLimits:
    """How much may be asked. None: any.

    Attributes:
      requests_per_min, tokens_per_min: of a bucket that is full at first and fills evenly.
      says: whether the headers of every answer say how much is left, where the provider has such headers.
      retry_after: whether a refusal says when to come again.
    """

    requests_per_min: float | None = None
    tokens_per_min: float | None = None
    says: bool = True
    retry_after: bool = True
