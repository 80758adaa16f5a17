"""The batches of a provider: what was asked for, how far each is, and what becomes of its requests.

    created ──▶ states on the way, by the clock ──▶ over: complete │ failed │ expired │ cancelled │ partial
                                                      └▶ each request: answered │ error │ unanswered │ missing

Nothing runs: a batch is a time of creation and a script, and how far it is follows from the clock. So a script that
changes applies to batches that are there already.
"""

from __future__ import annotations

import enum
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from transforms.testing.providers.script import BatchScript, Script

T = TypeVar("T")

CANCEL_S = 0.1  # from the request to cancel until the batch is over


class Fate(enum.Enum):
    """What becomes of a request."""

    ANSWERED = "answered"
    ERROR = "error"
    UNANSWERED = "unanswered"  # the batch was over first
    MISSING = "missing"  # it was answered, and nobody says so


class Request(NamedTuple):
    """A request of a batch.

    Attributes:
      custom_id: what its result is found by; a made-up one where the provider has none.
      body: what the model is asked.
      line: as it was sent.
    """

    custom_id: str
    body: Mapping[str, Any]
    line: Mapping[str, Any]


@dataclass(slots=True)
class Batch:
    """A batch that was created.

    Attributes:
      ordinal: of its creation, from 0; -1 for one that existed before.
      key: what its creator calls it, where the provider keeps such a thing.
      parameters: of its creation, as the provider shows them again.
      created_at, cancelled_at: seconds since 1970.
      n_downloads: how often its results were sent.
      problem: code and text of what is wrong with its requests; it fails then, whatever the script says.
      custom_ids: of its requests.
    """

    ordinal: int
    id: str
    key: str | None
    requests: Sequence[Request]
    created_at: float
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cancelled_at: float | None = None
    n_downloads: int = 0
    problem: tuple[str, str] | None = None
    custom_ids: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.custom_ids = frozenset(each.custom_id for each in self.requests)


class Phase(NamedTuple):
    """How far a batch is.

    Attributes:
      state: the provider's word on the way; None when it is over.
      outcome: when it is over.
      share: of its time that has passed.
      ended_at: seconds since 1970.
    """

    state: str | None
    outcome: str | None
    share: float
    ended_at: float | None


class Counts(NamedTuple):
    """How many of a batch's requests are where."""

    total: int
    answered: int
    errors: int
    unanswered: int


class Batches:
    """All batches of a server, by id.

    Args:
      now: seconds since 1970.
      states: the provider's words for a batch on its way.
      cancelling: the provider's word for one that is being cancelled.
      keeps_failed: whether a batch that failed has the results it got before.
    """

    def __init__(self, now: Callable[[], float], states: Sequence[str], cancelling: str, keeps_failed: bool = False):
        self.now = now
        self._script = Script()
        self._has_unanswered = {"expired", "cancelled", "partial", *(("failed",) if keeps_failed else ())}
        self._states, self._cancelling = states, cancelling
        self._all: dict[str, Batch] = {}
        self._n_created = 0
        self._kept: dict[tuple[str, str], Any] = {}

    @property
    def script(self) -> Script:
        """Says how they go; may be replaced at any time."""
        return self._script

    @script.setter
    def script(self, script: Script) -> None:
        self._script = script
        self._kept.clear()

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._all.values())

    def create(
        self,
        new_id: Callable[[str], str],
        requests: Sequence[Request],
        key: str | None,
        parameters: Mapping[str, Any],
        problem: tuple[str, str] | None = None,
    ) -> Batch:
        """Adds a batch; `new_id` makes its id from 24 hex digits."""
        batch = Batch(self._n_created, new_id(uuid.uuid4().hex[:24]), key, requests, self.now(), parameters)
        batch.problem = problem
        self._n_created += 1
        self._all[batch.id] = batch
        return batch

    def add_existing(
        self,
        batch_id: str,
        requests: Sequence[Request],
        key: str | None,
        parameters: Mapping[str, Any],
        age_s: float,
    ) -> Batch:
        """Adds one that was there before, in the order of creation."""
        batch = Batch(-1, batch_id, key, requests, self.now() - age_s, parameters)
        self._all[batch.id] = batch
        return batch

    def find(self, batch_id: str) -> Batch | None:
        """The batch of this id."""
        return self._all.get(batch_id)

    def remove(self, batch_id: str) -> None:
        """Forgets a batch."""
        del self._all[batch_id]

    def cancel(self, batch: Batch) -> bool:
        """Begins to cancel a batch; whether it was still running."""
        if self.phase(batch).outcome is not None:
            return False
        batch.cancelled_at = batch.cancelled_at or self.now()
        return True

    def listed(self) -> list[Batch]:
        """Those that the list shows, newest first."""
        now = self.now()
        shown = [each for each in self if now >= each.created_at + self.scripted(each).listed_after_s]
        return sorted(shown, key=lambda each: (each.created_at, each.ordinal), reverse=True)

    def scripted(self, batch: Batch) -> BatchScript:
        """How a batch goes, by the script as it is now."""
        return self._once(batch, "script", lambda: self.script.of_batch(batch.ordinal, batch.custom_ids))

    def phase(self, batch: Batch) -> Phase:
        """How far a batch is now."""
        script, now = self.scripted(batch), self.now()
        over_at = None if script.ready_s is None else batch.created_at + script.ready_s
        if batch.cancelled_at is not None and (over_at is None or batch.cancelled_at < over_at):
            over_at = batch.cancelled_at + CANCEL_S
            if now < over_at:
                return Phase(self._cancelling, None, 0.0, None)
            return Phase(None, "cancelled", 1.0, over_at)
        if over_at is not None and now >= over_at:
            return Phase(None, "failed" if batch.problem else script.outcome, 1.0, over_at)
        states = script.states or self._states
        share = (now - batch.created_at) / script.ready_s if script.ready_s else 0.0
        return Phase(states[min(int(share * len(states)), len(states) - 1)], None, share, None)

    def problem(self, batch: Batch) -> tuple[str, str]:
        """Code, which may be empty, and text of what a batch fails of."""
        script = self.scripted(batch)
        return batch.problem or (script.error_code, script.error_text)

    def fates(self, batch: Batch) -> list[tuple[Request, Fate]]:
        """What became of the requests of a batch that is over, in their order."""
        return self.when_over(batch, "fates", lambda: self._fates(batch))

    def when_over(self, batch: Batch, name: str, make: Callable[[], T]) -> T:
        """What `make` says of a batch; asked only once when the batch is over, because nothing changes then."""
        return make() if self.phase(batch).outcome is None else self._once(batch, name, make)

    def counts(self, batch: Batch) -> Counts:
        """Counts of a batch now; while it runs they grow with its time."""
        phase = self.phase(batch)
        if phase.outcome is not None:
            return self._once(batch, "counts", lambda: self._counts_at_the_end(batch))
        total = len(batch.requests)
        n_answered = int(total * phase.share)
        return Counts(total, n_answered, 0, total - n_answered)

    def _once(self, batch: Batch, name: str, make: Callable[[], T]) -> T:
        if (batch.id, name) not in self._kept:
            self._kept[batch.id, name] = make()
        return self._kept[batch.id, name]

    def _counts_at_the_end(self, batch: Batch) -> Counts:
        fates = Counter(fate for _, fate in self.fates(batch))
        n_answered = fates[Fate.ANSWERED] + fates[Fate.MISSING]
        return Counts(len(batch.requests), n_answered, fates[Fate.ERROR], fates[Fate.UNANSWERED])

    def _fates(self, batch: Batch) -> list[tuple[Request, Fate]]:
        script, outcome = self.scripted(batch), self.phase(batch).outcome
        if outcome == "failed" and outcome not in self._has_unanswered:
            return [(each, Fate.UNANSWERED) for each in batch.requests]
        n_unanswered = round(len(batch.requests) * script.unanswered) if outcome in self._has_unanswered else 0
        n_answered = len(batch.requests) - n_unanswered
        return [
            (each, Fate.UNANSWERED if n >= n_answered else _fate(script, each.custom_id, n, n_answered))
            for n, each in enumerate(batch.requests)
        ]


def _fate(script: BatchScript, custom_id: str, n: int, n_answered: int) -> Fate:
    if custom_id in script.missing if isinstance(script.missing, frozenset) else n >= n_answered - script.missing:
        return Fate.MISSING
    if custom_id in script.errors if isinstance(script.errors, frozenset) else n < script.errors:
        return Fate.ERROR
    return Fate.ANSWERED
