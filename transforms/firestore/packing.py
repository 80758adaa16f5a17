"""Groups of writes, and the requests they are packed into. Plain data: nothing here sends anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from transforms.firestore.limits import MAX_WRITES_PER_COMMIT

T = TypeVar("T")

# Bytes of a request beside its writes: the database's name, and tag and length of every write.
_REQUEST_OVERHEAD_BYTES = 1_024
_WRITE_OVERHEAD_BYTES = 6


class AtomicGroup(NamedTuple):
    """Serialised `Write`s that land together or not at all.

    Attributes:
      writes: serialised.
      names: of the documents written; groups that share one are sent one after the other. Without any, their order is
        the caller's business.
      replaces_earlier: the documents afterwards do not depend on what they were before, so an earlier group of the same
        documents need not be sent.
    """

    writes: tuple[bytes, ...]
    names: tuple[str, ...] = ()
    replaces_earlier: bool = False

    @property
    def n_bytes(self) -> int:
        """What the group adds to a request."""
        if len(self.writes) == 1:
            return len(self.writes[0]) + _WRITE_OVERHEAD_BYTES
        return sum(len(write) + _WRITE_OVERHEAD_BYTES for write in self.writes)


@dataclass(frozen=True)
class RequestLimits:
    """What one request may hold and how many may be on the wire.

    Attributes:
      max_writes: writes in a request, in [1, 500].
      max_request_bytes: bytes of a request; larger ones are refused by the service after they were sent.
      max_in_flight: requests on the wire at once, in [1, 64].
      timeout_s: deadline of one request.
      stop_at_refused_alike: if at least so many groups are committed together and all are refused for one reason, the
        job is wrong and stops; None if that says nothing of the job, as when they have failed before. Committer only.
    """

    max_writes: int = MAX_WRITES_PER_COMMIT
    max_request_bytes: int = 4 * 1024 * 1024
    max_in_flight: int = 3
    timeout_s: float = 60.0
    stop_at_refused_alike: int | None = 10

    def __post_init__(self) -> None:
        if not 1 <= self.max_writes <= MAX_WRITES_PER_COMMIT:
            raise ValueError(f"max_writes must be in [1, {MAX_WRITES_PER_COMMIT}], got {self.max_writes}")
        if self.max_request_bytes < 64 * 1024:
            raise ValueError(f"max_request_bytes must be at least 65,536, got {self.max_request_bytes:,}")
        if not 1 <= self.max_in_flight <= 64:
            raise ValueError(f"max_in_flight must be in [1, 64], got {self.max_in_flight}")
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be positive, got {self.timeout_s}")


@dataclass(slots=True)
class Entry(Generic[T]):
    """A group and whom its outcome concerns.

    Attributes:
      item: what the group was made of; only handed back.
      superseded: items whose groups this one replaces; they share its fate.
      closed: its request takes no more entries and is about to be sent.
      uncertain: an attempt ended without an answer, so it may have been applied.
    """

    item: T
    group: AtomicGroup
    superseded: tuple[T, ...] = ()
    closed: bool = False
    uncertain: bool = False


@dataclass(slots=True)
class Request(Generic[T]):
    """Some entries that are sent together.

    Attributes:
      max_writes: writes it may hold, by what the service could take when it was begun.
      attempts: how often it, or the request it is a part of, was sent.
      failures: how many of these failed transiently.
      due: when it may be sent again, by the sender's clock.
      sent_at, answered_at: of its last attempt.
    """

    max_writes: int
    entries: list[Entry[T]] = field(default_factory=list)
    n_writes: int = 0
    n_bytes: int = _REQUEST_OVERHEAD_BYTES
    attempts: int = 0
    failures: int = 0
    due: float = 0.0
    sent_at: float = 0.0
    answered_at: float | None = None

    def has_room(self, n_writes: int, n_bytes: int, max_bytes: int) -> bool:
        """Whether a group of this size fits; the first always does, as a group cannot be torn."""
        if not self.entries:
            return True
        return self.n_writes + n_writes <= self.max_writes and self.n_bytes + n_bytes <= max_bytes

    def add(self, entry: Entry[T], n_bytes: int) -> None:
        """Takes one more entry, of so many bytes."""
        self.entries.append(entry)
        self.n_writes += len(entry.group.writes)
        self.n_bytes += n_bytes

    def replace(self, entry: Entry[T], item: T, group: AtomicGroup) -> None:
        """Puts another item in the place of an entry's, which it supersedes."""
        self.n_writes += len(group.writes) - len(entry.group.writes)
        self.n_bytes += group.n_bytes - entry.group.n_bytes
        entry.superseded += (entry.item,)
        entry.item, entry.group = item, group

    def part(self, entries: list[Entry[T]]) -> Request[T]:
        """Some of its entries, with its history."""
        part = Request[T](self.max_writes, attempts=self.attempts, failures=self.failures)
        for entry in entries:
            part.add(entry, entry.group.n_bytes)
        return part

    def halves(self) -> Iterator[Request[T]]:
        """Both halves; of a request with a single entry, that one."""
        middle = len(self.entries) // 2
        for entries in (self.entries[:middle], self.entries[middle:]):
            if entries:
                yield self.part(entries)
