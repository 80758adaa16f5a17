"""Firestore's messages as plain protobuf classes, and the few that are put together from serialised parts.

The generated client wraps every message in proto-plus, which costs several times the CPU per document. Everything here
builds and reads the protobuf classes underneath, which proto-plus exposes as `pb`. A document that is encoded once, to
be hashed, is not parsed again to be sent: serialised protobuf messages can be nested and concatenated as bytes.
Source of the field numbers: google/firestore/v1/{document,write,common,firestore}.proto.
"""

from __future__ import annotations

import datetime
import importlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from transforms.lazy_package import make_lazy

make_lazy("google.cloud.firestore_v1")
types = importlib.import_module("google.cloud.firestore_v1.types")


def _protobuf_class(wrapper: Any) -> Any:
    return wrapper.pb(wrapper()).__class__


Value = _protobuf_class(types.Value)
Document = _protobuf_class(types.Document)
Write = _protobuf_class(types.Write)
DocumentMask = _protobuf_class(types.DocumentMask)

CommitRequest = _protobuf_class(types.CommitRequest)
CommitResponse = _protobuf_class(types.CommitResponse)
BatchWriteRequest = _protobuf_class(types.BatchWriteRequest)
BatchWriteResponse = _protobuf_class(types.BatchWriteResponse)
BatchGetDocumentsRequest = _protobuf_class(types.BatchGetDocumentsRequest)
BatchGetDocumentsResponse = _protobuf_class(types.BatchGetDocumentsResponse)
StructuredQuery = _protobuf_class(types.StructuredQuery)
RunQueryRequest = _protobuf_class(types.RunQueryRequest)
RunQueryResponse = _protobuf_class(types.RunQueryResponse)
StructuredAggregationQuery = _protobuf_class(types.StructuredAggregationQuery)
RunAggregationQueryRequest = _protobuf_class(types.RunAggregationQueryRequest)
RunAggregationQueryResponse = _protobuf_class(types.RunAggregationQueryResponse)
PartitionQueryRequest = _protobuf_class(types.PartitionQueryRequest)
PartitionQueryResponse = _protobuf_class(types.PartitionQueryResponse)
BeginTransactionRequest = _protobuf_class(types.BeginTransactionRequest)
BeginTransactionResponse = _protobuf_class(types.BeginTransactionResponse)
RollbackRequest = _protobuf_class(types.RollbackRequest)
WriteResult = _protobuf_class(types.WriteResult)
ListenRequest = _protobuf_class(types.ListenRequest)
ListenResponse = _protobuf_class(types.ListenResponse)
TargetChange = _protobuf_class(types.TargetChange)


def document(name: str, *fields: bytes) -> bytes:
    """A serialised `Document` from its full name and serialised documents that have nothing but fields."""
    return delimited(1, name.encode()) + b"".join(fields)


def update(serialised_document: bytes) -> bytes:
    """A serialised `Write` that sets a whole document.

    >>> Write.FromString(update(document("projects/p/databases/d/documents/a/b"))).update.name
    'projects/p/databases/d/documents/a/b'
    """
    return delimited(1, serialised_document)


def delete(name: str) -> bytes:
    """A serialised `Write` that deletes a document, whether there is one or not."""
    return delimited(2, name.encode())


def update_mask(paths: Iterable[str]) -> bytes:
    """Appended to an update: only these field paths are written. No paths: nothing is."""
    return delimited(3, b"".join(delimited(1, path.encode()) for path in paths))


# Appended to an update: only if there is no such document. Precondition.exists = false.
IF_ABSENT = b"\x22\x02\x08\x00"


def if_unchanged_since(update_time: datetime.datetime) -> bytes:
    """Appended to an update: only if the document is still the one of this `update_time`.

    >>> noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
    >>> Write.FromString(if_unchanged_since(noon)).current_document.update_time.ToJsonString()
    '2026-01-01T12:00:00Z'
    """
    write = Write()
    write.current_document.update_time.FromDatetime(update_time)
    serialised: bytes = write.SerializeToString()
    return serialised


def commit_request(database: str, writes: Iterable[bytes]) -> bytes:
    """A serialised `CommitRequest` of serialised `Write`s."""
    return delimited(1, database.encode()) + b"".join(delimited(2, write) for write in writes)


def delimited(field_number: int, payload: bytes) -> bytes:
    """A length-delimited field, as protobuf has it on the wire: tag, length, bytes.

    >>> delimited(1, b"ab")
    b'\\n\\x02ab'
    """
    return varint(field_number << 3 | 2) + varint(len(payload)) + payload


@lru_cache(maxsize=16_384)
def varint(number: int) -> bytes:
    """A whole number from 0 on, seven bits a byte, the lowest first.

    >>> varint(300)
    b'\\xac\\x02'
    """
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
