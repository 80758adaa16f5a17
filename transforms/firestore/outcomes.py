"""What became of a group of writes: it landed, it was refused, or it met a conflict. Plain data."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")


class Landed(NamedTuple):
    """A group that Firestore acknowledged; `update_times` of its documents, in the order of its writes."""

    update_times: tuple[Any, ...]
    attempts: int


class Refused(NamedTuple):
    """A group that Firestore refused.

    Attributes:
      code, message: the service's.
      attempts: how often it was sent.
      retryable: nothing is wrong with the group; the service was too busy for it every time.
      uncertain: an attempt before had no answer, so the refusal may come from the group's own traces.
    """

    code: str
    message: str
    attempts: int
    retryable: bool = False
    uncertain: bool = False


class Conflicted(NamedTuple):
    """A group of a guarded request that met a document which is not as its precondition says; the service does not tell
    which group. Read again, decide again."""

    code: str
    message: str
    attempts: int


Outcome: TypeAlias = Landed | Refused | Conflicted


class Resolved(NamedTuple, Generic[T]):
    """What became of an item; a superseded one was not sent and shares the fate of what replaced it."""

    item: T
    outcome: Outcome
    superseded: bool
