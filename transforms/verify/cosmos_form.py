"""Items of Cosmos DB and the documents that were made of them, in one form. Plain Python.

    item      without the service's fields            ─┐
                                                       ├─▶ content: 1 is 1.0, as JSON has one type of number
    document  without _meta, source_system, …, ttl back ┘

Tombstones and what has expired are in neither: Cosmos DB hides an item whose time to live is over, while Firestore
keeps its document for up to a day longer.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping
from typing import Any

from transforms.errors import RecordError
from transforms.firestore.documents import Document
from transforms.migrate.documents import OWN_FIELDS, SYSTEM_FIELDS, content_in, content_of, is_tombstone
from transforms.records.keys import unescaped
from transforms.verify.ignored import Ignored

_EXPIRES = "expire_at"


class ItemForm:
    """Makes documents and items comparable.

    Args:
      ignored: fields that are not compared.
      now: seconds since 1970.
    """

    def __init__(self, ignored: Ignored, now: Callable[[], float] = time.time):
        self._ignored, self._now = ignored, now

    def of_document(self, document: Document) -> Mapping[str, Any] | None:
        """As `Form`; None for what has expired."""
        fields = document.fields
        expires = fields.get(_EXPIRES)
        if isinstance(expires, datetime.datetime) and expires.timestamp() <= self._now():
            return None
        try:
            content = content_in(fields, unescaped(document.id))
        except RecordError:  # a value that no item can have: it differs from whatever item there is
            content = {name: value for name, value in fields.items() if name not in OWN_FIELDS}
        return self._ignored.stripped(content)

    def of_item(self, item: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The content of an item; None for a tombstone."""
        if is_tombstone(item):
            return None
        try:
            content = content_of(item)
        except RecordError:  # a number beyond what is exact
            content = {name: value for name, value in item.items() if name not in SYSTEM_FIELDS | OWN_FIELDS}
        return self._ignored.stripped(content)
