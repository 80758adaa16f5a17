"""Ledgers as the status page may find them: documents by path, for a scripted Firestore."""

from __future__ import annotations

import datetime
import random
from typing import Any

from transforms.ledger.owners import Owner
from transforms.outcomes import RECORDS

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
PER_BATCH = 500


def after(seconds: float, since: datetime.datetime = NOON) -> datetime.datetime:
    """A time so many seconds later."""
    return since + datetime.timedelta(seconds=seconds)


def job_fields(
    state: str = "completed",
    *,
    job: str = "ingest",
    started_at: datetime.datetime = NOON,
    seen_at: datetime.datetime | None = None,
    error: str | None = None,
    owner: Owner | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The document of a job."""
    owner, seen_at = owner or Owner("laptop", 17), seen_at or started_at
    return {
        "job": job,
        "state": state,
        "attempt": 1,
        "parameters": {"input": ["a.jsonl"], "dead_letters": "dead_letters", "max_dead_letter_ratio": 0.1},
        "input_fingerprint": "input",
        "spec_fingerprint": "spec",
        "bytes_total": None,
        "owner": {"host": owner.host, "pid": owner.pid, "since": started_at},
        "heartbeat_at": seen_at,
        "started_at": started_at,
        "finished_at": None if state == "running" else seen_at,
        "error": error,
        "totals": {},
        **more,
    }


def own_batch(begun_at: datetime.datetime, took_s: float | None, *, dead: int = 0, **more: Any) -> dict[str, Any]:
    """The document of one of a job's own batches; without `took_s` it is not done yet."""
    is_done = took_s is not None
    counts = RECORDS.kept({"read": PER_BATCH, "written": PER_BATCH - dead, "dead_letter_count": dead})
    found = {
        "state": "completed" if is_done else "processing",
        "attempt": 1,
        "source": "a.jsonl",
        **(counts if is_done else RECORDS.kept({})),
        "dead_letters": [{"step": "FlattenRecords", "code": "MISSING_FIELD", "count": dead}] if dead else [],
        "has_dead_letters": bool(dead),
        "started_at": begun_at,
        "completed_at": after(took_s, begun_at) if took_s is not None else None,
        "error": None,
        "ids": ["ada@example.org"],
    }
    return {**found, **more}


def provider_batch(
    number: int, state: str, begun_at: datetime.datetime, waited_s: float, **more: Any
) -> dict[str, Any]:
    """The document of a batch at a provider that takes `waited_s` until it is ready, and two seconds to store."""
    ready, writing, done = (after(waited_s + s, begun_at) for s in (0, 0.3, 2.3))
    reached = {"ready": 1, "processing": 2, "completed": 3, "failed": 0, "undecided": 0, "running": 0}.get(state, 0)
    return {
        "state": state,
        "provider": "openai",
        "remote_id": f"batch_68a1{number:06d}",
        "number": number,
        "source": "requests/a.jsonl",
        "requests": PER_BATCH,
        "run": 1,
        "tries": [],
        "outcome": "complete" if state == "completed" else None,
        "answers": PER_BATCH if state == "completed" else 0,
        "failed": 0,
        "missing": 0,
        "input_tokens": 61_000 + 40 * (number % 7) if state == "completed" else None,
        "output_tokens": 18_000 + 25 * (number % 11) if state == "completed" else None,
        "planned_at": begun_at,
        "triggered_at": begun_at,
        "ready_at": ready if reached >= 1 else None,
        "processing_at": writing if reached >= 2 else None,
        "completed_at": done if reached >= 3 else None,
        "updated_at": done if reached >= 3 else begun_at if state == "running" else ready,
        "error_code": "",
        "error_text": "",
        "profiles": ["ada@example.org"],
        **more,
    }


def ledger_of(
    n: int,
    *,
    job_id: str = "ingest-1",
    at_provider: bool = True,
    state: str = "completed",
    ends_at: datetime.datetime | None = None,
    seed: int = 1,
    **more: Any,
) -> dict[str, dict[str, Any]]:
    """A job of `n` batches, of which some are slow, some failed, and the last ones run, if the job does."""
    draw = random.Random(seed)
    every_s = 1.2 if n < 1_000 else 0.4
    length_s = n * every_s + 60
    start = after(-length_s, ends_at) if ends_at else NOON
    documents: dict[str, dict[str, Any]] = {}
    completed = 0
    for number in range(n):
        begun, waited_s = after(number * every_s, start), draw.choice((8, 14, 22, 30)) + draw.random() * 9
        waited_s += 60 if number % 23 == 5 else 0
        running = state == "running" and number >= n * 0.8
        failed = number % 17 == 11 and not running
        path, key = f"pipeline_jobs/{job_id}", f"fb-{number:06d}"
        dead = 3 if number % 9 == 4 else 0
        if at_provider:
            phase = ("running", "processing")[number % 4 == 0] if running else "failed" if failed else "completed"
            wrong = {"error_code": "server_error", "error_text": "the batch could not be processed"} if failed else {}
            documents[f"{path}/provider_batches/{key}"] = provider_batch(number, phase, begun, waited_s, **wrong)
        if failed and at_provider:
            continue
        own_begun = after(waited_s + 0.3, begun) if at_provider else begun
        took_s = None if running else 2.0 if at_provider else waited_s / 5
        if not (running and at_provider and number % 4):
            more_own = {"retries": 2} if number % 31 == 3 else {}
            documents[f"{path}/batches/{key}"] = own_batch(own_begun, took_s, dead=dead, **more_own)
        completed += not running
    end = ends_at or after(length_s + 45, start)
    live = {
        "batches_total": n,
        "batches_waiting": 0,
        "batches_processing": 0,
        "batches_completed": completed,
        "batches_failed": 0,
        "progress": 1.0 if state == "completed" else completed / n if n else None,
        "profiles": ["ada@example.org", "grace@example.org"],
        "records": {},
        "tokens": {"input": 61_000 * completed, "output": 18_000 * completed},
    }
    parameters = {
        "input": ["batches://openai" if at_provider else "a.jsonl"],
        "requests": ["requests/*.jsonl"] if at_provider else [],
        "dead_letters": "gs://my-bucket/dead_letters",
        "max_dead_letter_ratio": 0.1,
    }
    fields = job_fields(state, started_at=start, seen_at=end, parameters=parameters, **{**live, **more})
    documents[f"pipeline_jobs/{job_id}"] = fields
    return documents
