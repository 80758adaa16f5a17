"""Which rows a table is known to have after a job's last run."""

import datetime
from dataclasses import replace

import pytest

from transforms.ledger.jobs import COMPLETED, Job
from transforms.ledger.owners import Owner
from transforms.ledger.runs import JobDescription
from transforms.upsert.rows_known import rows_known_after
from transforms.upsert.versions import ALL_ROWS, NO_ROWS, OWN_ROWS

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)


def finished(*steps, **changed):
    """A run that ended with a dead letter of each of these steps."""
    dead_letters = [{"step": step, "code": "X", "count": 1} for step in steps]
    before = Job(
        job_id="ingest-1",
        job="ingest",
        state=COMPLETED,
        attempt=1,
        parameters={"bigquery_table": "p:d.t"},
        input_fingerprint="input",
        spec_fingerprint="spec",
        owner=Owner("another-host", 1),
        owned_since=NOON,
        started_at=NOON,
        heartbeat_at=NOON,
        totals={"dead_letters": dead_letters},
    )
    return replace(before, **changed)


@pytest.mark.parametrize(
    ("before", "known"),
    [
        (None, NO_ROWS),
        (finished(), ALL_ROWS),
        (finished("FlattenRecords"), ALL_ROWS),
        (finished(input_fingerprint="another"), OWN_ROWS),
        (finished(spec_fingerprint="another"), OWN_ROWS),
        (finished("InsertRows"), NO_ROWS),
        (finished("LoadRows"), NO_ROWS),
        (finished(state="failed"), NO_ROWS),
        (finished(parameters={"bigquery_table": None}), NO_ROWS),
        # What was given up then may have been replayed since, and its row may have been refused, or never sent.
        (finished("UpsertPairs"), NO_ROWS),
        (finished("FlattenRecords", spec_fingerprint="another"), NO_ROWS),
    ],
)
def test_rows_are_known_only_of_records_that_no_replay_may_have_written(before, known):
    description = JobDescription("ingest", "ingest-1", {"bigquery_table": "p:d.t"}, "input", "spec")
    assert rows_known_after(before, description) == known
