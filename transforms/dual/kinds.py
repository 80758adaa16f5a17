"""One kind of record for DualStore: what its items are called, and where they are. Plain data.

kind = Kind.of(read_spec("student_attempts"), partition_key="/student_id")
kind.key_of({"id": "a%1", "student_id": "12345"})       # document a%251, item a%1 in partition 12345
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from transforms.cosmos.items import check_id, path_steps
from transforms.errors import RecordError, UsageError
from transforms.records.model import RecordSpec


@dataclass(frozen=True)
class Key:
    """What names a record in both stores.

    Attributes:
      document_id: in Firestore.
      item_id: in Cosmos DB; empty where only the document's id is known, so that whatever is there is the record.
      partition_key: one value per path.
      naming: the fields from which all of that was taken; a tombstone keeps them.
    """

    document_id: str
    item_id: str
    partition_key: tuple[Any, ...]
    naming: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Kind:
    """A kind of record.

    Attributes:
      spec: its record spec, of one collection.
      partition_key_paths: of the container, such as `/student_id`.
    """

    spec: RecordSpec
    partition_key_paths: tuple[str, ...]

    @classmethod
    def of(cls, spec: RecordSpec, partition_key: str | tuple[str, ...]) -> Kind:
        """Raises UsageError: the spec has a pair of documents per record, or a path does not begin with a slash."""
        paths = (partition_key,) if isinstance(partition_key, str) else tuple(partition_key)
        if spec.flat_collection is not None:
            raise UsageError(f"the spec {spec.name} stores two documents per record; a dual write needs `collection:`")
        if not paths or not all(path.startswith("/") and len(path) > 1 for path in paths):
            raise UsageError(f"partition_key must be paths such as /student_id, got {', '.join(paths) or 'none'}")
        return cls(replace(spec, escapes_ids=True), paths)

    @property
    def collection(self) -> str:
        """Of the documents."""
        return self.spec.full_collection

    @property
    def label(self) -> str:
        """What log lines call a record."""
        return self.spec.label or "record"

    @property
    def owner_word(self) -> str:
        """What log lines call whom a record belongs to: student, of the field student_id."""
        return (self.spec.owner or "owner").removesuffix("_id")

    def owner_of(self, fields: Mapping[str, Any]) -> str:
        """Whom a record belongs to, for log lines."""
        found = fields.get(self.spec.owner)
        return str(found) if isinstance(found, (str, int)) and not isinstance(found, bool) else "unknown"

    @property
    def naming_fields(self) -> tuple[str, ...]:
        """The top-level fields of an item that `key_of` reads."""
        return tuple(dict.fromkeys(("id", *self.spec.key_fields, *self._names_of_partition, self.spec.owner)))

    def key_of(self, item: Mapping[str, Any]) -> Key:
        """The key of an item, or of the fields that name one.

        Raises:
          RecordError: MISSING_ID, INVALID_ID or MISSING_PARTITION_KEY.
        """
        item_id = item.get("id")
        if not isinstance(item_id, str) or not item_id:
            raise RecordError("MISSING_ID", "id must be text, as in every item of Cosmos DB")
        check_id(item_id)
        values = tuple(_named_at(item, path) for path in self.partition_key_paths)
        naming = {name: item[name] for name in self.naming_fields if name in item}
        return Key(self.spec.key_of(item, None), item_id, values, naming)

    @property
    def _names_of_partition(self) -> Iterator[str]:
        return (path_steps(path)[0] for path in self.partition_key_paths)

    @property
    def names_of_item(self) -> tuple[str, ...]:
        """The top-level fields that tell an item of Cosmos DB from all others."""
        return tuple(dict.fromkeys(("id", *self._names_of_partition)))

    def is_of_another(self, key: Key, fields: Mapping[str, Any]) -> bool:
        """Whether a document's fields are those of another item than a key names: two may become one document."""
        if not key.item_id:
            return False
        found = (fields.get("id", key.item_id), *(_at(fields, path) for path in self.partition_key_paths))
        return not all(map(_is_same, found, (key.item_id, *key.partition_key)))


_ABSENT = object()


def _at(item: Mapping[str, Any], path: str) -> Any:
    value: Any = item
    for name in path_steps(path):
        value = value.get(name, _ABSENT) if isinstance(value, Mapping) else _ABSENT
    return value


def _is_same(left: Any, right: Any) -> bool:
    """As Cosmos DB compares partition keys: 1 is 1.0, and neither is true."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _named_at(item: Mapping[str, Any], path: str) -> Any:
    value = _at(item, path)
    if value is _ABSENT:
        raise RecordError("MISSING_PARTITION_KEY", f"{path.strip('/')} is missing, the partition key of the items")
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise RecordError("MISSING_PARTITION_KEY", f"{path.strip('/')} must be text, a number, true, false or null")
    return value
