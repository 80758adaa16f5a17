"""How what is known of a batch changes: when a coordinator begins, and when its results are there. Pure."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from pathlib import Path

from transforms.ledger.provider_batches import (
    COMPLETED,
    FAILED,
    OVER,
    PLANNED,
    RUNNING,
    TRIGGERING,
    UNDECIDED,
    ProviderBatch,
    Try,
)
from transforms.providers.plan import PlannedBatch
from transforms.providers.remote import RemoteBatch
from transforms.providers.scan import Answers
from transforms.providers.waiting import Pace


@dataclass(frozen=True)
class Downloaded:
    """What a provider has of a batch, on this machine's disk.

    Attributes:
      batch: as the ledger has it.
      planned: what was asked.
      files: results by their try and number, counted from 0, in that order; those taken before are left out.
      answers: what all tries together answer.
      is_whole: whether the provider says that its last try has everything.
      lacks_earlier: whether the results of an earlier try are gone, so that nobody knows what they answered.
    """

    batch: ProviderBatch
    planned: PlannedBatch
    files: tuple[tuple[int, int, Path], ...]
    answers: Answers
    is_whole: bool
    lacks_earlier: bool = False


def at_start(
    found: ProviderBatch | None, planned: PlannedBatch, provider: str, run: int, now: datetime.datetime, pace: Pace
) -> ProviderBatch:
    """As a coordinator begins with a batch, given what the ledger has of it. Triggers nothing that nobody asked for."""
    if found is None:
        return _first(planned, provider, run, now)
    batch = found if found.run == run else _renewed(found, run)
    if batch.state == FAILED and batch.remote_id:
        # It costs one request to ask, and the key, the address or the account may have been wrong the last time.
        batch = batch.with_last_try(error_code="", error_text="")
        return replace(batch, state=RUNNING, completed_at=None, error_code="", error_text="")
    if batch.state == COMPLETED:
        batch = replace(batch, error_code="", error_text="")
    if batch.state in OVER and is_asked_for_again(batch, pace):
        # What a partial one lacks is known when its results have been looked through.
        return replace(batch, state=RUNNING if batch.state == COMPLETED else PLANNED)
    if batch.state in (*OVER, PLANNED, TRIGGERING):
        return batch
    return replace(batch, state=RUNNING)  # asked for again, downloaded again


def is_asked_for_again(batch: ProviderBatch, pace: Pace) -> bool:
    """Whether a batch that is over lacks something, and is to be triggered once more for that."""
    lacks = batch.state == FAILED or (batch.state == COMPLETED and batch.missing > 0)
    return lacks and may_be_triggered_again(batch, pace)


def may_be_triggered_again(batch: ProviderBatch, pace: Pace) -> bool:
    """Whether a batch is triggered once more if it lacks something."""
    return bool(batch.source) and pace.retry_failed and len(batch.tries) < pace.max_tries


def _first(planned: PlannedBatch, provider: str, run: int, now: datetime.datetime) -> ProviderBatch:
    """A batch that the ledger does not have yet."""
    batch = ProviderBatch(planned.key, provider, planned.number, run=run, source=planned.source, planned_at=now)
    if not planned.remote_id:
        return replace(batch, requests=planned.n_requests)
    return replace(batch, state=RUNNING, tries=(Try(planned.key, planned.remote_id),))


def _renewed(batch: ProviderBatch, run: int) -> ProviderBatch:
    """As the next run of a job begins with a batch: what was triggered is taken again, and not triggered again.

    The outcome stays until there is another one: it says that results were taken, and so paid for.
    """
    if batch.state in (TRIGGERING, UNDECIDED) or (batch.state == FAILED and not batch.remote_id):
        return replace(batch, run=run)
    # The last one is asked for. Those that failed stay, so that no later one is given the key of one of them.
    failed = [each for each in batch.tries if not each.id or each.error_code]
    tries = (*failed, *(each for each in batch.tries if each not in failed))
    return replace(
        batch,
        state=(FAILED if len(failed) == len(tries) else RUNNING) if tries else PLANNED,
        run=run,
        tries=tries,
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
