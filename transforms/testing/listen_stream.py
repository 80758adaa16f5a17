"""One Listen stream: what is sent to it, in order, each part put together when its turn comes.

    requests ──▶ add, remove ──▶ ┌────────┐
    commits ───▶ snapshot ─────▶ │ outbox │──▶ parts, one after the other ──▶ messages ──▶ client
    script ────▶ reset, cut, … ▶ └────────┘

A consistent snapshot is a NO_CHANGE without target ids. All targets of a stream are brought to its time first, so that
its read time holds for each of them; it never goes back. The time of a part is fixed when the part is put into the
outbox: what a client gets does not depend on how fast it reads.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from transforms.errors import RecordError
from transforms.firestore.client import RpcError
from transforms.testing import bloom, queries, responses
from transforms.testing.documents import Documents
from transforms.testing.listen_targets import ListenTarget
from transforms.testing.resume import Tokens

# The messages of a part, from the first one that is asked for.
Part: TypeAlias = Callable[[], Iterator[Any]]
# Called with a protobuf `Target` and the answer to it; may change what is sent.
AffectTarget: TypeAlias = Callable[[Any, Iterator[Any]], Iterator[Any]]


@dataclasses.dataclass
class Manners:
    """What the protocol leaves to the server.

    Attributes:
      bits_per_name: of the Bloom filter that comes with a count, if the client has said what it expects; 0: none comes.
      departs_by_change: a document that stops matching comes as a DocumentChange, else as a DocumentRemove.
    """

    bits_per_name: float = 10.0
    departs_by_change: bool = False


class ListenStream:
    """A stream and its targets. All but `messages` is called with the lock of the documents.

    Attributes:
      targets: those that the client has added and not removed, by id, answered or not.
      sent_us: the time up to which all of them have been told everything; 0 before the first answer.
      heartbeat_at: when the last heartbeat or answer was put into the outbox, in seconds since 1970.
    """

    def __init__(self, stored: Documents, tokens: Tokens, manners: Manners, affect: AffectTarget, now: float):
        self.targets: dict[int, ListenTarget] = {}
        self.heartbeat_at = self.opened_at = now
        self.sent_us = 0
        self._stored, self._tokens, self._manners, self._affect = stored, tokens, manners, affect
        self._live: dict[int, ListenTarget] = {}  # those that have been answered
        self._outbox: SimpleQueue[Part | None] = SimpleQueue()
        self._is_silent = False
        self._until: tuple[int, RpcError] | None = None  # messages to go, and what comes then

    def messages(self) -> Iterator[Any]:
        """Everything the client is sent. Raises RpcError at the end, with the code OK if nothing is wrong."""
        while (part := self._outbox.get()) is not None:
            for message in part():
                if self._is_silent:
                    continue
                yield message
                if self._until and self._until[0] > 0:
                    self._until = self._until[0] - 1, self._until[1]
                self._end_if_due()
            self._end_if_due()

    def n_waiting(self) -> int:
        """How many parts the client has not come to read yet."""
        return self._outbox.qsize()

    def close(self) -> None:
        """Nobody is there any more."""
        self._outbox.put(None)

    def cut(self, error: RpcError, after: int = 0) -> None:
        """Ends the stream, after as many messages more than those that are waiting."""

        def begin() -> Iterator[Any]:
            self._until = after, error
            return iter(())

        self._outbox.put(begin)

    def discard(self, error: RpcError) -> None:
        """Ends the stream without what is waiting."""
        with contextlib.suppress(Empty):
            while True:
                self._outbox.get_nowait()
        self.cut(error)

    def silence(self) -> None:
        """Nothing is sent any more; only the end can still come."""

        def begin() -> Iterator[Any]:
            self._is_silent = True
            return iter(())

        self._outbox.put(begin)

    def add(self, message: Any, to_us: int, stale: Collection[str]) -> None:
        """Answers a protobuf `Target`: its documents, or what has changed in them, up to a time."""
        target_id = message.target_id or max(self.targets, default=0) + 1
        if target_id in self.targets:
            self.cut(RpcError("INVALID_ARGUMENT", f"there is a target {target_id} on this stream already"))
            return
        try:
            target = self.targets[target_id] = ListenTarget(message, target_id, self._stored)
        except (RpcError, RecordError) as error:
            self._refuse(target_id, RpcError("INVALID_ARGUMENT", error.message))
            return

        def part() -> Iterator[Any]:
            try:
                yield from self._affect(message, self._answer(target, to_us, stale))
            except RpcError as error:
                self._drop(target)
                yield from self._remove([target_id], error)

        self._outbox.put(part)

    def remove(self, ids: Collection[int], error: RpcError | None) -> None:
        """Takes targets from the stream, at the client's wish or for a reason."""
        for target_id in ids:
            self.targets.pop(target_id, None)
        self._outbox.put(lambda: self._remove(ids, error))

    def snapshot(self, to_us: int, stale: Collection[str], *, is_announced: bool) -> None:
        """Sends what has changed up to a time; the time itself if anything has, or if it is to be announced."""
        self._outbox.put(lambda: self._snapshot(to_us, stale, is_announced))

    def reset(self, ids: Collection[int], to_us: int) -> None:
        """Has the client forget targets, and sends them whole."""
        self._outbox.put(lambda: self._reset(ids, to_us))

    def count(self, ids: Collection[int], to_us: int, count: int | None) -> None:
        """Says how many documents match targets, truly unless a count is given."""
        self._outbox.put(lambda: self._count(ids, to_us, count))

    def _refuse(self, target_id: int, error: RpcError) -> None:
        self._outbox.put(lambda: self._remove([target_id], error))

    def _answer(self, target: ListenTarget, to_us: int, stale: Collection[str]) -> Iterator[Any]:
        with self._stored.lock:  # or a commit could have versions forgotten that the answer needs
            start = self._tokens.start(target.message)
            caught_up = self._catch_up(max(to_us, start.after_us or 0))
            found = self._documents([target], start.after_us, self.sent_us, stale, is_told_all=not start.is_doubtful)
            self._live[target.id] = target
        yield responses.target_change(responses.ADD, [target.id])
        yield from caught_up
        if start.is_reset:
            yield responses.target_change(responses.RESET, [target.id])
        yield from found
        if start.is_doubtful:
            yield self._existence_filter(target)
        yield from self._current([target.id])
        if target.message.once:
            self._drop(target)
            yield from self._remove([target.id], None)

    def _remove(self, ids: Collection[int], error: RpcError | None) -> Iterator[Any]:
        for target_id in ids:
            self._live.pop(target_id, None)
        yield responses.target_change(responses.REMOVE, list(ids), cause=error)

    def _drop(self, target: ListenTarget) -> None:
        with self._stored.lock:
            if self.targets.get(target.id) is target:  # and not one that the client has added since
                del self.targets[target.id]

    def _snapshot(self, to_us: int, stale: Collection[str], is_announced: bool) -> Iterator[Any]:
        changed = self._catch_up(to_us, stale)
        yield from changed
        if changed or is_announced:
            yield self._consistent()

    def _reset(self, ids: Collection[int], to_us: int) -> Iterator[Any]:
        targets = self._chosen(ids)
        yield from self._catch_up(to_us)
        if targets:
            yield responses.target_change(responses.RESET, [target.id for target in targets])
            yield from self._documents(targets, None, self.sent_us)
            yield from self._current([target.id for target in targets])

    def _count(self, ids: Collection[int], to_us: int, count: int | None) -> Iterator[Any]:
        yield from self._catch_up(to_us)
        for target in self._chosen(ids):
            yield self._existence_filter(target, count)
        yield self._consistent()

    def _chosen(self, ids: Collection[int]) -> list[ListenTarget]:
        return [self._live[target_id] for target_id in ids if target_id in self._live]

    def _catch_up(self, to_us: int, stale: Collection[str] = ()) -> list[Any]:
        """Brings all targets to a time, or leaves them where they are if that is later."""
        with self._stored.lock:
            after_us, self.sent_us = self.sent_us, max(self.sent_us, to_us)
            return self._documents(list(self._live.values()), after_us, self.sent_us, stale)

    def _current(self, ids: Sequence[int]) -> Iterator[Any]:
        yield self._told(responses.CURRENT, ids)
        yield self._consistent()

    def _consistent(self) -> Any:
        return self._told(responses.NO_CHANGE)

    def _told(self, kind: int, ids: Sequence[int] = ()) -> Any:
        token = self._tokens.issue(self.sent_us)
        return responses.target_change(kind, ids, token=token, read_time_us=self.sent_us)

    def _existence_filter(self, target: ListenTarget, count: int | None = None) -> Any:
        names = target.found(self.sent_us)
        response = responses.existence_filter(target.id, len(names) if count is None else count)
        if target.message.expected_count.value > 0 and self._manners.bits_per_name:
            bloom.fill(response.filter.unchanged_names, names, self._manners.bits_per_name)
        return response

    def _documents(
        self,
        targets: Sequence[ListenTarget],
        after_us: int | None,
        to_us: int,
        stale: Collection[str] = (),
        *,
        is_told_all: bool = True,
    ) -> list[Any]:
        """What happened to documents, one message for each and projection, in no order that a client may rely on."""
        outdated: list[Any] = []
        told: dict[tuple[str, tuple[str, ...] | None], tuple[list[int], list[int]]] = {}
        for target in targets:
            changes = dict(target.changes(after_us, to_us))
            if not is_told_all:
                changes = {
                    name: matches
                    for name, matches in changes.items()
                    if matches or not self._tokens.is_forgotten(name, to_us)
                }
            for name in stale:
                former = self._stored.former(name, to_us)
                if former is not None and target.matches(name, former, to_us):
                    outdated.append(responses.document_change(_projected(former, target.selected), [target.id]))
                    changes[name] = target.matches(name, self._stored.read(name, to_us), to_us)
            for name, matches in changes.items():
                told.setdefault((name, target.selected), ([], []))[0 if matches else 1].append(target.id)
        return outdated + [
            self._document(name, selected, *told[name, selected], to_us)
            for name, selected in sorted(told, key=lambda each: each[0], reverse=True)
        ]

    def _document(
        self, name: str, selected: tuple[str, ...] | None, ids: list[int], removed_ids: list[int], to_us: int
    ) -> Any:
        document = self._stored.read(name, to_us)
        if document is None:
            return responses.document_delete(name, removed_ids, to_us)
        if ids or self._manners.departs_by_change:
            return responses.document_change(_projected(document, selected), ids, removed_ids)
        return responses.document_remove(name, removed_ids, to_us)

    def _end_if_due(self) -> None:
        if self._until and (self._until[0] <= 0 or self._is_silent):
            raise self._until[1]


def _projected(document: Any, selected: tuple[str, ...] | None) -> Any:
    return document if selected is None else queries.projected(document, selected)
