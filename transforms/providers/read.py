"""The source of batches that a provider works on: triggered, waited for and taken, in one bounded step.

    Create([what is planned]) ─▶ TakeBatches ─▶ PCollection[Batch[Record]]
                                  │ a thread: trigger, poll all, download what is ready    (coordinator.py)
                                  └ process: one batch after the other, as they are ready  (taking.py)

One element, because two of a bundle would run one after the other, and nothing is shuffled behind it, so each batch is
written before the next one is taken. While the step waits, steps that are one batch behind are told not to (`flush`).
Its element holds keys and places of requests only; the worker reads them where they lie.
"""

import asyncio
import contextlib
import queue
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from transforms.batch import Batch, Record
from transforms.ledger.batches import PROVIDER_BATCH, Batches
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.provider_batches import (
    COMPLETE,
    COMPLETED,
    NONE,
    PARTIAL,
    PROCESSING,
    UNDECIDED,
    ProviderBatch,
    ProviderBatches,
)
from transforms.providers.coordinator import Coordinator
from transforms.providers.description import Errors
from transforms.providers.plan import PlannedBatch
from transforms.providers.remote import BatchApi
from transforms.providers.states import Downloaded, may_be_triggered_again
from transforms.providers.taking import Taking, is_rest
from transforms.providers.waiting import Pace
from transforms.runtime.batch_coder import register_batches
from transforms.runtime.garbage import tune_garbage_collector
from transforms.runtime.stopping import is_asked_to_stop

register_batches(Record)


@dataclass
class ReadProviderBatches(beam.PTransform[PBegin, PCollection[Batch[Record]]]):
    """Triggers batches at a provider, or takes those that exist, each as soon as it is ready.

    In: nothing. Out: `Batch[Record]`, named `{digest of the key}-{try and file}-{ordinal}`, and batches of the requests
    that were not answered, as dead letters. Delivery: every result once; run again, the same. Parallel: no. Fails:
    JobError for the key, credit or permission of the provider, TransientError after bounded retries; a batch that the
    provider fails, refuses or never finishes is not an error, its document in the ledger says so.

    Attributes:
      planned: what to trigger or take.
      connect: opens the provider's API in a worker; picklable.
      errors: what the provider's codes mean.
      taking: how results become batches.
      pace: how the step waits.
      entry: the run's ledger.
      completed: ids of batches that need not be read again.
    """

    planned: tuple[PlannedBatch, ...]
    connect: Callable[[], AbstractAsyncContextManager[BatchApi]]
    errors: Errors
    taking: Taking
    pace: Pace
    entry: LedgerEntry
    completed: Collection[str] = frozenset()

    def expand(self, begin: PBegin) -> PCollection[Batch[Record]]:
        planned = begin | "Planned" >> beam.Create([self.planned], reshuffle=False)
        fn = _TakeFn(self.connect, self.errors, self.taking, self.pace, self.entry, frozenset(self.completed))
        return planned | "TakeBatches" >> beam.ParDo(fn)


@dataclass
class _TakeFn(beam.DoFn):
    connect: Callable[[], AbstractAsyncContextManager[BatchApi]]
    errors: Errors
    taking: Taking
    pace: Pace
    entry: LedgerEntry
    completed: frozenset[str]

    def setup(self) -> None:
        tune_garbage_collector()

    def process(self, element: tuple[PlannedBatch, ...]) -> Iterator[Batch[Record]]:
        job = self.entry.connect()
        ledger, batches = ProviderBatches(job), Batches(job, self.entry.counters)
        with tempfile.TemporaryDirectory(prefix="firebeam-") as folder:
            thread = _Thread(self, element, ledger, Path(folder))
            with thread.running():
                for downloaded in thread.downloaded():
                    yield from self._taken(downloaded, ledger, batches, thread.take_back)

    def _taken(
        self,
        downloaded: Downloaded,
        ledger: ProviderBatches,
        batches: Batches,
        take_back: Callable[[ProviderBatch, bool], None],
    ) -> Iterator[Batch[Record]]:
        key = downloaded.batch.key
        if not self.taking.is_of(downloaded):
            ids = downloaded.batch.remote_id
            text = f"{ids} answers none of the requests; say which does with --adopt={key}=ID, or --adopt={key}=none"
            undecided = replace(downloaded.batch, state=UNDECIDED, error_code="OTHER_BATCH", error_text=text)
            ledger.write(undecided)
            take_back(undecided, False)
            return
        processing = replace(downloaded.batch, state=PROCESSING, processing_at=ledger.now())
        ledger.write(processing)
        missing, made_here = 0, set[str]()

        def all_of_it() -> Iterator[Batch[Record]]:
            nonlocal missing
            for batch in self.taking.results(downloaded, self.completed.__contains__, is_asked_to_stop):
                made_here.add(batch.batch_id)
                yield batch
            if is_asked_to_stop():
                return
            earlier = filter(is_rest, batches.ids(PROVIDER_BATCH, "==", key))
            for batch in self.taking.rest(downloaded, earlier):
                missing += batch.read
                made_here.add(batch.batch_id)
                yield batch

        yield from _flushed(all_of_it())
        for _, _, path in downloaded.files:
            path.unlink(missing_ok=True)
        if is_asked_to_stop():
            return
        made = ledger.made_of(batches, key)
        done = replace(processing, missing=missing, profiles=made.profiles, outcome=_outcome(downloaded, missing))
        if made_here <= made.completed:
            done = replace(done, state=COMPLETED, completed_at=ledger.now())
        ledger.write(done)
        take_back(done, missing > 0 and may_be_triggered_again(done, self.pace))


class _Thread:
    """The coordinator in a thread of its own."""

    def __init__(self, fn: _TakeFn, planned: tuple[PlannedBatch, ...], ledger: ProviderBatches, folder: Path):
        self._fn, self._planned, self._ledger, self._folder = fn, planned, ledger, folder
        self._queue = queue.SimpleQueue[Downloaded | BaseException | None]()
        self._given_up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._coordinator: Coordinator | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Until the block ends, however it does."""
        thread = threading.Thread(target=self._run, name="provider-batches", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._given_up.set()
            thread.join()

    def downloaded(self) -> Iterator[Downloaded]:
        """What is ready, as it comes, until nothing more does. Raises what ended the coordinator."""
        while (found := self._queue.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            if is_asked_to_stop():
                return
            yield found

    def take_back(self, batch: ProviderBatch, once_more: bool) -> None:
        """Tells the coordinator that a batch is taken."""
        assert self._loop is not None, "something was handed over"
        assert self._coordinator is not None, "something was handed over"
        taken = self._coordinator.take_back
        with contextlib.suppress(RuntimeError):  # the loop is closed: what ended it is the next thing in the queue
            self._loop.call_soon_threadsafe(lambda: taken(batch, once_more=once_more))

    def _run(self) -> None:
        try:
            asyncio.run(self._coordinate())
        except BaseException as failure:  # raised where the batches are taken
            self._queue.put(failure)
        else:
            self._queue.put(None)

    async def _coordinate(self) -> None:
        fn = self._fn
        self._loop = asyncio.get_running_loop()
        async with fn.connect() as api:
            self._coordinator = Coordinator(
                self._planned,
                fn.taking.provider,
                api,
                fn.errors,
                self._ledger,
                fn.entry.attempt,
                fn.pace,
                self._folder,
                fn.taking.write_requests,
                self._queue.put,
                self._is_to_stop,
            )
            await self._coordinator.run()

    def _is_to_stop(self) -> bool:
        return self._given_up.is_set() or is_asked_to_stop()


def _flushed(batches: Iterable[Batch[Record]]) -> Iterator[Batch[Record]]:
    """The same, the last one marked: what comes behind it may be long in coming."""
    last: Batch[Record] | None = None
    for batch in batches:
        if last is not None:
            yield last
        last = batch
    if last is not None:
        yield replace(last, flush=True)


def _outcome(downloaded: Downloaded, missing: int) -> str:
    if not missing and downloaded.is_whole and not downloaded.lacks_earlier:
        return COMPLETE
    return PARTIAL if downloaded.batch.answers or any(downloaded.answers.positions) else NONE
