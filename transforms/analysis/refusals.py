"""What it means for a call that its provider did not answer it.

    | answer                                | means                                              |
    |---------------------------------------|----------------------------------------------------|
    | 401, 402, 403, a code of `no_credit`  | JobError: no call can succeed                      |
    | 404, a redirect                       | JobError: no such model, or a wrong address        |
    | 429, 503, 529                         | sent again, bounded; the limits are told           |
    | 408, 409, 425, other 5xx              | sent again, bounded                                |
    | none, or none that is JSON            | sent again, bounded                                |
    | other 4xx                             | CallFailedError: this request is refused           |

What is given up after the last attempt is a CallFailedError that is `retryable`.
"""

from __future__ import annotations

import json

from transforms.analysis.chat import CallFailedError, ChatRequest
from transforms.errors import FirebeamError, JobError
from transforms.providers.failures import Provider, RefusalError, is_transient, reason, said

NO_ANSWER = "NO_ANSWER"
_NOT_FOUND = 404
_CONFLICT = 409  # a lock that was not had in time, as the clients of OpenAI and Anthropic read it
# A part of what was asked that is this long is not in a text by chance.
_REPEATED_CHARS = 16
_MIN_VALUE_CHARS = 4


def meaning(error: Exception, provider: Provider, model: str) -> FirebeamError:
    """Of a call that failed: a JobError, or a CallFailedError that says whether it may be sent again."""
    if not isinstance(error, RefusalError):
        return CallFailedError(NO_ANSWER, f"{provider.name} ({provider.host}): {reason(error)}", retryable=True)
    if of_job := provider.of_job(error):
        return of_job
    if error.status == _NOT_FOUND:
        return JobError(f"{provider.name} has no model {model!r} at {provider.host} ({said(error)}): check --analyse")
    if error.status < 400:
        return JobError(f"{provider.name} answers with a redirect ({error.status}): check its address")
    return CallFailedError(error.code or f"HTTP_{error.status}", error.text, retryable=_may_pass(error))


def _may_pass(error: RefusalError) -> bool:
    return error.status == _CONFLICT or is_transient(error)


def without_request(text: str, request: ChatRequest) -> str:
    """A provider's text; nothing if it repeats a part of what was asked, as those about content do.

    >>> without_request("too long: 'Ada Lovelace'", ChatRequest("", {}, '{"name": "Ada Lovelace"}', 1))
    ''
    >>> without_request("too long", ChatRequest("", {}, '{"name": "Ada Lovelace"}', 1))
    'too long'
    """
    asked = f"{request.instructions}\n{request.payload}"
    windows = (text[n : n + _REPEATED_CHARS] for n in range(max(1, len(text) - _REPEATED_CHARS + 1)))
    if any(len(window) == _REPEATED_CHARS and window in asked for window in windows):
        return ""
    return "" if any(value in text for value in _values_in(request.payload)) else text


def _values_in(payload: str) -> list[str]:
    """All texts of a payload that are long enough to be recognised."""
    try:
        pending = [json.loads(payload)]
    except ValueError:
        return []
    found = []
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str) and len(value) >= _MIN_VALUE_CHARS:
            found.append(value)
    return found
