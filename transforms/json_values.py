"""One JSON text into Python values, exactly.

orjson is four times as fast as the standard library but turns integers beyond 64 bit into floats, silently, and refuses
NaN, Infinity and lone surrogates. So it is asked only where it cannot err, and the standard library, which carries all
of these through, has the last word. What is then still no JSON is a `RecordError` that shows no content. Neither of the
two is let round a number such as 1e400 to Infinity.

    >>> parse_json(b'{"id": 123456789012345678901234567890}')["id"]
    123456789012345678901234567890
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from transforms.errors import RecordError

# The smallest integers beyond 64 bit have 19 digits. Looking for such a run in a translated copy is thirty times as
# fast as a regular expression.
_DIGITS_AS_ZERO = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))
_LONG_NUMBER = b"0" * 19
_BACKSLASH, _ESCAPED_COLON = b"\\", b"\\u003"  # and A, or a


def parse_json(raw: bytes) -> Any:
    """The value of one JSON text; also of NaN, Infinity, integers of any length and lone surrogates.

    Raises:
      RecordError: NOT_UTF8, INVALID_JSON (with line and column), TOO_DEEP, NUMBER_TOO_LONG or NUMBER_OUT_OF_RANGE.
    """
    if _LONG_NUMBER not in raw.translate(_DIGITS_AS_ZERO):
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass  # the standard library knows more JSON, and says better what is wrong with the rest
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(
            "NOT_UTF8", f"byte {error.start + 1} of the record is not UTF-8; convert the file to UTF-8"
        ) from error
    return parse_json_text(text)


def parse_json_text(text: str) -> Any:
    """As `parse_json`, by the standard library."""
    return _decoded(text, _DECODER)


def parse_unambiguous(text: str) -> Any:
    """As `parse_json`, for text in which an object that has a name twice may mean either of the two values.

    Raises:
      RecordError: also REPEATED_NAME.

    >>> parse_unambiguous('{"level": "junior", "level": "senior"}')
    Traceback (most recent call last):
    transforms.errors.RecordError: REPEATED_NAME: an object has the same name twice; which of the two values is meant?
    """
    try:
        raw = text.encode()
        value = parse_json(raw)
        # A colon stands behind each name, and in strings: there are fewer of them in what is left if a name was lost.
        # One byte is found twenty times as fast as six.
        if (_BACKSLASH not in raw or _ESCAPED_COLON not in raw) and raw.count(b":") == orjson.dumps(value).count(b":"):
            return value
    except (UnicodeEncodeError, orjson.JSONEncodeError):
        pass  # lone surrogates, integers beyond 64 bit
    return _decoded(text, UNAMBIGUOUS)


def _decoded(text: str, decoder: json.JSONDecoder) -> Any:
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        where = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno} of it, column {error.colno}"
        raise RecordError("INVALID_JSON", f"the record is not valid JSON at {where}: {error.msg}") from error
    except RecursionError as error:
        raise RecordError("TOO_DEEP", "the record nests objects and arrays too deeply to be parsed") from error
    except ValueError as error:  # Python's own bound on digits, 4,300, against quadratic conversion
        raise RecordError("NUMBER_TOO_LONG", "a number in the record has more than 4,300 digits") from error


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise RecordError("NUMBER_OUT_OF_RANGE", "a number in the record is larger than any double, 1.8e308")
    return value


def _unique(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) < len(members):
        raise RecordError("REPEATED_NAME", "an object has the same name twice; which of the two values is meant?")
    return value


_DECODER = json.JSONDecoder(parse_float=_finite)
# Finds also where a value within a text ends.
UNAMBIGUOUS = json.JSONDecoder(parse_float=_finite, object_pairs_hook=_unique)


def parse_object(raw: bytes) -> Mapping[str, Any]:
    """The object of one JSON text.

    Raises:
      RecordError: as `parse_json`; NOT_AN_OBJECT for any other JSON value.
    """
    value = parse_json(raw)
    if isinstance(value, dict):
        return value
    raise RecordError("NOT_AN_OBJECT", f"a record is a JSON object, but this one is {_kind(value)}")


def _kind(value: Any) -> str:
    """
    >>> _kind([]), _kind(None), _kind(True), _kind(1.5)
    ('an array', 'null', 'a boolean', 'a number')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    return "an array" if isinstance(value, list) else "a string" if isinstance(value, str) else "a number"
