"""What a job may spend: a call begins only if it cannot pass the limit, whatever it turns out to cost. Plain Python.

    reserve(upper bound) ─▶ call ─▶ settle(what it cost)
       waits while calls in flight may cost less than reserved; raises where even without them it does not fit

One budget per job and process; amounts in 10⁻¹² USD, whole numbers.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

from transforms.errors import JobError
from transforms.records.analysis import PICO, Price


class Spend:
    """A budget. Used in one event loop.

    Args:
      limit: None for no limit.
      spent: by earlier processes of the run.
    """

    def __init__(self, limit: int | None, spent: int = 0):
        self._limit, self._spent, self._reserved = limit, spent, 0
        self._settled = asyncio.Condition()

    async def reserve(self, bound: int) -> None:
        """Sets so much aside. Raises JobError if it does not fit."""
        if self._limit is None:
            return
        async with self._settled:
            while self._spent + self._reserved + bound > self._limit:
                if not self._reserved:
                    raise JobError(
                        f"the next call could cost {usd(bound)} USD, which would pass --max_spend_usd="
                        f"{usd(self._limit)}: {usd(self._spent)} are spent. All answers so far are kept; raise the "
                        "limit and run the same command to go on"
                    )
                await self._settled.wait()
            self._reserved += bound

    async def settle(self, bound: int, cost: int) -> None:
        """Puts back what was set aside, and takes what it did cost."""
        if self._limit is None:
            return
        async with self._settled:
            self._reserved -= bound
            self._spent += cost
            self._settled.notify_all()


def upper_bound(price: Price, sent_bytes: int, max_output_tokens: int) -> int:
    """What a call costs at most: a token has at least one byte, and the frame around a prompt a few.

    >>> upper_bound(Price(2, 1, 3, 8), 1_000, 100)
    4568
    """
    dearest = max(price.input, price.cached_input, price.cache_write)
    return (sent_bytes + _FRAME_TOKENS) * dearest + max_output_tokens * price.output


_FRAME_TOKENS = 256


def usd(amount: int) -> str:
    """Decimals of an amount, without an exponent.

    >>> usd(2_500_000_000), usd(0), usd(1_230_000_000_000)
    ('0.0025', '0', '1.23')
    """
    text = f"{Decimal(amount) / PICO:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
