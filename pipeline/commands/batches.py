"""firebeam batches: the batches that a job triggered or takes at a provider, as the ledger says.

    firebeam batches ID                       one row per batch: state, counts, tokens, error
    firebeam batches ID --cancel              asks the provider to stop those that run
    firebeam batches ID --adopt=KEY=BATCH_ID  says which batch of the provider an undecided one is
    firebeam batches ID --adopt=KEY=none      says that the provider has none, so that it is triggered

Only --adopt writes to the ledger, and only while nobody runs the job.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.exit_codes import EXIT_OK
from pipeline.present.batches import as_dict, batches_table
from pipeline.present.terminal import Console, say, show, standard_output
from pipeline.run.flags import Usage, option, parse, refuse_unknown
from pipeline.run.service_flags import AccountFlags
from transforms.errors import UsageError
from transforms.ledger.document import LedgerDocument
from transforms.ledger.jobs import RUNNING as JOB_RUNNING
from transforms.ledger.jobs import Job, job_document, read_job
from transforms.ledger.provider_batches import (
    COMPLETED,
    PLANNED,
    RUNNING,
    UNDECIDED,
    ProviderBatch,
    ProviderBatches,
    Try,
)
from transforms.providers.connect import Connect
from transforms.providers.remote import RefusedError, UnknownBatchError
from transforms.retry import SYSTEM_CLOCK, Clock, Retry

_NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Config(AccountFlags):
    """The flags of batches."""

    job_id: str | None = option(
        None, group="Job", metavar="ID", help="the job whose batches to show; the flag's name may be left out"
    )
    cancel: bool = option(False, group="Batches", help="ask the provider to stop the batches that run")
    adopt: tuple[str, ...] = option(
        (),
        group="Batches",
        metavar="KEY=ID",
        help="the provider's id of an undecided batch, or none if it has none; repeat it for several",
        commas=False,
    )
    json: bool = option(False, group="Batches", help="print JSON")


USAGE = Usage(
    "batches",
    Config,
    about="""\
Shows the batches that a job of ingest triggered or takes at a provider.""",
    example="""\
  firebeam batches ingest-0c4a6d1f52 --project=my-project
  firebeam batches ingest-0c4a6d1f52 --project=my-project --cancel
  firebeam batches ingest-0c4a6d1f52 --project=my-project --adopt=fb-0123456789abcdef01234567=batch_68a1""",
)


def main(arguments: Sequence[str], console: Console, clock: Clock = SYSTEM_CLOCK) -> int:
    """Prints to standard output.

    Raises:
      UsageError: there is no such job, it has no batches at a provider, or an argument is wrong.
      JobError: the provider refuses the key.
    """
    config = _config(arguments)
    client, retry = config.firestore(config.services()).connect(), Retry(clock=clock)
    document = job_document(client, config.job_id or "", retry)
    job = read_job(document)
    if job is None:
        raise UsageError(
            f"there is no job {config.job_id} in {client.target.name}; `firebeam status` lists the recent ones, "
            "--project and --database say where to look"
        )
    ledger = ProviderBatches(document)
    batches = ledger.all()
    if not batches:
        raise UsageError(f"job {job.job_id} has no batches at a provider; --input=batches://PROVIDER makes some")
    if config.adopt:
        _adopt(config.adopt, job, document, ledger, batches)
        batches = ledger.all()
    if config.cancel:
        _cancel(job, list(batches.values()))
    if config.json:
        print(json.dumps([as_dict(each) for each in batches.values()], indent=2))  # noqa: T201
    else:
        show(standard_output(), batches_table(job.job_id, list(batches.values()), document.now()))
    return EXIT_OK


def _config(arguments: Sequence[str]) -> Config:
    config, rest = parse(USAGE, arguments)
    if unknown := [word for word in rest if word.startswith("-")]:
        refuse_unknown(USAGE, unknown)
    named = [*([config.job_id] if config.job_id else []), *rest]
    if len(named) != 1:
        raise UsageError("batches shows those of one job: firebeam batches JOB_ID")
    return replace(config, job_id=named[0])


def _adopt(
    texts: Sequence[str],
    job: Job,
    document: LedgerDocument,
    ledger: ProviderBatches,
    batches: Mapping[str, ProviderBatch],
) -> None:
    """Writes down which batches of the provider some are, if any; the job takes or triggers them the next time.

    Raises:
      UsageError: the job is being run, there is no such batch, or it is completed.
    """
    if job.state_at(document.now()) == JOB_RUNNING:
        raise UsageError(f"job {job.job_id} is being run by {job.owner}; --adopt works while nobody runs it")
    connect = _provider_of(job, batches)
    for text in texts:
        key, _, remote_id = text.partition("=")
        batch = batches.get(key)
        if batch is None or not remote_id:
            raise UsageError(
                f"--adopt must be KEY=ID, with a key that `firebeam batches {job.job_id}` shows, got {text}"
            )
        if batch.state == COMPLETED:
            raise UsageError(f"batch {key} is completed with {batch.remote_id}; there is nothing to adopt")
        if remote_id == _NONE:
            if batch.state != UNDECIDED:
                raise UsageError(f"batch {key} is {batch.state}; {_NONE} is an answer for undecided ones")
            ledger.write(replace(batch, state=PLANNED, tries=batch.tries[:-1], error_code="", error_text=""))
            continue
        asyncio.run(_check_exists(connect, remote_id))
        tries = (*batch.tries[:-1], replace(batch.tries[-1], id=remote_id)) if batch.tries else (Try(key, remote_id),)
        triggered_at = batch.triggered_at or tries[-1].intended_at
        ledger.write(
            replace(batch, state=RUNNING, tries=tries, triggered_at=triggered_at, error_code="", error_text="")
        )


def _cancel(job: Job, batches: Sequence[ProviderBatch]) -> None:
    running = [each for each in batches if each.state == RUNNING]
    asyncio.run(_cancel_all(_provider_of(job, {each.key: each for each in batches}), running))
    say(standard_output(), f"asked to stop: {len(running)} of {len(batches)} batches; what they have is taken as usual")


def _provider_of(job: Job, batches: Mapping[str, ProviderBatch]) -> Connect:
    """The provider as the job's own flags described it."""
    from pipeline.jobs.provider_flags import connect_of  # reads YAML, which a look at the ledger does without

    name = next(iter(batches.values())).provider
    flags = job.parameters
    return connect_of(name, flags.get("provider", ()), flags.get("provider_var", ()), flags.get("api_key"))


async def _check_exists(connect: Connect, remote_id: str) -> None:
    async with connect() as api:
        try:
            await api.get(remote_id)
        except UnknownBatchError:
            raise UsageError(f"{connect.description.name} has no batch {remote_id}") from None


async def _cancel_all(connect: Connect, batches: Sequence[ProviderBatch]) -> None:
    async with connect() as api:
        for batch in batches:
            try:
                await api.cancel(batch.remote_id)
            except (RefusedError, UnknownBatchError) as refused:
                say(standard_output(), f"{batch.remote_id}: {refused}")
