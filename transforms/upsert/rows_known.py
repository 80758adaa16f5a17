"""Which rows the table has after a job's last run, so that unchanged records need not send theirs. Plain Python.

The ledger keeps the answer with each run under `rows_known`; a resumed run has the one it began with.
"""

from __future__ import annotations

from transforms.ledger.jobs import COMPLETED, Job
from transforms.ledger.runs import JobDescription
from transforms.outcomes import DEAD_LETTER_REASONS
from transforms.upsert.versions import ALL_ROWS, NO_ROWS, OWN_ROWS

ROWS_KNOWN = "rows_known"

# The steps whose dead letters the same input may land all the same: their rows may be missing, although a replay, or
# somebody else, has written the documents.
_ROW_STEPS = frozenset({"UpsertPairs", "InsertRows", "LoadRows"})


def rows_known_after(before: Job | None, description: JobDescription) -> str:
    """Which unchanged records are known to have their rows: all of the same input, those of this job's own records, or
    none."""
    if before is None or before.state != COMPLETED:
        return NO_ROWS
    same_table = before.parameters.get("bigquery_table") == description.parameters.get("bigquery_table")
    if not same_table or not DEAD_LETTER_REASONS.is_listed_in(before.totals):
        return NO_ROWS
    steps = {step for (step, _), _ in DEAD_LETTER_REASONS.found_in(before.totals)}
    if steps & _ROW_STEPS:
        return NO_ROWS
    same_input = (before.input_fingerprint, before.spec_fingerprint) == (
        description.input_fingerprint,
        description.spec_fingerprint,
    )
    if same_input:
        return ALL_ROWS
    return NO_ROWS if steps else OWN_ROWS  # a replay with another spec may have written what was given up
