"""Batches that a group hands out beside those of its streams: changes that a sink refused, once more.

    streams ──▶ offers ─┐
    feed ─────▶ offer ──┴▶ pace ──▶ the next batch

They go through the same loop, so they come in order with what the streams hand out: a feed that looks at the database
when its batch is taken never hands out an older state behind a newer one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from transforms.firestore.changes.change_batch import ChangeBatch
from transforms.firestore.changes.pace import Offer
from transforms.firestore.changes.positions import Position
from transforms.firestore.target import FirestoreTarget


class Feed(Protocol):
    """Picklable. What it remembers belongs to the process."""

    @property
    def name(self) -> str:
        """As the pace knows it, among the ids of streams."""

    def offer(self) -> Offer | None:
        """What there is to take, under the feed's name; None for nothing."""

    def take(self, target: FirestoreTarget, positions: Mapping[str, Position | None]) -> ChangeBatch | None:
        """A batch of one of these streams, at its position, with `again`; None if there is none after all."""

    def put_back(self, batch: ChangeBatch) -> None:
        """The batch that was taken did not leave."""


@dataclass(frozen=True)
class NoFeed:
    """Nothing beside the streams."""

    name: str = ""

    def offer(self) -> Offer | None:
        """Nothing."""
        return None

    def take(self, target: FirestoreTarget, positions: Mapping[str, Position | None]) -> ChangeBatch | None:
        """Nothing."""
        return None

    def put_back(self, batch: ChangeBatch) -> None:
        """Never called."""
