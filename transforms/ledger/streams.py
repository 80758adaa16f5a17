"""The documents of streams of changes: how each is, how far it has come, what it has counted. Plain Python.

    pipeline_streams/{job_id}:{stream}
        job_id, attempt, stream, owner {host, pid, since}, query, query_fingerprint, spec_fingerprint, sinks, priority
        part_of, parts_asked, names {start, end}  of a part of a stream
        state, reason, since, updated_at, expire_at
        position {kind, …}                        as `positions.to_json`; null before the first one
        counts, counts_before {…}                 the job's counters, absolute; before: when this run began
        rates {changes_per_min, limit_per_min, error_rate_5m}, latency {p50_ms, p99_ms}, lag_s, buffered,
        backpressure_events, optimizations_applied
        heartbeat_at, last_change_at, restarts, reconnects, compares, last_error {code, message, at}
        journal/{n}                               see stream_journal.py

Batches of a stream are not written down: its position says what need not be done again, and its counts are saved with
the position, so that nothing is counted twice. `claim` makes a stream a run's own; `stream_writer.py` writes it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import Any

from transforms.counters import Counters
from transforms.errors import JobError, UsageError
from transforms.firestore import messages
from transforms.firestore.changes.positions import Position, from_json, to_json
from transforms.firestore.client import FirestoreClient
from transforms.firestore.committer import Conflicted
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.ledger.document import KEPT, LedgerDocument
from transforms.ledger.owners import Owner
from transforms.ledger.stored_fields import OWNER, Types, misfit
from transforms.retry import Retry

STREAMS = "pipeline_streams"

STARTING, COMPARING, CATCHING_UP, LIVE = "starting", "comparing", "catching up", "live"
PAUSED, RECONNECTING, DEGRADED, FAILED, STOPPED = "paused", "reconnecting", "degraded", "failed", "stopped"
_FIELDS: Types = {
    "job_id": (str,),
    "attempt": (int,),
    "stream": (str,),
    "owner": (dict,),
    "state": (str,),
    "reason": (str,),
    "position": (dict, NoneType),
    "updated_at": (datetime.datetime,),
    "counts": (dict,),
    "counts_before": (dict,),
}
STATES = (STARTING, COMPARING, CATCHING_UP, LIVE, PAUSED, RECONNECTING, DEGRADED, FAILED, STOPPED)


@dataclass(frozen=True)
class StreamDescription:
    """What a stream is asked for.

    Attributes:
      stream_id: its name, unique in the job.
      query: as people read it.
      query_fingerprint: of what is listened to.
      spec_fingerprint: of what becomes of a document; empty without a record spec.
      sinks: where changes go.
      priority: as it was given; empty for none.
      limit_per_min: changes per minute; None for no limit.
      part: of a stream that is a part of another one, fields that say which; see pipeline/jobs/listen_ranges.py.
    """

    stream_id: str
    query: str
    query_fingerprint: str
    spec_fingerprint: str = ""
    sinks: tuple[str, ...] = ()
    priority: str = ""
    limit_per_min: float | None = None
    part: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedStream:
    """A stream as its document has it.

    Attributes:
      document_id: of the document.
      position: behind all that is done; None if there is none yet.
      fields: all of them.
    """

    document_id: str
    job_id: str
    attempt: int
    stream_id: str
    state: str
    reason: str
    position: Position | None
    owner: Owner
    owned_since: datetime.datetime
    updated_at: datetime.datetime
    counts: Mapping[str, int]
    counts_before: Mapping[str, int]
    fields: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, document_id: str, fields: Mapping[str, Any]) -> SavedStream:
        """From the fields of its document. Raises UsageError if it is somebody else's."""
        foreign = UsageError(
            f"{STREAMS}/{document_id} is not a stream of Firebeam, which leaves it alone; choose another --job_id"
        )
        if misfit(fields, _FIELDS) or misfit(fields["owner"], OWNER) or fields["state"] not in STATES:
            raise foreign
        if not all(type(n) is int for counts in ("counts", "counts_before") for n in fields[counts].values()):
            raise foreign
        try:
            position = None if fields["position"] is None else from_json(fields["position"])
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            raise foreign from None
        owner = fields["owner"]
        return cls(
            document_id,
            fields["job_id"],
            fields["attempt"],
            fields["stream"],
            fields["state"],
            fields["reason"],
            position,
            Owner(owner["host"], owner["pid"]),
            owner["since"],
            fields["updated_at"],
            fields["counts"],
            fields["counts_before"],
            fields,
        )

    def counts_of_run(self) -> dict[str, int]:
        """What was counted since the present run began."""
        return {name: n - self.counts_before.get(name, 0) for name, n in self.counts.items()}


def stream_document(client: FirestoreClient, job_id: str, stream_id: str, retry: Retry | None = None) -> LedgerDocument:
    """Where a stream of a job is kept."""
    return LedgerDocument(client, f"{STREAMS}/{document_id_of(job_id, stream_id)}", retry)


def document_id_of(job_id: str, stream_id: str) -> str:
    """
    >>> document_id_of("listen-1", "candles/EUR_USD/H1")
    'listen-1:candles%2FEUR_USD%2FH1'
    """
    escaped = stream_id.replace("%", "%25").replace("/", "%2F")
    return f"{job_id}:{escaped}"


def read_stream(document: LedgerDocument) -> SavedStream | None:
    """The stream; None if it was never begun. Raises UsageError for a document that is somebody else's."""
    found = document.read()
    return SavedStream.of(found.id, found.fields) if found else None


def read_streams(client: FirestoreClient, job_id: str | None = None, retry: Retry | None = None) -> list[SavedStream]:
    """The streams of a job, or all there are, by id. What is not a stream is passed over."""
    query = Query(STREAMS)
    if job_id is not None:
        query = query.where("job_id", "==", job_id)
    found = []
    for document in read(client, query, retry=retry):
        try:
            found.append(SavedStream.of(document.id, document.fields))
        except UsageError:
            continue
    return found


def summed(streams: Sequence[SavedStream], counters: Counters) -> dict[str, int]:
    """What streams have counted in their present runs, by counter."""
    of_runs = [stream.counts_of_run() for stream in streams]
    return {each.name: sum(counts.get(each.name, 0) for counts in of_runs) for each in counters.all}


def claim(
    document: LedgerDocument,
    description: StreamDescription,
    owner: Owner,
    attempt: int,
    position: Position | None,
    counters: Counters,
) -> None:
    """Makes a stream the one of a run: whoever had it before cannot write it any more.

    Args:
      position: where it begins.

    Raises:
      JobError: it changes all the time: another process runs it.
    """
    attempts = document.retry.attempts()
    while True:
        found = document.read()
        before = SavedStream.of(found.id, found.fields) if found else None
        fields = _claimed(document, description, owner, attempt, position, counters, before)
        condition = messages.if_unchanged_since(found.update_time) if found and found.update_time else b""
        outcome = document.write(fields, condition or messages.IF_ABSENT)
        if not isinstance(outcome, Conflicted):
            return
        if not attempts.again():
            raise JobError(f"{document.path} is written by another process all the time; stop that one")


def _claimed(
    document: LedgerDocument,
    description: StreamDescription,
    owner: Owner,
    attempt: int,
    position: Position | None,
    counters: Counters,
    before: SavedStream | None,
) -> dict[str, Any]:
    now = document.now()
    kept = before.fields if before else {}
    counts = {**dict.fromkeys(counters.names, 0), **(before.counts if before else {})}
    is_same_run = before is not None and before.attempt == attempt
    return {
        "job_id": document.id.partition(":")[0],
        "attempt": attempt,
        "stream": description.stream_id,
        **description.part,
        "owner": {"host": owner.host, "pid": owner.pid, "since": now},
        "query": description.query,
        "query_fingerprint": description.query_fingerprint,
        "spec_fingerprint": description.spec_fingerprint,
        "sinks": list(description.sinks),
        "priority": description.priority,
        "state": STARTING,
        "reason": "",
        "since": now,
        "updated_at": now,
        "expire_at": now + KEPT,
        "position": None if position is None else to_json(position),
        "counts": counts,
        "counts_before": dict(before.counts_before) if before and is_same_run else counts,
        "rates": {"changes_per_min": 0.0, "limit_per_min": description.limit_per_min, "error_rate_5m": 0.0},
        "latency": {"p50_ms": None, "p99_ms": None},
        "lag_s": None,
        "buffered": 0,
        "backpressure_events": kept.get("backpressure_events", 0),
        "optimizations_applied": [],
        "heartbeat_at": kept.get("heartbeat_at"),
        "last_change_at": kept.get("last_change_at"),
        "restarts": kept.get("restarts", -1) + 1,
        "reconnects": kept.get("reconnects", 0),
        "compares": kept.get("compares", 0),
        "last_error": kept.get("last_error"),
    }
