"""A provider in memory, whose batches do what a plan says, and which can be cut off at any of its calls."""

import asyncio
import contextlib
import datetime
import json
from dataclasses import dataclass, field

from transforms.errors import TransientError
from transforms.providers.remote import (
    QueueFullError,
    RefusedError,
    RemoteBatch,
    State,
    UncertainError,
    UnknownBatchError,
)

COMPLETE, EXPIRED, FAILED, SILENT = "complete", "expired", "failed", "silent"


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Behaviour:
    """What a batch does.

    Attributes:
      polls: how often it is still running when it is looked at.
      end: complete; expired: requests whose number is odd are answered as expired; silent: they are not in the results;
        failed: without results.
      create: ok; lost: created, but nobody hears of it; nothing: not created, and the answer is lost; full: refused
        once because of the queue; refused.
      download: ok; gone.
      failures: how often a download breaks off.
      download_s: how long it takes.
    """

    polls: int = 0
    end: str = COMPLETE
    create: str = "ok"
    code: str = "broken"
    download: str = "ok"
    failures: int = 0
    download_s: float = 0.0


@dataclass
class _Batch:
    id: str
    key: str
    names: list
    behaviour: Behaviour
    polls: int = 0


@dataclass
class FakeProvider:
    """The provider's side; outlives every process.

    Attributes:
      behaviours: by the number that the names of a batch have, the first time that it is created; others complete.
      has_keys: whether it keeps the keys that batches are created with.
      has_list: whether a batch whose answer was lost can be looked for.
      failing_polls: numbers of the polls, from 1, that the provider does not answer.
      knows: whether it knows any batch, as with the key of another account.
      create_s: until a create is answered; the batch is there before.
      ends_always: whether batches that are triggered again do the same again.
      most: the greatest number of batches that have run at the same time.
      kill_at: number of the call, of all calls, at which the process is killed; before it takes effect if even.
    """

    behaviours: list = field(default_factory=list)
    has_keys: bool = True
    has_list: bool = True
    failing_polls: tuple = ()
    knows: bool = True
    create_s: float = 0.0
    ends_always: bool = False
    most: int = 0
    kill_at: int | None = None
    batches: dict = field(default_factory=dict)
    seen: dict = field(default_factory=dict)
    creates: int = 0
    calls: int = 0
    polls: int = 0
    now: datetime.datetime = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

    @contextlib.asynccontextmanager
    async def connect(self):
        yield _Api(self)

    @contextlib.contextmanager
    def call(self):
        """One call, during which the process may be killed."""
        self.calls += 1
        is_last = self.calls == self.kill_at
        if is_last and self.kill_at % 2 == 0:
            raise Killed
        yield
        if is_last:
            raise Killed

    def behaviour_of(self, names):
        """What a batch of these requests does."""
        number = int(names[0].partition("-")[0][1:])
        self.seen[number] = self.seen.get(number, 0) + 1
        is_planned = number < len(self.behaviours) and (self.ends_always or self.seen[number] == 1)
        return self.behaviours[number] if is_planned else Behaviour()

    def existing(self, names, behaviour=None):
        """A batch that exists already; returns its id."""
        return self.create("", names, behaviour or Behaviour()).id

    def create(self, key, names, behaviour):
        batch = _Batch(f"batch_{len(self.batches) + 1}", key, names, behaviour)
        self.batches[batch.id] = batch
        return batch


class _Api:
    def __init__(self, provider):
        self._provider = provider

    async def create(self, requests, n_requests, key):
        await asyncio.sleep(0)
        provider = self._provider
        with provider.call():
            names = [json.loads(line)["custom_id"] for line in requests.read_text().splitlines()]
            assert len(names) == n_requests
            behaviour = provider.behaviour_of(names)
            provider.creates += 1
            if behaviour.create == "full":
                raise QueueFullError("too many are queued")
            if behaviour.create == "refused":
                raise RefusedError("invalid_model", "there is no such model")
            if behaviour.create == "nothing":
                raise UncertainError("no answer")
            created = provider.create(key, names, behaviour)
            if behaviour.create == "lost":
                raise UncertainError("no answer")
            await asyncio.sleep(provider.create_s)
        return created.id

    async def created_with(self, key, since, n_requests):
        provider = self._provider
        if not provider.has_list:
            raise UncertainError("there is no list")
        with provider.call():
            found = provider.batches.values()
            matching = [
                each for each in found if (each.key == key if provider.has_keys else len(each.names) == n_requests)
            ]
            return [self._remote(each, looks=False) for each in matching]

    async def poll(self, ids):
        self._provider.polls += 1
        if self._provider.polls in self._provider.failing_polls:
            raise TransientError("no answer")
        known = self._provider.batches if self._provider.knows else {}
        self._provider.most = max(self._provider.most, len(ids))
        with self._provider.call():
            return {each: self._remote(known[each]) for each in ids if each in known}

    async def get(self, batch_id):
        if batch_id not in self._provider.batches:
            raise UnknownBatchError(batch_id)
        return self._remote(self._provider.batches[batch_id])

    async def download(self, batch, folder):
        await asyncio.sleep(self._provider.batches[batch.id].behaviour.download_s)
        with self._provider.call():
            found = self._provider.batches[batch.id]
            if found.behaviour.download == "gone":
                raise RefusedError("RESULTS_GONE", "they are deleted")
            if found.behaviour.failures:
                found.behaviour.failures -= 1
                raise TransientError("the download breaks off")
            path = folder / "results.jsonl"
            path.write_text("".join(json.dumps(line) + "\n" for line in _lines(found)))
        return [path]

    async def cancel(self, batch_id):
        self._provider.batches[batch_id].behaviour.end = FAILED

    async def close(self):
        pass

    def _remote(self, batch, *, looks=True):
        behaviour = batch.behaviour
        if looks:
            batch.polls += 1
        state = {COMPLETE: State.READY, FAILED: State.FAILED}.get(behaviour.end, State.PARTIAL)
        if batch.polls <= behaviour.polls:
            state = State.RUNNING
        code = behaviour.code if state is State.FAILED else ""
        key = batch.key if self._provider.has_keys else None
        return RemoteBatch(batch.id, state, key, self._provider.now, len(batch.names), error_code=code)


def _lines(batch):
    for name in batch.names:
        is_odd = int(name.rpartition("-")[2]) % 2
        if is_odd and batch.behaviour.end == SILENT:
            continue
        if is_odd and batch.behaviour.end == EXPIRED:
            yield {
                "id": name,
                "custom_id": name,
                "response": None,
                "error": {"code": "batch_expired", "message": "late"},
            }
            continue
        answer = json.dumps({"name": f"Person {name}"})
        message = {"role": "assistant", "content": answer}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        usage = {"prompt_tokens": 10, "completion_tokens": 2}
        body = {"object": "chat.completion", "choices": choices, "usage": usage}
        yield {"id": name, "custom_id": name, "response": {"status_code": 200, "body": body}, "error": None}
