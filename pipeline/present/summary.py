"""What a run says at its end, as plain data: a table for people, JSON for programs, an exit code for schedulers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.present.tables import Column, Row, Table, dim
from transforms.ledger.jobs import COMPLETED, FAILED, INTERRUPTED
from transforms.ledger.totals import Totals

UNREADABLE_FILE = "UNREADABLE_FILE"

# Fields whose values overflowed, in the table; the JSON has all of them.
_SHOWN_FIELDS = 10

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_TOO_MANY_DEAD_LETTERS = 4
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Reason:
    """How many records one step gave up for one reason."""

    step: str
    code: str
    count: int


@dataclass(frozen=True)
class Summary:
    """The outcome of a run, in records; `batches`, `retries` (requests) and `overflowed` (values) are what they say.
    `repaired` records are part of the written ones.

    `read` is the sum of `written`, `unchanged`, `superseded` and `dead_letters`, or the run has failed. Those `results`
    whose name begins with an underscore are for the job's next run, and not shown.
    """

    job_id: str
    state: str
    read: int
    written: int
    unchanged: int
    superseded: int
    dead_letters: int
    dead_letters_by: tuple[Reason, ...]
    batches: int
    retries: int
    overflowed: int
    repaired: int
    elapsed_s: float
    first_result_s: float | None
    error: str | None = None
    overflowed_by: Mapping[str, int] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)

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
    ) -> Summary:
        """The summary of a job's totals. Totals that do not add up fail the run, whatever its state was.

        Args:
          started_at, finished_at: seconds since the epoch.
          results: what the job's last step says.
        """
        if not totals.adds_up:
            state = FAILED
            error = (
                f"{totals.read} records were read but {totals.written + totals.unchanged + totals.superseded} are "
                f"stored and {totals.dead_letter_count} are dead letters: the accounts do not add up; "
                "please report this with the summary"
            )
        first = totals.first_completed_at
        first_s = None if first is None else round(first.timestamp() - started_at, 3)
        return cls(
            job_id=job_id,
            state=state,
            read=totals.read,
            written=totals.written,
            unchanged=totals.unchanged,
            superseded=totals.superseded,
            dead_letters=totals.dead_letter_count,
            dead_letters_by=tuple(Reason(*reason, n) for reason, n in totals.dead_letters.most_common() if n),
            batches=totals.batches,
            retries=totals.retries,
            overflowed=totals.overflowed,
            repaired=totals.repaired,
            elapsed_s=round(finished_at - started_at, 3),
            first_result_s=first_s if first_s is not None and first_s >= 0 else None,  # less: of the run before
            error=error,
            overflowed_by=dict(totals.overflowed_by.most_common()),
            results=results or {},
        )

    def exit_code(self, max_dead_letter_ratio: float) -> int:
        """0: everything is accounted for; 1: failed; 4: more dead letters than the share allowed, or a file that could
        not be read to its end; 130: interrupted."""
        if self.state != COMPLETED:
            return EXIT_INTERRUPTED if self.state == INTERRUPTED else EXIT_FAILED
        # An unreadable file is one dead letter and any number of records that nobody has seen.
        unread = any(reason.code == UNREADABLE_FILE for reason in self.dead_letters_by)
        too_many = unread or self.dead_letters > max_dead_letter_ratio * self.read
        return EXIT_TOO_MANY_DEAD_LETTERS if too_many else EXIT_OK

    def as_table(self) -> Table:
        """For people."""
        counted: list[Row] = [
            (name, f"{getattr(self, name):,}")
            for name in ("read", "written", "unchanged", "superseded", "dead_letters")
        ]
        counted += (dim(f"  {reason.step}: {reason.code}", f"{reason.count:,}") for reason in self.dead_letters_by)
        work: list[Row] = []
        for name in ("batches", "retries", "overflowed", "repaired"):
            work.append((name, f"{getattr(self, name):,}"))
            if name == "overflowed":
                most = itertools.islice(self.overflowed_by.items(), _SHOWN_FIELDS)
                work += (dim(f"  {field}", f"{count:,}") for field, count in most)
        results = tuple(
            (name, _shown(result)) for name, result in sorted(self.results.items()) if not name.startswith("_")
        )
        times = (
            ("elapsed_s", f"{self.elapsed_s:.1f}"),
            ("first_result_s", "–" if self.first_result_s is None else f"{self.first_result_s:.1f}"),
        )
        sections = (tuple(counted), tuple(work), results, times)
        return Table(f"{self.job_id}: {self.state}", (Column(), Column(is_number=True)), sections)

    def as_json(self) -> str:
        """For a program: one object, two-space indent."""
        document: dict[str, Any] = asdict(self)
        return json.dumps(document, indent=2, default=str) + "\n"


def _shown(result: Any) -> str:
    """A result in the table: one line for each of several.

    >>> _shown(1200), _shown({"users": "2026-01-01"})
    ('1,200', 'users: 2026-01-01')
    """
    if isinstance(result, Mapping):
        return "\n".join(f"{name}: {_shown(value)}" for name, value in sorted(result.items()))
    return f"{result:,}" if isinstance(result, int) else str(result)
