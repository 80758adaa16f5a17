"""Asks Cosmos DB about an item of which Firestore has another version of the same second, or a copy of another item.

the stored document is a copy of       the item is there, under this id     ID_OF_ANOTHER_ITEM: refused
another item                           else                                 written: the id is free
a version of the same second           the stored one is the newest         superseded
                                       else                                 what Cosmos DB has now is written
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transforms.batch import Record
from transforms.cosmos.connection import Connection
from transforms.cosmos.items import partition_key_of
from transforms.cosmos.reads import read_item
from transforms.cosmos.target import CosmosTarget
from transforms.errors import RecordError
from transforms.firestore.values import encoded_fields
from transforms.migrate.documents import is_tombstone
from transforms.migrate.items import ItemForm
from transforms.records.canonical import canonical
from transforms.records.spec import FieldTally, RecordSpec
from transforms.upsert.doubts import Resolve
from transforms.upsert.entries import Flat
from transforms.upsert.records import content_hash, key_of, value_for
from transforms.upsert.source_versions import another_has_its_id
from transforms.upsert.versions import Verdict


@dataclass(frozen=True)
class AskCosmos:
    """Asks about items in doubt; picklable.

    Attributes:
      target: the container.
      spec: makes ids and flat forms.
      form: of its items.
    """

    target: CosmosTarget
    spec: RecordSpec
    form: ItemForm

    def connect(self) -> Resolve:
        """See `AsksSource`."""
        return _Asking(self.target.connect(), self.spec, self.form).resolve


@dataclass(frozen=True)
class _Asking:
    connection: Connection
    spec: RecordSpec
    form: ItemForm

    def resolve(self, entry: Flat) -> Flat:
        document, version = entry.stored.first, entry.record.version
        if document is None or version is None:
            return entry._replace(verdict=Verdict.WRITE)
        if self.form.order.is_of_another(version, document):
            other = self._read(document.fields)
            if other is not None and self._key_of(other) == entry.key:
                raise another_has_its_id()
            return entry._replace(verdict=Verdict.WRITE)
        item = self._read(entry.record.value)
        if item is None:
            return entry._replace(verdict=Verdict.SUPERSEDED)
        record = self.form.read(entry.record._replace(value=item))
        if self._is_stored(record, entry):
            return entry._replace(verdict=Verdict.SUPERSEDED)
        if key_of(record, self.spec) != entry.key:
            return entry._replace(verdict=Verdict.SUPERSEDED)
        return entry._replace(
            record=record,
            verdict=Verdict.WRITE,
            content_hash=content_hash(canonical(self.form.content_of(record, self.spec)), self.spec.fingerprint),
            content=encoded_fields(self.form.fields_of(record)),
            flat=self.spec.flatten(value_for(record, self.spec), entry.key, FieldTally()),
        )

    def _is_stored(self, record: Record, entry: Flat) -> bool:
        document, version = entry.stored.first, record.version
        found = document.version_of_source if document else None
        return found is not None and version is not None and (found.time, found.tag) == (version.time, version.tag)

    def _read(self, fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The item of an item's or document's id and partition key, as it is now."""
        key = partition_key_of(fields, self.connection.properties.key_paths)
        item = read_item(self.connection, str(fields.get("id", "")), key)
        return None if item is None or is_tombstone(item) else item

    def _key_of(self, item: Mapping[str, Any]) -> str | None:
        try:
            return key_of(Record(0, item), self.spec)
        except RecordError:
            return None
