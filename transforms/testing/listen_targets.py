"""What one target of a Listen stream sees: the documents it matches at a time, and what changed between two times.

A query without limit is decided document by document, so that a change costs the same whatever the size of the
collection. Source: `Target` in the Firestore RPC reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from transforms.firestore.client import RpcError
from transforms.testing import queries
from transforms.testing.documents import Documents


class Change(NamedTuple):
    """A document that a target matches or has matched: its full name, and whether it still does."""

    name: str
    matches: bool


class ListenTarget:
    """A target of a stream.

    Args:
      message: protobuf `Target`.
      target_id: of it.
      stored: the documents.

    Attributes:
      selected: field paths of its projection; None for whole documents.

    Raises:
      RpcError: it makes no sense.
    """

    def __init__(self, message: Any, target_id: int, stored: Documents):
        self.id, self.message, self._stored = target_id, message, stored
        self.selected: tuple[str, ...] | None = None
        self.names: frozenset[str] = frozenset(message.documents.documents)
        self._matches: Callable[[Any], bool] | None = lambda document: document.name in self.names
        if message.HasField("query"):
            query = message.query.structured_query
            self._matches = queries.membership(message.query.parent, query)
            if query.HasField("select"):
                self.selected = tuple(each.field_path for each in query.select.fields)
        elif not self.names:
            raise RpcError("INVALID_ARGUMENT", "a target needs a query or documents")

    def listens_to(self, collection: str) -> bool:
        """Whether it is about a collection or group of this id."""
        selectors = self.message.query.structured_query.from_
        ids = [each.collection_id for each in selectors] or [name.split("/")[-2] for name in self.names]
        return collection in ids

    def found(self, at_us: int) -> dict[str, Any]:
        """The protobuf `Document`s that it matches at a time, by full name."""
        if self._matches is None:
            query = self.message.query
            documents = queries.run(self._stored.all(at_us), query.parent, query.structured_query)
        else:
            documents = [each for each in self._stored.all(at_us) if self._matches(each)]
        return {each.name: each for each in documents}

    def matches(self, name: str, document: Any | None, at_us: int) -> bool:
        """Whether it matches a document, or would have with this version of it."""
        if document is None:
            return False
        return self._matches(document) if self._matches else name in self.found(at_us)

    def changes(self, after_us: int | None, to_us: int) -> Iterator[Change]:
        """What a client has to know at one time that has known everything at another, or nothing."""
        if after_us is None:
            yield from (Change(name, True) for name in self.found(to_us))
            yield from (Change(name, False) for name in self.names if self._stored.read(name, to_us) is None)
        elif self._matches is None:
            before, now = self.found(after_us), self.found(to_us)
            yield from (Change(name, name in now) for name in before | now if before.get(name) is not now.get(name))
        else:
            for name in self._stored.changed(after_us, to_us):
                before_it, it = self._stored.read(name, after_us), self._stored.read(name, to_us)
                if it is not before_it:
                    matches = it is not None and self._matches(it)
                    if matches or (before_it is not None and self._matches(before_it)):
                        yield Change(name, matches)
