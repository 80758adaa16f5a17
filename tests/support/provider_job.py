"""A job that takes the batches of a provider in memory, for tests of what is triggered, taken and written down."""

import json
from dataclasses import replace

from transforms.inputs.files import match_inputs
from transforms.inputs.options import ReadOptions
from transforms.ledger.batches import Batches
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.provider_batches import ProviderBatches
from transforms.outcomes import RECORDS, BatchOutcome
from transforms.providers.plan import RequestLimits, planned
from transforms.providers.read import _TakeFn
from transforms.providers.taking import Taking
from transforms.providers.waiting import Pace
from transforms.retry import Retry

PACE = Pace(max_wait_s=30, min_interval_s=0.001, max_interval_s=0.001, listed_within_s=0, tick_s=0.001)
PER_FILE = 4


class Errors:
    """What the provider's codes mean."""

    def means_no_credit(self, code, text):
        return code == "no_credit"

    def means_queue_full(self, code, text):
        return code == "token_limit_exceeded"


class Job:
    """A job whose steps behind the source store every record, and whose process can be killed."""

    def __init__(self, server, provider, batches, inputs, pace=PACE):
        self.server, self.provider, self.planned, self.pace = server, provider, batches, pace
        self.taking = Taking("openai", {file.path: file for file in inputs}, "custom_id", ReadOptions(batch_size=3))
        self.entry = LedgerEntry(server.target, "ingest-1", 1, Retry(3, 0, 0))
        self.stored, self.dead, self.is_behind = {}, {}, False

    def run(self, kill_at=None):
        """One process; raises Killed if it is."""
        self.provider.kill_at = None if kill_at is None else self.provider.calls + kill_at
        job = self.entry.connect()
        batches = Batches(job, RECORDS)
        completed = batches.ids("state", "==", "completed")
        fn = _TakeFn(self.provider.connect, Errors(), self.taking, self.pace, self.entry, completed)
        taken = fn.process(self.planned)
        for batch in list(taken) if self.is_behind else taken:
            if self.is_behind:
                continue
            batches.begin(batch.batch_id, 1, {"provider_batch": batch.provider_batch})
            self.stored.update({entry.fallback_id: batch.batch_id for entry in batch.entries})
            self.dead[batch.batch_id] = [
                (json.loads(each.original)["custom_id"], each.code) for each in batch.dead_letters
            ]
            counts = {"read": batch.read, "written": len(batch.entries), "dead_letter_count": len(batch.dead_letters)}
            ids = tuple(entry.fallback_id for entry in batch.entries if entry.fallback_id)
            batches.complete(BatchOutcome(batch.batch_id, batch.source, counts, ids=ids), 1)

    @property
    def ledger(self):
        return list(ProviderBatches(self.entry.connect()).all().values())

    @property
    def dead_letters(self):
        return sorted(each for dead in self.dead.values() for each in dead)


def job_of(server, provider, folder, n_batches, **pace):
    """One that triggers a batch for each of so many files of requests."""
    for n in range(n_batches):
        lines = ({"custom_id": f"p{n}-{m}", "body": {}} for m in range(PER_FILE))
        (folder / f"{n}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Job(server, provider, *plan_of(folder, n_batches), replace(PACE, **pace))


def plan_of(folder, n_batches):
    """The batches of these files, and the files."""
    inputs = match_inputs([str(folder / f"{n}.jsonl") for n in range(n_batches)])
    return planned("ingest-1", "openai", inputs, RequestLimits(key_field="custom_id")), inputs


def names(*batches, odd=True):
    return {f"p{n}-{m}" for n in batches for m in range(PER_FILE) if odd or m % 2 == 0}


def states(job):
    return [(each.state, each.outcome) for each in job.ledger]
