"""What a provider is to do, as plain data: how each batch goes, and what goes wrong at which endpoint.

    {
      "batches": [
        {"ready_s": 0.5},                                              all of them
        {"nth": 2, "outcome": "failed", "error_code": "token_limit_exceeded"},
        {"custom_id": "profile-42", "ready_s": 5, "errors": 3}          the one that has this request
      ],
      "endpoints": [
        {"endpoint": "create", "lost": "after", "times": 1},
        {"endpoint": "list", "status": 429, "retry_after": 2, "times": 3}
      ],
      "existing": [{"id": "batch_1", "requests": [...], "age_s": 3600}],
      "chat": [{"latency_s": 0.2}, {"has": "Ada", "outcome": "refused"}]       questions, see chat_script.py
    }

A batch has the settings of every entry that means it; later entries win. A request is affected by the first entry for
its endpoint that is not used up. docs/testing.md has the whole list of keys.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from transforms.testing.providers import chat_script
from transforms.testing.providers.chat_script import ChatEntry, ChatLimits, ChatScript

T = TypeVar("T")

PROVIDERS = (
    "anthropic",
    "apify",
    "azure_openai",
    "brightdata",
    "gemini",
    "groq",
    "mistral",
    "openai",
    "together",
    "vertex",
)
OUTCOMES = ("complete", "failed", "expired", "cancelled", "partial")
CHAT = "chat"
ENDPOINTS = ("upload", "files", "create", "get", "list", "parts", "download", "cancel", "delete", "signed", CHAT)
ANY_ENDPOINT = "*"
SIGNED = "signed"
_LOST = ("before", "after")


@dataclass(frozen=True, slots=True)
class BatchScript:
    """How a batch goes.

    Attributes:
      ready_s: seconds from its creation until it is over; None: not before the script says otherwise.
      states: the provider's words on the way there, each for the same time; default: those it really has.
      outcome: `complete`, `failed` (no results), `expired`, `cancelled`, `partial` (where a provider has such a word).
      error_code, error_text: of one that failed; default: a code that the provider has for such a failure.
      unanswered: share of the requests that have no answer when it expired, was cancelled or is partial, from the end.
      errors: how many requests are answered with an error, from the beginning; or the custom ids of those.
      missing: how many of the answered requests have no line in any file, from the end; or the custom ids of those.
      listed_after_s: seconds from its creation until the list shows it.
      answers: what the model said, by custom id, in place of the echo.
    """

    ready_s: float | None = 0.2
    states: tuple[str, ...] = ()
    outcome: str = "complete"
    error_code: str = ""
    error_text: str = "scripted"
    unanswered: float = 0.5
    errors: int | frozenset[str] = 0
    missing: int | frozenset[str] = 0
    listed_after_s: float = 0.0
    answers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """Settings, and the batches they mean: by ordinals of creation, by requests they have one of, or all."""

    nth: frozenset[int] | None
    custom_id: frozenset[str] | None
    settings: Mapping[str, Any]

    def means(self, ordinal: int, custom_ids: Collection[str]) -> bool:
        """Whether it means this batch."""
        return (self.nth is None or ordinal in self.nth) and (
            self.custom_id is None or not self.custom_id.isdisjoint(custom_ids)
        )


@dataclass(frozen=True, slots=True)
class EndpointEntry:
    """What happens to requests of an endpoint in place of, or beside, answering them.

    Attributes:
      endpoint: one of ENDPOINTS, or `*`.
      skip: so many requests are left alone first.
      times: so many are affected then; None: all.
      has: only requests whose body has one of these texts.
      each: `skip` and `times` count the requests of each body by itself.
      delay_s: the answer comes so much later.
      status: refused with this status; nothing is done.
      retry_after: its Retry-After header: seconds, or an HTTP date.
      code, text: of the error; default: the code that the provider has for this status.
      lost: the connection is cut `before` anything is done, or `after` it, in place of an answer.
      cut_after_bytes: the answer ends after so many bytes of its body.
      redirect: the answer is 302 to this URL; `signed`: to a host of another name, that has the body behind a signature
        and refuses a request with credentials.
    """

    endpoint: str
    skip: int = 0
    times: int | None = 1
    has: frozenset[str] | None = None
    each: bool = False
    delay_s: float = 0.0
    status: int | None = None
    retry_after: str | int | float | None = None
    code: str = ""
    text: str = "scripted"
    lost: str | None = None
    cut_after_bytes: int | None = None
    redirect: str | None = None


@dataclass(frozen=True, slots=True)
class ExistingBatch:
    """A batch that is there before the first request.

    Attributes:
      requests: as its provider takes them: lines of a request file, or records.
      id: default: made up.
      key: in metadata, display name or wherever the provider keeps one.
      age_s: created so many seconds ago.
      parameters: of its creation, such as `dataset_id`, `endpoint`, `model`.
    """

    requests: tuple[Mapping[str, Any], ...]
    id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex[:24])
    key: str | None = None
    age_s: float = 3600.0
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Script:
    """All of it.

    Attributes:
      batches, endpoints, existing: see there.
      api_key: the one that is accepted; None: any but none.
      gs: where `gs://` is: a folder, or the URL of a Cloud Storage emulator.
      chat: how questions go.
      limits: how much may be asked.
      cache_min_tokens: so many tokens the instructions of a question must have to be cached; those that questions
        before it had as well are read from the cache.
    """

    batches: tuple[BatchEntry, ...] = ()
    endpoints: tuple[EndpointEntry, ...] = ()
    existing: tuple[ExistingBatch, ...] = ()
    api_key: str | None = None
    gs: str | None = None
    chat: tuple[ChatEntry, ...] = ()
    limits: ChatLimits = dataclasses.field(default_factory=ChatLimits)
    cache_min_tokens: int = 1_024

    def of_question(self, ordinal: int, said: str) -> ChatScript:
        """How a question goes that is so-manieth to come, and has this text.

        >>> script = parse_script({"chat": [{"latency_s": 1}, {"has": "Ada", "outcome": "refused"}]})
        >>> script.of_question(0, "about Ada")
        ChatScript(latency_s=1, outcome='refused', answer=None)
        """
        settings: dict[str, Any] = {}
        for entry in self.chat:
            if entry.means(ordinal, said):
                settings.update(entry.settings)
        return ChatScript(**settings)

    def of_batch(self, ordinal: int, custom_ids: Collection[str]) -> BatchScript:
        """How a batch goes.

        >>> script = parse_script({"batches": [{"ready_s": 1}, {"nth": 1, "outcome": "failed"}]})
        >>> script.of_batch(0, ()).outcome, script.of_batch(1, ()).outcome, script.of_batch(1, ()).ready_s
        ('complete', 'failed', 1)
        """
        settings: dict[str, Any] = {}
        for entry in self.batches:
            if entry.means(ordinal, custom_ids):
                settings.update(entry.settings)
        return BatchScript(**settings)


def check_provider(name: str) -> None:
    """Raises ValueError unless there is such a provider."""
    if name not in PROVIDERS:
        raise ValueError(f"provider must be one of {', '.join(PROVIDERS)}, got {name!r}")


def parse_script(data: Mapping[str, Any]) -> Script:
    """A script from plain data.

    Raises:
      ValueError: with the place of what is wrong.

    >>> parse_script({"endpoints": [{"endpoint": "create", "status": 429, "time": 3}]})
    Traceback (most recent call last):
    ValueError: endpoints[0]: unknown key 'time'; there are code, cut_after_bytes, delay_s, each, endpoint, has, lost, \
redirect, retry_after, skip, status, text, times
    """
    _check_keys("script", data, _names(Script))
    parts = {
        "batches": tuple(_batch_entry(*each) for each in _entries(data, "batches")),
        "endpoints": tuple(_endpoint_entry(*each) for each in _entries(data, "endpoints")),
        "existing": tuple(_existing(*each) for each in _entries(data, "existing")),
        "chat": tuple(_chat_entry(*each) for each in _entries(data, "chat")),
        "limits": _limits(data.get("limits", {})),
    }
    return Script(**{**data, **parts})


def _batch_entry(place: str, data: Mapping[str, Any]) -> BatchEntry:
    _check_keys(place, data, ["nth", "custom_id", *_names(BatchScript)])
    settings = {name: value for name, value in data.items() if name not in ("nth", "custom_id")}
    _check_one_of(place, "outcome", settings.get("outcome", "complete"), OUTCOMES)
    if not 0 <= settings.get("unanswered", 0) <= 1:
        raise ValueError(f"{place}: unanswered must be in [0, 1], got {settings['unanswered']}")
    for name in {"errors", "missing"} & settings.keys():
        if not isinstance(settings[name], int):
            settings[name] = frozenset(settings[name])
    settings["states"] = tuple(settings.get("states", ()))
    return BatchEntry(_one_or_several(data.get("nth")), _one_or_several(data.get("custom_id")), settings)


def _endpoint_entry(place: str, data: Mapping[str, Any]) -> EndpointEntry:
    _check_keys(place, data, _names(EndpointEntry))
    _check_one_of(place, "endpoint", data.get("endpoint"), (*ENDPOINTS, ANY_ENDPOINT))
    _check_one_of(place, "lost", data.get("lost"), (None, *_LOST))
    return EndpointEntry(**{**data, "has": _one_or_several(data.get("has"))})


def _chat_entry(place: str, data: Mapping[str, Any]) -> ChatEntry:
    _check_keys(place, data, ["nth", "has", *_names(ChatScript)])
    settings = {name: value for name, value in data.items() if name not in ("nth", "has")}
    _check_one_of(place, "outcome", settings.get("outcome", "answered"), chat_script.OUTCOMES)
    return ChatEntry(_one_or_several(data.get("nth")), _one_or_several(data.get("has")), settings)


def _limits(data: Mapping[str, Any]) -> ChatLimits:
    _check_keys("limits", data, _names(ChatLimits))
    return ChatLimits(**data)


def _existing(place: str, data: Mapping[str, Any]) -> ExistingBatch:
    _check_keys(place, data, _names(ExistingBatch))
    if "requests" not in data:
        raise ValueError(f"{place}: requests are missing")
    return ExistingBatch(**{**data, "requests": tuple(data["requests"])})


def _one_or_several(value: Any) -> frozenset[Any] | None:
    """
    >>> _one_or_several(3), sorted(_one_or_several([1, 2])), _one_or_several(None)
    (frozenset({3}), [1, 2], None)
    """
    return None if value is None else frozenset([value] if isinstance(value, (int, str)) else value)


def _entries(data: Mapping[str, Any], name: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
    return [(f"{name}[{n}]", each) for n, each in enumerate(data.get(name, ()))]


def _names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _check_keys(place: str, data: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in data:
        if name not in names:
            raise ValueError(f"{place}: unknown key {name!r}; there are {', '.join(sorted(names))}")


def _check_one_of(place: str, name: str, value: T, values: Sequence[T]) -> None:
    if value not in values:
        raise ValueError(f"{place}: {name} must be one of {', '.join(map(str, values))}, got {value!r}")
