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
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from transforms.errors import JobError, TransientError
from transforms.ledger.provider_batches import (
    COMPLETE,
    COMPLETED,
    FAILED,
    OVER,
    PARTIAL,
    PLANNED,
    PROCESSING,
    READY,
    RUNNING,
    TRIGGERING,
    UNDECIDED,
    ProviderBatch,
    ProviderBatches,
    Try,
)
from transforms.providers.description import Errors
from transforms.providers.fetched import Fetched
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
from transforms.providers.states import Downloaded, at_start, counted, is_asked_for_again
from transforms.providers.waiting import AtOnce, Pace

# The provider's clock and ours.
_CLOCK_SLACK_S = 30.0
RESULTS_GONE = "RESULTS_GONE"
_MAX_TRIGGERING, _MAX_DOWNLOADED = 4, 8
# A provider that has answered before may be away for so long, each time.
_MAX_OUTAGE_S = 900.0
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
        self._fetched = Fetched(api, folder)
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._polling: asyncio.Task[None] | None = None
        self._is_ended = False
        self._at_once = AtOnce(pace.max_running or len(planned), pace.max_interval_s)
        self._answered_at: float | None = None
        self._failing_since: dict[str, float] = {}
        self._triggering = asyncio.Semaphore(_MAX_TRIGGERING if pace.finds_by_key else 1)
        self._downloaded = asyncio.Semaphore(_MAX_DOWNLOADED)

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
                running = [
                    each for each in self._batches.values() if each.state == RUNNING and each.key not in self._busy
                ]
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
        self._downloaded.release()
        self._busy.pop(batch.key, None)
        if once_more:
            self._batches[batch.key] = replace(batch, state=PLANNED)
            self._fetched.are_taken(batch)
        else:
            self._batches[batch.key] = batch
            self._fetched.forget(batch)

    # What each batch waits for.

    def _begin(self) -> None:
        idle = [(key, batch) for key, batch in self._batches.items() if key not in self._busy]
        for key, batch in idle:
            if batch.state == TRIGGERING:
                self._start(key, self._look_for(batch))
        for key, batch in idle:
            if batch.state == PLANNED and self._may_trigger():
                self._start(key, self._trigger(batch))

    def _may_trigger(self) -> bool:
        at_provider = sum(each.state in (TRIGGERING, RUNNING) for each in self._batches.values())
        planned = sum(self._batches[key].state == PLANNED for key in self._busy)
        return self._at_once.is_room(at_provider + planned, self._monotonic())

    def _is_anything_left(self) -> bool:
        # One that is still being processed when it is given back is no more a matter of this coordinator.
        return any(each.state not in (*OVER, PROCESSING) for each in self._batches.values())

    def _ages(self, running: list[ProviderBatch]) -> list[float]:
        now = self._ledger.now()
        return [(now - (each.triggered_at or each.planned_at or now)).total_seconds() for each in running]

    def _start(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        self._busy[key] = asyncio.create_task(work)

    def _settle(self) -> None:
        """Takes note of what has ended; raises what ended it."""
        if self._polling is not None and self._polling.done():
            polling, self._polling = self._polling, None
            try:
                polling.result()
            except TransientError:
                if self._answered_at is None or self._monotonic() - self._answered_at >= _MAX_OUTAGE_S:
                    raise
            else:
                self._answered_at = self._monotonic()
        for key in [key for key, task in self._busy.items() if task.done()]:
            task = self._busy[key]
            task.result()
            if self._batches[key].state != READY:  # which is busy until it is taken
                del self._busy[key]

    # The ledger.

    async def _load(self) -> None:
        found = await asyncio.to_thread(self._ledger.all)
        now = self._ledger.now()
        for key, planned in self._planned.items():
            self._batches[key] = at_start(found.get(key), planned, self._provider, self._run, now, self._pace)
        changed = [batch for key, batch in self._batches.items() if batch != found.get(key)]
        await asyncio.gather(*(asyncio.to_thread(self._ledger.write, batch) for batch in changed))

    async def _write(self, batch: ProviderBatch) -> None:
        await asyncio.to_thread(self._ledger.write, batch)
        self._batches[batch.key] = batch

    def _monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    # Triggering.

    async def _trigger(self, batch: ProviderBatch) -> None:
        async with self._triggering:
            if self._is_ended:
                return None
            planned, key, answered = self._planned[batch.key], batch.key, frozenset[str]()
            if batch.tries:
                key = key_of(key, len(batch.tries))
                try:
                    answered = await self._fetched.answered(batch)
                except (UnknownBatchError, RefusedError) as gone:
                    return await self._is_gone(batch, RESULTS_GONE, str(gone))
            path = self._folder / f"{key}.requests"
            try:
                n = await asyncio.to_thread(self._requests_of, planned, answered, path)
                at = self._ledger.now()
                tries = (*batch.tries, Try(key, intended_at=at, requests=n))
                intent = replace(batch, state=TRIGGERING, tries=tries, error_code="", error_text="")
                await self._write(intent)
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
            await self._wait_for_room(intent)
        except RefusedError as refused:
            await self._fail(intent, refused.code, refused.text)
        except UncertainError:
            await self._find(intent)
        except (JobError, TransientError):
            await self._put_back(intent)  # it was not created: nobody has to look for it
            raise
        else:
            await self._is_running(intent, remote_id)

    async def _put_back(self, batch: ProviderBatch) -> None:
        """The provider has done nothing, and says that later it may: it is not a try of its own."""
        await self._write(replace(batch, state=PLANNED, tries=batch.tries[:-1]))

    async def _wait_for_room(self, batch: ProviderBatch) -> None:
        """The provider has enough: fewer at once, and later."""
        others = sum(each.state == RUNNING for each in self._batches.values() if each.key != batch.key)
        self._at_once.refused(others, self._monotonic())
        await self._put_back(batch)

    async def _look_for(self, batch: ProviderBatch) -> None:
        """`_find`, while nothing is created that it could take for this batch."""
        async with self._triggering:
            if self._is_ended:
                return
            try:
                await self._find(batch)
            except BaseException:
                self._is_ended = True
                raise

    async def _find(self, batch: ProviderBatch) -> None:
        """Looks for the batch of a create whose answer is not known: adopted if it is there, created anew if not."""
        last = batch.tries[-1]
        intended_at = last.intended_at or self._ledger.now()
        since = intended_at - datetime.timedelta(seconds=_CLOCK_SLACK_S)
        while True:
            waited_s = (self._ledger.now() - intended_at).total_seconds()
            try:
                found = await self._api.created_with(last.key, since, last.requests or 0)
            except UncertainError as unknown:
                return await self._undecided(batch, str(unknown))
            ids = await self._unknown([each.id for each in found if not self._was_put_back(each)])
            if len(ids) == 1:
                return await self._is_running(batch, ids[0])
            if ids:
                return await self._undecided(batch, f"any of these may be the batch: {', '.join(ids[:10])}")
            if waited_s >= self._pace.listed_within_s:
                # There is none: the create is sent again, as the same try.
                return await self._put_back(batch)
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

    async def _undecided(self, batch: ProviderBatch, why: str) -> None:
        text = f"{why}; say which with --adopt={batch.key}=ID, or that it is none with --adopt={batch.key}=none"
        await self._write(replace(batch, state=UNDECIDED, error_code="UNDECIDED", error_text=text))

    async def _fail(self, batch: ProviderBatch, code: str, text: str) -> None:
        failed = batch.with_last_try(error_code=code, error_text=text)
        failed = replace(failed, state=FAILED, error_code=code, error_text=text, completed_at=self._ledger.now())
        again = is_asked_for_again(failed, self._pace)
        await self._write(replace(failed, state=PLANNED, completed_at=None) if again else failed)

    async def _is_gone(self, batch: ProviderBatch, code: str, text: str) -> None:
        """The provider does not have a batch any more, or its results. What was taken before is not paid for again."""
        if batch.outcome not in (COMPLETE, PARTIAL):
            return await self._fail(batch, code, text)
        text = f"{text}; it was taken before, and what it lacked then is in its dead letters"
        state = FAILED if batch.completed_at is None else COMPLETED
        await self._write(replace(batch, state=state, error_code=code, error_text=text))
        return None

    # Polling and downloading.

    async def _poll(self, running: list[ProviderBatch]) -> None:
        found = await self._api.poll({each.remote_id for each in running})
        for batch in running:
            remote = found.get(batch.remote_id)
            if remote is None and self._is_new(batch):
                continue
            if remote is None:
                await self._is_gone(batch, "UNKNOWN_BATCH", f"{self._provider} does not know {batch.remote_id}")
            elif remote.state is State.FAILED:
                await self._over_without_results(batch, remote)
            elif remote.state is not State.RUNNING:
                self._start(batch.key, self._download(batch, remote))

    def _is_new(self, batch: ProviderBatch) -> bool:
        now = self._ledger.now()
        return (now - (batch.triggered_at or _LONG_AGO)).total_seconds() < self._pace.listed_within_s

    def _was_put_back(self, remote: RemoteBatch) -> bool:
        code, text = remote.error_code, remote.error_text
        did_nothing = self._errors.means_queue_full(code, text) or self._errors.means_no_credit(code, text)
        return remote.state is State.FAILED and did_nothing

    async def _over_without_results(self, batch: ProviderBatch, remote: RemoteBatch) -> None:
        code, text = remote.error_code, remote.error_text
        if not (batch.source and self._was_put_back(remote)):
            return await self._fail(batch, code or "FAILED", text)
        if self._errors.means_no_credit(code, text):
            await self._put_back(batch)
            said = f"({code}): {text}" if text else f"({code})"
            raise JobError(
                f"{self._provider} has no credit left for this account {said}. Add credit or raise the limit there, "
                "then run the same command again"
            )
        await self._wait_for_room(batch)
        return None

    async def _download(self, batch: ProviderBatch, remote: RemoteBatch) -> None:
        await self._downloaded.acquire()
        is_handed_over = False
        try:
            ready = replace(batch, state=READY, ready_at=self._ledger.now())
            await self._write(ready)
            files, is_one_gone = await self._fetched.all_of(batch, remote)
            answers = self._fetched.answers(batch)
            ready = self._batches[batch.key] = counted(ready, answers, remote)
            is_whole = remote.state is State.READY
            self._hand_over(Downloaded(ready, self._planned[batch.key], tuple(files), answers, is_whole, is_one_gone))
            is_handed_over = True
            self._failing_since.pop(batch.key, None)
        except (UnknownBatchError, RefusedError) as gone:
            await self._is_gone(batch, RESULTS_GONE, str(gone))
        except TransientError:
            # Others are not held up by it, and it is downloaded anew with the next poll, for a while.
            since = self._failing_since.setdefault(batch.key, self._monotonic())
            if self._monotonic() - since >= _MAX_OUTAGE_S:
                raise
            await self._write(batch)
        finally:
            if not is_handed_over:
                self._downloaded.release()
