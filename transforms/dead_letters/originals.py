"""The record within the line of a dead letter, in the first of the forms that is exact. Plain Python.

    original ──kept──▶ record_text | record_base64 | record, fields of a line ──original_of──▶ original

What none of these forms says exactly is not kept as if it were the record: the line says so in `record_lost`. No reader
of ours gives such a value.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
from collections.abc import Mapping
from typing import Any

from transforms.errors import RecordError
from transforms.firestore.tagged_json import from_tagged_json, to_tagged_json
from transforms.firestore.values import GeoPoint, Reference, Vector
from transforms.unexpected import UNEXPECTED

FORMS = ("record_text", "record", "record_base64")

_EXACT = (bool, int, float, str, bytes, Reference, GeoPoint, Vector)


def kept(original: bytes | Mapping[str, Any] | None, source: str) -> dict[str, Any]:
    """The fields that keep an original.

    Args:
      original: as in `DeadLetter`.
      source: where it was read, and can be read again.

    >>> kept(b"{", "in.jsonl"), kept({"at": b"x"}, "in.parquet")
    ({'record_text': '{'}, {'record': {'at': {'$bytes': 'eA=='}}})
    """
    if isinstance(original, bytes):
        try:
            return {"record_text": original.decode()}
        except UnicodeDecodeError:
            return {"record_base64": base64.b64encode(original).decode()}
    try:
        tagged = to_tagged_json(original)
        json.dumps(tagged)
        is_exact = _is_exact(original)
    except UNEXPECTED:
        is_exact = False
    if is_exact:
        return {"record": tagged}
    lost = f"a value of the record has no exact form in JSON, so it is not kept; to store it, ingest {source} again"
    return {"record": None, "record_lost": lost}


def _is_exact(value: Any) -> bool:
    """Whether tagged JSON says of a value all that Firestore could hold of it.

    >>> _is_exact({"at": [1, b"x", None]}), _is_exact({1: "x"}), _is_exact(datetime.datetime(2026, 1, 1))
    (True, False, False)
    """
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_exact(member) for name, member in value.items())
    if isinstance(value, datetime.datetime):
        return value.tzinfo is not None
    if isinstance(value, list | tuple) and not isinstance(value, Reference | GeoPoint | Vector):
        return all(map(_is_exact, value))
    return value is None or isinstance(value, _EXACT)


def original_of(fields: Mapping[str, Any], name: str) -> bytes | Mapping[str, Any] | None:
    """The original that a line keeps in a form. Raises RecordError: NO_DEAD_LETTER."""
    value = fields[name]
    if name == "record":
        try:
            original = from_tagged_json(value)
        except (ValueError, TypeError, AttributeError) as error:
            raise RecordError("NO_DEAD_LETTER", "record holds a tag, such as $bytes, with a wrong value") from error
        if original is None or isinstance(original, Mapping):
            return original
        raise RecordError("NO_DEAD_LETTER", "record must be an object")
    if not isinstance(value, str):
        raise RecordError("NO_DEAD_LETTER", f"{name} must be text, is another value")
    try:
        return value.encode() if name == "record_text" else base64.b64decode(value, validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        what = "has lone surrogates" if name == "record_text" else "is not base64"
        raise RecordError("NO_DEAD_LETTER", f"{name} {what}") from error
