"""One byte text for a record, whatever order its maps have: what its hash is made of.

It is canonical and typed: 1 is not 1.0, -0.0 not 0.0, NaN not null, and a date not the text that shows it. What JSON
can say exactly is written as JSON with sorted names, which costs a tenth of Firestore's own encoding; anything else is
written as Firestore's encoding. The two never meet: JSON begins with a brace, the other with 0x12 or nothing.

>>> canonical({"b": 1, "a": None})
b'{"a":null,"b":1}'
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from transforms.firestore.values import serialised_fields

# What orjson would otherwise turn into text or into an object goes to Firestore's encoding.
_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def canonical(record: Mapping[str, Any]) -> bytes:
    """The canonical bytes of a record. Raises RecordError where Firestore cannot hold it either."""
    if type(record) is dict:
        try:
            text = orjson.dumps(record, option=_OPTIONS)
        except (TypeError, orjson.JSONEncodeError):  # a type or number beyond JSON, or too deep
            return serialised_fields(record)
        # orjson writes NaN and the infinities as null.
        if b"null" not in text or _finite(record.values()):
            return text
    return serialised_fields(record)


def _finite(values: Collection[Any]) -> bool:
    """Whether there is no NaN and no infinity among the values or below them."""
    for value in values:
        kind = type(value)
        if kind is str or value is None:
            continue
        if kind is dict:
            if not _finite(value.values()):
                return False
        elif kind is list:
            if not _finite(value):
                return False
        elif kind is float and value - value != 0.0:
            return False
    return True
