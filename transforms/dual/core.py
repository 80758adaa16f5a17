"""What both DualStores have in common: everything but sending requests and waiting for answers.

operation ──▶ guide: phase, view ──▶ steps of the protocol ──▶ [ requests, sent by who drives ] ──▶ log, counts
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from transforms.dual.counting import FAILED, FALLBACK_READS, REFUSED, Counts
from transforms.dual.finding import Search
from transforms.dual.kinds import Key, Kind
from transforms.dual.log_lines import log_write
from transforms.dual.outages import Outages
from transforms.dual.protocol import REFUSED as STATE_REFUSED
from transforms.dual.protocol import Act, Result, Steps, patch, put
from transforms.dual.rules import View
from transforms.dual.stamps import Stamper
from transforms.dual.stored import STORES, Answer, Content, Failed, Request
from transforms.dual.watch import Guide
from transforms.errors import RecordError, TransientError
from transforms.migrate.documents import check_own_fields, content_of
from transforms.retry import SYSTEM_CLOCK, Clock


class WriteFailedError(TransientError):
    """No store accepted a write. One that did not answer may have applied it.

    Args:
      reasons: by store.
    """

    def __init__(self, message: str, reasons: Mapping[str, str]):
        self.reasons = dict(reasons)
        super().__init__(message)

    def __reduce__(self) -> tuple[type[WriteFailedError], tuple[str, dict[str, str]]]:
        return type(self), (str(self), self.reasons)


class BothFailedError(WriteFailedError):
    """Neither store accepted a write."""


class ReadFailedError(TransientError):
    """No store that is read in this phase answered."""


@dataclass(frozen=True)
class Settings:
    """How a DualStore behaves.

    Attributes:
      primary_timeout_s: how long all requests of a write to the primary may take together, and each read.
      secondary_timeout_s: how long all requests of a write to the other store may take together.
      skip_s: how long a store that does not answer is left alone.
      shadow_ratio: the share of reads that are compared in the background, in [0, 1].
      shadow_pause_s: how long stores that differ are given before they are compared again.
    """

    primary_timeout_s: float = 5.0
    secondary_timeout_s: float = 0.5
    skip_s: float = 5.0
    shadow_ratio: float = 0.01
    shadow_pause_s: float = 2.0

    def __post_init__(self) -> None:
        for name in ("primary_timeout_s", "secondary_timeout_s", "skip_s", "shadow_pause_s"):
            if not 0 < getattr(self, name) <= 60:
                raise ValueError(f"{name} must be in (0, 60], got {getattr(self, name)}")
        if not 0 <= self.shadow_ratio <= 1:
            raise ValueError(f"shadow_ratio must be in [0, 1], got {self.shadow_ratio}")


class Phases(Protocol):
    """What an operation goes by: a `PhaseWatch` or a `FixedPhase`."""

    def guide(self) -> Guide:
        """For an operation that begins now."""

    def is_ready(self) -> bool:
        """Whether `guide` answers at once."""

    def close(self) -> None:
        """Ends what runs beside."""


@dataclass
class Budget:
    """The time that one operation has left for each store.

    A primary that is away takes no more than its own part of the time, so that some is left for the other store.

    Attributes:
      began_s: when it began, by the monotonic clock.
      spent_s: by store.
    """

    primary: str
    began_s: float
    put_timeout_s: float
    settings: Settings
    spent_s: dict[str, float] = field(default_factory=dict)

    def left_s(self, store: str, now_s: float) -> float:
        """Seconds for the next request to a store."""
        is_primary = store == self.primary
        own_s = self.settings.primary_timeout_s if is_primary else self.settings.secondary_timeout_s
        return min(self.put_timeout_s - (now_s - self.began_s), own_s - self.spent_s.get(store, 0.0))

    def spend(self, store: str, seconds: float) -> None:
        """Counts what a request took."""
        self.spent_s[store] = self.spent_s.get(store, 0.0) + seconds


@dataclass
class Core:
    """The state of one DualStore, and its decisions.

    Attributes:
      kind: of the records.
      phases: what an operation goes by.
    """

    kind: Kind
    phases: Phases
    settings: Settings
    stamper: Stamper
    counts: Counts
    clock: Clock = SYSTEM_CLOCK
    outages: dict[str, Outages] = field(init=False)
    chance: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        self.outages = {store: Outages(self.settings.skip_s, self.clock) for store in STORES}

    def guide(self) -> Guide:
        """For an operation that begins now."""
        return self.phases.guide()

    def key_of(self, item_id: str, naming: Mapping[str, Any]) -> Key:
        """The key that an application names. Raises RecordError."""
        return self.kind.key_of({**naming, "id": item_id})

    def content_of(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """What is stored of an item: nothing that its writer gave is left out but what a store has put there itself.

        Raises:
          RecordError: RESERVED_FIELD; a value that JSON and Cosmos DB do not hold.
        """
        check_own_fields(item)
        content = content_of(item)
        _check_names(content)
        return content

    def put(self, content: Content | None, guide: Guide) -> tuple[Steps[Result], Budget]:
        """The steps of a write, and their time."""
        act, budget = self._act(guide)
        return put(content, guide.view, act), budget

    def patch(self, key: Key, changes: Mapping[str, Any], guide: Guide) -> tuple[Steps[Result | None], Budget]:
        """The steps of a change, and their time. They raise RecordError where it would be another record's then."""

        def changed(content: Content) -> Content:
            whole = {**content, **changes}
            if self.kind.key_of(whole) != key:
                raise RecordError(
                    "CHANGED_KEY",
                    "a patch cannot change what names an item: its id, its partition key and what its document's id "
                    "is made of; put it under the new key and delete the old one",
                )
            return whole

        act, budget = self._act(guide)
        return patch(changed, guide.view, act), budget

    def reading(self, store: str) -> Budget:
        """The time of a read: every store that is read is given that of the primary."""
        return Budget(store, self.clock.monotonic(), self.settings.primary_timeout_s, self.settings)

    def refusal(self, request: Request, budget: Budget) -> tuple[Failed | None, float]:
        """Why a request is not sent, or None and the seconds it may take."""
        left_s = budget.left_s(request.store, self.clock.monotonic())
        if left_s <= 0:
            return Failed("connection timeout"), 0.0
        if not self.outages[request.store].may_ask():
            return Failed("skipped: the store has not answered for a while"), 0.0
        return None, left_s

    def answered(self, request: Request, answer: Answer, budget: Budget, asked_s: float) -> None:
        """Records how a store answered."""
        budget.spend(request.store, self.clock.monotonic() - asked_s)
        is_up = not isinstance(answer, Failed) or bool(answer.refused)
        self.outages[request.store].answered(is_up=is_up)

    def ended(self, result: Result, fields: Mapping[str, Any], *, is_delete: bool = False) -> Result:
        """Logs and counts a write. Raises RecordError, WriteFailedError or BothFailedError if no store has it."""
        log_write(self.kind, fields, result, is_delete=is_delete)
        kind = self.counts.write(result, self.stamper.now())
        if kind == REFUSED:
            store, code = next(
                (store, outcome.reason) for store, outcome in result.outcomes.items() if outcome.state == STATE_REFUSED
            )
            raise RecordError(code, f"{store} refuses the {self.kind.label}; see the log")
        if kind == FAILED:
            reasons = {store: outcome.reason for store, outcome in result.outcomes.items()}
            text = "; ".join(f"{store}: {reason}" for store, reason in reasons.items())
            if len(reasons) > 1:
                raise BothFailedError(f"both stores failed: {text}", reasons)
            raise WriteFailedError(f"the store failed: {text}", reasons)
        return result

    def read_from(self, store: str, guide: Guide) -> None:
        """Counts a read that the first store did not answer."""
        if store != guide.phase.reads[0]:
            self.counts.add(FALLBACK_READS)

    def unanswered(self, reasons: Mapping[str, str]) -> ReadFailedError:
        """What a read raises that no store answered."""
        return ReadFailedError("; ".join(f"{store}: {reason}" for store, reason in reasons.items()))

    def compares(self, guide: Guide) -> bool:
        """Whether this read is to be compared."""
        ratio = self.settings.shadow_ratio
        return bool(ratio) and len(guide.phase.writes) > 1 and self.chance() < ratio

    def _act(self, guide: Guide) -> tuple[Act, Budget]:
        began_s = self.clock.monotonic()
        act = Act(self.stamper.stamp, lambda: self.clock.monotonic() - began_s, guide.put_timeout_s)
        return act, Budget(guide.view.primary, began_s, guide.put_timeout_s, self.settings)


def core_of(
    kind: Kind,
    phases: Phases,
    settings: Settings | None = None,
    *,
    stamper: Stamper | None = None,
    counts: Counts | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Core:
    """A core with what is not given made anew."""
    return Core(
        kind,
        phases,
        settings or Settings(),
        stamper or Stamper(clock=clock),
        counts or Counts(),
        clock,
    )


def search_of(where: tuple[tuple[str, str, Any], ...], order_by: str | None, descending: bool, limit: int) -> Search:
    """The query of an application. Raises UsageError."""
    return Search(tuple(where), order_by, descending, limit)


def view_to_compare(view: View) -> tuple[str, str]:
    """The two stores of a comparison, the primary first."""
    secondary = view.secondary
    assert secondary is not None, "a phase of one store has nothing to compare"
    return view.primary, secondary


def _check_names(value: Any) -> None:
    """Raises RecordError: NOT_JSON: a map has a name that is not text, which JSON would make text of.

    >>> _check_names({"a": [{1: 2}]})
    Traceback (most recent call last):
    ...
    transforms.errors.RecordError: NOT_JSON: a map has a name of type int; names are text
    """
    members: Any = value if isinstance(value, list) else ()
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise RecordError("NOT_JSON", f"a map has a name of type {type(name).__name__}; names are text")
        members = value.values()
    for member in members:
        if isinstance(member, (dict, list)):
            _check_names(member)
