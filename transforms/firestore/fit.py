"""Whether a JSON object can be a document, told from its values: no message is made. Plain Python.

    surely_fits   True:  Firestore's codec accepts it, and it is far from every limit
                  False: nobody knows; encode it and look, see `values.py` and `limits.py`

It costs a tenth of encoding, so whoever only asks asks here first. What decides for itself is left out: names that are
long or begin with two underscores, objects of more than 64 KiB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from transforms.firestore.values import MAX_DEPTH

# As JSON. Firestore counts at most eleven times as many bytes (an empty map in an array: 3 and 32), and at most one
# index entry for every two: 720,896 of 1,048,576 and 32,768 of 40,000. What is left is for the document's name and for
# what it gets beside.
_MAX_JSON_BYTES = 64 * 1024
# With so many bytes in each name, no path of `MAX_DEPTH` levels comes near 1,500, even if names get a few more.
_MAX_NAME_BYTES = 64

_MAX_KNOWN_NAMES = 4_096
_known_names: set[str] = set()


def surely_fits(fields: Mapping[str, Any]) -> bool:
    """Whether these fields, as they come out of JSON, can surely be those of a document.

    >>> surely_fits({"a": [{"b": None}]}), surely_fits({"a": [[1]]}), surely_fits({"__a__": 1})
    (True, False, False)
    """
    try:
        # It refuses lone surrogates, integers beyond 53 bit and what is nested too deep to be walked through.
        n_bytes = len(orjson.dumps(fields, option=orjson.OPT_STRICT_INTEGER))
    except (TypeError, orjson.JSONEncodeError):
        return False
    return n_bytes <= _MAX_JSON_BYTES and _map_fits(fields, 0)


def _map_fits(fields: Mapping[str, Any], depth: int) -> bool:
    if depth > MAX_DEPTH:
        return False
    for name, value in fields.items():
        if name not in _known_names and not _name_fits(name):
            return False
        kind = type(value)
        if kind is str or value is None or kind is int or kind is bool:
            continue
        if kind is dict:
            if not _map_fits(value, depth + 1):
                return False
        elif kind is list:
            if not _array_fits(value, depth + 1):
                return False
        elif kind is not float or value - value != 0.0:  # NaN and the infinities are not JSON
            return False
    return True


def _array_fits(items: Iterable[Any], depth: int) -> bool:
    if depth > MAX_DEPTH:
        return False
    for item in items:
        kind = type(item)
        if kind is str or item is None or kind is int or kind is bool:
            continue
        if kind is dict:
            if not _map_fits(item, depth + 1):
                return False
        elif kind is not float or item - item != 0.0:
            return False
    return True


def _name_fits(name: str) -> bool:
    fits = bool(name) and not name.startswith("__") and len(name.encode()) <= _MAX_NAME_BYTES
    if fits and len(_known_names) < _MAX_KNOWN_NAMES:
        _known_names.add(name)
    return fits
