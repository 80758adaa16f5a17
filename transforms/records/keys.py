"""Document ids: where a record's id comes from and what may be one.

Text is trimmed: an id with a blank at its end is the same id. Whole numbers become their decimal digits. Booleans,
fractions and blanks are no ids: the next source is tried, then the id that came with the record. Whatever stands for
nothing elsewhere ("NA", "null") is an id here: nobody but its author knows what it stands for.

    >>> id_of(" cand-1 "), id_of(42), id_of(4.2), id_of("NA")
    ('cand-1', '42', None, 'NA')
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from transforms.errors import RecordError

# https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields
MAX_ID_BYTES = 1_500
_RESERVED = re.compile("__.*__", re.DOTALL)
_ESCAPE = re.compile("%([0-9A-F]{2})")
_MAX_ID_BITS = 5_000  # a longer integer has more than 1,500 digits, and Python refuses to print it


def id_of(value: Any) -> str | None:
    """The text of an id, or None for what is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value) if value.bit_length() <= _MAX_ID_BITS else "9" * (MAX_ID_BYTES + 1)
    if not isinstance(value, str):
        return None
    return value.strip() or None


def kind_of(value: Any) -> str:
    """What a value is that is no id, without a word of what it says.

    >>> kind_of(1.0), kind_of(b"x"), kind_of(" ")
    ('a number with a decimal point', 'bytes', 'blank text')
    """
    if isinstance(value, str):
        return "text" if value.strip() else "blank text"
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        (int, "a whole number"),
        ((float, Decimal), "a number with a decimal point"),
        ((bytes, bytearray), "bytes"),
        (datetime.date, "a point in time"),
        (Mapping, "a map"),
        ((list, tuple), "a list"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "another type")


def escaped(text: str) -> str:
    """An id that Firestore takes, of one that it may not: `%` stands before the hex digits of what it does not take.

    `unescaped` gives the id again, and of two ids that differ the escaped ones differ.

    >>> escaped("a/b"), escaped("100%"), escaped(".."), escaped("__x__"), escaped("plain")
    ('a%2Fb', '100%25', '%2E.', '%5F_x__', 'plain')
    """
    text = text.replace("%", "%25").replace("/", "%2F")
    if text in (".", "..") or _RESERVED.fullmatch(text):
        return f"%{ord(text[0]):02X}{text[1:]}"
    return text


def unescaped(text: str) -> str:
    """The id that `escaped` was given.

    >>> unescaped("a%2Fb")
    'a/b'
    """
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def check_id(text: str, name: str) -> str:
    """The id again, once it is known that Firestore takes it.

    Args:
      name: of the field, for the message.

    Raises:
      RecordError: INVALID_ID.

    >>> check_id("a/b", "candidate_id")
    Traceback (most recent call last):
    transforms.errors.RecordError: INVALID_ID: candidate_id must not contain "/"
    """
    if (problem := id_problem(text)) is not None:
        raise RecordError("INVALID_ID", f"{name} {problem}")
    return text


def id_problem(text: str) -> str | None:
    """What keeps a text from being a document or collection id, or None."""
    try:
        n_bytes = len(text.encode())
    except UnicodeEncodeError:
        return "must be valid Unicode, without lone surrogates"
    if not text:
        return "must not be empty"
    if "/" in text:
        return 'must not contain "/"'
    if text in (".", ".."):
        return 'must not be "." or ".."'
    if len(text) >= 4 and text.startswith("__") and text.endswith("__"):
        return "must not have the form __…__, which Firestore keeps for itself"
    if n_bytes > MAX_ID_BYTES:
        return f"must not exceed {MAX_ID_BYTES:,} bytes of UTF-8, got {n_bytes:,}"
    return None
