"""What a refusal of the Storage Write API means. No Beam.

It comes as the `error` of one AppendRowsResponse, or it ends the whole call; both carry a google.rpc.Status, and in its
details a StorageError, whose code says more than the text does. https://cloud.google.com/bigquery/docs/write-api
"""

from __future__ import annotations

import enum
from typing import Any

import grpc
from google.rpc import status_pb2

from transforms.bigquery.failures import Failure
from transforms.bigquery.messages import of_request
from transforms.bigquery.storage_messages import StorageError
from transforms.errors import Kind, classify

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}

OFFSET_ALREADY_EXISTS = "OFFSET_ALREADY_EXISTS"
OFFSET_OUT_OF_RANGE = "OFFSET_OUT_OF_RANGE"

_NOT_FOUND = frozenset({"TABLE_NOT_FOUND", "NOT_FOUND"})
_STREAM_GONE = frozenset({"STREAM_NOT_FOUND", "INVALID_STREAM_TYPE"})
_STREAM_ENDED = frozenset({"STREAM_FINALIZED", "STREAM_ALREADY_COMMITTED", "INVALID_STREAM_STATE"})
_OFFSET = {"ALREADY_EXISTS": OFFSET_ALREADY_EXISTS, "OUT_OF_RANGE": OFFSET_OUT_OF_RANGE}
_KEY = frozenset({"CMEK_NOT_PROVIDED", "INVALID_CMEK_PROVIDED", "CMEK_ENCRYPTION_ERROR", "KMS_PERMISSION_DENIED"})
_UNKNOWN_COLUMN = "SCHEMA_MISMATCH_EXTRA_FIELDS"
_UNKNOWN_COLUMN_PHRASES = ("more fields than bigquery schema", "no such field")

_FIX_KEY = "give BigQuery's service account the role roles/cloudkms.cryptoKeyEncrypterDecrypter on the key of the table"


class Meaning(enum.Enum):
    """What to do about a refusal."""

    LATER = "the service failed transiently"
    NO_TABLE = "the table is missing, or too new to be known"
    NO_COLUMN = "a column is missing, or too new to be known"
    OFFSET = "the stream ends elsewhere, or has been ended"
    STREAM_GONE = "the stream does not exist any more"
    CONTENT = "something in the request is wrong, or it is too large"
    JOB = "no request can succeed"


class Refusal(Exception):  # noqa: N818  # its `meaning` says what it is
    """A request, or the call that carried it, was refused.

    Attributes:
      failure: its code is the StorageError's where there is one, else gRPC's.
    """

    def __init__(self, failure: Failure, meaning: Meaning):
        self.failure, self.meaning = failure, meaning
        super().__init__(f"{failure.code}: {failure.text}")


def refusal_of_status(status: Any) -> Refusal:
    """From a google.rpc.Status.

    >>> refusal_of_status(status_pb2.Status(code=6, message="Offset 5 exists")).meaning.name
    'OFFSET'
    >>> refusal_of_status(status_pb2.Status(code=3, message="Request size exceeds maximum size")).failure.kind.name
    'TOO_LARGE'
    """
    code, text = _CODES.get(status.code, "UNKNOWN"), status.message
    for detail in status.details:
        error = StorageError()
        if detail.Unpack(error) and error.code:
            return _refusal(code, StorageError.StorageErrorCode.Name(error.code), text or error.error_message)
    return _refusal(code, _OFFSET.get(code, code), text)


def refusal_of_call(error: grpc.RpcError) -> Refusal:
    """From the end of a call."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return refusal_of_status(status_pb2.Status.FromString(value))
    return refusal_of_status(status_pb2.Status(code=error.code().value[0], message=error.details() or ""))


def refusal_of(row_message: str) -> Refusal:
    """Of a whole request for what BigQuery says of one of its rows."""
    return _refusal("INVALID_ARGUMENT", "INVALID_ARGUMENT", row_message)


def unknown_column(message: str) -> bool:
    """Whether it is about a column that the back end does not know.

    >>> unknown_column("no such field: age.")
    True
    """
    return any(phrase in message.lower() for phrase in _UNKNOWN_COLUMN_PHRASES)


def _refusal(code: str, reason: str, text: str) -> Refusal:
    text = text.strip().rstrip(".") or reason
    kind, said = classify(code, text), of_request(code, text)
    if reason in _OFFSET.values() or reason in _STREAM_ENDED or "stream is finalized" in text.lower():
        meaning = Meaning.OFFSET
    elif reason == _UNKNOWN_COLUMN or unknown_column(text):
        meaning, reason = Meaning.NO_COLUMN, _UNKNOWN_COLUMN
    elif reason in _STREAM_GONE or (reason in ("NOT_FOUND", "INVALID_ARGUMENT") and _names_a_stream(text)):
        meaning = Meaning.STREAM_GONE
    elif reason in _NOT_FOUND:
        meaning, reason, kind = Meaning.NO_TABLE, "NOT_FOUND", Kind.JOB
    elif reason in _KEY:
        meaning, kind, said = Meaning.JOB, Kind.JOB, f"{said}: {_FIX_KEY}"
    elif kind is Kind.TRANSIENT or reason == "KMS_SERVICE_ERROR":
        meaning = Meaning.LATER
    elif kind is Kind.JOB:
        meaning = Meaning.JOB
    else:
        meaning = Meaning.CONTENT
    return Refusal(Failure(0, reason, said, kind), meaning)


def _names_a_stream(text: str) -> bool:
    """Whether what is missing or wrong is a stream of somebody's own, not the one that every table has.

    >>> _names_a_stream("Requested entity was not found. Entity: projects/p/datasets/d/tables/t/streams/Cg")
    True
    """
    return "Entity: " in text and "/streams/" in text and not text.endswith("/streams/_default")
