"""The batches of a job at a provider, as they are at one time: what `firebeam batches` shows of them, as plain data."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline.present.progress import duration
from pipeline.present.tables import Cell, Column, Row, Table, Tone
from transforms.ledger.provider_batches import COMPLETED, FAILED, PARTIAL, UNDECIDED, ProviderBatch

_NO_VALUE = "–"
_TONES = {COMPLETED: Tone.GOOD, FAILED: Tone.BAD, UNDECIDED: Tone.WARNING}
_COLUMNS = (
    Column("key"),
    Column("state"),
    Column("id"),
    Column("requests", is_number=True),
    Column("answers", is_number=True),
    Column("failed", is_number=True),
    Column("missing", is_number=True),
    Column("tokens in", is_number=True),
    Column("out", is_number=True),
    Column("ready after", is_number=True),
    Column("error"),
)


def batches_table(job_id: str, batches: Sequence[ProviderBatch], at: datetime.datetime) -> Table:
    """For people: one row per batch."""
    providers = " and ".join(sorted({batch.provider for batch in batches}))
    return Table(
        f"{job_id}: {len(batches):,} batches at {providers}", _COLUMNS, (tuple(_row(each, at) for each in batches),)
    )


def as_dict(batch: ProviderBatch) -> dict[str, Any]:
    """For a program: every field of the document; times are ISO 8601 in UTC."""
    shown: dict[str, Any] = _plain({**asdict(batch), "remote_id": batch.remote_id})
    return shown


def _row(batch: ProviderBatch, at: datetime.datetime) -> Row:
    state = f"{batch.state}, {batch.outcome}" if batch.outcome == PARTIAL else batch.state
    tone = Tone.WARNING if batch.outcome == PARTIAL else _TONES.get(batch.state)
    return (
        Cell(batch.key, is_whole=True),
        Cell(state, tone),
        Cell(batch.remote_id or _NO_VALUE, is_whole=True),
        _number(batch.requests),
        f"{batch.answers:,}",
        f"{batch.failed:,}",
        f"{batch.missing:,}",
        _number(batch.input_tokens),
        _number(batch.output_tokens),
        _ready_after(batch, at),
        ": ".join(filter(None, (batch.error_code, batch.error_text))),
    )


def _ready_after(batch: ProviderBatch, at: datetime.datetime) -> str:
    """How long the provider took; how long it has been working, with a mark, while it does."""
    if batch.triggered_at is None:
        return _NO_VALUE
    if batch.ready_at is not None:
        return duration((batch.ready_at - batch.triggered_at).total_seconds())
    if batch.state in (FAILED, UNDECIDED):
        return _NO_VALUE
    return f"{duration((at - batch.triggered_at).total_seconds())} …"


def _number(n: int | None) -> str:
    return _NO_VALUE if n is None else f"{n:,}"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(member) for member in value] if isinstance(value, list | tuple) else value
