"""What a line of a batch's results says of its request, without what the model said. Plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from transforms.models.bodies import either, mapping
from transforms.models.provider_error import ProviderError
from transforms.models.provider_lines import recognised

# What providers call the tokens that came and went: one of the first, and what is not in it. Anthropic counts those of
# its cache apart, the others do not; Gemini counts what the model thought apart. Sources: the references of these
# responses.
_INPUT = (
    ("prompt_tokens", "input_tokens", "prompt_token_count"),
    (
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
    ),
)
_OUTPUT = ("completion_tokens", "output_tokens", "candidates_token_count"), ("thoughts_token_count",)


class Asked(NamedTuple):
    """What became of a request.

    Attributes:
      request_id: its name; None if the line has none.
      error_code: PROVIDER_THEIR_CODE of what was said in place of an answer; empty if there is an answer.
      ask_again: whether the same request may well be answered if it is sent again.
      input_tokens, output_tokens: None where the line does not say.
    """

    request_id: str | None
    error_code: str = ""
    ask_again: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None


def asked(raw: bytes) -> Asked | None:
    """What a line says; None if it is not a provider's.

    >>> asked(b'{"custom_id": "p1", "result": {"type": "expired"}}')
    Asked(request_id='p1', error_code='ANTHROPIC_EXPIRED', ask_again=True, input_tokens=None, output_tokens=None)
    >>> asked(b'{"custom_id": "p2", "response": {"status_code": 200, "body": {"usage": {"prompt_tokens": 3}}}}')
    Asked(request_id='p2', error_code='', ask_again=False, input_tokens=3, output_tokens=None)
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    result = recognised(value) if isinstance(value, dict) else None
    if result is None:
        return None
    if result.body is None:
        error = ProviderError(result.provider, result.error_code, result.http_status)
        return Asked(result.request_id, error.code, error.ask_again)
    usage = mapping(either(result.body, "usage") or either(result.body, "usage_metadata"))
    return Asked(result.request_id, "", False, _counted(usage, _INPUT), _counted(usage, _OUTPUT))


def _counted(usage: Mapping[str, Any], names: tuple[tuple[str, ...], tuple[str, ...]]) -> int | None:
    one_of, further = ([n for name in some if type(n := either(usage, name)) is int and n >= 0] for some in names)
    return sum((*one_of[:1], *further)) if one_of or further else None
