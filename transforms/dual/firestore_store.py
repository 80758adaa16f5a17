"""Firestore for DualStore, by raw protobuf: one BatchGetDocuments per read, one Commit per write, neither sent twice.

A request that fails is a value: what follows from it is the protocol's to decide.
"""

from __future__ import annotations

import datetime
from typing import Any

from transforms.dual.documents import Documents
from transforms.dual.finding import Search
from transforms.dual.kinds import Key, Kind
from transforms.dual.stored import Answer, Conflict, Content, Failed, Found, Read, Remove, Request, Written
from transforms.errors import JobError, RecordError, TransientError, classify
from transforms.errors import Kind as ErrorKind
from transforms.firestore.async_client import AsyncFirestoreClient
from transforms.firestore.client import RpcError
from transforms.firestore.query_messages import parent_name, structured_query
from transforms.firestore.ranges import EVERY_NAME
from transforms.firestore.target import FirestoreTarget
from transforms.migrate.documents import REFUSE

_REASONS = {"DEADLINE_EXCEEDED": "connection timeout", "UNAVAILABLE": "connection failed"}


class FirestoreStore:
    """The documents of one kind. Thread-safe; connects when it is first asked.

    Args:
      target: the database.
      kind: of the records.
      nested_arrays: as in `document_of`.
    """

    def __init__(self, target: FirestoreTarget, kind: Kind, nested_arrays: str = REFUSE):
        self._target, self._documents = target, Documents(target, kind, nested_arrays)

    def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        """Does what a request of the protocol asks, within this time."""
        try:
            client = self._target.connect()
            if isinstance(request, Read):
                names, mask = self._documents.names(key), self._documents.mask(request)
                return Found(self._documents.found(key, request, client.batch_get(names, mask, timeout_s)))
            writes = commit_of(self._documents, key, request)
            response = client.commit_now(writes, timeout_s)
            return Written(None if isinstance(request, Remove) else self._documents.version(response))
        except RpcError as error:
            return meaning(error)
        except RecordError as error:
            return Failed(error.message, refused=error.code)
        except JobError as error:
            return Failed(str(error))

    def query(self, search: Search, timeout_s: float) -> list[Content]:
        """The items that are asked for. Raises TransientError."""
        try:
            client = self._target.connect()
            answers = client.run_query(*_asked(self._documents, self._target, search), timeout_s)
            return [self._documents.content(answer.document) for answer in answers if answer.HasField("document")]
        except RpcError as error:
            raise _unanswered(error) from None


class AsyncFirestoreStore:
    """As `FirestoreStore`, for one event loop."""

    def __init__(self, target: FirestoreTarget, kind: Kind, nested_arrays: str = REFUSE):
        self._target, self._documents = target, Documents(target, kind, nested_arrays)
        self._client: AsyncFirestoreClient | None = None

    async def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        """As `FirestoreStore.answer`."""
        try:
            if isinstance(request, Read):
                names, mask = self._documents.names(key), self._documents.mask(request)
                answers = await self._connected().batch_get(names, mask, timeout_s)
                return Found(self._documents.found(key, request, answers))
            response = await self._connected().commit(commit_of(self._documents, key, request), timeout_s)
            return Written(None if isinstance(request, Remove) else self._documents.version(response))
        except RpcError as error:
            return meaning(error)
        except RecordError as error:
            return Failed(error.message, refused=error.code)
        except JobError as error:
            return Failed(str(error))

    async def query(self, search: Search, timeout_s: float) -> list[Content]:
        """As `FirestoreStore.query`."""
        try:
            answers = await self._connected().run_query(*_asked(self._documents, self._target, search), timeout_s)
            return [self._documents.content(answer.document) for answer in answers if answer.HasField("document")]
        except RpcError as error:
            raise _unanswered(error) from None

    async def close(self) -> None:
        """Closes the channel."""
        if self._client is not None:
            await self._client.close()

    def _connected(self) -> AsyncFirestoreClient:
        if self._client is None:
            self._client = AsyncFirestoreClient(self._target)
        return self._client


def meaning(error: RpcError) -> Conflict | Failed:
    """What a failed request says to the protocol."""
    kind = classify(error.code, error.message, guarded=True)
    if kind is ErrorKind.CONFLICT:
        return Conflict()
    if kind in (ErrorKind.RECORD, ErrorKind.TOO_LARGE):
        return Failed(f"Firestore refused the document with {error.code}", refused=error.code)
    return Failed(_REASONS.get(error.code, error.code))


def _unanswered(error: RpcError) -> TransientError:
    return TransientError(f"Firestore did not answer the query: {_REASONS.get(error.code, str(error))}")


def _asked(documents: Documents, target: FirestoreTarget, search: Search) -> tuple[str, Any]:
    """Parent and `StructuredQuery` of a query."""
    query = documents.query(search)
    message = structured_query(query, target, EVERY_NAME)
    message.limit.value = search.limit
    return parent_name(query, target), message


def commit_of(documents: Documents, key: Key, request: Request) -> list[bytes]:
    """The writes of a request that is not a Read. Raises RecordError."""
    if isinstance(request, Remove):
        return documents.removal(key, request)
    assert not isinstance(request, Read), "a Read is not committed"
    return documents.writes(key, request, datetime.datetime.now(datetime.timezone.utc))
