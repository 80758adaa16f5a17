"""The published document of a job, and of the jobs: what the page, the file, the stream and `status --json` say.

    {…what `status --json` has of a job…,
     "page": {
       "sentence", "database", "command",              in a sentence; what resumes it, empty of one that is completed
       "at", "owner", "progress",
       "counters": {"total", "parts", "aside"},
       "adds_up",                                      whether read = what became of what was read
       "batches": {"at_provider", "total", "phases", "shown": [a batch, …], "others": {"from", "width_s", "active"}},
       "over_time": {"from", "width_s", "records_per_s", "batches_per_s", "retries", "p50_s", "p95_s",
                     "input_tokens", "output_tokens", "cost_usd"},    lists of one length, a number per bin
       "latency": {"since", "p50_s", "p95_s", "batches"},
       "dead_letters": {"label", "total", "retryable", "by": [{"step", "code", "count"}], "commands"},
       "spent": {"input_tokens", "output_tokens", "cached_tokens", "asked", "stored", "cost_usd", "max_spend_usd"},
       "results", "streams", "field_warnings"}}

`spent` is None, and so are its lists over time, where neither a provider nor an analysis is asked; `cost_usd` is None
where no prices are known. Times are ISO 8601 in UTC, durations seconds. Lists have at most 300 numbers, `shown` at most
200 batches.
"""

from __future__ import annotations

import datetime
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pipeline.present.counts import kinds_as_json
from pipeline.present.followed import ShownFollow
from pipeline.present.page.shown_batches import (
    ANALYSIS_ASKED,
    ANALYSIS_CACHED,
    ANALYSIS_COST,
    ANALYSIS_INPUT,
    ANALYSIS_OUTPUT,
    ANALYSIS_STORED,
    DONE,
    FAILED,
    PHASES,
    ShownBatch,
    chosen,
)
from pipeline.present.page.timeline import Timeline, quantile
from pipeline.present.progress import duration
from pipeline.present.status import Status, is_at_provider
from pipeline.present.streams import ShownStream
from transforms.ledger.jobs import COMPLETED, RUNNING
from transforms.ledger.totals import Totals
from transforms.outcomes import RETRYABLE_COUNT

_P50, _P95 = 0.5, 0.95
_SIGNIFICANT = 4
_ANALYSIS = "analysis"
_MAX_SPEND = "max_spend_usd"
_MIN_POINTS, _MOST_POINTS, _BATCHES_PER_POINT = 40, 150, 3
_MAX_RESULT_TEXT = 200


@dataclass(frozen=True)
class JobData:
    """All that the ledger says of a job.

    Attributes:
      status: the job and its totals.
      database: its name.
      own: the job's own batches.
      at_provider: its batches at a provider; empty where it has none.
      results: what its last step found out.
      streams: of a job that listens.
      command: resumes it.
      replay_commands: by kind of dead letters.
    """

    status: Status
    database: str
    own: Sequence[ShownBatch] = ()
    at_provider: Sequence[ShownBatch] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    streams: Sequence[ShownStream] = ()
    command: str = ""
    replay_commands: Mapping[str, str] = field(default_factory=dict)

    @property
    def batches(self) -> Sequence[ShownBatch]:
        """Those that have bars: the provider's, where there are any."""
        return self.at_provider or self.own

    @property
    def is_at_provider(self) -> bool:
        """Whether its batches are a provider's, also before there is one."""
        return bool(self.at_provider) or is_at_provider(self.status.job)

    @property
    def is_analysed(self) -> bool:
        """Whether a model is asked about its records."""
        return bool(self.status.job.parameters.get("analyse"))


def job_document(data: JobData, *, show_ids: bool) -> dict[str, Any]:
    """The document of a job.

    Args:
      show_ids: whether it has ids of documents, which may be names of people.
    """
    status = data.status
    found = status.as_dict()
    if not show_ids:
        found["newest_ids"] = []
    return {**found, "page": _page(data)}


def jobs_document(
    database: str, statuses: Sequence[Status], at: datetime.datetime, followed: Sequence[ShownFollow] = ()
) -> dict[str, Any]:
    """The document of the jobs that were started last, newest first, and of the migrations that are followed."""
    jobs, rows = [_of_list(each) for each in statuses], [each.as_row() for each in followed]
    return {"at": at.isoformat(), "database": database, "jobs": jobs, "followed": rows}


def sentence(status: Status) -> str:
    """A job in a sentence."""
    totals, live, pace = status.totals, status.job.live, status.pace
    counters = totals.counters
    total = live.get("batches_total")
    done = live.get("batches_completed") if total else totals.batches
    n = f"{done:,} of {total:,}" if total and status.state != COMPLETED else f"{done or 0:,}"
    parts = [status.state, f"{n} {counters.batches}", f"{totals.total:,} {counters.total.unit}"]
    if totals.unwanted:
        parts.append(f"{totals.unwanted:,} {counters.unwanted.label}")
    if pace.records_per_s is not None:
        parts.append(f"{pace.records_per_s:,.0f}/s")
    if pace.left_s is not None:
        parts.append(f"{duration(pace.left_s)} left")
    elif status.state != RUNNING:
        parts.append(f"took {duration(status.elapsed_s)}")
    return ", ".join(parts)


def _of_list(status: Status) -> dict[str, Any]:
    counters = status.totals.counters
    return {
        "job_id": status.job.job_id,
        "job": status.job.job,
        "state": status.state,
        "attempt": status.job.attempt,
        "started_at": status.job.started_at.isoformat(),
        "elapsed_s": round(status.elapsed_s, 1),
        "progress": _share(status),
        "records": status.totals.total,
        "unit": counters.total.unit,
        "records_per_s": _rounded(status.pace.records_per_s),
        "unwanted": status.totals.unwanted,
        "unwanted_label": counters.unwanted.label,
        "batches_completed": status.job.live.get("batches_completed", status.totals.batches),
        "batches_total": status.job.live.get("batches_total"),
        "tokens": _tokens(status),
        "cost_usd": _cost_usd(status.totals),
        "sentence": sentence(status),
    }


def _share(status: Status) -> float | None:
    share = status.pace.share
    return _rounded(status.job.live.get("progress") if share is None else share)


def _page(data: JobData) -> dict[str, Any]:
    status = data.status
    counters, totals = status.totals.counters, status.totals
    unwanted = counters.unwanted
    by = kinds_as_json(unwanted.breakdown, totals.kinds_of(unwanted)) if unwanted.breakdown else []
    return {
        "at": status.at.isoformat(),
        "sentence": sentence(status),
        "database": data.database,
        "owner": str(status.job.owner),
        "progress": _share(status),
        "command": data.command if status.state not in (RUNNING, COMPLETED) else "",
        "adds_up": totals.adds_up,
        "counters": {
            "total": {"label": counters.total.label, "n": totals.total, "unit": counters.total.unit},
            "parts": [{"label": each.label, "n": totals[each.name]} for each in totals.shown_parts],
            "aside": [
                {"label": each.label, "n": each.plain(totals[each.name]), "unit": each.unit}
                for each in counters.aside
                if totals[each.name] and each.group != _ANALYSIS and each.name != RETRYABLE_COUNT
            ],
        },
        "batches": _batches(data),
        "over_time": _over_time(data),
        "latency": _latency(data),
        "dead_letters": {
            "label": unwanted.label,
            "total": totals.unwanted,
            "retryable": totals[RETRYABLE_COUNT] or None,
            "by": by if isinstance(by, list) else [{"kind": kind, "count": n} for kind, n in by.items()],
            "commands": dict(data.replay_commands) if totals.unwanted else {},
        },
        "spent": _spent(data),
        "results": _plain_results(data.results),
        "streams": [_stream(each) for each in data.streams],
        "field_warnings": list(status.fields.warnings),
    }


def _batches(data: JobData) -> dict[str, Any]:
    now = data.status.at
    shown, others = chosen(data.batches, now)
    phases = Counter(each.phase for each in data.batches)
    begun = [each.begun_at for each in data.batches if each.begun_at]
    found: dict[str, Any] = {
        "at_provider": data.is_at_provider,
        "label": "batches at the provider" if data.is_at_provider else data.status.totals.counters.batches,
        "total": len(data.batches),
        "phases": {phase: phases[phase] for phase in PHASES},
        "from": min(begun, default=data.status.job.started_at).isoformat(),
        "until": _end(data).isoformat(),
        "shown": [_batch(each, now) for each in shown],
        "others": None,
    }
    if others:
        spans = [(each.begun_at, each.ended_at or (now if not each.is_over else each.begun_at)) for each in others]
        known = [(start, end) for start, end in spans if start is not None and end is not None]
        time = Timeline.over(min(begun, default=now), _end(data))
        found["others"] = {
            "total": len(others),
            "from": time.begins(0).isoformat(),
            "width_s": time.width_s,
            "active": time.active(known),
        }
    return found


def _batch(batch: ShownBatch, now: datetime.datetime) -> dict[str, Any]:
    return {
        "key": batch.key,
        "name": batch.name,
        "phase": batch.phase,
        "state": batch.state,
        "provider": batch.provider,
        "begun_at": _iso(batch.begun_at),
        "ready_at": _iso(batch.ready_at),
        "writing_at": _iso(batch.writing_at),
        "ended_at": _iso(batch.ended_at),
        "took_s": round(batch.took_s(now), 3) if batch.is_over else None,
        "records": batch.records,
        "stored": batch.stored,
        "refused": batch.refused,
        "input_tokens": batch.input_tokens,
        "output_tokens": batch.output_tokens,
        "error": batch.error,
    }


def _over_time(data: JobData) -> dict[str, Any]:
    # Bins with a batch or two in each would only show that batches are counted when they are done.
    n_points = min(_MOST_POINTS, max(_MIN_POINTS, len(data.batches) // _BATCHES_PER_POINT))
    time = Timeline.over(data.status.job.started_at, _end(data), n_points)
    own = [each for each in data.own if each.phase == DONE and each.ended_at]
    ended = [each for each in data.batches if each.phase in (DONE, FAILED) and each.ended_at]
    took = [(each.ended_at, s) for each in data.batches if each.ended_at and (s := each.stored_after_s()) is not None]
    p50, p95 = time.quantiles(took, (_P50, _P95))
    return {
        "from": time.begins(0).isoformat(),
        "width_s": time.width_s,
        "records_per_s": _all_rounded(time.per_s((each.ended_at, each.records or 0) for each in own if each.ended_at)),
        "batches_per_s": _all_rounded(time.per_s((each.ended_at, 1) for each in ended if each.ended_at)),
        "retries": [int(n) for n in time.sums((each.ended_at, each.retries) for each in own if each.ended_at)],
        "p50_s": _all_rounded(p50),
        "p95_s": _all_rounded(p95),
        **_spent_over_time(data, time),
    }


def _spent_over_time(data: JobData, time: Timeline) -> dict[str, list[float] | None]:
    """Tokens and cost that have come up to the end of each bin."""
    ended = [each for each in (*data.at_provider, *data.own) if each.ended_at and each.is_over]

    def running(counted: Iterable[tuple[datetime.datetime | None, float | None]]) -> list[float]:
        known = ((at, n) for at, n in counted if at is not None and n is not None)
        return list(itertools.accumulate(time.sums(known)))

    if not (data.is_at_provider or data.is_analysed):
        return {"input_tokens": None, "output_tokens": None, "cost_usd": None}
    unit = _unit_of_cost(data.status.totals)
    cost = running((each.ended_at, each.cost * unit) for each in ended)
    return {
        "input_tokens": running((each.ended_at, each.input_tokens) for each in ended),
        "output_tokens": running((each.ended_at, each.output_tokens) for each in ended),
        "cost_usd": [float(f"{usd:.6g}") for usd in cost] if any(cost) else None,
    }


def _spent(data: JobData) -> dict[str, Any] | None:
    if not (data.is_at_provider or data.is_analysed):
        return None
    totals = data.status.totals
    return {
        "input_tokens": sum(each.input_tokens or 0 for each in (*data.at_provider, *data.own)),
        "output_tokens": sum(each.output_tokens or 0 for each in (*data.at_provider, *data.own)),
        "analysis_input_tokens": totals[ANALYSIS_INPUT],
        "cached_tokens": totals[ANALYSIS_CACHED],
        "asked": totals[ANALYSIS_ASKED],
        "stored": totals[ANALYSIS_STORED],
        "cost_usd": _cost_usd(totals),
        "max_spend_usd": data.status.job.parameters.get(_MAX_SPEND),
    }


def _tokens(status: Status) -> dict[str, int]:
    """Of the batches at a provider, and of the analysis."""
    live, totals = status.job.live.get("tokens") or {}, status.totals
    return {
        "input": live.get("input", 0) + totals[ANALYSIS_INPUT],
        "output": live.get("output", 0) + totals[ANALYSIS_OUTPUT],
    }


def _cost_usd(totals: Totals) -> float | None:
    """What the analysis cost; None where nothing did, or nobody knows prices."""
    return totals[ANALYSIS_COST] * _unit_of_cost(totals) or None


def _unit_of_cost(totals: Totals) -> float:
    """The counter's own unit in USD."""
    decimals = next((each.decimals for each in totals.counters.all if each.name == ANALYSIS_COST), 0)
    return float(Decimal(1).scaleb(-decimals))


def _latency(data: JobData) -> dict[str, Any]:
    took = sorted(s for each in data.batches if (s := each.stored_after_s()) is not None)
    return {
        "since": "ready" if data.is_at_provider else "begun",
        "p50_s": _rounded(quantile(took, _P50)),
        "p95_s": _rounded(quantile(took, _P95)),
        "batches": len(took),
    }


def _end(data: JobData) -> datetime.datetime:
    """Until when there is anything to show."""
    status = data.status
    if status.state == RUNNING:
        return status.at
    ends = [each.ended_at for each in data.batches if each.ended_at]
    return max([status.job.finished_at or status.last_seen_at, *ends])


def _stream(stream: ShownStream) -> dict[str, Any]:
    fields = stream.stream.fields
    return {
        "id": stream.stream.document_id,
        "state": stream.state,
        "counts": dict(stream.stream.counts),
        "changes_per_min": fields["rates"]["changes_per_min"],
        "lag_s": fields["lag_s"],
        "p50_ms": fields["latency"]["p50_ms"],
        "p99_ms": fields["latency"]["p99_ms"],
        "last_change_at": _iso(fields["last_change_at"]),
    }


def _plain_results(results: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers, times and short texts by name; a name within a name is joined by a dot."""
    found: dict[str, Any] = {}
    for name, value in results.items():
        if name.startswith("_"):
            continue
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": plain for key, plain in _plain_results(value).items()}
        elif isinstance(value, datetime.datetime):
            found[name] = value.isoformat()
        elif isinstance(value, bool | int | float):
            found[name] = value
        elif isinstance(value, str):
            found[name] = value[:_MAX_RESULT_TEXT]
    return found


def _iso(at: datetime.datetime | None) -> str | None:
    return at.isoformat() if at else None


def _rounded(value: float | None) -> float | None:
    """With four significant digits: a plot shows no more, and an update is shorter.

    >>> _rounded(1234.567), _rounded(0.000123456), _rounded(None)
    (1235.0, 0.0001235, None)
    """
    return None if value is None else float(f"{value:.{_SIGNIFICANT}g}")


def _all_rounded(values: Sequence[float | None]) -> list[float | None]:
    return [_rounded(value) for value in values]
