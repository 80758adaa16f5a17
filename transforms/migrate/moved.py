"""Documents that are called by what their items were: an item whose key fields have changed makes another document.

    template {student_id}_{subskill_id}:  item {"id": "x", "student_id": "7", "subskill_id": "b"}
    document 7_b is its copy; document 7_a, which its fields made before, may go

It goes only once the later one is there, so that nobody who reads finds neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transforms.errors import RecordError
from transforms.firestore.client import FirestoreClient
from transforms.firestore.documents import Document
from transforms.firestore.reader import read_paths
from transforms.migrate.documents import META_FIELD
from transforms.records.model import RecordSpec
from transforms.retry import Retry


@dataclass(frozen=True)
class Moves:
    """Tells which documents their items no longer make.

    Attributes:
      spec: of the items.
      client, collection: where the documents are.
      retry: of requests to Firestore.
    """

    spec: RecordSpec
    client: FirestoreClient
    collection: str
    retry: Retry

    def may_have_moved(self, document: Document, item: Mapping[str, Any]) -> bool:
        """Whether an item makes another document than this copy of it; of the item its `key_fields` are needed."""
        made = self._made_by(item)
        return made is not None and made != document.id

    def has_moved(self, document: Document, item: Mapping[str, Any] | None) -> bool:
        """Whether, besides, that other document is there as a copy of the same item; Firestore is asked now.

        Args:
          item: as it is now; None if it is gone meanwhile.
        """
        made = self._made_by(item) if item is not None else None
        if item is None or made is None or made == document.id:
            return False
        (other,) = read_paths(self.client, [f"{self.collection}/{made}"], retry=self.retry)
        meta = other.fields.get(META_FIELD) if other.exists else None
        return isinstance(meta, Mapping) and "_ts" in meta and other.fields.get("id") == item["id"]

    def _made_by(self, item: Mapping[str, Any]) -> str | None:
        """The id of the document that an item makes; None for an item that is refused, which leaves its last copy."""
        try:
            return self.spec.key_of(item, None)
        except RecordError:
            return None
