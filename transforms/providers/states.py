"""How what is known of a batch changes: at its beginning, in the next run, when its results are there. Pure."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from pathlib import Path

from transforms.ledger.provider_batches import PLANNED, RUNNING, TRIGGERING, UNDECIDED, ProviderBatch, Try
from transforms.providers.plan import PlannedBatch
from transforms.providers.remote import RemoteBatch
from transforms.providers.scan import Answers


@dataclass(frozen=True)
class Downloaded:
    """What a provider has of a batch, on this machine's disk.

    Attributes:
      batch: as the ledger has it.
      planned: what was asked.
      files: results by their try and number, counted from 0, in that order; those taken before are left out.
      answers: what all tries together answer.
      is_whole: whether the provider says that its last try has everything.
    """

    batch: ProviderBatch
    planned: PlannedBatch
    files: tuple[tuple[int, int, Path], ...]
    answers: Answers
    is_whole: bool


@dataclass
class Held:
    """What is known of the tries of a batch, by the provider's ids.

    Attributes:
      answers: of those whose results were looked through.
      taken: those whose records were handed over.
    """

    answers: dict[str, Answers] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def of_all(self) -> Answers:
        """What all tries together answer."""
        answers = Answers()
        for each in self.answers.values():
            answers.add(each)
        return answers


def first(planned: PlannedBatch, provider: str, run: int, now: datetime.datetime) -> ProviderBatch:
    """A batch that the ledger does not have yet."""
    batch = ProviderBatch(planned.key, provider, planned.number, run=run, source=planned.source, planned_at=now)
    if not planned.remote_id:
        return replace(batch, requests=planned.n_requests)
    return replace(batch, state=RUNNING, tries=(Try(planned.key, planned.remote_id),))


def renewed(batch: ProviderBatch, run: int) -> ProviderBatch:
    """As the next run of a job begins with a batch: what was triggered is taken again, and not triggered again."""
    tries = tuple(each for each in batch.tries if each.id and not each.error_code)
    if batch.state in (TRIGGERING, UNDECIDED):
        return replace(batch, run=run)
    return replace(
        batch,
        state=RUNNING if tries else PLANNED,
        run=run,
        tries=tries or batch.tries,
        outcome=None,
        answers=0,
        failed=0,
        missing=0,
        ready_at=None,
        processing_at=None,
        completed_at=None,
        error_code="",
        error_text="",
        profiles=(),
    )


def counted(batch: ProviderBatch, answers: Answers, remote: RemoteBatch) -> ProviderBatch:
    """With what its results say, and its provider where they say nothing."""
    names_requests = bool(answers.answered or answers.again)
    return replace(
        batch,
        answers=len(answers.answered) if names_requests else remote.answered or 0,
        failed=answers.failed if names_requests else remote.failed or 0,
        requests=batch.requests if batch.requests is not None else remote.requests,
        input_tokens=answers.input_tokens if answers.input_tokens is not None else remote.input_tokens,
        output_tokens=answers.output_tokens if answers.output_tokens is not None else remote.output_tokens,
    )
