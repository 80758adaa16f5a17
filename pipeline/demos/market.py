"""A market of candles that is made up: what is written to Firestore, one candle at a time. Pure.

    opened ─▶ formed … ─▶ closed ─▶ corrected … ─▶ deleted ─▶ opened again, sometimes
       └─ complete == false ─┘ └─ complete == true ─┘ └─ or reopened: complete == false once more

One seed always makes the same market. A candle's id is its time in seconds, as the record spec `candles` wants it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from transforms.errors import UsageError

OPENED, FORMED, CLOSED = "opened", "formed", "closed"
CORRECTED, REOPENED, DELETED = "corrected", "reopened", "deleted"
KINDS = (OPENED, FORMED, CLOSED, CORRECTED, REOPENED, DELETED)

_UNITS_S = {"S": 1, "M": 60, "H": 3_600, "D": 86_400, "W": 604_800}
_GRANULARITY = re.compile(r"([SMHDW])([1-9][0-9]{0,3})?")
_BEGINS_AT = 1_767_571_200  # the first Monday of 2026, in seconds since 1970
_SPREAD = 0.0001
_DIGITS = 5
_LEAST_CLOSED = 3  # stay, so that there is always something to correct


class CandleWrite(NamedTuple):
    """One write.

    Attributes:
      kind: one of KINDS.
      path: of the candle.
      fields: all of them; None: it is deleted.
    """

    kind: str
    path: str
    fields: Mapping[str, Any] | None


class Market:
    """Writes candles of several collections, each at a price of its own.

    Args:
      collections: paths, each with the seconds between two of its candles.
      seed: of everything.
    """

    def __init__(self, collections: Mapping[str, int], seed: int = 0):
        self._dice = random.Random(seed)
        self._books = [_Book(path, seconds, self._dice) for path, seconds in collections.items()]

    def history(self, candles: int) -> Iterator[CandleWrite]:
        """So many candles in every collection, all of them closed."""
        for book in self._books:
            for _ in range(candles):
                book.open()
                yield book.close()

    def next_write(self) -> CandleWrite:
        """Something that happens in one of the collections."""
        return self._dice.choice(self._books).next_write()

    def close(self) -> Iterator[CandleWrite]:
        """The market closes: no candle stays open."""
        yield from (book.close() for book in self._books if book.is_open)


class _Book:
    def __init__(self, path: str, seconds: int, dice: random.Random):
        self._path, self._seconds, self._dice = path, seconds, dice
        self._next_at, self._price = _BEGINS_AT, dice.uniform(0.6, 1.9)
        self._open: dict[str, Any] | None = None
        self._closed: dict[int, dict[str, Any]] = {}
        self._deleted: list[int] = []

    @property
    def is_open(self) -> bool:
        return self._open is not None

    def next_write(self) -> CandleWrite:
        has_enough = len(self._closed) > _LEAST_CLOSED
        if self._open is None:
            return self._reopen() if has_enough and self._dice.random() < 0.15 else self.open()
        chance = self._dice.random() * (1.0 if has_enough else 0.7)
        if chance < 0.35:
            return self._form(self._open)
        if chance < 0.7:
            return self.close()
        return self._correct() if chance < 0.88 else self._delete()

    def open(self) -> CandleWrite:
        if self._deleted and self._dice.random() < 0.3:
            at = self._deleted.pop()
        else:
            at, self._next_at = self._next_at, self._next_at + self._seconds
        price = self._moved()
        self._open = {"ts": at, "o": price, "h": price, "l": price, "c": price, "v": 0, "complete": False}
        return self._written(OPENED, self._quoted(self._open))

    def _reopen(self) -> CandleWrite:
        self._open = self._closed.pop(self._any_closed())
        self._open["complete"] = False
        return self._written(REOPENED, self._open)

    def _form(self, candle: dict[str, Any]) -> CandleWrite:
        price = self._moved()
        candle |= {"c": price, "h": max(candle["h"], price), "l": min(candle["l"], price)}
        candle["v"] += self._dice.randint(1, 100)
        return self._written(FORMED, self._quoted(candle))

    def close(self) -> CandleWrite:
        assert self._open is not None, "there is a candle to close"
        candle, self._open = self._open, None
        candle["complete"] = True
        self._closed[candle["ts"]] = candle
        return self._written(CLOSED, candle)

    def _correct(self) -> CandleWrite:
        candle = self._closed[self._any_closed()]
        candle["v"] += self._dice.randint(1, 100)
        candle["h"] = round(candle["h"] + _SPREAD, _DIGITS)
        return self._written(CORRECTED, candle)

    def _delete(self) -> CandleWrite:
        at = self._any_closed()
        del self._closed[at]
        self._deleted.append(at)
        return CandleWrite(DELETED, f"{self._path}/{at}", None)

    def _any_closed(self) -> int:
        return self._dice.choice(list(self._closed))

    def _quoted(self, candle: dict[str, Any]) -> dict[str, Any]:
        candle |= {"bid": candle["c"], "ask": round(candle["c"] + _SPREAD, _DIGITS)}
        return candle

    def _written(self, kind: str, candle: Mapping[str, Any]) -> CandleWrite:
        return CandleWrite(kind, f"{self._path}/{candle['ts']}", dict(candle))

    def _moved(self) -> float:
        self._price = round(self._price * self._dice.uniform(0.999, 1.001), _DIGITS)
        return self._price


def candle_seconds(granularity: str) -> int:
    """The seconds between two candles.

    Raises:
      UsageError: no candles are of that length.

    >>> candle_seconds("H4"), candle_seconds("D")
    (14400, 86400)
    """
    found = _GRANULARITY.fullmatch(granularity)
    if found is None:
        raise UsageError(
            f"{granularity!r} is not a length of candles; use letters as in M1, M15, H1, H4, D and W, with a number"
        )
    return _UNITS_S[found[1]] * int(found[2] or 1)
