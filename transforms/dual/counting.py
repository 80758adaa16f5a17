"""What an instance of DualStore counts, since it began: a save that is repeated counts nothing twice."""

from __future__ import annotations

import contextlib
import datetime
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from transforms.dual.protocol import Result
from transforms.dual.stored import COSMOS, FIRESTORE

Hours: TypeAlias = Mapping[str, Mapping[str, int]]

# By this time a success of the last 24 hours is in one of the hours.
_KEPT_HOURS = 25

SUCCESS, ONLY_COSMOS, ONLY_FIRESTORE, FAILED, REFUSED = (
    "success",
    "only_cosmos",
    "only_firestore",
    "failed",
    "refused",
)
PENDING, FALLBACK_READS = "pending", "fallback_reads"
SHADOW_EQUAL, SHADOW_MISMATCH, SHADOW_UNKNOWN = "shadow_equal", "shadow_mismatch", "shadow_unknown"
NAMES = (
    SUCCESS,
    ONLY_COSMOS,
    ONLY_FIRESTORE,
    FAILED,
    REFUSED,
    PENDING,
    FALLBACK_READS,
    SHADOW_EQUAL,
    SHADOW_MISMATCH,
    SHADOW_UNKNOWN,
)


def kind_of(result: Result) -> str:
    """Which of the counters a write belongs to. A write of one store alone is a success of that store."""
    accepted = {store for store, outcome in result.outcomes.items() if outcome.is_accepted}
    if len(accepted) == len(result.outcomes):
        return SUCCESS
    if not accepted:
        return REFUSED if any(outcome.state == REFUSED for outcome in result.outcomes.values()) else FAILED
    return {COSMOS: ONLY_COSMOS, FIRESTORE: ONLY_FIRESTORE}[accepted.pop()]


class Counts:
    """Thread-safe. A process that is forked begins anew: what was counted before is its parent's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._counts: Counter[str] = Counter(dict.fromkeys(NAMES, 0))
        self._hours: dict[str, Counter[str]] = {}

    @contextlib.contextmanager
    def _own(self) -> Iterator[None]:
        with self._lock:
            if self._pid != os.getpid():
                self._begin()
            yield

    def add(self, name: str) -> None:
        """Counts one."""
        with self._own():
            self._counts[name] += 1

    def write(self, result: Result, at: datetime.datetime) -> str:
        """Counts a write; returns its kind. One that a store refuses for its content says nothing about the stores."""
        kind = kind_of(result)
        with self._own():
            self._counts[kind] += 1
            self._counts[PENDING] += result.is_pending
            if kind != REFUSED and len(result.outcomes) > 1:
                hour = self._hours.setdefault(at.strftime("%Y-%m-%dT%H"), Counter(total=0, success=0))
                hour["total"] += 1
                hour["success"] += kind == SUCCESS
                for outdated in _outdated(self._hours):
                    del self._hours[outdated]
        return kind

    def counts(self) -> dict[str, int]:
        """By name."""
        with self._own():
            return dict(self._counts)

    def hours(self) -> dict[str, dict[str, int]]:
        """Dual writes by hour, and how many of them both stores accepted."""
        with self._own():
            return {hour: dict(each) for hour, each in self._hours.items()}


def _outdated(hours: Iterable[str]) -> list[str]:
    return sorted(hours)[:-_KEPT_HOURS]
