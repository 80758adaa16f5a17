"""Firestore's limits, checked before a request, so that a dead letter says which one was passed and by how much.

Source: "Quotas and limits" and "Storage size calculations" in the Firestore documentation. The limits on field names,
depth and values are the codec's (`values.py`).
"""

from __future__ import annotations

from typing import Any

from transforms.errors import RecordError
from transforms.firestore.messages import Document

MAX_DOCUMENT_BYTES = 1_048_576
MAX_INDEX_ENTRIES = 40_000
MAX_WRITES_PER_COMMIT = 500


# Below this encoded size no document can pass a limit, so that nobody has to walk it. Firestore counts at most eight
# times the encoded bytes (an empty map: 4 encoded, 32 counted) and at most two index entries for every four.
_SAFE_ENCODED_BYTES = 64 * 1024


def check_document(serialised: bytes, *, indexed: bool = True) -> None:
    """Raises RecordError if a serialised `Document` is too large, or has too many index entries, for Firestore.

    Args:
      serialised: the document, with its full resource name.
      indexed: whether its collection's fields have their automatic single-field indexes.
    """
    if len(serialised) <= _SAFE_ENCODED_BYTES:
        return
    document = Document.FromString(serialised)
    n_bytes = document_size(document)
    if n_bytes > MAX_DOCUMENT_BYTES:
        raise RecordError(
            "DOCUMENT_TOO_LARGE",
            f"the document would take {n_bytes:,} bytes; Firestore keeps at most {MAX_DOCUMENT_BYTES:,}; "
            f"the largest field is {_largest_field(document.fields)}",
        )
    if indexed and (entries := index_entries(document.fields)) > MAX_INDEX_ENTRIES:
        raise RecordError(
            "TOO_MANY_INDEX_ENTRIES",
            f"the document would have {entries:,} index entries; Firestore keeps at most {MAX_INDEX_ENTRIES:,}; "
            "exempt large arrays and maps from indexing",
        )


def document_size(document: Any) -> int:
    """Bytes that Firestore counts for a protobuf `Document`: its name, its fields, and 32."""
    return _name_size(document.name) + _fields_size(document.fields) + 32


def _name_size(name: str) -> int:
    """Collection and document ids count as strings; 16 more for the whole name."""
    path = name.partition("/documents/")[2] or name
    return sum(len(segment.encode()) + 1 for segment in path.split("/")) + 16


def _fields_size(fields: Any) -> int:
    return sum(len(name.encode()) + 1 + _value_size(value) for name, value in fields.items())


def _value_size(value: Any) -> int:
    kind = value.WhichOneof("value_type")
    if kind == "string_value":
        return len(value.string_value.encode()) + 1
    if kind == "map_value":
        return _fields_size(value.map_value.fields) + 32
    if kind == "array_value":
        return sum(_value_size(item) for item in value.array_value.values)
    if kind == "bytes_value":
        return len(value.bytes_value)
    if kind == "reference_value":
        return _name_size(value.reference_value)
    return {"null_value": 1, "boolean_value": 1, "geo_point_value": 16}.get(kind, 8)


def _largest_field(fields: Any) -> str:
    name, size = max(((name, _value_size(value)) for name, value in fields.items()), key=lambda pair: pair[1])
    return f"{name} with {size:,} bytes"


def index_entries(fields: Any) -> int:
    """Entries in the automatic single-field indexes: ascending and descending for every scalar, map subfields included,
    and one for every distinct element of an array."""
    return sum(_value_entries(value) for value in fields.values())


def _value_entries(value: Any) -> int:
    kind = value.WhichOneof("value_type")
    if kind == "map_value":
        return index_entries(value.map_value.fields) + 2
    if kind == "array_value":
        return len({item.SerializeToString(deterministic=True) for item in value.array_value.values}) + 2
    return 2
