"""When a stream is unhealthy: the flag of the job that listens, and of the command that asks how it is."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.run.flags import option


@dataclass(frozen=True, kw_only=True)
class HealthFlags:
    """The flag of a stream's health."""

    max_error_rate: float = option(
        0.1,
        group="Health",
        minimum=0,
        maximum=1,
        help="a stream of whose changes a larger share became dead letters in the last five minutes is unhealthy",
    )
