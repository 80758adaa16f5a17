"""When a call may be sent: one object for all calls to one provider.

    enter ─▶ first of those who wait? ─▶ refusal waited out? ─▶ few under way? ─▶ requests, tokens left? ─▶ sent
                                              ▲                   ▲                    ▲                     │
             status, headers, tokens ─────────┴───────────────────┴────────────────────┘◀──── leave ─────────┘

What one refusal asks to wait, or what its call would wait before it is sent again, all calls wait. Buckets follow the
headers of answers, and `tokens_per_min`. Where neither says enough, calls are refused: then half as many may be under
way, and one more for each round of answers. That is TCP's rule against congestion (RFC 5681). A call that was refused
goes before those that came after it. So a provider that does not say its limits does not refuse the same call until its
attempts run out.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

from transforms.analysis.bucket import Bucket
from transforms.analysis.chat import Tokens
from transforms.analysis.levels import LevelHeaders, level_in
from transforms.analysis.turns import Turns
from transforms.providers.pace import MAX_WAIT_S
from transforms.retry import Clock

_UNBOUNDED = 1_024.0  # so many under way, and there is no bound


class Cost(NamedTuple):
    """What a call takes from the limits.

    Attributes:
      input, output: tokens.
    """

    input: float
    output: float

    def of(self, counted: str) -> float:
        """How much of it a limit counts, by its name in a description."""
        if counted == "requests":
            return 1.0
        return self.input * (counted != "output_tokens") + self.output * (counted != "input_tokens")


class Call:
    """One that is under way.

    Attributes:
      entered_at: monotonic seconds.
      expected: what was taken for it.
    """

    def __init__(self, entered_at: float, expected: Cost):
        self.entered_at, self.expected = entered_at, expected


class Limits:
    """Of one provider, as one key and one process see it. To be used in one event loop.

    Args:
      headers: patterns by what they count, as `providers.chat.Chat` has them.
      tokens_per_min: of this process, cached ones included; None: as the headers say.
    """

    def __init__(self, clock: Clock, headers: Mapping[str, str], tokens_per_min: float | None = None):
        self._clock = clock
        self._headers = {counted: LevelHeaders.of(pattern) for counted, pattern in headers.items()}
        self._buckets = {counted: Bucket(clock.monotonic) for counted in headers}
        self._own = Bucket.of_minute(clock.monotonic, tokens_per_min) if tokens_per_min else None
        self._not_before = 0.0
        self._under_way, self._may = 0, _UNBOUNDED
        self._halved_at = float("-inf")
        self._places = count()
        self._turns = Turns(clock, self._is_full, self._free_at, self._admit, self._undo)

    def place(self) -> int:
        """Of a question in the order in which they came; it keeps it however often it is sent."""
        return next(self._places)

    async def enter(self, place: int, expected: Cost) -> Call:
        """Waits until a call may be sent."""
        await self._turns.enter(place, expected)
        return Call(self._clock.monotonic(), expected)

    def leave(self, call: Call, answered: bool, tokens: Tokens | None) -> None:
        """A call is over.

        Args:
          tokens: what it took; None: as it was expected to, unless it was not answered.
        """
        self._under_way -= 1
        self._turns.somebody_left()
        if answered:
            self._may = min(_UNBOUNDED, self._may + 1 / self._may)
        if tokens is not None or not answered:
            took = tokens or Tokens()
            # Of what is read from a cache, most providers count nothing; their headers say so if they do.
            limited, whole = Cost(took.input - took.cached, took.output), Cost(took.input, took.output)
            self._take(_less(limited, call.expected), _less(whole, call.expected), requests=False)

    def refused(self, call: Call) -> None:
        """A call was refused for want of capacity, not because of what it asks."""
        if call.entered_at > self._halved_at:  # those that were under way meanwhile are refused for the same reason
            self._halved_at = self._clock.monotonic()
            self._may = max(1.0, min(self._may, self._under_way + 1.0) / 2)

    def note(self, headers: Mapping[str, str]) -> None:
        """Takes over what the headers of an answer say."""
        for counted, names in self._headers.items():
            if names.limit in headers:
                self._buckets[counted].note(level_in(headers, names, self._clock.now()))

    def hold(self, seconds: float) -> None:
        """Nothing is sent for so long."""
        if seconds > 0:
            self._not_before = max(self._not_before, self._clock.monotonic() + min(seconds, MAX_WAIT_S))

    def throttled_s(self) -> float:
        """See `ChatApi`."""
        return self._turns.waited_s()

    def _admit(self, expected: Cost) -> None:
        self._under_way += 1
        self._take(expected, expected)

    def _undo(self, expected: Cost) -> None:
        self.leave(Call(self._clock.monotonic(), expected), False, None)

    def _is_full(self) -> bool:
        return self._under_way >= int(self._may)

    def _free_at(self, expected: Cost) -> float:
        waits = [bucket.wait_s(expected.of(counted)) for counted, bucket in self._buckets.items()]
        if self._own is not None:
            waits.append(self._own.wait_s(expected.input + expected.output))
        return max(self._not_before, self._clock.monotonic() + max(waits, default=0.0))

    def _take(self, limited: Cost, whole: Cost, *, requests: bool = True) -> None:
        for counted, bucket in self._buckets.items():
            if requests or counted != "requests":
                bucket.take(limited.of(counted))
        if self._own is not None:
            self._own.take(whole.input + whole.output)


class Forecast:
    """What a call is likely to take, from those before it: the mean of the last ones, by characters of the request."""

    _WEIGHT = 0.1  # of the newest one

    def __init__(self) -> None:
        self._per_byte, self._output = 0.25, -1.0

    def of(self, n_bytes: int, max_output_tokens: int) -> Cost:
        """
        >>> Forecast().of(4_000, 500)
        Cost(input=1000.0, output=500)
        """
        return Cost(n_bytes * self._per_byte, self._output if self._output >= 0 else max_output_tokens)

    def learn(self, n_bytes: int, tokens: Tokens) -> None:
        """A call took so much."""
        if self._output < 0:
            self._per_byte, self._output = tokens.input / n_bytes, float(tokens.output)
        self._per_byte += self._WEIGHT * (tokens.input / n_bytes - self._per_byte)
        self._output += self._WEIGHT * (tokens.output - self._output)


def _less(real: Cost, expected: Cost) -> Cost:
    return Cost(real.input - expected.input, real.output - expected.output)
