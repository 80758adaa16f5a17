"""Writes a market of candles into Firestore, in a thread, until it is told to close."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from types import TracebackType

from pipeline.demos.market import KINDS, CandleWrite, Market
from pipeline.demos.repeated import Repeated
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import serialised_fields


class Trading:
    """Goes on as long as the block lasts, one Commit after the other.

    Args:
      market: what happens.
      target: the database.
      pause_s: between two Commits.
    """

    def __init__(self, market: Market, target: FirestoreTarget, pause_s: float):
        self._market, self._target = market, target
        self._committer = Committer(target.connect())
        self._counts: collections.Counter[str] = collections.Counter()
        self._trade = Repeated(lambda: self.write([market.next_write()]), pause_s, "trading")

    def __enter__(self) -> Trading:
        self._trade.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._trade.end()

    @property
    def counts(self) -> dict[str, int]:
        """How many writes there were, by kind."""
        return {kind: self._counts[kind] for kind in KINDS}

    def write(self, writes: Iterable[CandleWrite]) -> None:
        """Writes in one go. Raises JobError or TransientError."""
        found = list(writes)
        self._committer.commit(AtomicGroup((self._message(write),)) for write in found)
        self._counts.update(write.kind for write in found)

    def close(self) -> None:
        """Ends the trading: no candle stays open. Raises what ended it before."""
        self._trade.end()
        self.check()
        self.write(self._market.close())

    def check(self) -> None:
        """Raises what ended the trading, if something did."""
        self._trade.check()

    def _message(self, write: CandleWrite) -> bytes:
        name = self._target.document_name(write.path)
        if write.fields is None:
            return messages.delete(name)
        return messages.update(messages.document(name, serialised_fields(write.fields)))
