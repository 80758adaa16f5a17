"""How each API is asked a single question, and how it words the answer.

body of a request ──read──▶ Asked ──▶ (chats.py: script, cache, bill) ──▶ Said ──write──▶ body of an answer
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from transforms.testing.providers import answers

MAX_TOKENS = ("max_completion_tokens", "max_tokens")


class Asked(NamedTuple):
    """A question.

    Attributes:
      model: that is asked.
      instructions: what comes first, and is cached.
      payload: the last user message.
      schema: of the answer; None: any text will do.
      is_cached: whether the instructions may be cached.
      problem: what is wrong with the request; empty: nothing.
    """

    model: str
    instructions: str
    payload: str
    schema: Mapping[str, Any] | None
    is_cached: bool
    problem: str = ""


class Spent(NamedTuple):
    """Tokens of a question and its answer. Input has those of the cache in it."""

    input: int
    cached: int
    written: int
    output: int


class Said(NamedTuple):
    """An answer.

    Attributes:
      text: what the model says; of a refusal why.
      outcome: as in `chat_script`.
    """

    text: str
    outcome: str
    spent: Spent


@dataclass(frozen=True)
class ChatForm:
    """One API.

    Attributes:
      path: of the POST, behind the base path.
      read: a question, from the JSON of a request and the model in its path, if it is there.
      write: the JSON of an answer, from its number, the time, the model and what is said.
      limits: pattern of the headers that say how much is left, by what they count.
      resets_at: whether those say when everything will be there again as a time; else as a duration.
    """

    path: str
    read: Callable[[Mapping[str, Any], str], Asked]
    write: Callable[[int, float, str, Said], dict[str, Any]]
    limits: Mapping[str, str]
    resets_at: bool = False


def read_completion(body: Mapping[str, Any], model: str) -> Asked:
    """OpenAI's chat completions."""
    messages = body.get("messages") or []
    first = [each for each in messages if each.get("role") in ("system", "developer")]
    wanted = body.get("response_format") or {}
    described = wanted.get("json_schema") or {}
    schema = described.get("schema")
    problem = "" if body.get("model") and messages else "you must provide a model and messages"
    if wanted.get("type") == "json_schema" and not (described.get("name") and isinstance(schema, dict)):
        problem = "Missing required parameter: 'response_format.json_schema.name'."
    elif described.get("strict"):
        problem = problem or _lax(schema, "response_format")
    if all(name in body for name in MAX_TOKENS):
        problem = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
    return Asked(body.get("model", ""), _text(first), answers.last_user_text(body), schema, True, problem)


def read_message(body: Mapping[str, Any], model: str) -> Asked:
    """Anthropic's messages."""
    system = body.get("system") or ""
    is_marked = isinstance(system, list) and any("cache_control" in each for each in system)
    schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
    missing = next((name for name in ("model", "max_tokens", "messages") if not body.get(name)), None)
    problem = f"{missing}: Field required" if missing else _lax(schema, "output_config.format.schema")
    texts = system if isinstance(system, list) else [{"content": system}]
    return Asked(body.get("model", ""), _text(texts), answers.last_user_text(body), schema, is_marked, problem)


def read_contents(body: Mapping[str, Any], model: str) -> Asked:
    """Gemini's generateContent."""
    config = body.get("generationConfig") or {}
    schema = config.get("responseJsonSchema")
    problem = "" if body.get("contents") else "contents is not specified"
    if schema is not None and config.get("responseMimeType") != "application/json":
        problem = "responseJsonSchema needs responseMimeType: application/json"
    parts = (body.get("systemInstruction") or {}).get("parts") or []
    return Asked(model, _text(parts), answers.last_user_text(body), schema, True, problem)


def write_completion(n: int, at: float, model: str, said: Said) -> dict[str, Any]:
    """OpenAI's chat completions."""
    body = answers.chat_completion(n, {"model": model}, said.text, at)
    choice = body["choices"][0]
    choice["finish_reason"] = {"cut_off": "length", "unfinished": None}.get(said.outcome, "stop")
    if said.outcome == "refused":
        choice["message"] |= {"content": None, "refusal": said.text}
    body["usage"] |= {
        "prompt_tokens": said.spent.input,
        "completion_tokens": said.spent.output,
        "total_tokens": said.spent.input + said.spent.output,
        "prompt_tokens_details": {"cached_tokens": said.spent.cached, "audio_tokens": 0},
    }
    return body


def write_message(n: int, at: float, model: str, said: Said) -> dict[str, Any]:
    """Anthropic's messages."""
    body = answers.message(n, {"model": model}, said.text)
    reasons = {"cut_off": "max_tokens", "refused": "refusal", "unfinished": None}
    body["stop_reason"] = reasons.get(said.outcome, "end_turn")
    if said.outcome == "refused":
        body["content"] = []
    spent = said.spent
    body["usage"] = {
        "input_tokens": spent.input - spent.cached - spent.written,
        "cache_read_input_tokens": spent.cached,
        "cache_creation_input_tokens": spent.written,
        "output_tokens": spent.output,
    }
    return body


def write_contents(n: int, at: float, model: str, said: Said) -> dict[str, Any]:
    """Gemini's generateContent; a third of the output is thoughts."""
    body = answers.generated_content(n, {}, said.text)
    body["modelVersion"] = model
    candidate = body["candidates"][0]
    candidate["finishReason"] = {"cut_off": "MAX_TOKENS", "refused": "SAFETY"}.get(said.outcome, "STOP")
    if said.outcome == "refused":
        del candidate["content"]
    if said.outcome == "unfinished":
        del candidate["finishReason"]
    thoughts = said.spent.output // 3
    body["usageMetadata"] = {
        "promptTokenCount": said.spent.input,
        "candidatesTokenCount": said.spent.output - thoughts,
        "totalTokenCount": said.spent.input + said.spent.output,
        **({"thoughtsTokenCount": thoughts} if thoughts else {}),
        **({"cachedContentTokenCount": said.spent.cached} if said.spent.cached else {}),
    }
    return body


def completions(path: str, limits: Mapping[str, str]) -> ChatForm:
    """OpenAI's, or one like it."""
    return ChatForm(path, read_completion, write_completion, limits)


def _text(parts: list[Mapping[str, Any]]) -> str:
    found = [each.get("content") or each.get("text") or "" for each in parts]
    return "\n".join(each if isinstance(each, str) else json.dumps(each) for each in found)


def _lax(schema: Any, path: str) -> str:
    """What of a schema cannot be enforced: an object that allows more than it has, or does not require all of it."""
    if not isinstance(schema, dict):
        return ""
    if "properties" in schema:
        if schema.get("additionalProperties") is not False:
            return f"Invalid schema for {path}: 'additionalProperties' is required to be supplied and to be false."
        if {*schema.get("required", ())} != {*schema["properties"]}:
            return f"Invalid schema for {path}: 'required' must include every key in properties."
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", ())]
    problems = (_lax(each, path) for each in [*inner, schema.get("items")])
    return next(filter(None, problems), "")
