"""A batch of the ledger as the page shows it, whether it is the job's own or one at a provider, and which are shown.

    waiting ──▶ writing ──▶ done        a batch at a provider waits until it is ready; one of the job's own does not
        └─────────┴───────▶ failed

Up to 200 batches have a bar of their own. Of more, those that failed, those that run and the slowest have; the others
are one row of density, see `timeline.py`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transforms.counters import Counters
from transforms.ledger import batches as own
from transforms.ledger import provider_batches as at_provider

WAITING, WRITING, DONE, FAILED = "waiting", "writing", "done", "failed"
PHASES = (WAITING, WRITING, DONE, FAILED)

MAX_BARS = 200
# Of those that have a bar where not all can: how many may have failed, and how many may run.
_MAX_FAILED, _MAX_RUNNING = 80, 60
_MAX_TEXT = 300
_RETRIES = "retries"
# Counters of an analysis.
ANALYSIS_ASKED, ANALYSIS_STORED = "analyses_asked", "analyses_cached"
ANALYSIS_INPUT, ANALYSIS_CACHED, ANALYSIS_OUTPUT = (
    "analysis_input_tokens",
    "analysis_cached_tokens",
    "analysis_output_tokens",
)
ANALYSIS_COST = "analysis_cost"

_PHASE_OF = {
    **dict.fromkeys(at_provider.WAITING, WAITING),
    at_provider.PROCESSING: WRITING,
    at_provider.COMPLETED: DONE,
    at_provider.FAILED: FAILED,
    at_provider.UNDECIDED: FAILED,
    own.ERROR: FAILED,
}

# What of their documents is shown: not the ids of the documents that came of them.
PROVIDER_FIELDS = (
    "state",
    "provider",
    "remote_id",
    "number",
    "source",
    "requests",
    "outcome",
    "answers",
    "failed",
    "missing",
    "input_tokens",
    "output_tokens",
    "planned_at",
    "triggered_at",
    "ready_at",
    "processing_at",
    "completed_at",
    "updated_at",
    "error_code",
    "error_text",
)
_OWN_FIELDS = ("state", "source", "started_at", "completed_at", "error")


def own_fields(counters: Counters) -> tuple[str, ...]:
    """What of the documents of a job's own batches is read."""
    named = (name for each in counters.all for name in (each.name, each.formerly) if name)
    kinds = (name for each in counters.breakdowns for name in _breakdown_fields(each))
    return tuple(dict.fromkeys((*_OWN_FIELDS, *named, *kinds)))


@dataclass(frozen=True, slots=True)
class ShownBatch:
    """One batch.

    Attributes:
      key: the id of its document.
      name: the provider's id of it, or where it was read from.
      phase: waiting, writing, done or failed.
      state: as the ledger has it, with the outcome of one that is complete only in part.
      provider: empty of one of the job's own.
      begun_at: when it was triggered, or begun; None before that.
      ready_at: when the provider had its results; None of one of the job's own.
      writing_at: when its records began to be stored.
      ended_at: when it was done, or failed; None before that, or where nobody knows.
      records: read, or asked for; None where nobody knows.
      stored: how many of them came through: written or answered.
      refused: dead letters, or requests that failed or are missing.
      retries: requests sent again meanwhile.
      input_tokens, output_tokens: None where nobody knows; of one of the job's own, those of its analysis.
      cost: of its analysis, in the counter's own unit.
      error: empty where there is none.
    """

    key: str
    name: str
    phase: str
    state: str
    provider: str = ""
    begun_at: datetime.datetime | None = None
    ready_at: datetime.datetime | None = None
    writing_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    records: int | None = None
    stored: int = 0
    refused: int = 0
    retries: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: int = 0
    error: str = ""

    @classmethod
    def of_provider(cls, key: str, fields: Mapping[str, Any]) -> ShownBatch:
        """From the fields of its document."""
        state, outcome = fields["state"], fields.get("outcome")
        phase = _PHASE_OF.get(state, WAITING)
        error = ": ".join(filter(None, (fields.get("error_code"), fields.get("error_text"))))
        return cls(
            key=key,
            name=fields.get("remote_id") or key,
            phase=phase,
            state=f"{state}, {outcome}" if outcome in (at_provider.PARTIAL, at_provider.NONE) else state,
            provider=fields.get("provider") or "",
            begun_at=fields.get("triggered_at") or fields.get("planned_at"),
            ready_at=fields.get("ready_at"),
            writing_at=fields.get("processing_at"),
            ended_at=fields.get("updated_at") if phase == FAILED else fields.get("completed_at"),
            records=fields.get("requests"),
            stored=fields.get("answers") or 0,
            refused=(fields.get("failed") or 0) + (fields.get("missing") or 0),
            input_tokens=fields.get("input_tokens"),
            output_tokens=fields.get("output_tokens"),
            error=error[:_MAX_TEXT],
        )

    @classmethod
    def of_own(cls, key: str, fields: Mapping[str, Any], counters: Counters) -> ShownBatch:
        """From the fields of its document."""
        counts = counters.counts_in(fields)
        refused = counts[counters.unwanted.name]
        total = counts[counters.total.name]
        return cls(
            key=key,
            name=key,
            phase=_PHASE_OF.get(fields["state"], WRITING),
            state=fields["state"],
            begun_at=fields.get("started_at"),
            writing_at=fields.get("started_at"),
            ended_at=fields.get("completed_at"),
            records=total,
            stored=total - refused,
            refused=refused,
            retries=counts.get(_RETRIES, 0),
            input_tokens=counts.get(ANALYSIS_INPUT),
            output_tokens=counts.get(ANALYSIS_OUTPUT),
            cost=counts.get(ANALYSIS_COST, 0),
            error=(fields.get("error") or "")[:_MAX_TEXT],
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.phase in (DONE, FAILED)

    def took_s(self, now: datetime.datetime) -> float:
        """How long it took, or takes so far; 0 of one that has not begun."""
        if self.begun_at is None:
            return 0.0
        end = self.ended_at or (self.begun_at if self.is_over else now)
        return max(0.0, (end - self.begun_at).total_seconds())

    def stored_after_s(self) -> float | None:
        """From ready, or from begun where it did not wait, until stored; None of one that is not done."""
        since = self.ready_at or self.writing_at
        if self.phase != DONE or since is None or self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - since).total_seconds())


def chosen(batches: Sequence[ShownBatch], now: datetime.datetime) -> tuple[list[ShownBatch], list[ShownBatch]]:
    """Those that have a bar, in the order they began in, and the others.

    >>> at = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    >>> many = [ShownBatch(str(n), "", FAILED if n % 2 else DONE, "", begun_at=at) for n in range(500)]
    >>> shown, others = chosen(many, at)
    >>> len(shown), len(others), sum(each.phase == FAILED for each in shown)
    (200, 300, 80)
    """
    if len(batches) <= MAX_BARS:
        return sorted(batches, key=_order), []
    by_time = sorted(batches, key=lambda each: (-each.took_s(now), each.key))
    failed = [each for each in by_time if each.phase == FAILED]
    running = [each for each in by_time if not each.is_over]
    done = [each for each in by_time if each.phase == DONE]
    shown = [*failed[:_MAX_FAILED], *running[:_MAX_RUNNING]]
    rest = [*done, *running[_MAX_RUNNING:], *failed[_MAX_FAILED:]]
    n_more = MAX_BARS - len(shown)
    return sorted([*shown, *rest[:n_more]], key=_order), rest[n_more:]


def _order(batch: ShownBatch) -> tuple[bool, float, str]:
    return batch.begun_at is None, batch.begun_at.timestamp() if batch.begun_at else 0.0, batch.key


def _breakdown_fields(breakdown: Any) -> tuple[str, ...]:
    former = _breakdown_fields(breakdown.formerly) if breakdown.formerly else ()
    return (breakdown.field, *former)
