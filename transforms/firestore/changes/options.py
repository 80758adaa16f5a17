"""Which queries are listened to, and how. Plain, frozen, picklable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transforms.errors import UsageError
from transforms.firestore.changes.limits import DEFAULT_LIMITS, Limits
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget

# The service sends something at least every 30 s, and is known to fall silent for ever after large snapshots.
_SILENCE_S = 120.0
# An emulator sends nothing while nothing is written, and was seen to send nothing more although much was.
_EMULATOR_SILENCE_S = 20.0


@dataclass(frozen=True)
class ListenedQuery:
    """One stream of changes.

    Attributes:
      stream_id: its name, unique in a job; positions and journal are kept under it.
      query: without order and limit, which decide nothing about what changed.
    """

    stream_id: str
    query: Query

    def __post_init__(self) -> None:
        if self.query.orders or self.query.max_documents is not None:
            raise UsageError(f"stream {self.stream_id!r}: a listened query has neither order nor limit; remove them")


@dataclass(frozen=True)
class ListenOptions:
    """How streams of changes behave.

    Attributes:
      limits: of a batch of changes.
      max_names: names that all streams of a process keep together. A stream for which there is no room resolves a RESET
        by a comparison.
      max_buffered: changes per stream that wait to be taken; then nothing more is received.
      max_buffered_bytes: of their documents.
      silence_s: without any message for so long a stream is opened again; 0 for never; None for what fits the target.
      exact_snapshots: whether what Listen sends is the state at the read time that comes with it, as the service
        promises. Otherwise it only says that something may have changed, and the documents are read at a read time.
        None for what fits the target: an emulator names read times at which it does not show all commits yet.
      stop_on_lost_deletes: a stream fails when deletes can no longer be found, instead of going on without them.
    """

    limits: Limits = DEFAULT_LIMITS
    max_names: int = 200_000
    max_buffered: int = 10_000
    max_buffered_bytes: int = 64 * 1024 * 1024
    silence_s: float | None = None
    exact_snapshots: bool | None = None
    stop_on_lost_deletes: bool = False

    def __post_init__(self) -> None:
        for name in ("max_names", "max_buffered", "max_buffered_bytes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")

    def of(self, target: FirestoreTarget) -> ListenOptions:
        """The options for this target: an emulator is silent for other reasons, and its snapshots are inexact."""
        is_emulator = target.emulator_host is not None
        return replace(
            self,
            silence_s=(_EMULATOR_SILENCE_S if is_emulator else _SILENCE_S)
            if self.silence_s is None
            else self.silence_s,
            exact_snapshots=not is_emulator if self.exact_snapshots is None else self.exact_snapshots,
        )


def check_streams(streams: Sequence[ListenedQuery]) -> None:
    """Raises UsageError unless there are streams, each with an id of its own."""
    if not streams:
        raise UsageError("there is no stream to listen to")
    ids = [stream.stream_id for stream in streams]
    if repeated := sorted({each for each in ids if ids.count(each) > 1}):
        raise UsageError(f"two streams have the id {repeated[0]!r}; give each its own")
