"""Transactions of one server: a snapshot to read, and a Commit that fails if what was read has changed since.

    BeginTransaction, or a read with `new_transaction` ──▶ id ──▶ reads at the snapshot, remembered
                                                                        │
                          Commit: every read again, now ──the same?──▶ applied
                                                          └ no: ABORTED

The service may hold locks instead, and then lets a writer wait; who wins differs, what a transaction that has succeeded
may rely on does not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from transforms.firestore.client import RpcError
from transforms.testing.documents import Documents

# What a request reads at a time in microseconds: stored documents, None for those that are not there.
Look: TypeAlias = Callable[[int], list[Any]]


@dataclass
class _Transaction:
    snapshot_us: int
    is_read_only: bool
    reads: list[tuple[Look, list[Any]]] = field(default_factory=list)


class Transactions:
    """The transactions that have begun and not ended. Its caller holds the lock of the documents."""

    def __init__(self, documents: Documents):
        self._documents = documents
        self._open: dict[bytes, _Transaction] = {}
        self._numbers = itertools.count(1)

    def begin(self, options: Any) -> bytes:
        """The id of a new transaction with these protobuf `TransactionOptions`."""
        snapshot_us = self._documents.read_time_us()
        if options.read_only.HasField("read_time"):
            snapshot_us = self._checked(options.read_only.read_time)
        name = f"transaction-{next(self._numbers)}".encode()
        self._open[name] = _Transaction(snapshot_us, options.HasField("read_only"))
        return name

    def read(self, request: Any, look: Look) -> tuple[list[Any], int, bytes]:
        """What a request reads, as of when, and the transaction that it began; b"" for none."""
        begun = self.begin(request.new_transaction) if request.HasField("new_transaction") else b""
        if name := begun or request.transaction:
            transaction = self._named(name)
            found = look(transaction.snapshot_us)
            transaction.reads.append((look, found))
            return found, transaction.snapshot_us, begun
        at_us = self.read_time_us(request)
        return look(at_us), at_us, b""

    def read_time_us(self, request: Any) -> int:
        """The `read_time` of a request; the present unless it has one. Raises RpcError if it is too old."""
        if request.HasField("read_time"):
            return self._checked(request.read_time)
        return self._documents.read_time_us()

    def check(self, name: bytes, n_writes: int) -> None:
        """Raises RpcError if a transaction cannot be committed."""
        transaction = self._named(name)
        if transaction.is_read_only and n_writes:
            raise RpcError("INVALID_ARGUMENT", "a read-only transaction cannot write")
        now_us = self._documents.read_time_us()
        if not transaction.is_read_only and any(look(now_us) != found for look, found in transaction.reads):
            raise RpcError("ABORTED", "a document that the transaction had read has changed since")

    def end(self, name: bytes) -> None:
        """Forgets a transaction: it is committed or rolled back. Raises RpcError if there is none of this id."""
        self._named(name)
        del self._open[name]

    def _checked(self, read_time: Any) -> int:
        at_us: int = read_time.ToMicroseconds()
        self._documents.check_read_time(at_us)
        return at_us

    def _named(self, name: bytes) -> _Transaction:
        if name not in self._open:
            raise RpcError("INVALID_ARGUMENT", "the referenced transaction has expired or is no longer valid")
        return self._open[name]
