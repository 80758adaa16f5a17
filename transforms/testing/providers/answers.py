"""What a model says, in the words of each API: the JSON of the last user message again, as its answer.

    {"messages": [{"role": "user", "content": "{\\"n\\": 1}"}]}  ──▶  text '{"n": 1}'  ──▶  a body of the API

A message that is no JSON is answered with a JSON object that holds it: `{"echo": "…"}`. Tokens are a quarter of the
characters, so that the same request costs the same at any time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

MODEL = "scripted-1"


class Usage(NamedTuple):
    """Tokens of a request and of its answer."""

    input: int
    output: int

    @property
    def total(self) -> int:
        return self.input + self.output


def said(body: Mapping[str, Any]) -> str:
    """The answer's text: the last user message, if that is JSON.

    >>> said({"messages": [{"role": "user", "content": '{"name": "Ada"}'}]})
    '{"name": "Ada"}'
    >>> said({"contents": [{"parts": [{"text": "hello"}]}]})
    '{"echo": "hello"}'
    """
    return echo(last_user_text(body))


def echo(asked: str) -> str:
    """A message again, if it is JSON; else an object that holds it."""
    try:
        json.loads(asked)
    except ValueError:
        return json.dumps({"echo": asked}, ensure_ascii=False)
    return asked


def usage(body: Mapping[str, Any], text: str) -> Usage:
    """Tokens of everything that a request says to the model, and of its answer.

    >>> usage({"system": "Be brief.", "messages": [{"role": "user", "content": "hello"}]}, "12345678")
    Usage(input=3, output=2)
    """
    return Usage(max(1, sum(map(len, _texts(body))) // 4), max(1, len(text) // 4))


def chat_completion(n: int, body: Mapping[str, Any], text: str, created_at: float) -> dict[str, Any]:
    """A body of OpenAI's chat completions."""
    tokens = usage(body, text)
    return {
        "id": f"chatcmpl-{n}",
        "object": "chat.completion",
        "created": int(created_at),
        "model": body.get("model", MODEL),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": tokens.input,
            "completion_tokens": tokens.output,
            "total_tokens": tokens.total,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "system_fingerprint": None,
    }


def response(n: int, body: Mapping[str, Any], text: str, created_at: float) -> dict[str, Any]:
    """A body of OpenAI's responses."""
    tokens = usage(body, text)
    content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": f"resp_{n}",
        "object": "response",
        "created_at": int(created_at),
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": body.get("model", MODEL),
        "output": [
            {"type": "message", "id": f"msg_{n}", "status": "completed", "role": "assistant", "content": [content]}
        ],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": tokens.input,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": tokens.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tokens.total,
        },
    }


def message(n: int, body: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A body of Anthropic's messages."""
    tokens = usage(body, text)
    return {
        "id": f"msg_{n}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", MODEL),
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": tokens.input, "output_tokens": tokens.output},
    }


def generated_content(n: int, body: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A body of Gemini's generateContent."""
    tokens = usage(body, text)
    return {
        "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": tokens.input,
            "candidatesTokenCount": tokens.output,
            "totalTokenCount": tokens.total,
        },
        "modelVersion": MODEL,
        "responseId": f"response-{n}",
    }


def last_user_text(body: Mapping[str, Any]) -> str:
    """What a model is asked last."""
    asked = _asked(body)
    if isinstance(asked, str):
        return asked
    for turn in reversed(asked):
        if turn.get("role", "user") == "user":
            return _text(turn.get("content") or turn.get("parts") or "")
    return ""


def _texts(body: Mapping[str, Any]) -> Iterator[str]:
    """What is said to a model: instructions, then every turn."""
    for name in ("system", "instructions"):
        yield _text(body.get(name) or "")
    yield _text((body.get("systemInstruction") or {}).get("parts", ""))
    asked = _asked(body)
    if isinstance(asked, str):
        yield asked
        return
    for turn in asked:
        yield _text(turn.get("content") or turn.get("parts") or "")


def _asked(body: Mapping[str, Any]) -> str | Sequence[Mapping[str, Any]]:
    return body.get("messages") or body.get("input") or body.get("contents") or body.get("prompt") or ""


def _text(content: str | Sequence[Mapping[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
