"""What a run says at its end: a table for people, JSON for programs, an exit code for schedulers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from apache_beam.io.filesystems import FileSystems
from rich.markup import escape
from rich.table import Table

from transforms.errors import UsageError
from transforms.ledger.job_ledger import COMPLETED, FAILED, INTERRUPTED
from transforms.ledger.totals import Totals

UNREADABLE_FILE = "UNREADABLE_FILE"

_SHOWN_FIELDS = 10  # that have overflowed, in the table; all of them are in the JSON

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
        """For a terminal."""
        title = f"{self.job_id}: {self.state}"
        table = Table(title=title, title_justify="left", show_header=False, min_width=len(title))
        table.add_column()
        table.add_column(justify="right")
        for name in ("read", "written", "unchanged", "superseded", "dead_letters"):
            table.add_row(name, f"{getattr(self, name):,}")
        for reason in self.dead_letters_by:
            table.add_row(f"  {reason.step}: {reason.code}", f"{reason.count:,}", style="dim")
        table.add_section()
        for name in ("batches", "retries", "overflowed", "repaired"):
            table.add_row(name, f"{getattr(self, name):,}")
            if name == "overflowed":
                for place, count in itertools.islice(self.overflowed_by.items(), _SHOWN_FIELDS):
                    table.add_row(f"  {escape(place)}", f"{count:,}", style="dim")
        shown = {name: result for name, result in self.results.items() if not name.startswith("_")}
        if shown:
            table.add_section()
        for name, result in sorted(shown.items()):
            table.add_row(name, escape(_shown(result)))
        if shown:
            table.add_section()
        table.add_row("elapsed_s", f"{self.elapsed_s:.1f}")
        table.add_row("first_result_s", "–" if self.first_result_s is None else f"{self.first_result_s:.1f}")
        return table

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


def check_path(path: str, flag: str = "summary") -> None:
    """Raises UsageError if the file of a flag cannot be written. Leaves what is there as it is."""
    if FileSystems.get_scheme(path) is not None:
        return
    target = Path(path)
    is_new = not target.exists()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab"):
            pass
        if is_new:
            target.unlink()
    except OSError as error:
        raise UsageError(f"cannot write --{flag}={path}: {error.strerror}; name a file that can be written") from error


def save(summary: Summary, path: str) -> None:
    """Writes the summary as JSON, local or gs://. Raises OSError."""
    if FileSystems.get_scheme(path) is None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    with FileSystems.create(path, mime_type="application/json") as file:
        file.write(summary.as_json().encode())
