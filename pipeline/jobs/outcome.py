"""Shows how a run ended."""

from __future__ import annotations

from pipeline.present.summary import Summary
from pipeline.present.terminal import Console, say, say_error, show
from pipeline.run.job import JobPlan
from pipeline.run.job_config import RecordsConfig


def show_summary(summary: Summary, console: Console) -> None:
    """The counts of a run, what they warn of, and what ended it if it failed."""
    show(console, summary.as_table())
    for warning in summary.fields.warnings:
        say(console, f"warning: {warning}", "yellow")
    if summary.error:
        say_error(console, summary.error)


def present_records(plan: JobPlan[RecordsConfig], summary: Summary, console: Console) -> int:
    """Shows what became of the records of a run, and returns the exit code."""
    show_summary(summary, console)
    if summary.totals.unwanted:
        say(console, f"dead letters: {plan.config.dead_letters}")
    return summary.exit_code(plan.config.max_dead_letter_ratio)
