"""The step that asks a model about each record, and puts the answer into it.

    Batch[Record] ──AnalyseRecords──▶ Batch[Record]      record[into] = answer; without one a dead letter
                     │ one batch behind: while the calls of one batch are under way the next one is read
                     └ records that would be refused anyway cost no call

Guarantee: an answer is stored before its record goes on, so what is killed pays twice only for the calls in flight.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection

from transforms.analysis.ask import Answered, Asked, Asker, Failed, cost_of
from transforms.analysis.cache import AnswerCache
from transforms.analysis.chat import ChatApi
from transforms.analysis.modes import DEAD_LETTER, STORE
from transforms.analysis.payload import Question
from transforms.analysis.spend import Spend
from transforms.batch import Batch, DeadLetter, Record
from transforms.errors import JobError, RecordError
from transforms.ledger.entry import LedgerEntry
from transforms.records.model import RecordSpec
from transforms.runtime.background import Background
from transforms.runtime.batch_coder import register_batches
from transforms.unexpected import FAILURES
from transforms.upsert.checks import problem_of
from transforms.upsert.failures import unexpected_of
from transforms.upsert.records import value_for

register_batches(Record)

STEP = "AnalyseRecords"
_FEWEST_ALIKE = 20
_THROTTLED = Metrics.counter(STEP, "cumulativeThrottlingSeconds")


@dataclass(frozen=True)
class AnalysisPlan:
    """How a job asks a model. Picklable.

    Attributes:
      question: what is asked.
      connect: opens the model's API in an event loop.
      concurrency: calls at once, per worker process.
      cache_days: how long answers are used.
      failed: what becomes of a record whose question has no answer: dead_letter, or store.
      limit: of what is spent, in 10⁻¹² USD; None for none.
      spent: by earlier processes of the run.
    """

    question: Question
    connect: Callable[[], AbstractAsyncContextManager[ChatApi]]
    concurrency: int = 16
    cache_days: int = 90
    failed: str = DEAD_LETTER
    limit: int | None = None
    spent: int = 0


@dataclass
class AnalyseRecords(beam.PTransform[PCollection[Batch[Record]], PCollection[Batch[Record]]]):
    """Asks a model about each record and puts its answer into the record.

    In and out: batches of records. Delivery: an answer that is stored is not asked for again. Parallel: calls of a
    batch, up to `concurrency`; bundles. Fails: a call that fails, or an answer that breaks the schema, is the record's
    dead letter; JobError for key, credit, permission and budget, TransientError for the ledger.

    Attributes:
      plan: what to ask whom, and how.
      spec: of the records.
      entry: the run's ledger, beside which answers are stored.
    """

    plan: AnalysisPlan
    spec: RecordSpec
    entry: LedgerEntry

    def expand(self, batches: PCollection[Batch[Record]]) -> PCollection[Batch[Record]]:
        return batches | "Ask" >> beam.ParDo(_AskFn(self.plan, self.spec, self.entry)).with_output_types(Batch[Record])


@dataclass
class _AskFn(beam.DoFn):
    plan: AnalysisPlan
    spec: RecordSpec
    entry: LedgerEntry

    def setup(self) -> None:
        self._loop = _Loop(self.plan, self.entry)
        self._lenient = self.spec.without_needs_of(self.plan.question.analysis.into)
        self._throttled_s = 0.0
        self._background = Background(self._analysed)

    def start_bundle(self) -> None:
        self._background.forget()

    def process(self, element: Batch[Record], windowed: Any = beam.DoFn.WindowedValueParam) -> Iterator[Batch[Record]]:
        yield from self._background.next(windowed)
        self._count_throttled()

    def finish_bundle(self) -> Iterator[Any]:
        yield from self._background.wait()
        self._count_throttled()

    def teardown(self) -> None:
        self._background.close()
        self._loop.close()

    def _count_throttled(self) -> None:
        whole_s = int(self._throttled_s)
        _THROTTLED.inc(whole_s)  # here, as Beam counts nothing in other threads
        self._throttled_s -= whole_s

    def _analysed(self, batch: Batch[Record]) -> Batch[Record]:
        question = self.plan.question
        spec = self._lenient.in_units(self.spec.units_of(value_for(record, self.spec) for record in batch.entries))
        asked_by: list[str | None] = []
        payloads: dict[str, str] = {}
        broken: dict[int, DeadLetter] = {}
        unexpected = unexpected_of(batch.entries, "asking about the record")
        for at, record in enumerate(batch.entries):
            hash_ = None
            try:
                if problem_of(record, spec) is None:
                    payload = question.payload_of(record.value)
                    if payload is not None:
                        hash_ = question.hash_of(payload)
                        payloads[hash_] = payload
            except FAILURES as error:
                broken[at] = DeadLetter.of(STEP, record, unexpected.as_record_error(error))
            asked_by.append(hash_)
        unexpected.check_not_alike()
        asked = self._loop.ask(payloads)
        _check_not_alike(asked, question.model)
        self._throttled_s += asked.throttled_s
        return _put_in(batch, asked_by, asked, broken, self.plan)


def _check_not_alike(asked: Asked, model: str) -> None:
    """Raises JobError if every question was refused for the same reason: that is the job's, not the records'."""
    outcomes = list(asked.outcomes.values())
    codes = {each.code for each in outcomes if isinstance(each, Failed) and not (each.retryable or each.was_asked)}
    refused = sum(isinstance(each, Failed) and each.code in codes for each in outcomes)
    if len(codes) == 1 and refused == len(outcomes) >= _FEWEST_ALIKE:
        raise JobError(
            f"{model} refuses every question with {codes.pop()}; check the model's name and the schema in the spec"
        )


def _put_in(
    batch: Batch[Record],
    hashes: list[str | None],
    asked: Asked,
    broken: Mapping[int, DeadLetter],
    plan: AnalysisPlan,
) -> Batch[Record]:
    into = plan.question.analysis.into
    records: list[Record] = []
    dead: list[DeadLetter] = list(broken.values())
    for at, (record, hash_) in enumerate(zip(batch.entries, hashes, strict=True)):
        if at in broken:
            continue
        outcome = asked.outcomes.get(hash_) if hash_ is not None else None
        if isinstance(outcome, Answered):
            records.append(record._replace(value={**record.value, into: outcome.answer}))
        elif outcome is None:
            records.append(record)
        elif plan.failed == STORE:
            records.append(record._replace(value={**record.value, f"{into}_failed": outcome.code}))
        else:
            error = RecordError(outcome.code, outcome.message)
            dead.append(DeadLetter.of(STEP, record, error, retryable=outcome.retryable))
    return batch.then(records, dead, counts=_counts(batch, hashes, asked, plan))


def _counts(batch: Batch[Record], hashes: list[str | None], asked: Asked, plan: AnalysisPlan) -> dict[str, int]:
    counts = Counter[str](batch.counts)
    answered = [each for each in asked.outcomes.values() if isinstance(each, Answered)]
    fresh = [each for each in asked.outcomes.values() if each.was_asked]
    known = {hash_ for hash_, each in asked.outcomes.items() if isinstance(each, Answered) and not each.was_asked}
    counts["analyses_cached"] = sum(hash_ in known for hash_ in hashes)
    counts["analyses_asked"] = len(fresh)
    counts["analyses_repaired"] = sum(each.was_repaired for each in answered)
    price = plan.question.analysis.prices.get(plan.question.model)
    for tokens in filter(None, (each.tokens for each in fresh)):
        counts["analysis_input_tokens"] += tokens.input
        counts["analysis_cached_tokens"] += tokens.cached
        counts["analysis_output_tokens"] += tokens.output
        if price:
            counts["analysis_cost"] += cost_of(price, tokens)
    return {name: n for name, n in counts.items() if n}


class _Loop:
    """An event loop in a thread of its own, in which the model is asked for as long as the step lives."""

    def __init__(self, plan: AnalysisPlan, entry: LedgerEntry):
        self._plan, self._entry = plan, entry
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="analysis", daemon=True)
        self._thread.start()
        self._opened: AbstractAsyncContextManager[ChatApi] | None = None
        self._asker: Asker | None = None

    def ask(self, payloads: Mapping[str, str]) -> Asked:
        """As `Asker.ask`."""
        if not payloads:
            return Asked({}, 0.0)
        return asyncio.run_coroutine_threadsafe(self._ask(payloads), self._loop).result()

    def close(self) -> None:
        """Closes the API and ends the thread."""
        if self._opened is not None:
            closing = self._opened.__aexit__(None, None, None)
            asyncio.run_coroutine_threadsafe(closing, self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _ask(self, payloads: Mapping[str, str]) -> Asked:
        if self._asker is None:
            self._asker = self._made()
        return await self._asker.ask(payloads)

    async def _open(self) -> ChatApi:
        opened = self._plan.connect()
        api = await opened.__aenter__()
        self._opened = opened
        return api

    def _made(self) -> Asker:
        import fastjsonschema

        plan, entry = self._plan, self._entry
        cache = AnswerCache(entry.target.connect(), plan.cache_days, entry.job_id, entry.retry)
        check = fastjsonschema.compile(json.loads(plan.question.analysis.schema), use_default=False)
        return Asker(plan.question, self._open, cache, Spend(plan.limit, plan.spent), check, plan.concurrency)
