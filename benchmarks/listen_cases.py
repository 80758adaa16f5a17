"""Listening to a scripted Firestore: what a change costs, how long it takes, what a quiet listener costs.

known      the first result, then one change after the other        CPU, memory that is kept
streams    eight collections, a change every few milliseconds       from write to sink
burst      thousands of documents as fast as they can be written    none is lost
idle       eight collections in which nothing happens               share of a core
hour       a simulated hour of heartbeats, changes and reconnects   memory at its beginning and end
"""

import contextlib
import ctypes
import gc
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.listen_server import SPEED_UP, ListenServer, Stored, Writes
from benchmarks.listeners import LISTENERS, SINK
from benchmarks.measure import Meter, Sample

_STREAMS = 8
_PER_STREAM = 100  # documents of each
_WARM_UP = 5
_PER_COMMIT = 500
_HOUR_S, _SETTLED_AFTER_S = 3600.0, 600.0
_CHANGES_PER_S = 10.0  # of real time, in the simulated hour


def known(listener: str, documents: int, changes: int) -> Sample:
    """Changes of a collection with so many documents, each written when the one before has come."""
    stored = Stored(documents)
    with ListenServer(stored) as server, contextlib.ExitStack() as stack:
        with Meter(documents) as first:
            stack.enter_context(LISTENERS[listener](server.target, stored.names))
            SINK.wait_for(documents)
        held_mb = settled_mb()
        _one_by_one(server, documents, 0, _WARM_UP)
        with Meter(changes) as meter:
            _one_by_one(server, documents, _WARM_UP, changes)
        return meter.sample(
            documents=documents,
            first_cpu_us=first.sample().cpu_us,
            held_mb=held_mb,
            latency_ms=_latency_ms(_WARM_UP),
        )


def _one_by_one(server: ListenServer, documents: int, first: int, changes: int) -> None:
    for n in range(first, first + changes):
        server.write(Writes(n, 1))
        SINK.wait_for(documents + n + 1)
        server.finish()


def streams(listener: str, changes: int, interval_s: float) -> Sample:
    """Changes of eight collections in turn."""
    stored = Stored(_PER_STREAM, _STREAMS)
    with _listened(listener, stored) as server:
        return _written(server, Writes(0, changes, interval_s=interval_s))


def burst(listener: str, changes: int) -> Sample:
    """As many documents as there are in a collection, changed at once."""
    with _listened(listener, Stored(changes)) as server:
        return _written(server, Writes(0, changes, _PER_COMMIT))


def idle(listener: str, seconds: float) -> Sample:
    """Eight collections; heartbeats only, three times as many as the service sends at least."""
    with _listened(listener, Stored(_PER_STREAM, _STREAMS, heartbeat_s=10.0)), Meter(1) as meter:
        time.sleep(seconds)
    sample = meter.sample()
    return meter.sample(core_percent=100 * sample.cpu_s / sample.wall_s)


def hour(listener: str) -> Sample:
    """Eight collections: heartbeats and changes; the service ends each stream twice, and the group is checkpointed."""
    stored = Stored(_PER_STREAM, _STREAMS, max_age_s=_HOUR_S / 3, simulated=True)
    n_settled = int(_SETTLED_AFTER_S / SPEED_UP * _CHANGES_PER_S)
    n_later = int((_HOUR_S - _SETTLED_AFTER_S) / SPEED_UP * _CHANGES_PER_S)
    with _listened(listener, stored, simulated=True) as server:
        _written(server, Writes(0, n_settled, interval_s=1 / _CHANGES_PER_S))
        before_mb = settled_mb()
        sample = _written(server, Writes(n_settled, n_later, interval_s=1 / _CHANGES_PER_S))
        after_mb = settled_mb()
    sample.extra |= {"held_mb": after_mb, "growth": after_mb / before_mb}
    return sample


@contextlib.contextmanager
def _listened(listener: str, stored: Stored, **how: Any) -> Any:
    """A server to which the listener has caught up."""
    with ListenServer(stored) as server, LISTENERS[listener](server.target, stored.names, **how):
        SINK.wait_for(stored.documents * stored.collections)
        yield server


def _written(server: ListenServer, writes: Writes) -> Sample:
    """What it costs to receive these writes; all of them have come."""
    n_documents = server.stored.documents * server.stored.collections
    with Meter(writes.count) as meter:
        server.write(writes)
        SINK.wait_for(n_documents + writes.first + writes.count)
    server.finish()
    return meter.sample(latency_ms=_latency_ms(writes.first))


def _latency_ms(first: int) -> dict[str, float]:
    """p50 and p99, from write to sink, from a write on."""
    ordered = sorted(latency for n, latency in SINK.latency_ns.items() if n >= first)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"p50": round(statistics.median(ordered) / 1e6, 1), "p99": round(p99 / 1e6, 1)}


def settled_mb() -> float:
    """The memory that this process holds now, without what is only garbage, in MB; Linux."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)  # of glibc
    status = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6
