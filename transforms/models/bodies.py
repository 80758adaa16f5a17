"""A provider's response, recognised by what it has: what the model said in it, and whether it had finished.

| body of                       | has                               | its verdict is in                        |
|-------------------------------|-----------------------------------|------------------------------------------|
| chat completions, completions | `choices`                         | `finish_reason` of each                  |
| OpenAI responses              | `output`, a list                  | `status` of the whole and of each item   |
| Anthropic messages            | `content`, a list                 | `stop_reason`                            |
| Gemini                        | `candidates` or `promptFeedback`  | `finishReason` of each, `blockReason`    |
| Bedrock: Converse, Nova       | `output.message`                  | `stopReason`                             |
| Bedrock: Titan                | `results`                         | `completionReason` of each               |
| Bedrock: Mistral, Cohere      | `outputs`, `generations`, `text`  | `stop_reason` or `finish_reason` of each |
| Bedrock: Llama, Claude 2      | `generation`, `completion`        | `stop_reason`                            |

Names count in snake and in camel case, verdicts in any case. Only a verdict that is known to mean "finished" does: one
that is unknown or missing leaves open whether the answer is whole, and then it is not used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

from transforms.errors import RecordError
from transforms.json_values import parse_json_text
from transforms.models.answers import Item
from transforms.models.provider_error import NO_FINISH_REASON, ProviderError

# In lower case, without blanks and underscores, and without the name of the enumeration in front.
_CALLED = frozenset({"toolcall", "toolcalls", "tooluse", "functioncall"})
_FINISHED = _CALLED | {
    "stop",
    "stopsequence",
    "endturn",
    "eos",
    "eostoken",
    "complete",
    "completed",
    "finish",
    "finished",
}
_NOT_COMPARED = re.compile(r"[\s_.-]+|^(?:finish|stop|completion)_?reason[._]?")
_TEXT_TYPES = (None, "text", "output_text")
_OBJECTS = ("chat.completion", "text_completion", "response")
_OUTPUTS = ("results", "outputs", "generations")


class Turn(NamedTuple):
    """One thing that a model said, and its provider's verdict on it.

    Attributes:
      verdict: as the provider spells it.
      items: as in `answer_in`.
      calls: the arguments of every tool it called.
      is_refusal: whether it said that it does not answer.
    """

    verdict: Any
    items: Sequence[Sequence[str]] = ()
    calls: Sequence[Any] = ()
    is_refusal: bool = False


def said_in(provider: str, body: Mapping[str, Any]) -> list[Item]:
    """What a model said in a response, as far as it had finished: texts, or the arguments of the tool it called.

    Raises:
      ProviderError: nothing.
      RecordError: MODEL_ANSWER_NOT_ONE_OBJECT, if several tools were called.
    """
    said: list[Item] = []
    unusable: list[ProviderError] = []
    for turn in _turns(body):
        if turn.is_refusal:
            unusable.append(ProviderError(provider, "refusal"))
        elif not is_finished(turn.verdict):
            silent = NO_FINISH_REASON if turn.items or any(turn.calls) else "no_answer"
            unusable.append(ProviderError(provider, text(turn.verdict) or silent))
        else:
            said += _said(turn)
    if not said:
        raise unusable[0] if unusable else ProviderError(provider, "no_answer")
    return said


def is_finished(verdict: Any) -> bool:
    """Whether a provider's word for the end of an answer is known to mean that it is whole.

    >>> is_finished("end_turn"), is_finished("FinishReason.STOP"), is_finished("toolCalls"), is_finished("length")
    (True, True, True, False)
    """
    return verdict == "stop" or _compared(verdict) in _FINISHED


def _compared(verdict: Any) -> str:
    return _NOT_COMPARED.sub("", text(verdict).lower())


def is_body(value: Any) -> bool:
    """Whether something is a response, and not merely like one: no record has all this by chance."""
    if not isinstance(value, dict):
        return False
    if value.get("object") in _OBJECTS:
        return True
    if isinstance(value.get("choices"), list):
        return any("message" in mapping(choice) or "text" in mapping(choice) for choice in value["choices"])
    if isinstance(value.get("output"), list):
        return any(mapping(output).get("type") in ("message", "function_call") for output in value["output"])
    if isinstance(value.get("content"), list):
        return value.get("type") == "message" or bool(either(value, "stop_reason"))
    return is_gemini(value)


def either(value: Mapping[str, Any], name: str) -> Any:
    """A member by its name in snake case, or else in camel case."""
    found = value.get(name)
    return value.get(_camel(name)) if found is None else found


@cache
def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _turns(body: Mapping[str, Any]) -> list[Turn]:
    if isinstance(body.get("choices"), list):
        return [_choice(mapping(choice)) for choice in body["choices"]]
    if isinstance(body.get("output"), list) or body.get("object") == "response":
        return _responses(body)
    if isinstance(body.get("content"), list):
        return [_message(body["content"], either(body, "stop_reason"))]
    if isinstance(body.get("candidates"), list) or is_gemini(body):
        return _candidates(body)
    return _bedrock(body)


def _choice(choice: Mapping[str, Any]) -> Turn:
    """Of a chat completion, or of a completion, which has no message."""
    message = mapping(choice.get("message"))
    verdict = either(choice, "finish_reason")
    verdict = either(choice, "stop_reason") if verdict is None else verdict
    functions = [mapping(mapping(call).get("function")) for call in _list(either(message, "tool_calls"))]
    functions = functions or [mapping(either(message, "function_call"))]
    content = message.get("content", choice.get("text"))
    return _message(content, verdict, [function.get("arguments") for function in functions], message.get("refusal"))


def _responses(body: Mapping[str, Any]) -> list[Turn]:
    status, outputs = body.get("status"), [mapping(output) for output in _list(body.get("output"))]
    if not is_finished(status):
        details = mapping(either(body, "incomplete_details")).get("reason") or mapping(body.get("error")).get("code")
        return [Turn(details or status, calls=outputs)]
    messages = [output for output in outputs if output.get("type") == "message"]
    final = [message for message in messages if message.get("phase") == "final_answer"]
    turns = [_message(message.get("content"), message.get("status", status)) for message in final or messages]
    called = [output for output in outputs if output.get("type") == "function_call"]
    if called:
        unfinished = [output["status"] for output in called if not is_finished(output.get("status", status))]
        calls = [output.get("arguments") for output in called]
        turns.append(Turn(unfinished[0] if unfinished else status, calls=calls))
    return turns


def _candidates(body: Mapping[str, Any]) -> list[Turn]:
    blocked = either(mapping(either(body, "prompt_feedback")), "block_reason")
    if blocked:
        return [Turn(blocked)]
    turns = []
    for candidate in map(mapping, _list(body.get("candidates"))):
        reason = either(candidate, "finish_reason")
        parts = mapping(candidate.get("content")).get("parts")
        turns.append(_message(parts, "STOP" if text(reason) == "1" else reason))  # FinishReason.STOP
    return turns


def _bedrock(body: Mapping[str, Any]) -> list[Turn]:
    """Of the models that have formats of their own there."""
    converse = mapping(mapping(body.get("output")).get("message"))
    several = next((name for name in _OUTPUTS if isinstance(body.get(name), list)), None)
    outputs = [mapping(output) for output in body[several]] if several else [body]
    if converse or several is None:
        message = converse or mapping(body.get("message"))
        if message:
            return [_message(message.get("content"), _bedrock_verdict(body))]
    texts = ("outputText", "text", "generation", "completion")
    return [
        _message(next((output[name] for name in texts if name in output), None), _bedrock_verdict(output))
        for output in outputs
    ]


def _bedrock_verdict(output: Mapping[str, Any]) -> Any:
    names = ("stop_reason", "finish_reason", "completion_reason")
    return next((verdict for name in names if (verdict := either(output, name)) is not None), None)


def _message(content: Any, verdict: Any, calls: Sequence[Any] = (), refusal: Any = None) -> Turn:
    """A text, or blocks of which some are texts and some call tools."""
    if isinstance(content, str):
        return Turn(verdict, [[content]], calls, bool(refusal))
    blocks = [mapping(block) for block in _list(content)]
    if len(blocks) == 1 and _is_text(blocks[0]):  # which most messages are
        return Turn(verdict, [[blocks[0]["text"]]], calls, bool(refusal))
    called = [arguments for block in blocks if (arguments := _arguments(block)) is not None]
    items = [[block["text"] for block in run] for is_text, run in groupby(blocks, _is_text) if is_text]
    is_refusal = bool(refusal) or any(block.get("type") == "refusal" for block in blocks)
    return Turn(verdict, items, [*calls, *called], is_refusal)


def _is_text(block: Mapping[str, Any]) -> bool:
    return isinstance(block.get("text"), str) and block.get("type") in _TEXT_TYPES and not block.get("thought")


def _arguments(block: Mapping[str, Any]) -> Any:
    """Of the tool that a block calls: of Anthropic, of Gemini, of Bedrock."""
    if block.get("type") == "tool_use":
        return block.get("input")
    return mapping(either(block, "function_call")).get("args", mapping(either(block, "tool_use")).get("input"))


def _said(turn: Turn) -> list[Item]:
    """What the turn says, and what it calls a tool with; only that where the verdict says that a call is the answer."""
    items: list[Item] = [item for item in turn.items if any(text.strip() for text in item)]
    given = [call for call in turn.calls if call]
    if len(given) > 1:
        raise RecordError("MODEL_ANSWER_NOT_ONE_OBJECT", f"the model called {len(given)} tools, where one is a record")
    if not given or not isinstance(given[0], str | dict):
        return items
    call: Item = [given[0]] if isinstance(given[0], str) else given[0]
    return [call] if _compared(turn.verdict) in _CALLED else [*items, call]


def is_gemini(value: Mapping[str, Any]) -> bool:
    """Whether it is a response of Gemini, one without candidates included."""
    if isinstance(either(value, "usage_metadata"), dict):
        return True
    if either(mapping(either(value, "prompt_feedback")), "block_reason"):
        return True
    candidates = value.get("candidates")
    if candidates == []:
        return either(value, "model_version") is not None
    return any(
        isinstance(candidate.get("content"), dict) or either(candidate, "finish_reason") is not None
        for candidate in map(mapping, _list(candidates))
    )


def mapping(value: Any) -> Mapping[str, Any]:
    """A value if it is an object, else an empty one. It is a dict; to ask for a Mapping takes seven times as long."""
    return value if isinstance(value, dict) else {}


def object_in(value: Any) -> Mapping[str, Any] | None:
    """An object, or the one that a text holds as JSON."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = parse_json_text(value)
        except RecordError:
            return None
    return value if isinstance(value, dict) else None


def text(value: Any) -> str:
    """A text or a whole number as text, else an empty one."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
