"""The batches at a provider that a job triggers and takes, one document each. Plain Python.

    pipeline_jobs/{job_id}/provider_batches/{key}
        state, outcome, provider, remote_id, number, source, requests, run, tries, answers, failed, missing,
        input_tokens, output_tokens, times, error, profiles, updated_at, expire_at

    planned ──intent──▶ triggering ──id──▶ running ──▶ ready ──▶ processing ──▶ completed
       ▲                   │  │               │          what it has is downloaded    (complete, partial, none)
       └─ queue is full ───┘  └─▶ undecided   └─▶ failed ──retry──▶ planned, as one more try

The intent is written before the create is sent, under a precondition, so after a kill or a lost answer somebody knows
that there may be a batch, and with which key. A batch that was triggered again keeps all its tries.

A document is written by the step that takes the batches, and by `firebeam batches --adopt` while no such step runs.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple

from transforms.ledger.batches import COMPLETED as BATCH_COMPLETED
from transforms.ledger.batches import PROVIDER_BATCH, Batches
from transforms.ledger.document import KEPT, LedgerDocument
from transforms.ledger.guarded import GuardedDocument
from transforms.ledger.jobs import FAILED as JOB_FAILED
from transforms.ledger.jobs import INTERRUPTED, JOBS, recent_jobs

PLANNED, TRIGGERING, RUNNING, READY = "planned", "triggering", "running", "ready"
PROCESSING, COMPLETED, FAILED, UNDECIDED = "processing", "completed", "failed", "undecided"

STATES = (PLANNED, TRIGGERING, RUNNING, READY, PROCESSING, COMPLETED, FAILED, UNDECIDED)
# Nothing more happens to them unless somebody asks for it.
OVER = frozenset({COMPLETED, FAILED, UNDECIDED})

# Nothing of them is taken yet.
WAITING = (PLANNED, TRIGGERING, RUNNING, READY)

COMPLETE, PARTIAL, NONE = "complete", "partial", "none"

MAX_PROFILES = 1_000
PROVIDER_BATCHES = "provider_batches"
_RECENT_JOBS = 100
_SHOWN_BATCHES = 5


@dataclass(frozen=True, slots=True)
class Try:
    """One time that a batch was triggered.

    Attributes:
      key: what the provider was given to find it by.
      id: the provider's; empty until it is known.
      intended_at: when the create was about to be sent; None of a batch that was not triggered here.
      requests: how many it was given; None where nobody knows.
      error_code, error_text: the provider's own, of a batch that failed.
    """

    key: str
    id: str = ""
    intended_at: datetime.datetime | None = None
    requests: int | None = None
    error_code: str = ""
    error_text: str = ""


@dataclass(frozen=True, slots=True)
class ProviderBatch:
    """One of them, with all that its document says.

    Attributes:
      key: the id of the document, and of the first try.
      provider: name of the description.
      number: its place in the plan, from 0.
      state: one of `STATES`.
      run: the run of the job that takes it, counted from 1.
      source: the file of the requests; empty of a batch that was not triggered here.
      requests: how many were to be sent; None where nobody knows.
      tries: every time it was triggered, the last one last.
      outcome: complete, partial or none; None before it is known.
      answers, failed, missing: requests that were answered, that were answered with an error, and that were not.
      input_tokens, output_tokens: of all answers, where the provider says; None where it does not.
      planned_at, triggered_at, ready_at, processing_at, completed_at: when it got there.
      error_code, error_text: why it failed or is undecided; the provider's own where it has any.
      profiles: ids of the documents that came of it, at most 1,000.
    """

    key: str
    provider: str
    number: int
    state: str = PLANNED
    run: int = 1
    source: str = ""
    requests: int | None = None
    tries: tuple[Try, ...] = ()
    outcome: str | None = None
    answers: int = 0
    failed: int = 0
    missing: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    planned_at: datetime.datetime | None = None
    triggered_at: datetime.datetime | None = None
    ready_at: datetime.datetime | None = None
    processing_at: datetime.datetime | None = None
    completed_at: datetime.datetime | None = None
    error_code: str = ""
    error_text: str = ""
    profiles: tuple[str, ...] = field(default=(), repr=False)

    @property
    def remote_id(self) -> str:
        """The provider's id of the last try; empty if there is none."""
        return self.tries[-1].id if self.tries else ""

    @classmethod
    def of(cls, key: str, stored: Mapping[str, Any]) -> ProviderBatch:
        """From the fields of its document."""
        names = {each.name for each in fields(cls)} - {"key", "tries", "profiles"}
        known = {name: stored[name] for name in names if name in stored}
        tries = tuple(Try(**each) for each in stored["tries"])
        return cls(key, tries=tries, profiles=tuple(stored["profiles"]), **known)

    def as_fields(self) -> dict[str, Any]:
        """As the document keeps it."""
        stored = {each.name: getattr(self, each.name) for each in fields(self)}
        del stored["key"]
        tries = [asdict(each) for each in self.tries]
        return {**stored, "tries": tries, "profiles": list(self.profiles), "remote_id": self.remote_id}

    def with_last_try(self, **changed: Any) -> ProviderBatch:
        """With something else said of the last try."""
        return replace(self, tries=(*self.tries[:-1], replace(self.tries[-1], **changed)))


class Made(NamedTuple):
    """What became of one of them in the job.

    Attributes:
      completed: ids of the job's own batches that were made of it and are completed.
      profiles: ids of documents that were written, at most 1,000.
    """

    completed: frozenset[str]
    profiles: tuple[str, ...]


class Unfinished(NamedTuple):
    """What a run leaves undone although its pipeline has ended.

    Attributes:
      state: of the job: interrupted if the same command goes on, failed if somebody has to do something first.
      message: what is left, and what to do.
    """

    state: str
    message: str


class ProviderBatches:
    """Those of a job.

    Args:
      job: its document.

    Raises (every method): JobError for credentials, permission or database, or because somebody else has written a
    document meanwhile; TransientError after bounded retries.
    """

    def __init__(self, job: LedgerDocument):
        self._job = job
        self._guarded: dict[str, GuardedDocument] = {}

    def now(self) -> datetime.datetime:
        """The time, by the ledger's clock."""
        return self._job.now()

    def all(self) -> dict[str, ProviderBatch]:
        """All of them by key, in the order of the plan; `write` then expects to find them as they are."""
        documents = self._job.documents(self._job.query(PROVIDER_BATCHES))
        for document in documents:
            self._document(document.id).expect(document)
        found = [ProviderBatch.of(document.id, document.fields) for document in documents]
        return {each.key: each for each in sorted(found, key=lambda each: each.number)}

    def of_run(self, run: int) -> list[ProviderBatch]:
        """Those that a run of the job triggers or takes: an earlier one may have had other requests."""
        return [each for each in self.all().values() if each.run == run]

    def write(self, batch: ProviderBatch) -> None:
        """Replaces a document, which must be as it was read or written here last; one never met must not exist."""
        now = self._job.now()
        self._document(batch.key).write({**batch.as_fields(), "updated_at": now, "expire_at": now + KEPT})

    def made_of(self, batches: Batches, key: str) -> Made:
        """What the job's own batches say that were made of one at the provider."""
        found = list(self._job.documents(batches.query.where(PROVIDER_BATCH, "==", key)))
        ids = dict.fromkeys(document_id for each in found for document_id in each.fields.get("ids", ()))
        completed = frozenset(each.id for each in found if each.fields["state"] == BATCH_COMPLETED)
        return Made(completed, tuple(ids)[:MAX_PROFILES])

    def are_known_elsewhere(self, remote_ids: Collection[str]) -> frozenset[str]:
        """Which ids of the provider are those of batches of other jobs of the ledger, the recent ones."""
        jobs = recent_jobs(self._job.client, _RECENT_JOBS, self._job.retry).jobs
        others = [LedgerDocument(self._job.client, f"{JOBS}/{job.job_id}", self._job.retry) for job in jobs]
        return frozenset(
            remote_id
            for remote_id in remote_ids
            for other in others
            if other.id != self._job.id
            if other.documents(other.query(PROVIDER_BATCHES).where("remote_id", "==", remote_id).limit(1))
        )

    def _document(self, key: str) -> GuardedDocument:
        if key not in self._guarded:
            lost = f"another process writes {PROVIDER_BATCHES}/{key} of job {self._job.id}; this one stops"
            self._guarded[key] = GuardedDocument(self._job.below(PROVIDER_BATCHES, key), lost)
        return self._guarded[key]


def unfinished(batches: Collection[ProviderBatch]) -> Unfinished | None:
    """What is left of the batches of a run; None if all are completed.

    >>> batches = [ProviderBatch("fb-1", "openai", 0, COMPLETED), ProviderBatch("fb-2", "openai", 1, RUNNING)]
    >>> unfinished(batches).message
    '1 of 2 batches is not ready yet: fb-2 at openai (running); the same command takes it'
    >>> unfinished(batches[:1])
    """
    open_ones = [each for each in batches if each.state not in OVER]
    failed = [each for each in batches if each.state == FAILED]
    undecided = [each for each in batches if each.state == UNDECIDED]
    gone = [each for each in batches if each.state == COMPLETED and each.error_code]
    parts = []
    if open_ones:
        verb, it = ("is", "it") if len(open_ones) == 1 else ("are", "them")
        parts.append(
            f"{len(open_ones)} of {len(batches)} batches {verb} not ready yet: {_named(open_ones)}; the same command "
            f"takes {it}"
        )
    if failed:
        parts.append(f"{len(failed)} failed: {_named(failed)}; --retry_failed triggers again what was triggered here")
    if undecided:
        parts.append(f"{len(undecided)} undecided: {_named(undecided)}")
    if gone:
        parts.append(f"{len(gone)} cannot be asked again: {_named(gone)}")
    if not parts:
        return None
    return Unfinished(INTERRUPTED if open_ones else JOB_FAILED, ". ".join(parts))


def _named(batches: Sequence[ProviderBatch]) -> str:
    shown = "; ".join(map(_shown, batches[:_SHOWN_BATCHES]))
    return shown + (f"; and {len(batches) - _SHOWN_BATCHES} more" if len(batches) > _SHOWN_BATCHES else "")


def _shown(batch: ProviderBatch) -> str:
    said = ": ".join(filter(None, (batch.error_code, batch.error_text))) or batch.state
    place = f"{batch.remote_id} at {batch.provider}" if batch.remote_id else f"at {batch.provider}"
    return f"{batch.key} {place} ({said})".replace("  ", " ")
