"""Results of model batches, recognised record by record: the model's answer becomes the record, or several records.

    record ─▶ recognised, see provider_lines.py ─┬─▶ body ─▶ answer ─▶ one record, or several
                                                 ├─▶ error: `ProviderError`, its code `PROVIDER_THEIR_CODE`
                                                 └─▶ none: the record is left alone

A record that merely has a field named `key`, `custom_id` or `response` is left alone; one that is nearly a result is a
NOT_A_MODEL_ANSWER. Fields of a line that the provider has not written, and that hold a short text, a number or a
boolean, go with the record as its `source_fields`; the rest is dropped and counted.

The id that the request carried is the record's `fallback_id`, of several records with `-1`, `-2`, … behind it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transforms.batch import ModelAnswer, Record
from transforms.errors import RecordError
from transforms.models.answers import Item, answer_in
from transforms.models.bodies import said_in
from transforms.models.near_results import EMBEDDINGS, check_not_near_result, holds_embeddings, near
from transforms.models.options import CUSTOM_ID, DEFAULT, AnswerOptions
from transforms.models.provider_error import ProviderError
from transforms.models.provider_lines import ID_FIELDS, recognised

# One of these is at the top of every line that is, or nearly is, a provider's.
_MARKS = frozenset(
    {
        "candidates",
        "choices",
        "customId",
        "custom_id",
        "error",
        "instance",
        "modelInput",
        "modelOutput",
        "object",
        "promptFeedback",
        "prompt_feedback",
        "request",
        "request_counts",
        "response",
        "stop_reason",
        "usageMetadata",
        "usage_metadata",
    }
)
# What a provider itself writes beside the answer: it does not go with the record.
_OWN_FIELDS = {
    "OPENAI": frozenset({"id", "custom_id", "customId", "response", "error"}),
    "ANTHROPIC": frozenset({"custom_id", "customId", "result"}),
    "VERTEX": frozenset({"status", "processed_time", "request", "response", "key", "custom_id", "customId"}),
    "GEMINI": frozenset({"key", "response", "error", "custom_id", "customId"}),
    "BEDROCK": frozenset({"recordId", "modelInput", "modelOutput", "error"}),
}
# … and in a response that was saved without a batch. Sources: the providers' references of these responses.
_BODY_FIELDS = frozenset().union(
    ("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "metadata"),
    ("prompt_filter_results", "prompt_logprobs", "kv_transfer_params", "request_id"),  # Azure, vLLM
    ("created_at", "completed_at", "status", "error", "incomplete_details", "instructions", "output", "output_text"),
    ("background", "conversation", "max_output_tokens", "max_tool_calls", "parallel_tool_calls", "prompt", "reasoning"),
    ("previous_response_id", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store", "temperature"),
    ("text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user", "billing"),
    ("type", "role", "content", "stop_reason", "stop_sequence", "container", "context_management"),  # Anthropic
    ("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "createTime", "modelStatus"),
    ("prompt_feedback", "usage_metadata", "model_version", "response_id", "create_time", "model_status"),
)
_MAX_CARRIED_CHARS = 1_500
_MAX_NAME_CHARS = 200  # with `_meta.source_fields` before it the path has far less than Firestore's 1,500 bytes


def unwrapped(record: Record, options: AnswerOptions = DEFAULT) -> tuple[Record, ...]:
    """The records a model's answer holds if `record` is a provider's result; else `record` itself.

    One record of several is an original of its own: a dead letter of it keeps that one record and its place in the
    answer, so that replaying it neither writes the others again nor loses them.

    Raises:
      ProviderError: the provider reports no usable answer.
      RecordError: NOT_A_MODEL_ANSWER, or as `answer_in`.
    """
    value = record.value
    if _MARKS.isdisjoint(value):
        return (record,)
    result = recognised(value)
    if result is None:
        check_not_near_result(value)
        return (record,)
    if result.body is None:
        raise ProviderError(result.provider, result.error_code, http_status=result.http_status)
    found = answer_in(_said_in(result.provider, result.body), options.repair)
    records = tuple(part for record in found.records for part in _at(options.records_path, record))
    own_fields = _BODY_FIELDS if result.body is value else _OWN_FIELDS[result.provider]
    answer = ModelAnswer(0, options.key == CUSTOM_ID, found.repairs, *_carried(value, own_fields))
    if len(records) == 1:
        return (record._replace(value=records[0], fallback_id=result.request_id, answer=answer),)
    request_id = result.request_id
    return tuple(
        record._replace(
            value=part,
            raw=None,
            fallback_id=request_id and f"{request_id}-{number}",
            answer=replace(answer, part=number),
        )
        for number, part in enumerate(records, 1)
    )


def _said_in(provider: str, body: Mapping[str, Any]) -> list[Item]:
    try:
        return said_in(provider, body)
    except ProviderError as error:
        raise near("a result of a batch", EMBEDDINGS) if holds_embeddings(body) else error from error


def _at(path: tuple[str, ...], record: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The records that an object of an answer has at a path; itself where it has nothing there."""
    found: Any = record
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return (record,)
        found = found[name]
    elements = found if isinstance(found, list) else [found]
    if not elements or not all(isinstance(element, dict) for element in elements):
        raise RecordError("MODEL_ANSWER_NOT_OBJECTS", f"the model's answer has no objects at {'.'.join(path)}")
    return tuple(elements)


def _carried(value: Mapping[str, Any], own_fields: frozenset[str]) -> tuple[Mapping[str, Any], int]:
    """What the user's own fields of a line hold, as far as it is fit to be kept beside the record; and how many hold
    something that is not."""
    if own_fields.issuperset(value):
        return {}, 0
    own = {name: member for name, member in value.items() if name not in own_fields and not _says_nothing(name, member)}
    carried = {name: member for name, member in own.items() if _is_carried(name, member)}
    return carried, len(own) - len(carried)


def _says_nothing(name: str, member: Any) -> bool:
    """Whether a field holds nothing, or nothing but the request's id."""
    return member is None or (name == "metadata" and isinstance(member, dict) and set(member).issubset(ID_FIELDS))


def _is_carried(name: str, member: Any) -> bool:
    if not name.isprintable() or not name or len(name) > _MAX_NAME_CHARS or name.startswith("__"):
        return False
    if isinstance(member, str):
        return len(member) <= _MAX_CARRIED_CHARS and not any("\ud800" <= char <= "\udfff" for char in member)
    if isinstance(member, int):
        return -(2**63) <= member < 2**63
    return isinstance(member, float) and math.isfinite(member)
