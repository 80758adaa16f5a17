"""Triggers batches, polls all of them together and downloads each as soon as it is ready. Plain asyncio, one thread.

    planned ─▶ trigger ─▶ running ─▶ one poll for all ─▶ over ─▶ download, look through ─▶ Downloaded
       ▲          │ lost answer: look for the batch by its key, adopt it or create it anew     │
       └──────────┴──────────── asked for once more: failed, expired, missing ◀── taken ───────┘

Every step is in the ledger before the next one begins, see `ledger/provider_batches.py`: whatever is killed, the next
coordinator goes on where this one stood. Slow and failed batches hold up nobody; how many are downloaded and not yet
taken is bounded.
"""

from __future__ import annotations

import asyncio
import datetime
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from transforms.errors import FirebeamError, JobError
from transforms.ledger.provider_batches import (
    COMPLETED,
    FAILED,
    OVER,
    PLANNED,
    READY,
    RUNNING,
    TRIGGERING,
    UNDECIDED,
    ProviderBatch,
    ProviderBatches,
    Try,
)
from transforms.providers.description import Errors
from transforms.providers.plan import PlannedBatch, key_of
from transforms.providers.remote import (
    BatchApi,
    QueueFullError,
    RefusedError,
    RemoteBatch,
    State,
    UncertainError,
    UnknownBatchError,
)
from transforms.providers.scan import scanned
from transforms.providers.states import Downloaded, Held, counted, first, renewed
from transforms.providers.waiting import Pace

# The provider's clock and ours.
_CLOCK_SLACK_S = 30.0
_MAX_TRIGGERING, _MAX_DOWNLOADING, _MAX_WAITING = 4, 2, 4
_LONG_AGO = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)


class Coordinator:
    """Runs in an event loop of its own until every batch is over, the time is up, or it is asked to stop.

    Args:
      planned: what to trigger or take.
      provider: name of the provider.
      api: the provider's; opened by the caller.
      errors: what its codes mean.
      ledger: where it is written down.
      run: of the job, counted from 1.
      pace: when to poll, for how long, and how much at once.
      folder: for downloads; each is removed when it is taken.
      requests_of: writes the requests of a batch, but for those answered already, into a file; returns how many.
      hand_over: is given what is downloaded, in this thread.
      is_to_stop: asked several times per second.
    """

    def __init__(
        self,
        planned: tuple[PlannedBatch, ...],
        provider: str,
        api: BatchApi,
        errors: Errors,
        ledger: ProviderBatches,
        run: int,
        pace: Pace,
        folder: Path,
        requests_of: Callable[[PlannedBatch, frozenset[str], Path], int],
        hand_over: Callable[[Downloaded], None],
        is_to_stop: Callable[[], bool],
    ):
        self._planned = {each.key: each for each in planned}
        self._provider, self._api, self._errors = provider, api, errors
        self._ledger, self._run, self._pace = ledger, run, pace
        self._folder, self._requests_of, self._hand_over, self._is_to_stop = folder, requests_of, hand_over, is_to_stop
        self._batches: dict[str, ProviderBatch] = {}
        self._held: dict[str, Held] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._polling: asyncio.Task[None] | None = None
        self._is_ended = False
        self._max_running = pace.max_running or len(planned)
        self._may_trigger_at = 0.0
        self._triggering = asyncio.Semaphore(_MAX_TRIGGERING if pace.finds_by_key else 1)
        self._downloading = asyncio.Semaphore(_MAX_DOWNLOADING)
        self._waiting = asyncio.Semaphore(_MAX_WAITING)

    async def run(self) -> None:
        """Returns when nothing is left to be waited for.

        Raises:
          JobError: key, credit, permission, ledger.
          TransientError: provider or ledger gave no good answer in the attempts allowed.
        """
        try:
            await self._load()
            began_at = poll_at = self._monotonic()
            has_polled = False
            while not self._is_to_stop():
                self._settle()
                is_late = self._monotonic() - began_at >= self._pace.max_wait_s
                running = [each for each in self._batches.values() if each.state == RUNNING and not self._is_busy(each)]
                if not (is_late and has_polled):
                    self._begin()
                    # The last poll is about all that are triggered.
                    may_poll = self._polling is None and not (is_late and self._busy)
                    if running and may_poll and self._monotonic() >= poll_at:
                        self._polling = asyncio.create_task(self._poll(running))
                        has_polled = True
                        poll_at = self._monotonic() + self._pace.interval_s(self._ages(running))
                is_done = not self._is_anything_left() or (is_late and (has_polled or not running))
                if is_done and not self._busy and self._polling is None:
                    return
                await asyncio.sleep(self._pace.tick_s)
        finally:
            tasks = [*self._busy.values(), *([self._polling] if self._polling else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def take_back(self, batch: ProviderBatch, *, once_more: bool) -> None:
        """Called in the loop's thread when what was handed over is taken.

        Args:
          batch: as it is in the ledger now.
          once_more: whether what it lacks is to be asked for again.
        """
        self._waiting.release()
        self._busy.pop(batch.key, None)
        if once_more:
            self._batches[batch.key] = replace(batch, state=PLANNED)
            self._held[batch.key].taken |= {each.id for each in batch.tries}
        else:
            self._batches[batch.key] = batch
            del self._held[batch.key]

    # What each batch waits for.

    def _begin(self) -> None:
        for key, batch in self._batches.items():
            if key in self._busy:
                continue
            if batch.state == TRIGGERING:
                self._start(key, self._find(batch))
            elif batch.state == PLANNED and self._may_trigger():
                self._start(key, self._trigger(batch))

    def _may_trigger(self) -> bool:
        at_provider = sum(each.state in (TRIGGERING, RUNNING) for each in self._batches.values())
        planned = sum(self._batches[key].state == PLANNED for key in self._busy)
        return at_provider + planned < self._max_running and self._monotonic() >= self._may_trigger_at

    def _is_busy(self, batch: ProviderBatch) -> bool:
        return batch.key in self._busy

    def _is_anything_left(self) -> bool:
        return any(each.state not in OVER for each in self._batches.values())

    def _ages(self, running: list[ProviderBatch]) -> list[float]:
        now = self._ledger.now()
        return [(now - (each.triggered_at or now)).total_seconds() for each in running]

    def _start(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        self._busy[key] = asyncio.create_task(work)

    def _settle(self) -> None:
        """Takes note of what has ended; raises what ended it."""
        if self._polling is not None and self._polling.done():
            polling, self._polling = self._polling, None
            polling.result()
        for key in [key for key, task in self._busy.items() if task.done()]:
            task = self._busy[key]
            task.result()
            if self._batches[key].state != READY:  # which is busy until it is taken
                del self._busy[key]

    # The ledger.

    async def _load(self) -> None:
        found = await asyncio.to_thread(self._ledger.all)
        now = self._ledger.now()
        new = []
        for key, planned in self._planned.items():
            batch = found.get(key)
            if batch is None:
                batch = first(planned, self._provider, self._run, now)
                new.append(batch)
            elif batch.run != self._run:
                batch = renewed(batch, self._run)
            elif batch.state in OVER and self._is_asked_for_again(batch):
                # What a partial one lacks is known when its results have been looked through.
                batch = replace(batch, state=RUNNING) if batch.state == COMPLETED else replace(batch, state=PLANNED)
            elif batch.state not in (*OVER, PLANNED, TRIGGERING):
                batch = replace(batch, state=RUNNING)  # asked for again, downloaded again
            self._batches[key] = batch
        await asyncio.gather(*(asyncio.to_thread(self._ledger.write, batch) for batch in new))

    def _is_asked_for_again(self, batch: ProviderBatch) -> bool:
        lacks = batch.state == FAILED or (batch.state == COMPLETED and batch.missing > 0)
        may = bool(batch.source) and len(batch.tries) < self._pace.max_tries
        return lacks and may and self._pace.retry_failed

    async def _write(self, batch: ProviderBatch) -> None:
        await asyncio.to_thread(self._ledger.write, batch)
        self._batches[batch.key] = batch

    def _monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    # Triggering.

    async def _trigger(self, batch: ProviderBatch) -> None:
        async with self._triggering:
            if self._is_ended:
                return
            planned, key = self._planned[batch.key], batch.key
            if batch.tries:
                key = key_of(key, len(batch.tries))
                await self._hold_earlier(batch)
            answered = frozenset(self._held[batch.key].of_all().answered) if batch.tries else frozenset[str]()
            path = self._folder / f"{key}.requests"
            try:
                n = await asyncio.to_thread(self._requests_of, planned, answered, path)
                at = self._ledger.now()
                intent = replace(batch, state=TRIGGERING, tries=(*batch.tries, Try(key, intended_at=at, requests=n)))
                await self._write(replace(intent, error_code="", error_text=""))
                await self._create(intent, path)
            except BaseException:
                # One intent is without an answer: where batches have no keys, two could not be told apart.
                self._is_ended = True
                raise
            finally:
                path.unlink(missing_ok=True)

    async def _create(self, intent: ProviderBatch, path: Path) -> None:
        last = intent.tries[-1]
        try:
            remote_id = await self._api.create(path, last.requests or 0, last.key)
        except QueueFullError:
            await self._put_back(intent)
        except RefusedError as refused:
            await self._fail(intent, refused.code, refused.text)
        except UncertainError:
            await self._find(intent)
        else:
            await self._is_running(intent, remote_id)

    async def _put_back(self, batch: ProviderBatch) -> None:
        """The provider has enough: fewer at once, and later. It is not a try of its own."""
        at_provider = sum(each.state == RUNNING for each in self._batches.values())
        self._max_running = max(1, min(self._max_running, at_provider))
        self._may_trigger_at = self._monotonic() + self._pace.max_interval_s
        await self._write(replace(batch, state=PLANNED, tries=batch.tries[:-1]))

    async def _find(self, batch: ProviderBatch) -> None:
        """Looks for the batch of a create whose answer is not known: adopted if it is there, created anew if not."""
        last = batch.tries[-1]
        intended_at = last.intended_at or self._ledger.now()
        since = intended_at - datetime.timedelta(seconds=_CLOCK_SLACK_S)
        while True:
            waited_s = (self._ledger.now() - intended_at).total_seconds()
            found = await self._api.created_with(last.key, since, last.requests or 0)
            ids = await self._unknown([each.id for each in found if not self._was_put_back(each)])
            if len(ids) == 1:
                return await self._is_running(batch, ids[0])
            if ids:
                return await self._undecided(batch, ids)
            if waited_s >= self._pace.listed_within_s:
                # There is none: the create is sent again, as the same try.
                return await self._write(replace(batch, state=PLANNED, tries=batch.tries[:-1]))
            await asyncio.sleep(self._pace.min_interval_s)

    async def _unknown(self, ids: list[str]) -> list[str]:
        ours = {each.id for batch in self._batches.values() for each in batch.tries}
        ids = [remote_id for remote_id in dict.fromkeys(ids) if remote_id not in ours]
        if self._pace.finds_by_key or not ids:
            return ids
        others = await asyncio.to_thread(self._ledger.are_known_elsewhere, ids)
        return [remote_id for remote_id in ids if remote_id not in others]

    async def _is_running(self, batch: ProviderBatch, remote_id: str) -> None:
        at = batch.tries[-1].intended_at
        running = replace(batch, state=RUNNING, triggered_at=at).with_last_try(id=remote_id)
        await self._write(running)

    async def _undecided(self, batch: ProviderBatch, ids: list[str]) -> None:
        text = f"any of these may be the batch: {', '.join(ids[:10])}; say which with --adopt={batch.key}=ID"
        await self._write(replace(batch, state=UNDECIDED, error_code="UNDECIDED", error_text=text))

    async def _fail(self, batch: ProviderBatch, code: str, text: str) -> None:
        failed = batch.with_last_try(error_code=code, error_text=text)
        failed = replace(failed, state=FAILED, error_code=code, error_text=text, completed_at=self._ledger.now())
        again = self._is_asked_for_again(failed)
        await self._write(replace(failed, state=PLANNED, completed_at=None) if again else failed)

    # Polling and downloading.

    async def _poll(self, running: list[ProviderBatch]) -> None:
        found = await self._api.poll({each.remote_id for each in running})
        for batch in running:
            remote = found.get(batch.remote_id)
            if remote is None and self._is_new(batch):
                continue
            if remote is None:
                await self._fail(batch, "UNKNOWN_BATCH", f"{self._provider} does not know {batch.remote_id}")
            elif remote.state is State.FAILED:
                await self._over_without_results(batch, remote)
            elif remote.state is not State.RUNNING:
                self._start(batch.key, self._download(batch, remote))

    def _is_new(self, batch: ProviderBatch) -> bool:
        now = self._ledger.now()
        return (now - (batch.triggered_at or _LONG_AGO)).total_seconds() < self._pace.listed_within_s

    def _was_put_back(self, remote: RemoteBatch) -> bool:
        return remote.state is State.FAILED and self._errors.means_queue_full(remote.error_code, remote.error_text)

    async def _over_without_results(self, batch: ProviderBatch, remote: RemoteBatch) -> None:
        code, text = remote.error_code, remote.error_text
        if self._errors.means_no_credit(code, text):
            raise JobError(f"{self._provider} has no credit left for this account ({code}): {text}")
        if self._was_put_back(remote) and batch.source:
            await self._put_back(batch)
        else:
            await self._fail(batch, remote.error_code or "FAILED", remote.error_text)

    async def _download(self, batch: ProviderBatch, remote: RemoteBatch) -> None:
        await self._waiting.acquire()
        try:
            async with self._downloading:
                ready = replace(batch, state=READY, ready_at=self._ledger.now())
                await self._write(ready)
                files = await self._earlier(batch)
                files += await self._results(batch, len(batch.tries) - 1, remote)
        except (UnknownBatchError, RefusedError) as gone:
            self._waiting.release()
            return await self._fail(batch, "RESULTS_GONE", str(gone))
        except (FirebeamError, asyncio.CancelledError):
            self._waiting.release()
            raise
        answers = self._held[batch.key].of_all()
        ready = counted(ready, answers, remote)
        self._batches[batch.key] = ready
        is_whole = remote.state is State.READY
        self._hand_over(Downloaded(ready, self._planned[batch.key], tuple(files), answers, is_whole))
        return None

    async def _earlier(self, batch: ProviderBatch) -> list[tuple[int, int, Path]]:
        """The results of earlier tries, but for those that this process has handed over."""
        files: list[tuple[int, int, Path]] = []
        held = self._held.setdefault(batch.key, Held())
        for number, each in enumerate(batch.tries[:-1]):
            if each.id and not each.error_code and each.id not in held.taken:
                files += await self._results(batch, number, await self._api.get(each.id))
        return files

    async def _hold_earlier(self, batch: ProviderBatch) -> None:
        """Makes known what the tries so far have answered."""
        held = self._held.setdefault(batch.key, Held())
        for number, each in enumerate(batch.tries):
            if each.id and not each.error_code and each.id not in held.answers:
                await self._results(batch, number, await self._api.get(each.id))
                shutil.rmtree(self._folder / batch.key / str(number), ignore_errors=True)

    async def _results(self, batch: ProviderBatch, number: int, remote: RemoteBatch) -> list[tuple[int, int, Path]]:
        folder = self._folder / batch.key / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        paths = await self._api.download(remote, folder)
        answers = await asyncio.to_thread(scanned, paths)
        self._held.setdefault(batch.key, Held()).answers[remote.id] = answers
        return [(number, n, path) for n, path in enumerate(paths)]
