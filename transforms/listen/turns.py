"""Which streams are open when there are more than may be open at once.

    waiting, the longest first ──▶ open for `turn_s` ──▶ behind all others that wait

Guarantee: each of n streams is opened at least every turn_s × ceil(n / max_open) seconds. The one exception: a stream
that has not come on in its turn keeps it until it has, though not beyond MAX_TURN_S; it would else begin again in every
turn, and never come on at all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

# The service ends a listener that is not current within ten minutes, so waiting for longer is of no use.
MAX_TURN_S = 600.0
# A stream that nobody has asked about for so long belongs to another process by now.
_FORGOTTEN_S = 60.0


@dataclass
class _Turn:
    began_at: float
    has_come_on: bool = False


class Turns:
    """Not thread-safe.

    Args:
      max_open: how many streams are open at once.
      turn_s: for how many seconds, while others wait.
    """

    def __init__(self, max_open: int, turn_s: float):
        self._max_open, self._turn_s = max_open, turn_s
        self._open: dict[str, _Turn] = {}
        self._waiting: dict[str, None] = {}  # in the order in which they are opened
        self._asked_at: dict[str, float] = {}

    def open_of(self, stream_ids: Sequence[str], now_s: float) -> Collection[str]:
        """Those of the streams that are open from now on, until this is asked again."""
        for stream_id in stream_ids:
            self._asked_at[stream_id] = now_s
            if stream_id not in self._open:
                self._waiting.setdefault(stream_id)
        for stream_id in [each for each, asked_at in self._asked_at.items() if now_s - asked_at > _FORGOTTEN_S]:
            self.ended(stream_id)
        self._end_turns(now_s)
        for stream_id in list(self._waiting)[: self._max_open - len(self._open)]:
            del self._waiting[stream_id]
            self._open[stream_id] = _Turn(now_s)
        return [stream_id for stream_id in stream_ids if stream_id in self._open]

    def open_now(self) -> Collection[str]:
        """The streams that are open."""
        return self._open.keys()

    def came_on(self, stream_id: str) -> None:
        """The stream is further than when its turn began, or cannot come on."""
        if stream_id in self._open:
            self._open[stream_id].has_come_on = True

    def ended(self, stream_id: str) -> None:
        """The stream needs no turn any more."""
        self._open.pop(stream_id, None)
        self._waiting.pop(stream_id, None)
        self._asked_at.pop(stream_id, None)

    def _end_turns(self, now_s: float) -> None:
        """Ends turns that are over, of those open for longest, as many as others wait for."""
        n_wanted = len(self._waiting) - (self._max_open - len(self._open))
        over = [stream_id for stream_id, turn in self._open.items() if self._is_over(turn, now_s)]
        for stream_id in sorted(over, key=lambda each: self._open[each].began_at)[: max(0, n_wanted)]:
            del self._open[stream_id]
            self._waiting[stream_id] = None

    def _is_over(self, turn: _Turn, now_s: float) -> bool:
        lasted_s = now_s - turn.began_at
        return lasted_s >= (self._turn_s if turn.has_come_on else max(self._turn_s, MAX_TURN_S))
