"""Stamps of writes, by a clock that is corrected by the database's. Thread-safe.

Stamps of one instance never go back, and are later than any that it was shown: for one document the order of its own
writes is kept whatever its clock does.
"""

from __future__ import annotations

import datetime
import os
import secrets
import socket
import threading
from collections.abc import Iterable

from transforms.dual.rules import RULES, Rules
from transforms.migrate.documents import Stamp
from transforms.retry import SYSTEM_CLOCK, Clock

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def instance_name() -> str:
    """A name that no other instance has: of the computer, and random.

    >>> instance_name() == instance_name()
    False
    """
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"


class Stamper:
    """The clock of one instance.

    Args:
      instance: its name, see `instance_name`; default: one of its own, and another one in a process that is forked.
      clock: of the computer.
    """

    def __init__(self, instance: str | None = None, clock: Clock = SYSTEM_CLOCK, rules: Rules = RULES):
        self._instance, self._clock, self._rules = instance or instance_name(), clock, rules
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._offset_s = 0.0
        self._n = self._last = 0

    @property
    def instance(self) -> str:
        """The name of the instance. Servers fork after they have loaded an application: each process is one."""
        if self._pid != (pid := os.getpid()):
            with self._lock:
                if self._pid != pid:
                    self._pid, self._instance = pid, instance_name()
        return self._instance

    def now(self) -> datetime.datetime:
        """The time, corrected."""
        return _EPOCH + datetime.timedelta(microseconds=self.now_us())

    def now_us(self) -> int:
        """Microseconds since the epoch, corrected."""
        return int((self._clock.now() + self._offset_s) * 1_000_000)

    def correct(self, server: datetime.datetime, asked_s: float, answered_s: float) -> None:
        """Takes over the time of a server.

        Args:
          server: what it answered.
          asked_s, answered_s: when, by this computer's clock; half-way between is taken to be when the server looked.
        """
        self._offset_s = (server - _EPOCH).total_seconds() - (asked_s + answered_s) / 2

    def stamp(self, seen: Iterable[Stamp] = ()) -> Stamp:
        """The stamp of a new write, later than those seen."""
        instance = self.instance
        with self._lock:
            self._n += 1
            self._last = self._rules.stamp_time(max(self.now_us(), self._last), seen)
            return Stamp(self._last, instance, self._n)
