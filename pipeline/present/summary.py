"""What a run says at its end, as plain data: a table for people, JSON for programs, an exit code for schedulers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.exit_codes import (
    EXIT_BATCHES_LEFT,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_TOO_MANY_DEAD_LETTERS,
)
from pipeline.present.counts import (
    aside_as_json,
    aside_kinds_as_json,
    field_rows,
    fields_as_json,
    kinds_rows,
    shown_aside,
    summed_as_json,
)
from pipeline.present.tables import Column, Row, Table
from transforms.ledger.field_totals import FieldTotals
from transforms.ledger.jobs import COMPLETED, FAILED, INTERRUPTED
from transforms.ledger.totals import Totals

UNREADABLE_FILE = "UNREADABLE_FILE"

# Fields whose values overflowed, in the table; the JSON has all of them.
_SHOWN_KINDS = 10


@dataclass(frozen=True)
class Summary:
    """The outcome of a run.

    Attributes:
      state: completed, failed or interrupted; failed also where the counters do not add up.
      totals: what became of everything that was read.
      first_result_s: after so many seconds the first batch was completed; None if none was, or before the run resumed.
      results: what the job's last step says. Those whose name begins with an underscore are for the job's next run, and
        not shown.
      fields: how often the fields of a record spec had a value.
      is_unfinished: whether batches at a provider are left, see `transforms/ledger/provider_batches.py`.
    """

    job_id: str
    state: str
    totals: Totals
    elapsed_s: float
    first_result_s: float | None
    error: str | None = None
    results: Mapping[str, Any] = field(default_factory=dict)
    fields: FieldTotals = field(default_factory=FieldTotals)
    is_unfinished: bool = False

    @classmethod
    def of(
        cls,
        job_id: str,
        state: str,
        totals: Totals,
        started_at: float,
        finished_at: float,
        error: str | None = None,
        results: Mapping[str, Any] | None = None,
        fields: FieldTotals | None = None,
        *,
        is_unfinished: bool = False,
    ) -> Summary:
        """The summary of a job's totals. Totals that do not add up fail the run, whatever its state was.

        Args:
          started_at, finished_at: seconds since the epoch.
        """
        if not totals.adds_up:
            state, error = FAILED, _does_not_add_up(totals)
        first = totals.first_completed_at
        first_s = None if first is None else round(first.timestamp() - started_at, 3)
        return cls(
            job_id=job_id,
            state=state,
            totals=totals,
            elapsed_s=round(finished_at - started_at, 3),
            first_result_s=first_s if first_s is not None and first_s >= 0 else None,  # less: of the run before
            error=error,
            results=results or {},
            fields=fields or FieldTotals(),
            is_unfinished=is_unfinished,
        )

    def exit_code(self, max_dead_letter_ratio: float) -> int:
        """0: everything is accounted for; 1: failed; 4: more dead letters than the share allowed, or a file that could
        not be read to its end; 5: batches at a provider are left; 130: interrupted."""
        if self.is_unfinished and self.totals.adds_up:
            return EXIT_BATCHES_LEFT
        if self.state != COMPLETED:
            return EXIT_INTERRUPTED if self.state == INTERRUPTED else EXIT_FAILED
        # An unreadable file is one dead letter and any number of records that nobody has seen.
        kinds = self.totals.kinds_of(self.totals.counters.unwanted)
        unread = any(n and UNREADABLE_FILE in kind for kind, n in kinds.items())
        too_many = unread or self.totals.unwanted > max_dead_letter_ratio * self.totals.total
        return EXIT_TOO_MANY_DEAD_LETTERS if too_many else EXIT_OK

    def as_table(self) -> Table:
        """For people."""
        totals, counters = self.totals, self.totals.counters
        counted: list[Row] = []
        for counter in (counters.total, *totals.shown_parts):
            counted += ((counter.key, f"{totals[counter.name]:,}"), *kinds_rows(totals, counter))
        work: list[Row] = [(counters.batches, f"{totals.batches:,}")]
        for counter in shown_aside(totals):
            work += ((counter.key, counter.text(totals[counter.name])), *kinds_rows(totals, counter, _SHOWN_KINDS))
        results = tuple(
            (name, _shown(result)) for name, result in sorted(self.results.items()) if not name.startswith("_")
        )
        times = (
            ("elapsed_s", f"{self.elapsed_s:.1f}"),
            ("first_result_s", "–" if self.first_result_s is None else f"{self.first_result_s:.1f}"),
        )
        sections = (tuple(counted), tuple(work), tuple(field_rows(self.fields)), results, times)
        return Table(f"{self.job_id}: {self.state}", (Column(), Column(is_number=True)), sections)

    def as_json(self) -> str:
        """For a program: one object, two-space indent."""
        document = {
            "job_id": self.job_id,
            "state": self.state,
            **summed_as_json(self.totals),
            "batches": self.totals.batches,
            **aside_as_json(self.totals),
            "elapsed_s": self.elapsed_s,
            "first_result_s": self.first_result_s,
            "error": self.error,
            **aside_kinds_as_json(self.totals),
            **fields_as_json(self.fields),
            "results": self.results,
        }
        return json.dumps(document, indent=2, default=str) + "\n"


def _does_not_add_up(totals: Totals) -> str:
    total, parts = totals.counters.total, totals.shown_parts
    counted = ", ".join(f"{totals[part.name]} {part.label}" for part in parts)
    kinds = (
        f"; {totals[part.name]} {part.label} have {sum(totals.kinds_of(part).values())} reasons"
        for part in parts
        if part.breakdown and totals[part.name] != sum(totals.kinds_of(part).values())
    )
    return (
        f"{totals.total} {total.unit} were read, but there are {counted}{''.join(kinds)}: the counters do not "
        "add up; please report this with the summary"
    )


def _shown(result: Any) -> str:
    """A result in the table: one line for each of several.

    >>> _shown(1200), _shown({"users": "2026-01-01"})
    ('1,200', 'users: 2026-01-01')
    """
    if isinstance(result, Mapping):
        return "\n".join(f"{name}: {_shown(value)}" for name, value in sorted(result.items()))
    return f"{result:,}" if isinstance(result, int) else str(result)
