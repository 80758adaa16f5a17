"""A job as it is at one time: what `firebeam status` shows of it, as plain data."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.locations import BATCHES
from pipeline.present.counts import aside_as_json, field_rows, fields_as_json, kinds_rows, summed_as_json
from pipeline.present.progress import Pace, duration, pace
from pipeline.present.tables import Cell, Column, Row, Table, Tone
from transforms.counters import Counter, Role
from transforms.ledger.field_totals import FieldTotals
from transforms.ledger.jobs import COMPLETED, RUNNING, Job
from transforms.ledger.owners import listing_command
from transforms.ledger.totals import Totals

_STATES_AT_PROVIDER = ("waiting", "processing", "completed", "failed")


@dataclass(frozen=True)
class Status:
    """A job as it is at one time."""

    job: Job
    totals: Totals
    at: datetime.datetime
    project: str
    fields: FieldTotals = field(default_factory=FieldTotals)

    @property
    def state(self) -> str:
        """Its state, as whoever looks now has to take it."""
        return self.job.state_at(self.at, self._last_completed_at)

    @property
    def last_seen_at(self) -> datetime.datetime:
        """When its owner was last seen alive."""
        return self.job.last_seen_at(self._last_completed_at)

    @property
    def _last_completed_at(self) -> datetime.datetime | None:
        return self.totals.recent[0].at if self.totals.recent else None

    @property
    def elapsed_s(self) -> float:
        """How long the run took so far: up to its end, or up to when its owner was last seen."""
        end = self.at if self.state == RUNNING else self.job.finished_at or self.last_seen_at
        return max(0.0, (end - self.job.started_at).total_seconds())

    @property
    def pace(self) -> Pace:
        """How fast it goes; of a run that has ended, how fast it went."""
        if self.state == RUNNING:
            return pace(self.totals, self.job.bytes_total, self.job.owned_since, self.at)
        if self.state == COMPLETED:
            return Pace(self.totals.total / self.elapsed_s if self.elapsed_s else None, share=1.0)
        return Pace(share=pace(self.totals, self.job.bytes_total, self.at, self.at).share)

    def as_dict(self) -> dict[str, Any]:
        """For a program; times are ISO 8601 in UTC."""
        job, totals, at = self.job, self.totals, self.pace
        return {
            "job_id": job.job_id,
            "job": job.job,
            "state": self.state,
            "attempt": job.attempt,
            "owner": asdict(job.owner),
            "started_at": job.started_at.isoformat(),
            "heartbeat_at": job.heartbeat_at.isoformat(),
            "heard_of_at": self.last_seen_at.isoformat(),
            "finished_at": job.finished_at.isoformat() if job.finished_at else None,
            "elapsed_s": round(self.elapsed_s, 3),
            "progress": None if at.share is None else round(at.share, 4),
            "records_per_s": None if at.records_per_s is None else round(at.records_per_s, 1),
            "left_s": None if at.left_s is None else round(at.left_s, 1),
            "batches_completed": totals.batches,
            "batches_processing": totals.processing,
            "batches_failed": totals.failed,
            **summed_as_json(totals),
            **aside_as_json(totals),
            **fields_as_json(self.fields),
            "newest_ids": list(totals.newest_ids),
            **({"provider": _plain_live(job)} if is_at_provider(job) else {}),
            "error": job.error,
        }

    def as_table(self) -> Table:
        """For people."""
        job, at, unit = self.job, self.pace, self.totals.counters.total.unit
        run: list[Row] = [
            ("job", f"{job.job}, attempt {job.attempt}"),
            ("owner", Cell(str(job.owner), is_whole=True)),
            ("started", _shown(job.started_at)),
            ("last seen", _shown(self.last_seen_at)),
            ("elapsed", duration(self.elapsed_s)),
            ("progress", "–" if at.share is None else f"{at.share:.0%}".replace("%", " %")),
            ("throughput", "–" if at.records_per_s is None else f"{at.records_per_s:,.0f} {unit}/s"),
        ]
        if self.state == RUNNING:
            run.append(("left", "–" if at.left_s is None else duration(at.left_s)))
        warnings = tuple((Cell("warning", Tone.WARNING), warning) for warning in self.fields.warnings)
        sections = (tuple(run), tuple(self._counted()), tuple(field_rows(self.fields)), warnings)
        return Table(f"{job.job_id}: {self.state}", (Column(), Column()), sections)

    def _counted(self) -> list[Row]:
        job, totals = self.job, self.totals
        rows: list[Row] = [
            (
                totals.counters.batches,
                f"{totals.batches:,} completed, {totals.processing:,} processing, {totals.failed:,} failed",
            ),
        ]
        rows += _provider_rows(job)
        for counter in totals.counters.all:
            is_said = totals[counter.name] or counter.is_shown_at_0
            if is_said and (counter.role is not Role.ASIDE or counter.is_watched):
                rows += ((counter.label, f"{totals[counter.name]:,}"), *kinds_rows(totals, counter))
        if totals.newest_ids:
            rows.append(("newest ids", ", ".join(totals.newest_ids)))
        if job.error:
            rows.append((Cell("error", Tone.BAD), Cell(job.error, Tone.BAD)))
        if job.owner.dataflow_job and self.state == RUNNING:
            command = Cell(listing_command(job.owner, self.project), Tone.DIM, is_whole=True)
            rows.append((Cell("Dataflow's state", Tone.DIM), command))
        return rows


def recent_table(database: str, statuses: Sequence[Status]) -> Table:
    """Several jobs, one per row."""
    numbers = ("attempt", "elapsed", "read", "dead letters")
    columns = ("job", "state", "attempt", "started", "elapsed", "read", "dead letters")
    rows = tuple(
        (
            status.job.job_id,
            status.state,
            str(status.job.attempt),
            _shown(status.job.started_at),
            duration(status.elapsed_s),
            _counted(status.totals, status.totals.counters.total, "read"),
            _counted(status.totals, status.totals.counters.unwanted, "dead letters"),
        )
        for status in statuses
    )
    return Table(
        f"recent jobs of {database}", tuple(Column(heading, heading in numbers) for heading in columns), (rows,)
    )


def _counted(totals: Totals, counter: Counter, heading: str) -> str:
    """A number, with the job's own word for it where that is not the heading's."""
    number = counter.text(totals[counter.name])
    return number if counter.label == heading else f"{number} {counter.label}"


def _shown(time: datetime.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def is_at_provider(job: Job) -> bool:
    """Whether its batches are those of a provider."""
    return any(str(each).startswith(BATCHES) for each in job.parameters.get("input") or ())


def _plain_live(job: Job) -> dict[str, Any]:
    names = ("batches_total", "batches_waiting", "batches_processing", "batches_completed", "batches_failed", "tokens")
    return {name: job.live.get(name) for name in names}


def _provider_rows(job: Job) -> list[Row]:
    if not is_at_provider(job) or "batches_waiting" not in job.live:
        return []
    live, tokens = job.live, job.live["tokens"]
    states = ", ".join(f"{live[f'batches_{state}']:,} {state}" for state in _STATES_AT_PROVIDER)
    rows: list[Row] = [("at the provider", f"{live['batches_total']:,} batches: {states}")]
    if tokens["input"] or tokens["output"]:
        rows.append(("tokens", f"{tokens['input']:,} in, {tokens['output']:,} out"))
    return rows
