"""Whose batch is handed out next, and which streams are open: decided by whoever runs a group of streams.

    streams of the group ──to_open──▶ open streams ──offers──▶ choose ──▶ a batch of this one, at most so large
                                          ▲                                   │
                                          └───────────── handed_out ◀─────────┘

A pace is pickled with the pipeline, and several pieces of work of one process follow each other, so what a pace
remembers belongs to the process.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from transforms.firestore.changes.change_batch import ChangeBatch
from transforms.firestore.changes.limits import DEFAULT_LIMITS, Limits


class Offer(NamedTuple):
    """An open stream.

    Attributes:
      stream_id: of the stream.
      n_ready: changes in its next batch, 0 for one that only says how the stream is; None if nothing waits.
      n_buffered: changes that wait.
      n_full: how often it stopped receiving because too many waited.
    """

    stream_id: str
    n_ready: int | None
    n_buffered: int = 0
    n_full: int = 0


class Choice(NamedTuple):
    """The stream whose turn it is, and how many changes it may hand out; at least those of its next batch."""

    stream_id: str
    max_changes: int = DEFAULT_LIMITS.changes


class Report(NamedTuple):
    """A stream that says how it is although nothing happened. `paused` is why it is not served; empty if it is."""

    stream_id: str
    paused: str = ""


class Pace(Protocol):
    """Picklable. Asked by the one loop of a group, for the streams of that group."""

    def limits(self, stream_id: str, limits: Limits) -> Limits:
        """How large the pieces are in which a stream's changes wait, if those of the options are `limits`."""

    def to_open(self, stream_ids: Sequence[str]) -> Collection[str]:
        """Which of the streams are open now; the others are closed, and opened again where they were."""

    def to_reopen(self, offers: Sequence[Offer]) -> Collection[str]:
        """Which of the open streams are to be closed and opened anew."""

    def choose(self, offers: Sequence[Offer]) -> Choice | None:
        """Whose turn it is; None for nobody's, until something changes or a moment later."""

    def reports(self, stream_ids: Sequence[str]) -> Sequence[Report]:
        """Which of the streams say now how they are."""

    def failure_of(self, stream_id: str) -> str:
        """Why a stream had failed when it was closed; empty if it had not."""

    def handed_out(self, batch: ChangeBatch) -> None:
        """A batch has left."""

    def ended(self, stream_id: str) -> None:
        """The stream is not this process's any more."""


@dataclass(frozen=True)
class Unpaced:
    """Every stream is open, and the one that was served longest ago is next. Offers come in that order."""

    def limits(self, stream_id: str, limits: Limits) -> Limits:
        """Those of the options."""
        return limits

    def to_open(self, stream_ids: Sequence[str]) -> Collection[str]:
        """All of them."""
        return stream_ids

    def to_reopen(self, offers: Sequence[Offer]) -> Collection[str]:
        """None of them."""
        return ()

    def choose(self, offers: Sequence[Offer]) -> Choice | None:
        """The first one that has something."""
        return next((Choice(offer.stream_id) for offer in offers if offer.n_ready is not None), None)

    def reports(self, stream_ids: Sequence[str]) -> Sequence[Report]:
        """None of them."""
        return ()

    def failure_of(self, stream_id: str) -> str:
        """None is ever closed for another's sake."""
        return ""

    def handed_out(self, batch: ChangeBatch) -> None:
        """Nothing to remember."""

    def ended(self, stream_id: str) -> None:
        """Nothing to forget."""
