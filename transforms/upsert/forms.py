"""What of a record is its content, and what becomes of it in a document. Plain Python.

Record ──read──▶ Record ─┬─content_of──▶ what its hash is made of
                         └─fields_of───▶ the fields of its first document
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from transforms.batch import Record
from transforms.errors import RecordError
from transforms.records.spec import Origin, RecordSpec
from transforms.upsert.layout import META_FIELD


@runtime_checkable  # Beam checks arguments of the functions it maps
class RecordForm(Protocol):
    """How records of one source are read and stored. Frozen and picklable."""

    def read(self, record: Record) -> Record:
        """The record as all later steps see it. Raises RecordError if it cannot be stored whatever its spec says."""

    def content_of(self, record: Record, spec: RecordSpec) -> Mapping[str, Any]:
        """All that decides what a record becomes. Raises RecordError."""

    def fields_of(self, record: Record) -> Mapping[str, Any]:
        """The fields of the document that holds the record as it came. Raises RecordError."""

    def row_of(self, record: Record) -> Mapping[str, Any]:
        """What a row of the record keeps of it as a whole."""


@dataclass(frozen=True)
class AsItCame:
    """A record is its own content, but for a `_meta` that Firebeam wrote."""

    def read(self, record: Record) -> Record:
        """See `RecordForm`."""
        return record

    def content_of(self, record: Record, spec: RecordSpec) -> Mapping[str, Any]:
        """See `RecordForm`."""
        return spec.content_of(without_meta(record.value), Origin(record.fallback_id))

    def fields_of(self, record: Record) -> Mapping[str, Any]:
        """See `RecordForm`."""
        return without_meta(record.value)

    def row_of(self, record: Record) -> Mapping[str, Any]:
        """See `RecordForm`."""
        return record.value


AS_IT_CAME = AsItCame()


def without_meta(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record without a `_meta` that Firebeam wrote earlier: it describes the document, not the record.

    Raises:
      RecordError: the record has a `_meta` of its own, which would be lost.
    """
    if META_FIELD not in value:
        return value
    meta = value[META_FIELD]
    if not (isinstance(meta, Mapping) and "content_hash" in meta and "schema_version" in meta):
        raise RecordError("RESERVED_FIELD", f"{META_FIELD}: Firebeam keeps its own data there; rename the field")
    return {name: member for name, member in value.items() if name != META_FIELD}
