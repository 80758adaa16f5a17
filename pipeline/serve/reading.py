"""Reads jobs from the ledger for those who look at them again and again: every batch once, then only what changed.

    first   every batch of the run, without the ids of documents
    then    those completed or written since, and those that run; their number is compared with the database's own count

What is completed does not change any more, so a job of 10,000 batches is read once and then costs what a small one
does.
Where counts differ, because a worker's clock is off or a write came late, everything is read again.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.present.page.document import JobData
from pipeline.present.page.shown_batches import PROVIDER_FIELDS, ShownBatch, own_fields
from pipeline.present.status import Status
from pipeline.present.streams import ShownStream
from pipeline.run.resume import replay_commands, resume_command
from pipeline.serve.jobs import counters_of, required_job
from transforms.counters import Counters
from transforms.firestore.query import Query
from transforms.firestore.reader import CannotAggregateError, count
from transforms.ledger.batches import COMPLETED, Batches
from transforms.ledger.document import LedgerDocument
from transforms.ledger.field_totals import FieldTotals, read_field_totals
from transforms.ledger.jobs import RUNNING, Job
from transforms.ledger.provider_batches import PROVIDER_BATCHES
from transforms.ledger.results import read_results
from transforms.ledger.streams import read_streams
from transforms.ledger.totals import add_up, read_totals

# Clocks of workers differ, and a write may arrive after a later one.
_OVERLAP = datetime.timedelta(seconds=15)
# Between two times that everything is read because counts differ.
_READ_AGAIN_S = 30.0


class JobReader:
    """One job, read as often as somebody looks.

    Args:
      document: the job's.
    """

    def __init__(self, document: LedgerDocument):
        self._document = document
        self._run: tuple[str, int, str] | None = None
        self._own: dict[str, Mapping[str, Any]] = {}
        self._shown_own: dict[str, ShownBatch] = {}
        self._at_provider: dict[str, Mapping[str, Any]] = {}
        self._fields, self._n_fields_of = FieldTotals(), -1
        self._last: JobData | None = None
        self._read_all_at_s: float | None = None

    def read(self) -> JobData:
        """The job as it is now.

        Raises:
          UsageError: there is no such job, or no longer.
          JobError, TransientError: the ledger is out of reach.
        """
        document, target = self._document, self._document.client.target
        job = required_job(document)
        counters = counters_of(job)
        run = (job.job, job.attempt, job.started_at.isoformat())
        if run != self._run:
            self._own, self._shown_own, self._at_provider, self._run = {}, {}, {}, run
            self._read_all_at_s, self._n_fields_of = None, -1
        if counters.kept_in_streams:
            totals = read_totals(document, counters)
        else:
            with ThreadPoolExecutor(max_workers=1) as beside:
                own = beside.submit(self._read_own, counters)
                self._read_provider()
                own.result()
            totals = add_up(counters, self._own.values())
        totals.newest_ids = tuple(job.live.get("profiles", ())[:5])
        if totals.batches != self._n_fields_of and job.state != RUNNING:
            self._fields, self._n_fields_of = read_field_totals(document, totals), totals.batches
        status = Status(job, totals, document.now(), target.project, self._fields)
        return JobData(
            status=status,
            database=target.name,
            own=list(self._shown_own.values()),
            at_provider=[ShownBatch.of_provider(key, fields) for key, fields in self._at_provider.items()],
            results={} if job.state == RUNNING else read_results(document, job.attempt),
            streams=self._streams(job) if counters.kept_in_streams else (),
            command=resume_command(job, target),
            replay_commands=replay_commands(job, target),
        )

    def _read_own(self, counters: Counters) -> None:
        query = Batches(self._document, counters).query
        selected = query.select(*own_fields(counters))
        if self._read_all_at_s is None:
            self._take_all(selected, counters)
            return
        newest = max((each["completed_at"] for each in self._own.values() if each.get("completed_at")), default=None)
        if newest is not None:
            self._take(selected.where("completed_at", ">", newest - _OVERLAP), counters)
        for key in [key for key, each in self._own.items() if each["state"] != COMPLETED]:
            del self._own[key], self._shown_own[key]
        self._take(selected.where("state", "!=", COMPLETED), counters)
        if newest is None:
            self._take(selected.where("state", "==", COMPLETED), counters)
        known = sum(each["state"] == COMPLETED for each in self._own.values())
        now_s = self._document.retry.clock.monotonic()
        if now_s - self._read_all_at_s >= _READ_AGAIN_S and self._n_completed(query) != known:
            self._take_all(selected, counters)

    def _n_completed(self, query: Query) -> int | None:
        completed = query.where("state", "==", COMPLETED)
        try:
            return count(self._document.client, completed, retry=self._document.retry)
        except CannotAggregateError:
            return None

    def _take_all(self, selected: Query, counters: Counters) -> None:
        self._own, self._shown_own = {}, {}
        self._take(selected, counters)
        self._read_all_at_s = self._document.retry.clock.monotonic()

    def _take(self, query: Query, counters: Counters) -> None:
        for found in self._document.documents(query):
            self._own[found.id] = found.fields
            self._shown_own[found.id] = ShownBatch.of_own(found.id, found.fields, counters)

    def _read_provider(self) -> None:
        query = self._document.query(PROVIDER_BATCHES)
        newest = max((each["updated_at"] for each in self._at_provider.values()), default=None)
        if newest is not None:
            query = query.where("updated_at", ">", newest - _OVERLAP)
        for found in self._document.documents(query.select(*PROVIDER_FIELDS)):
            self._at_provider[found.id] = found.fields

    def _streams(self, job: Job) -> list[ShownStream]:
        document = self._document
        found = read_streams(document.client, job.job_id, document.retry)
        return [ShownStream(each, job, document.now()) for each in found if each.attempt == job.attempt]
