"""Items as the service keeps them: which it refuses, what it adds, and what becomes of their numbers. Plain Python."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from transforms.testing.cosmos.answers import RefusedError

SYSTEM_FIELDS = ("_rid", "_self", "_etag", "_attachments", "_ts", "_lsn")

# learn.microsoft.com/azure/cosmos-db/concepts-limits
MAX_ITEM_BYTES = 2 * 1024 * 1024
MAX_ID_BYTES = 1023
_NOT_IN_IDS = "/\\?#"

_WRITTEN_AS_WHOLE = 1e21  # as JavaScript writes numbers


def parse_item(body: bytes) -> dict[str, Any]:
    """An item as it is sent.

    Raises:
      RefusedError: it is not an object, its id cannot be one, or it is too large.
    """
    if len(body) > MAX_ITEM_BYTES:
        raise RefusedError(413, "Request size is too large")
    return check_item(parse_json(body))


def parse_json(body: bytes) -> Any:
    """JSON whose numbers are doubles. Raises RefusedError for anything else.

    >>> parse_json(b"[1.0, -0.0, 9007199254740993, 0.5]")
    [1, 0, 9007199254740992, 0.5]
    """
    try:
        return json.loads(body, parse_int=_double, parse_float=_double, parse_constant=_refused_constant)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"The request body is not JSON: {error}") from None


def check_item(item: Any) -> dict[str, Any]:
    """An item without the fields that only the service writes. Raises RefusedError as `parse_item`."""
    if not isinstance(item, dict):
        raise RefusedError(400, "The input content is invalid: an item is a JSON object")
    name = item.get("id")
    if not isinstance(name, str) or not name:
        raise RefusedError(400, "The input content is invalid because the required properties - 'id; ' - are missing")
    if len(name.encode("utf-8", "surrogatepass")) > MAX_ID_BYTES or any(each in name for each in _NOT_IN_IDS):
        raise RefusedError(400, "Id is too long or contains illegal chars")
    return {field: value for field, value in item.items() if field not in SYSTEM_FIELDS}


def ttl_of(item: Mapping[str, Any], default_ttl: int | None) -> int | None:
    """Seconds that an item lives after its last change; None for ever.

    >>> ttl_of({"ttl": 5}, -1), ttl_of({}, 9), ttl_of({"ttl": -1}, 9), ttl_of({"ttl": 5}, None)
    (5, 9, None, None)
    """
    if default_ttl is None:
        return None
    own = item.get("ttl", default_ttl)
    return own if isinstance(own, int) and own > 0 else None


def _double(text: str) -> int | float:
    if len(text) < 16 and text.lstrip("-").isdecimal():
        return int(text)
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < _WRITTEN_AS_WHOLE else value


def _refused_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")
