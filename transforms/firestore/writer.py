"""Turns operations into writes, sends them, and says what became of every one. Plain Python, no Beam.

    put(key, Set(…)) ──check, encode──▶ Outbox ──▶ Commit or BatchWrite
            │                             │
            └─ RecordError ─▶ FailedWrite └─▶ take(): (key, WrittenDocument or FailedWrite), once each

A `Create` that an earlier attempt without an answer may already have done is refused as existing. Then the document is
read: if it is exactly what was to be created, that is what the caller wanted; otherwise the write has failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from transforms.errors import JobError, RecordError
from transforms.firestore.client import FirestoreClient
from transforms.firestore.document_ids import identified
from transforms.firestore.encode_writes import encoded
from transforms.firestore.operations import Create, Delete, Merge, Operation, Set, Update, replaces_earlier
from transforms.firestore.outbox import Outbox
from transforms.firestore.outcomes import Conflicted, Landed, Refused, Resolved
from transforms.firestore.packing import AtomicGroup
from transforms.firestore.reader import read_paths
from transforms.firestore.values import serialised_fields
from transforms.firestore.written import Element, FailedWrite, WriteOutcome, WrittenDocument

K = TypeVar("K")

_OPERATIONS = (Set, Merge, Update, Create, Delete)
_CONFLICTS = frozenset({"ALREADY_EXISTS", "FAILED_PRECONDITION", "NOT_FOUND"})
_UNCERTAIN = (
    " An earlier attempt had no answer, so this write itself may have changed the document; look at it before you "
    "replay the write."
)


class Writer(Generic[K]):
    """Writes elements: operations, or tuples of operations that are atomic.

    Args:
      client: of the database.
      outbox: sends to it.
      atomic: elements are groups.
      id_from: fields whose hash is the id of an element that has none.
    """

    def __init__(
        self,
        client: FirestoreClient,
        outbox: Outbox[tuple[K, Element]],
        *,
        atomic: bool = False,
        id_from: Sequence[str] = (),
    ):
        self._client, self._outbox, self._atomic, self._id_from = client, outbox, atomic, id_from
        self._documents = f"{client.target.name}/documents"
        self._unfit: list[tuple[K, WriteOutcome]] = []

    @property
    def outbox(self) -> Outbox[tuple[K, Element]]:
        """What sends."""
        return self._outbox

    def put(self, key: K, element: Element) -> None:
        """Accepts one more element; `key` comes back with each of its outcomes.

        Raises:
          TransientError, JobError: as the Outbox; JobError also if the element is not an operation at all.
        """
        try:
            located, group = self._grouped(element) if self._atomic else self._single(element)
        except RecordError as error:
            failed = FailedWrite(_first_path(element), error.code, error.message, 0, False, element)
            self._unfit.append((key, failed))
            return
        if group.writes:  # a group without any has no outcome
            self._outbox.put((key, located), group)

    def flush(self) -> None:
        """Returns when everything is resolved. Raises as `put`."""
        self._outbox.flush()

    def take(self) -> list[tuple[K, WriteOutcome]]:
        """What was resolved since the last call, in no particular order. Raises as `put`."""
        if not self._outbox.has_resolved and not self._unfit:
            return []
        taken, self._unfit = self._unfit, []
        doubtful: list[Resolved[tuple[K, Element]]] = []
        for resolved in self._outbox.take_resolved():
            (key, element), outcome, superseded = resolved
            if isinstance(outcome, Landed) and not isinstance(element, tuple):  # nearly always
                (update_time,), attempts = outcome
                taken.append((key, WrittenDocument(element.path, update_time, attempts, superseded)))
            elif _may_be_its_own(resolved):
                doubtful.append(resolved)
            else:
                _report(taken, resolved)
        for resolved in self._looked_up(doubtful):
            _report(taken, resolved)
        return taken

    def _single(self, element: Any) -> tuple[Element, AtomicGroup]:
        operation = self._located(element)
        write = encoded(operation, self._documents)
        return operation, AtomicGroup((write,), (operation.path,), replaces_earlier(operation))

    def _grouped(self, element: Any) -> tuple[Element, AtomicGroup]:
        if not isinstance(element, (tuple, list)):
            raise JobError(
                f"{type(element).__name__} is not a group; make a tuple or list of operations of every element"
            )
        operations, writes = [], []
        for member in element:
            try:
                operation = self._located(member)
                writes.append(encoded(operation, self._documents))
            except RecordError as error:
                raise RecordError(error.code, f"{member.path}: {error.message}") from None
            operations.append(operation)
        names = tuple(operation.path for operation in operations)
        return tuple(operations), AtomicGroup(tuple(writes), names, all(map(replaces_earlier, operations)))

    def _located(self, operation: Any) -> Operation:
        if not isinstance(operation, _OPERATIONS):
            raise JobError(
                f"{type(operation).__name__} cannot be written; make Set, Merge, Update, Create or Delete of every "
                "element before"
            )
        return identified(operation, self._id_from) if self._id_from else operation

    def _looked_up(self, doubtful: list[Resolved[tuple[K, Element]]]) -> list[Resolved[tuple[K, Element]]]:
        """Creations refused as existing, perhaps because an earlier attempt did them: landed if they are all there."""
        paths = [_operations(refused)[0].path for refused in doubtful]
        stored = {document.path: document for document in read_paths(self._client, paths)} if paths else {}
        looked_up = []
        for refused in doubtful:
            create = _operations(refused)[0]
            document = stored[create.path]
            if document.exists and _holds(document.message, create):
                landed = Landed((document.update_time,), refused.outcome.attempts)
                looked_up.append(refused._replace(outcome=landed))
            else:
                looked_up.append(refused)
        return looked_up


def _first_path(element: Any) -> str:
    operation = element[0] if isinstance(element, (tuple, list)) else element
    return str(operation.path)


def _operations(resolved: Resolved[tuple[K, Element]]) -> tuple[Operation, ...]:
    _, element = resolved.item
    return element if isinstance(element, tuple) else (element,)


def _may_be_its_own(resolved: Resolved[tuple[K, Element]]) -> bool:
    outcome, operations = resolved.outcome, _operations(resolved)
    if not isinstance(outcome, Refused) or not outcome.uncertain or outcome.code != "ALREADY_EXISTS":
        return False
    return len(operations) == 1 and isinstance(operations[0], Create) and not operations[0].transforms


def _holds(message: Any, create: Operation) -> bool:
    """Whether a stored protobuf `Document` has exactly the fields that were to be created."""
    if not isinstance(create, Create):
        return False
    found = message.__class__(fields=message.fields)
    same: bool = found.SerializeToString(deterministic=True) == serialised_fields(create.fields)
    return same


def _report(out: list[tuple[K, WriteOutcome]], resolved: Resolved[tuple[K, Element]]) -> None:
    """One outcome for every operation that landed; one for a group that did not."""
    key, element = resolved.item
    operations, outcome = _operations(resolved), resolved.outcome
    if not isinstance(outcome, Landed):
        out.append((key, _failed(element, operations[0].path, outcome)))
        return
    for operation, update_time in zip(operations, outcome.update_times, strict=True):
        out.append((key, WrittenDocument(operation.path, update_time, outcome.attempts, resolved.superseded)))


def _failed(element: Element, path: str, outcome: Refused | Conflicted) -> FailedWrite:
    retryable = isinstance(outcome, Refused) and outcome.retryable
    doubtful = isinstance(outcome, Refused) and outcome.uncertain and outcome.code in _CONFLICTS
    message = outcome.message + _UNCERTAIN if doubtful else outcome.message
    return FailedWrite(path, outcome.code, message, outcome.attempts, retryable, element)
