"""Batches at a provider: a hundred that are ready after 2 to 12 seconds, and one after 40. How soon are they stored?

    ingest          firebeam ingest --input=batches://openai, one request polls all
    wait_for_all    the same client: one request polls all; when all are ready they are downloaded and stored
    one_by_one      the same client: one request per running batch and poll; each is stored when it is ready

Every way asks every half a second. The peers store pairs by the client library, without checks, accounts and ledger.
The provider is a scripted server in a process of its own.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from benchmarks.jobs import run_job
from benchmarks.measure import CaseError, Meter, Sample
from benchmarks.peers import store_pairs
from benchmarks.workload import profile
from pipeline.jobs.ingest import JOB
from pipeline.providers import read_provider
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.jobs import job_document
from transforms.ledger.provider_batches import ProviderBatches
from transforms.providers.api import HttpBatchApi
from transforms.providers.remote import RemoteBatch, State
from transforms.secrets import parse_secret
from transforms.testing.providers import ScriptedProvider, scripted_provider

_FAST, _PER_BATCH = 100, 20
_FIRST_S, _LAST_S, _SLOWEST_S = 2.0, 12.0, 40.0
_POLL_S = 0.5
# After the last fast one is ready all of them are stored within this time, and nothing happens until the slow one is.
_STORED_S = 5.0
_JOB_ID = "batches-benchmark"


class _Ends(NamedTuple):
    """When the provider has a batch, and when its documents are there: seconds since 1970, by its first request."""

    ready: Mapping[str, float]
    stored: Mapping[str, float]


def batches(how: str, project: str) -> Sample:
    """Triggers all, and stores each.

    Args:
      how: ingest, wait_for_all or one_by_one.
    """
    os.environ["OPENAI_API_KEY"] = "sk-of-a-benchmark"
    with scripted_provider("openai", {"batches": list(_script())}) as provider, tempfile.TemporaryDirectory() as folder:
        files = _write_requests(Path(folder))
        with _CpuMeter() as cpu:
            meter, stored = _WAYS[how](provider, files, project)
        ready = {
            name: batch.created_at + _ready_s(int(name.partition("-")[0]))
            for batch in provider.batches()
            for name in batch.custom_ids
            if name.endswith("-0")
        }
        polls = len(provider.requests("list", "get"))
    ends = _Ends(ready, stored)
    return meter.sample(**_figures(ends), requests=polls, core_percent=cpu.percent(*_quiet(ends)))


def _figures(ends: _Ends) -> dict[str, float]:
    """
    >>> _figures(_Ends({"0-0": 10.0, "1-0": 11.0, "100-0": 50.0}, {"0-0": 10.5, "1-0": 50.5, "100-0": 51.0}))
    {'after_ready_s': 0.5, 'early': 1}
    """
    slow = f"{_FAST}-0"
    early = sum(at < ends.ready[slow] for at in ends.stored.values())
    return {"after_ready_s": round(min(ends.stored.values()) - min(ends.ready.values()), 2), "early": early}


def _quiet(ends: _Ends) -> tuple[float, float]:
    """From when to when only the slow one is waited for."""
    *_, last_fast, slow = sorted(ends.ready.values())
    return last_fast + _STORED_S, slow - _POLL_S


def _ready_s(number: int) -> float:
    return _SLOWEST_S if number == _FAST else _FIRST_S + (_LAST_S - _FIRST_S) * number / (_FAST - 1)


def _script() -> Sequence[Mapping[str, Any]]:
    return [{"custom_id": f"{n}-0", "ready_s": _ready_s(n)} for n in range(_FAST + 1)]


def _write_requests(folder: Path) -> list[Path]:
    files = []
    for n in range(_FAST + 1):
        lines = (_request(f"{n}-{m}", profile(n * _PER_BATCH + m)) for m in range(_PER_BATCH))
        files.append(folder / f"{n:03d}.jsonl")
        files[-1].write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return files


def _request(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": orjson.dumps(record).decode()}]}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}


def _ingest(provider: ScriptedProvider, files: Sequence[Path], project: str) -> tuple[Meter, dict[str, float]]:
    n_profiles = len(files) * _PER_BATCH
    flags = [
        "--input=batches://openai",
        f"--requests={files[0].parent}/*.jsonl",
        f"--provider_var=base_url={provider.base_url}",
        f"--min_poll_interval_s={_POLL_S}",
        f"--max_poll_interval_s={_POLL_S}",
        f"--max_running={len(files)}",
        "--key=record",
        f"--project={project}",
        f"--job_id={_JOB_ID}",
    ]
    meter, summary = run_job(JOB, n_profiles, flags)
    if summary["written"] != n_profiles:
        raise CaseError(f"ingest of {n_profiles} profiles from batches: {summary}")
    client = FirestoreTarget(project, emulator_host=os.environ["FIRESTORE_EMULATOR_HOST"]).connect()
    taken = ProviderBatches(job_document(client, _JOB_ID)).all().values()
    return meter, {f"{each.number}-0": each.completed_at.timestamp() for each in taken if each.completed_at}


def _peer(follow: Callable[[_Peer, dict[str, int]], Any]) -> Callable[..., tuple[Meter, dict[str, float]]]:
    def run(provider: ScriptedProvider, files: Sequence[Path], project: str) -> tuple[Meter, dict[str, float]]:
        async def opened() -> dict[str, float]:
            description = read_provider("openai").with_variables({"base_url": provider.base_url}, creates=True)
            async with HttpBatchApi(description, parse_secret("env:OPENAI_API_KEY", "--api_key")) as api:
                peer = _Peer(api, files, project)
                await follow(peer, await peer.trigger())
                return peer.stored

        with Meter(len(files) * _PER_BATCH) as meter:
            stored = asyncio.run(opened())
        return meter, stored

    return run


class _Peer:
    """Triggers, downloads and stores without any of what makes it safe."""

    def __init__(self, api: HttpBatchApi, files: Sequence[Path], project: str):
        self.api, self._files, self._project = api, files, project
        self.stored: dict[str, float] = {}

    async def trigger(self) -> dict[str, int]:
        """Numbers of the batches by the provider's id."""
        ids = [await self.api.create(file, _PER_BATCH, f"fb-{n}") for n, file in enumerate(self._files)]
        return {batch_id: n for n, batch_id in enumerate(ids)}

    async def take(self, batch: RemoteBatch, number: int) -> None:
        """Downloads one and stores it."""
        with tempfile.TemporaryDirectory() as folder:
            (path,) = await self.api.download(batch, Path(folder))
            answers = [orjson.loads(line)["response"]["body"] for line in path.read_bytes().splitlines()]
        records = [orjson.loads(answer["choices"][0]["message"]["content"]) for answer in answers]
        await asyncio.to_thread(store_pairs, self._project, records)
        self.stored[f"{number}-0"] = time.time()


async def _wait_for_all(peer: _Peer, numbers: dict[str, int]) -> None:
    while True:
        found = await peer.api.poll(numbers)
        if all(each.state is State.READY for each in found.values()):
            break
        await asyncio.sleep(_POLL_S)
    for batch_id, number in numbers.items():
        await peer.take(found[batch_id], number)


async def _one_by_one(peer: _Peer, numbers: dict[str, int]) -> None:
    async def follow(batch_id: str, number: int) -> None:
        while (batch := await peer.api.get(batch_id)).state is not State.READY:
            await asyncio.sleep(_POLL_S)
        await peer.take(batch, number)

    await asyncio.gather(*(follow(batch_id, number) for batch_id, number in numbers.items()))


_WAYS = {"ingest": _ingest, "wait_for_all": _peer(_wait_for_all), "one_by_one": _peer(_one_by_one)}


class _CpuMeter:
    """CPU of this process, looked at all the time."""

    def __enter__(self) -> _CpuMeter:
        self._seen: list[tuple[float, float]] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_over.set()
        self._thread.join()

    def percent(self, since: float, until: float) -> float:
        """Of a core, between two times in seconds since 1970."""
        quiet = [(at, cpu) for at, cpu in self._seen if since <= at <= until]
        (began, before), (ended, after) = quiet[0], quiet[-1]
        return 100 * (after - before) / (ended - began)

    def _watch(self) -> None:
        while not self._is_over.wait(_POLL_S):
            self._seen.append((time.time(), time.process_time()))
