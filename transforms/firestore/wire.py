"""Values straight into protobuf's wire format, without building messages: the usual ones, the fast way.

    {"name": "Ada", "tags": ["x"]}  ──serialised──▶  the bytes of a Document that has nothing but these fields

    prefix of "name", text of 3 bytes │ Ada │ prefix of "tags", array of 6 bytes │ prefix of an item, text of 1 byte │ x

What stands before a value - tag, lengths, field name - depends on nothing but the name and the value's kind and size,
so it is made once for each of them and looked up from then on. Names are checked when they are first seen. Whatever is
unusual, and whatever Firestore cannot hold, raises `UnusualError`: `values.py` encodes it then, or says why it cannot.
Source of the field numbers: google/firestore/v1/document.proto.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

from transforms.firestore.messages import varint

MAX_DEPTH = 20
MAX_PATH_BYTES = 1_500
# As long as no name is longer, no path of so many levels can be too long, so that nobody has to measure them.
_SAFE_NAME_BYTES = (MAX_PATH_BYTES - MAX_DEPTH) // (MAX_DEPTH + 1)
_MAX_NAME = 375  # characters, of at most four bytes each: a field name has at most 1,500 bytes

# Bounds of what is kept, for records whose names are data: some 10 MB.
_MAX_NAMES = 4_096
_MAX_PREFIXES = 65_536
_MAX_KEPT_SIZE = 1_024

# Kinds of values, in the lowest three bits of a prefix's key; the others are the size.
_TEXT, _MAP, _ARRAY, _BYTES, _INTEGER, _CONSTANT = range(6)
# string_value = 17, map_value = 6, array_value = 9, bytes_value = 18
_TAGS = {_TEXT: b"\x8a\x01", _MAP: b"\x32", _ARRAY: b"\x4a", _BYTES: b"\x92\x01"}
_INTEGER_TAG = b"\x10"  # integer_value = 2
_NULL, _TRUE, _FALSE, _DOUBLE = (_CONSTANT | n << 3 for n in range(4))
_CONSTANTS = {_NULL: b"\x58\x00", _TRUE: b"\x08\x01", _FALSE: b"\x08\x00", _DOUBLE: b"\x19"}
_DOUBLE_BYTES = 8

_pack_double = Struct("<d").pack
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)


class UnusualError(Exception):
    """A value that is left to the codec."""


def serialised(record: Mapping[str, Any]) -> bytes:
    """A serialised `Document` that has nothing but these fields, in the record's order. Raises UnusualError."""
    try:
        fields = _map(record, _FIELDS, 0)
        if _Names.longest > _SAFE_NAME_BYTES and _longest_path(record) > MAX_PATH_BYTES:
            raise UnusualError
    except (UnicodeEncodeError, AttributeError, TypeError):  # a lone surrogate; a name that is not text
        raise UnusualError from None
    return fields


def _longest_path(fields: Mapping[str, Any]) -> int:
    """Bytes of the longest path of a value in a map; places in arrays do not count.

    >>> _longest_path({"ab": [{"c": 1}, {"defg": {}}], "h": 2})
    7
    """
    longest = 0
    for name, value in fields.items():
        n_bytes = len(name.encode())
        maps = value if type(value) is list else (value,)
        within = [_longest_path(each) for each in maps if isinstance(each, dict) and each]
        longest = max(longest, n_bytes + 1 + max(within) if within else n_bytes)
    return longest


class _Prefixes(dict[int, bytes]):
    """What stands before a value in one place, by the value's kind and size.

    Args:
      tag: of the entry or item.
      name: of the field, with its own tag and length, and the tag of the value; empty for an item of an array.
    """

    kept = 0

    def __init__(self, tag: bytes, name: bytes):
        super().__init__()
        self._tag, self._name = tag, name

    def __missing__(self, key: int) -> bytes:
        kind, size = key & 7, key >> 3
        if kind == _CONSTANT:
            prefix = self.around(_CONSTANTS[key], _DOUBLE_BYTES if key == _DOUBLE else 0)
        elif kind == _INTEGER:
            prefix = self.around(_INTEGER_TAG + varint(size), 0)
        else:
            prefix = self.around(_TAGS[kind] + varint(size), size)
        if size <= _MAX_KEPT_SIZE and _Prefixes.kept < _MAX_PREFIXES:
            _Prefixes.kept += 1
            self[key] = prefix
        return prefix

    def around(self, head: bytes, size: int) -> bytes:
        """The prefix of a Value that begins with `head` and continues for `size` bytes."""
        head = self._name + varint(len(head) + size) + head
        return self._tag + varint(len(head) + size) + head if self._name else self._tag + head


class _Names(dict[str, _Prefixes]):
    """The prefixes of every field name, checked.

    Attributes:
      longest: bytes of the longest name that was ever seen.
    """

    longest = 0

    def __init__(self, tag: bytes):
        super().__init__()
        self._tag = tag

    def __missing__(self, name: str) -> _Prefixes:
        if type(name) is not str or not name or name[:2] == "__" or len(name) > _MAX_NAME:
            raise UnusualError
        text = name.encode()
        _Names.longest = max(_Names.longest, len(text))
        prefixes = _Prefixes(self._tag, b"\x0a" + varint(len(text)) + text + b"\x12")
        if len(self) < _MAX_NAMES:
            self[name] = prefixes
        return prefixes


_FIELDS = _Names(b"\x12")  # Document.fields = 2
_ENTRIES = _Names(b"\x0a")  # MapValue.fields = 1
_ITEM = _Prefixes(b"\x0a", b"")  # ArrayValue.values = 1


def _map(record: Mapping[str, Any], names: _Names, depth: int) -> bytes:
    """The entries. The frequent kinds are spelt out, because a call for each would double the cost."""
    if depth > MAX_DEPTH:
        raise UnusualError
    parts: list[bytes] = []
    for name, value in record.items():
        prefixes = names[name]
        kind = type(value)
        if kind is str:
            text = value.encode()
            parts += (prefixes[len(text) << 3], text)
        elif value is None:
            parts.append(prefixes[_NULL])
        elif kind is list:
            items = _array(value, depth + 1)
            parts += (prefixes[_ARRAY | len(items) << 3], items)
        elif kind is dict:
            entries = _map(value, _ENTRIES, depth + 1)
            parts += (prefixes[_MAP | len(entries) << 3], entries)
        else:
            parts += _scalar(value, kind, prefixes)
    return b"".join(parts)


def _array(items: list[Any], depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise UnusualError
    parts: list[bytes] = []
    for item in items:
        kind = type(item)
        if kind is str:
            text = item.encode()
            parts += (_ITEM[len(text) << 3], text)
        elif kind is dict:
            entries = _map(item, _ENTRIES, depth + 1)
            parts += (_ITEM[_MAP | len(entries) << 3], entries)
        else:
            parts += _scalar(item, kind, _ITEM)
    return b"".join(parts)


def _scalar(value: Any, kind: type, prefixes: _Prefixes) -> tuple[bytes, ...]:
    if kind is float:
        return prefixes[_DOUBLE], _pack_double(value)
    if kind is bool:
        return (prefixes[_TRUE if value else _FALSE],)
    if kind is int:
        if 0 <= value <= _MAX_KEPT_SIZE:
            return (prefixes[_INTEGER | value << 3],)
        if -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF:
            return (prefixes.around(_INTEGER_TAG + varint(value & 0xFFFF_FFFF_FFFF_FFFF), 0),)
    if value is None:
        return (prefixes[_NULL],)
    if kind is bytes:
        return prefixes[_BYTES | len(value) << 3], value
    if kind is datetime.datetime and value.tzinfo is not None:
        return (prefixes.around(_timestamp(value), 0),)
    raise UnusualError


@lru_cache(maxsize=1_024)  # a batch is written at one time
def _timestamp(value: datetime.datetime) -> bytes:
    """timestamp_value = 10, with seconds = 1 and nanos = 2; protobuf leaves zeros out."""
    seconds, microseconds = divmod((value - _EPOCH) // _MICROSECOND, 1_000_000)
    inner = (b"\x08" + varint(seconds & 0xFFFF_FFFF_FFFF_FFFF)) if seconds else b""
    if microseconds:
        inner += b"\x10" + varint(microseconds * 1000)
    return b"\x52" + varint(len(inner)) + inner
