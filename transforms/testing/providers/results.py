"""Lines of results as OpenAI writes them, and as others do who have copied its API.

answered ──▶ output file   {"custom_id", "response": {"status_code": 200, "body"}}
error    ──▶ error file    {"custom_id", "response": {"status_code": 400, "body"}}
missing  ──▶ nowhere
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from transforms.testing.providers import answers
from transforms.testing.providers.batches import Batch, Batches, Fate, Request

# The answer to request number n, of this body, with this text, of a batch created then.
Form: TypeAlias = Callable[[int, Mapping[str, Any], str, float], dict[str, Any]]


def text_of(batches: Batches, batch: Batch, request: Request) -> str:
    """What the model said: by the script, or the echo."""
    return batches.scripted(batch).answers.get(request.custom_id) or answers.said(request.body)


def output_lines(batches: Batches, batch: Batch, form: Form = answers.chat_completion) -> Iterator[dict[str, Any]]:
    """A line for each request that was answered."""
    for n, (request, fate) in enumerate(batches.fates(batch)):
        if fate is Fate.ANSWERED:
            body = form(n, request.body, text_of(batches, batch, request), batch.created_at)
            yield result_line(n, request.custom_id, {"status_code": 200, "request_id": f"req_{n}", "body": body})


def error_lines(batches: Batches, batch: Batch, error: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A line for each request that was answered with an error."""
    for n, (request, fate) in enumerate(batches.fates(batch)):
        if fate is Fate.ERROR:
            yield result_line(n, request.custom_id, {"status_code": 400, "request_id": f"req_{n}", "body": error})


def unanswered_lines(batches: Batches, batch: Batch, error: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A line for each request for which the batch was over too early."""
    for n, (request, fate) in enumerate(batches.fates(batch)):
        if fate is Fate.UNANSWERED:
            yield result_line(n, request.custom_id, None, error)


def result_line(
    n: int, custom_id: str, response: Mapping[str, Any] | None, error: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The line of request number n."""
    return {"id": f"batch_req_{n}", "custom_id": custom_id, "response": response, "error": error}


def tokens(batches: Batches, batch: Batch) -> answers.Usage:
    """What all answers have cost, those that are missing included."""
    spent = [
        answers.usage(request.body, text_of(batches, batch, request))
        for request, fate in batches.fates(batch)
        if fate in (Fate.ANSWERED, Fate.MISSING)
    ]
    return answers.Usage(sum(each.input for each in spent), sum(each.output for each in spent))
