"""From a provider's response to the one object in it.

    body ──answer_of_body──▶ text, or the arguments of a tool ──object_of──▶ the record
                                                                 whole text → fenced block → largest object → repaired

Exactly one object is a record: the object itself, or the only element of an array. An object that wraps another one is
taken as it is; which of its fields are meant is for the record spec to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import json_repair

from transforms.errors import RecordError
from transforms.json_values import parse_json_text

# Repairing takes time that grows faster than the text, and what is longer than this fits no document anyway.
MAX_REPAIRED_CHARS = 1024 * 1024
_MAX_STARTS = 64  # places at which an object is looked for in an answer full of braces

_FENCE = re.compile(r"```[A-Za-z0-9_-]*[ \t]*\r?\n?(.*?)```", re.DOTALL)
_OPEN_FENCE = re.compile(r"```[A-Za-z0-9_-]*[ \t]*\r?\n?(.*)", re.DOTALL)
_LOOKS_LIKE_OBJECT = re.compile(r"""\{\s*["'“\w][^{}]*?:""", re.DOTALL)
_START = re.compile(r"[{\[]")

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
    }
)
_PASSING_HTTP = frozenset({408, 409, 429, *range(500, 600)})
_FINISHED = frozenset({"", "stop", "tool_calls", "function_call", "STOP", "FINISH_REASON_UNSPECIFIED"})
_ANTHROPIC_FINISHED = frozenset({"", "end_turn", "stop_sequence", "tool_use"})


_NAMES = {"OPENAI": "OpenAI", "ANTHROPIC": "Anthropic", "VERTEX": "Vertex AI", "GEMINI": "Gemini"}


class ProviderError(RecordError):
    """A model gave no usable answer: refused, cut off, expired or failed.

    Args:
      provider: OPENAI, ANTHROPIC, VERTEX or GEMINI.
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
        advice = "the same request may well be answered if it is sent again" if self.ask_again else "change the request"
        super().__init__(
            f"{provider}_{code}", f"the model gave no complete answer: {_NAMES[provider]} reports {code}; {advice}"
        )

    def __reduce__(self) -> tuple[type[ProviderError], tuple[str, str, int]]:  # type: ignore[override]
        return ProviderError, self._arguments


def answer_of_body(provider: str, body: Mapping[str, Any]) -> str | Mapping[str, Any]:
    """The text of a response, or the arguments of the tool the model called.

    Raises:
      ProviderError: there is none, or it is not complete.
      RecordError: MODEL_ANSWER_NOT_ONE_OBJECT, if several tools were called.
    """
    if isinstance(body.get("choices"), list):
        return _chat_completion(provider, body["choices"])
    if isinstance(body.get("output"), list) or body.get("object") == "response":
        return _openai_response(provider, body)
    if isinstance(body.get("content"), list):
        return _anthropic_message(provider, body)
    return _gemini_response(provider, body)


def object_of(answer: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """The one object in an answer.

    Raises:
      RecordError: MODEL_ANSWER_NOT_JSON, MODEL_ANSWER_NOT_ONE_OBJECT.

    >>> object_of('Here you are:\\n```json\\n{"name": "Ada",}\\n```\\nAnything else?')
    {'name': 'Ada'}
    """
    if isinstance(answer, Mapping):
        return answer
    text = answer.strip()
    fenced = [block.strip() for block in _FENCE.findall(text)]
    for candidate in (text, *fenced):
        found = _strictly(candidate)
        if found is not None:
            return _single(found)
    found = _largest(text)
    if found is None:
        found = _repaired(text, fenced)
    if found is None:
        raise RecordError("MODEL_ANSWER_NOT_JSON", "the model's answer holds no JSON object")
    return _single(found)


def _strictly(text: str) -> Any:
    """The object or array that a text is, or None."""
    if text[:1] not in ("{", "["):
        return None
    try:
        return parse_json_text(text)
    except RecordError:
        return None  # object_of goes on to more tolerant ways, and reports when all of them fail


def _largest(text: str) -> Any:
    """The longest valid object, or array of objects, between other words; None if there is none or it is in doubt."""
    decoder = json.JSONDecoder()
    best, best_length, at = None, 0, 0
    for _ in range(_MAX_STARTS):
        start = _START.search(text, at)
        if start is None:
            break
        try:
            value, end = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            if _LOOKS_LIKE_OBJECT.match(text, start.start()):
                return None  # a broken object: what is valid within it is only a part
            at = start.end()
            continue
        if _holds_objects(value) and end - start.start() > best_length:
            best, best_length = value, end - start.start()
        at = end
    return best


def _repaired(text: str, fenced: Sequence[str]) -> Any:
    """What a tolerant parser makes of the part that looks like an object, or None."""
    open_fence = _OPEN_FENCE.search(text)
    for candidate in (*fenced, open_fence.group(1) if open_fence else "", text):
        start = _LOOKS_LIKE_OBJECT.search(candidate)
        if start is None or len(candidate) > MAX_REPAIRED_CHARS:
            continue
        begin = start.start()
        if candidate[:begin].rstrip().endswith("["):
            begin = candidate.rindex("[", 0, begin)
        try:
            value = json_repair.loads(candidate[begin:], skip_json_loads=True)
        except (ValueError, RecursionError):
            continue
        if _holds_objects(value):
            return value
    return None


def _holds_objects(value: Any) -> bool:
    return bool(value) and (isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict)))


def _single(found: Any) -> Mapping[str, Any]:
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if isinstance(found, dict):
        return found
    raise RecordError("MODEL_ANSWER_NOT_ONE_OBJECT", "the model's answer is not one JSON object but an array")


def _chat_completion(provider: str, choices: Sequence[Any]) -> str | Mapping[str, Any]:
    choice = _mapping(choices[0] if choices else None)
    message = _mapping(choice.get("message"))
    if message.get("refusal"):
        raise ProviderError(provider, "refusal")
    reason = str(choice.get("finish_reason") or "")
    if reason not in _FINISHED:
        raise ProviderError(provider, reason)
    calls = [_mapping(_mapping(call).get("function")).get("arguments") for call in message.get("tool_calls") or ()]
    calls = calls or [_mapping(message.get("function_call")).get("arguments")]
    content = message.get("content", choice.get("text"))
    return _one_call(calls) or _text_of(provider, content if isinstance(content, list) else [{"text": content}])


def _openai_response(provider: str, body: Mapping[str, Any]) -> str | Mapping[str, Any]:
    status = str(body.get("status") or "completed")
    if status != "completed":
        details = _mapping(body.get("incomplete_details")).get("reason") or _mapping(body.get("error")).get("code")
        raise ProviderError(provider, str(details or status))
    outputs = [_mapping(output) for output in body.get("output") or ()]
    calls = [output.get("arguments") for output in outputs if output.get("type") == "function_call"]
    parts = [_mapping(part) for output in outputs if output.get("type") == "message" for part in output["content"]]
    if any(part.get("type") == "refusal" for part in parts):
        raise ProviderError(provider, "refusal")
    return _one_call(calls) or _text_of(provider, parts)


def _anthropic_message(provider: str, message: Mapping[str, Any]) -> str | Mapping[str, Any]:
    reason = str(message.get("stop_reason") or "")
    if reason not in _ANTHROPIC_FINISHED:
        raise ProviderError(provider, reason)
    blocks = [_mapping(block) for block in message["content"]]
    calls = [block.get("input") for block in blocks if block.get("type") == "tool_use"]
    return _one_call(calls) or _text_of(provider, [block for block in blocks if block.get("type") == "text"])


def _gemini_response(provider: str, body: Mapping[str, Any]) -> str | Mapping[str, Any]:
    blocked = _mapping(body.get("promptFeedback")).get("blockReason")
    if blocked:
        raise ProviderError(provider, str(blocked))
    candidates = body.get("candidates") or [None]
    candidate = _mapping(candidates[0])
    reason = str(candidate.get("finishReason") or "")
    if reason not in _FINISHED:
        raise ProviderError(provider, reason)
    parts = [_mapping(part) for part in _mapping(candidate.get("content")).get("parts") or ()]
    calls = [_mapping(part.get("functionCall")).get("args") for part in parts]
    return _one_call(calls) or _text_of(provider, [part for part in parts if not part.get("thought")])


def _one_call(arguments: Sequence[Any]) -> str | Mapping[str, Any] | None:
    """The arguments of the one tool that was called; None if there was none."""
    given = [call for call in arguments if call]
    if len(given) > 1:
        raise RecordError("MODEL_ANSWER_NOT_ONE_OBJECT", f"the model called {len(given)} tools, where one is a record")
    return given[0] if given and isinstance(given[0], str | Mapping) else None


def _text_of(provider: str, parts: Sequence[Any]) -> str:
    texts = [text for part in parts if isinstance(text := _mapping(part).get("text"), str)]
    if not any(text.strip() for text in texts):
        raise ProviderError(provider, "no_answer")
    return "".join(texts)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
