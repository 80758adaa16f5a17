"""Batches at a provider as a source of ingest: what `--input=batches://…` and its flags mean.

--input=batches://openai --requests='requests/*.jsonl'     trigger and take
--input=batches://openai/batch_1,batches://openai/@ids     take what exists
"""

from collections.abc import Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection

from pipeline.jobs.provider_flags import ProviderFlags, connect_of
from pipeline.locations import split_inputs
from transforms.batch import Batch, Record
from transforms.errors import UsageError
from transforms.inputs.files import InputFile, match_inputs
from transforms.inputs.options import ReadOptions
from transforms.ledger.document import LedgerDocument
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.provider_batches import ProviderBatches, Unfinished, unfinished
from transforms.providers.connect import Connect
from transforms.providers.plan import PlannedBatch, RequestLimits, existing, ids_in, planned
from transforms.providers.read import ReadProviderBatches
from transforms.providers.taking import Taking
from transforms.providers.waiting import Pace


@dataclass(frozen=True)
class ProviderSource:
    """The batches at a provider that a run triggers or takes.

    Attributes:
      planned: which.
      connect: opens the provider's API in a worker.
      taking: how results become batches.
      pace: how to wait for them.
    """

    planned: tuple[PlannedBatch, ...]
    connect: Connect
    taking: Taking
    pace: Pace

    @classmethod
    def find(
        cls, inputs: Sequence[str], flags: ProviderFlags, reading: ReadOptions, job_id: str
    ) -> "ProviderSource | None":
        """What `--input` names behind `batches://`; None if it names none. Calls no provider.

        Raises:
          UsageError: there is no such provider, a flag does not fit, or a line of the requests is not one.
        """
        paths, collections, names, tables = split_inputs(inputs)
        if not names and flags.requests:
            raise UsageError("--requests are for a provider: name it with --input=batches://PROVIDER")
        if not names:
            return None
        if paths or collections or tables:
            other = (*paths, *collections, *tables)[0]
            raise UsageError(
                f"--input names {other} beside batches://{names[0]}; ingest each by a command of its own: beside "
                "batches everything would wait for the last of them"
            )
        provider, ids = _provider_and_ids(names)
        if ids and flags.requests:
            raise UsageError(
                f"--requests are triggered with --input=batches://{provider}; batches that exist, such as {ids[0]}, "
                "are taken by a command of their own"
            )
        if not ids and not flags.requests:
            raise UsageError(
                f"--input=batches://{provider} needs --requests=PATTERN, the files of requests to send; to take "
                f"batches that exist pass --input=batches://{provider}/ID"
            )
        _check_intervals(flags)
        connect = connect_of(provider, flags.provider, flags.provider_var, flags.api_key, creates=not ids)
        description = connect.description
        if not ids and description.create is None:
            raise UsageError(f"{description.name} can only take batches that exist: --input=batches://{provider}/ID")
        limits = RequestLimits(description.limits.max_requests, description.limits.max_bytes, description.requests.key)
        account = f"{description.name} {description.base_url}"
        files = _requests(flags.requests) if flags.requests else []
        batches = existing(job_id, account, ids) if ids else planned(job_id, account, files, limits)
        pace = Pace(
            flags.max_wait_s,
            flags.min_poll_interval_s,
            flags.max_poll_interval_s,
            flags.max_running or description.limits.max_running,
            flags.retry_failed,
            flags.max_batch_attempts,
            finds_by_key=description.batch.key is not None or description.file_key is not None,
        )
        taking = Taking(description.name, {file.path: file for file in files}, limits.key_field, reading)
        return cls(batches, connect, taking, pace)

    @property
    def input_ids(self) -> frozenset[str]:
        """With what the ids of the job's own batches begin."""
        return frozenset(each.input_id for each in self.planned)

    @property
    def keys(self) -> list[str]:
        """Of all batches."""
        return [each.key for each in self.planned]

    def read(
        self, pipeline: beam.Pipeline, entry: LedgerEntry, completed: frozenset[str]
    ) -> PCollection[Batch[Record]]:
        """Draws the reading part of a graph."""
        errors = self.connect.description.errors
        read = ReadProviderBatches(self.planned, self.connect, errors, self.taking, self.pace, entry, completed)
        return pipeline | "ReadProviderBatches" >> read


def unfinished_batches(document: LedgerDocument, attempt: int) -> Unfinished | None:
    """What a run leaves undone at a provider."""
    return unfinished(ProviderBatches(document).of_run(attempt))


def results_of_batches(document: LedgerDocument, attempt: int) -> dict[str, int]:
    """What became of the requests of a run, for its summary; tokens only where somebody counted them."""
    batches = ProviderBatches(document).of_run(attempt)
    results = {
        "provider_batches": len(batches),
        "requests_sent": sum(each.requests or 0 for each in batches),
        "requests_answered": sum(each.answers for each in batches),
        "requests_failed": sum(each.failed for each in batches),
        "requests_missing": sum(each.missing for each in batches),
    }
    for name in ("input_tokens", "output_tokens"):
        counted = [tokens for each in batches if (tokens := getattr(each, name)) is not None]
        if counted:
            results[name] = sum(counted)
    return results


def _provider_and_ids(names: Sequence[str]) -> tuple[str, list[str]]:
    """
    >>> _provider_and_ids(["openai/batch_1", "openai/batch_2"])
    ('openai', ['batch_1', 'batch_2'])
    """
    ids: list[str] = []
    for name in names:
        remote_id = name.partition("/")[2]
        if remote_id.startswith("@"):
            ids += ids_in(remote_id[1:])
        elif remote_id:
            ids.append(remote_id)
    providers = sorted({name.partition("/")[0] for name in names})
    if len(providers) > 1:
        raise UsageError(f"--input names batches of {' and '.join(providers)}; take those of each in a run of its own")
    return providers[0], ids


def _requests(patterns: Sequence[str]) -> list[InputFile]:
    try:
        return match_inputs(patterns)
    except UsageError as error:
        raise UsageError(str(error).replace("--input ", "--requests ")) from None


def _check_intervals(flags: ProviderFlags) -> None:
    if flags.min_poll_interval_s > flags.max_poll_interval_s:
        raise UsageError(
            f"--min_poll_interval_s={flags.min_poll_interval_s:g} is above "
            f"--max_poll_interval_s={flags.max_poll_interval_s:g}"
        )
