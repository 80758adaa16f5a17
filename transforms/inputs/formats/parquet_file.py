"""Opens a Parquet file such that lists of fixed size can be read, also where one of them is null.

    stored ──▶ footer ── ARROW:schema: fixed_size_list<float>[3] ──▶ the same footer, with list<float> ──▶ ParquetFile

Parquet itself has ordinary lists only. That they are of a fixed size is said by the schema that Arrow keeps beside it,
in the footer's metadata under `ARROW:schema`, and Arrow's reader then wants that many elements of every list, also of
one that is null and has none (apache/arrow#35697). As a list of Python has no fixed size either, the columns are read
as what is stored. All other types stay what the schema says.
"""

from __future__ import annotations

import base64
import io
import struct
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

_MAGIC = b"PAR1"
_SCHEMA = b"ARROW:schema"
_TAIL = struct.Struct("<I4s")  # bytes of the footer, magic
_types = pa.types
_LISTS = (
    (_types.is_list, pa.list_),
    (_types.is_large_list, pa.large_list),
    (_types.is_list_view, pa.list_view),
    (_types.is_large_list_view, pa.large_list_view),
)


def open_parquet(stored: BinaryIO) -> pq.ParquetFile:
    """The file, ready to be read.

    Raises:
      pa.ArrowException, OSError: it is not Parquet, or its footer is damaged.
    """
    file = pq.ParquetFile(stored)
    kept = (file.metadata.metadata or {}).get(_SCHEMA)
    variable = pa.schema([_variable(field) for field in file.schema_arrow], file.schema_arrow.metadata)
    if kept is None or variable.equals(file.schema_arrow):
        return file
    instead = base64.b64encode(variable.serialize().to_pybytes())
    footer = _footer(stored).replace(_text(kept), _text(instead))
    alone = io.BytesIO(_MAGIC + footer + _TAIL.pack(len(footer), _MAGIC))  # all that metadata are read from
    return pq.ParquetFile(stored, metadata=pq.read_metadata(alone))


def _footer(stored: BinaryIO) -> bytes:
    stored.seek(-_TAIL.size, io.SEEK_END)
    n_bytes, _ = _TAIL.unpack(stored.read(_TAIL.size))
    stored.seek(-_TAIL.size - n_bytes, io.SEEK_END)
    return stored.read(n_bytes)


def _text(value: bytes) -> bytes:
    """As Thrift's compact protocol has it, which footers are written in: its length as a varint, then the bytes.

    >>> _text(b"x" * 300)[:3]
    b'\\xac\\x02x'
    """
    n_bytes, length = len(value), bytearray()
    while n_bytes > 0x7F:
        length.append(n_bytes & 0x7F | 0x80)
        n_bytes >>= 7
    return bytes([*length, n_bytes]) + value


def _variable(field: pa.Field) -> pa.Field:
    """The field, with lists of any size for lists of a fixed one, however deep they are."""
    return field.with_type(_variable_type(field.type))


def _variable_type(kind: Any) -> Any:
    # Of lists of 0 elements the writer stores one null each, so that nobody can tell what they were.
    if _types.is_fixed_size_list(kind) and kind.list_size > 0:
        return pa.list_(_variable(kind.value_field))
    for is_kind, make in _LISTS:
        if is_kind(kind):
            return make(_variable(kind.value_field))
    if isinstance(kind, pa.BaseExtensionType):  # such as a tensor of fixed shape
        variable = _variable_type(kind.storage_type)
        return kind if variable == kind.storage_type else variable
    if _types.is_struct(kind):
        return pa.struct([_variable(member) for member in kind])
    if _types.is_map(kind):
        return pa.map_(kind.key_field, _variable(kind.item_field), kind.keys_sorted)
    return kind
