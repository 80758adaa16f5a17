"""What a provider's answers say, read as a description says where things are. Pure; never raises on what it finds."""

from __future__ import annotations

import datetime
from typing import Any

from transforms.providers.description import BatchFields, Errors
from transforms.providers.remote import RemoteBatch, State
from transforms.records.paths import AnyPath
from transforms.records.times import timestamp

_MAX_TEXT_CHARS = 500  # of a provider's error


def batch_in(value: Any, fields: BatchFields) -> RemoteBatch | None:
    """A batch as its provider describes it; None if that has no id.

    A batch that is said to have results, but is over and names none, has none: FAILED.
    """
    batch_id = text_at(fields.id, value)
    if not batch_id:
        return None
    state = fields.states.get(text_at(fields.state, value), State.RUNNING)
    # Some name the place of results from the start, or whatever became of them.
    results = texts_at(fields.results, value) if state in (State.READY, State.PARTIAL) else ()
    if state is State.PARTIAL and not results:
        state = State.FAILED
    return RemoteBatch(
        batch_id,
        state,
        key=text_at(fields.key, value) or None,
        created_at=time_at(fields.created_at, value),
        requests=number_at(fields.requests, value),
        answered=number_at(fields.answered, value),
        failed=number_at(fields.failed, value),
        input_tokens=number_at(fields.input_tokens, value),
        output_tokens=number_at(fields.output_tokens, value),
        error_code=text_at(fields.error_code, value),
        error_text=text_at(fields.error_text, value),
        results=results,
    )


def error_in(value: Any, errors: Errors, body: str) -> tuple[str, str]:
    """Code and text of a refusal.

    Args:
      value: the answer, read as JSON; None if it is not.
      body: its beginning as text, which says what is wrong where it is not JSON. Of JSON nothing else is shown: there
        may be parts of requests in it.
    """
    code, text = text_at(errors.code, value), text_at(errors.text, value)
    return code, text or (one_line(body) if not isinstance(value, dict | list) else "")


def text_at(path: AnyPath | None, value: Any) -> str:
    """A text or a number as text, on one line; empty for anything else."""
    found = path.read(value) if path else None
    if isinstance(found, bool) or not isinstance(found, str | int):
        return ""
    return one_line(str(found))


def texts_at(path: AnyPath | None, value: Any) -> tuple[str, ...]:
    """One text or a list of them; what is null or empty is left out."""
    found = path.read(value) if path else None
    each = found if isinstance(found, list) else [found]
    return tuple(dict.fromkeys(text for text in each if isinstance(text, str) and text))


def number_at(path: AnyPath | None, value: Any) -> int | None:
    """A whole number that is not negative, also as Google writes those of 64 bits, in quotes."""
    found = path.read(value) if path else None
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 19:
        return int(found)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def time_at(path: AnyPath | None, value: Any) -> datetime.datetime | None:
    """A point in time, of RFC 3339 or Unix time."""
    found = path.read(value) if path else None
    return timestamp(found) if isinstance(found, str | int | float) and not isinstance(found, bool) else None


def one_line(text: str) -> str:
    """A text on one line, and not longer than people read."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TEXT_CHARS else f"{line[: _MAX_TEXT_CHARS - 1]}…"
