"""Items of Cosmos DB as records of a job: which are refused, what is their content, which of two versions is later.

item ──record_of──▶ Record ──ItemForm──▶ content, fields ──MigratedLayout──▶ one document
                      │
                      └─ version: _ts, _etag, and what tells the item from others of its id
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from transforms.batch import Record, SourceVersion
from transforms.cosmos.items import path_steps
from transforms.errors import RecordError
from transforms.firestore import field_paths
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import encoded_fields
from transforms.migrate.documents import (
    META_FIELD,
    REFUSE,
    SYSTEM_FIELDS,
    beside,
    check_own_fields,
    content_of,
    fields_of,
    meta_of,
)
from transforms.records.paths import Path
from transforms.records.spec import RecordSpec
from transforms.upsert.layout import Form, FormSource
from transforms.upsert.modes import VERSIONED
from transforms.upsert.source_versions import SourceOrder

_ID = Path("id", ("id",))


def order_of(spec: RecordSpec, key_paths: Sequence[str]) -> SourceOrder:
    """What tells the items of a container apart: id and partition key, unless the id alone does.

    Args:
      spec: where the documents' ids come from.
      key_paths: of the container's partition key, such as `/student_id`.
    """
    of_id = len(spec.key.paths) == 1 and spec.key.paths[0] == _ID
    if of_id and list(key_paths) == ["/id"]:
        return SourceOrder()
    steps = [tuple(path_steps(path)) for path in key_paths]
    return SourceOrder((_ID, *(Path(".".join(each), each) for each in steps if each != _ID.steps)))


def record_of(item: Mapping[str, Any], position: int) -> Record:
    """An item as a record; the item is its value, with what Cosmos DB says about it."""
    return Record(position, item)


@dataclass(frozen=True)
class ItemForm:
    """How items are read and stored.

    Attributes:
      order: tells items of one id apart.
      nested_arrays: `refuse` or `wrap`.
    """

    order: SourceOrder
    nested_arrays: str = REFUSE

    def read(self, record: Record) -> Record:
        """See `RecordForm`: values as Cosmos DB keeps them, and the version.

        Raises:
          RecordError: RESERVED_FIELD: a field has a name that is ours; INTEGER_OUT_OF_RANGE, NOT_JSON; NO_VERSION.
        """
        item = record.value
        check_own_fields(item)
        if type(item.get("_ts")) is not int or type(item.get("_etag")) is not str:
            raise RecordError("NO_VERSION", "_ts and _etag, which Cosmos DB writes into every item, are not there")
        content = content_of(item, may_share=True)
        beside_it = {name: value for name, value in item.items() if name not in content}
        version = SourceVersion(item["_ts"], item["_etag"], self.order.identity_of(content))
        return record._replace(value={**content, **beside_it}, version=version)

    def content_of(self, record: Record, spec: RecordSpec) -> Mapping[str, Any]:
        """See `RecordForm`."""
        return _content(record.value)

    def fields_of(self, record: Record) -> Mapping[str, Any]:
        """See `RecordForm`. Raises RecordError: NESTED_ARRAY."""
        return fields_of(_content(record.value), self.nested_arrays)

    def row_of(self, record: Record) -> Mapping[str, Any]:
        """See `RecordForm`: the content, without what Cosmos DB adds."""
        return _content(record.value)


def _content(value: Mapping[str, Any]) -> dict[str, Any]:
    """The content of an item that `ItemForm.read` gave."""
    return {name: member for name, member in value.items() if name not in SYSTEM_FIELDS and name != META_FIELD}


@dataclass(frozen=True)
class MigratedLayout:
    """One document for each item.

    Attributes:
      collection: of the documents.
      order: as in `ItemForm`.
      target, schema_version: see `Layout`.
    """

    target: FirestoreTarget
    collection: str
    schema_version: int
    order: SourceOrder

    @property
    def mode(self) -> str:
        """See `Layout`."""
        return VERSIONED

    @property
    def keep_versions(self) -> int:
        """See `Layout`."""
        return 0

    @cached_property
    def prefixes(self) -> tuple[str, ...]:
        """See `Layout`."""
        return (self.target.document_name(self.collection) + "/",)

    @cached_property
    def read_fields(self) -> tuple[str, ...]:
        """See `Layout`."""
        return (META_FIELD, *(field_paths.render([name]) for name in self.order.read_fields))

    def forms(self, source: FormSource) -> tuple[Form, ...]:
        """See `Layout`: the item's fields, and those beside them."""
        others = beside(source.value, source.now)
        return (Form(source.content + encoded_fields(others), {**source.value, **others}),)

    def meta_of(self, record: Record) -> Mapping[str, Any]:
        """See `Layout`."""
        return meta_of(record.value)
