"""What a run says at its end: the accounts, the exit code, the JSON."""

import datetime
import json
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipeline.present.summary import Summary
from pipeline.present.summary_file import save
from pipeline.present.terminal import show
from tests.support.counted import record_totals
from transforms.ledger.jobs import COMPLETED, FAILED, INTERRUPTED

STARTED_AT = 1_700_000_000.0


def totals(written=8, dead=2, **more):
    reasons = more.pop("dead_letters", Counter({("FlattenRecords", "MISSING_FIELD"): dead}))
    settings = {"batches": 1, "read": written + dead, "written": written, **more}
    return record_totals(dead_letters=reasons, dead_letter_count=sum(reasons.values()), **settings)


def summary(state=COMPLETED, of=None, error=None):
    return Summary.of("ingest-1", state, of or totals(), STARTED_AT, STARTED_AT + 2.5, error)


def shown(of):
    console = Console(width=200)
    with console.capture() as capture:
        show(console, of.as_table())
    return capture.get()


counts = st.integers(0, 1_000)


@given(read=counts, written=counts, unchanged=counts, superseded=counts, dead=counts)
def test_a_run_completes_only_if_every_record_is_accounted_for_exactly_once(read, written, unchanged, superseded, dead):
    of = totals(written, dead, read=read, unchanged=unchanged, superseded=superseded)
    adds_up = read == written + unchanged + superseded + dead
    assert (summary(of=of).state == COMPLETED) == adds_up
    assert (summary(of=of).exit_code(max_dead_letter_ratio=1) == 0) == adds_up


def test_accounts_that_do_not_add_up_are_told_with_the_numbers():
    of = totals(read=12, written=7, unchanged=1, superseded=1, dead=2)
    assert summary(of=of).error == (
        "12 records were read, but there are 7 written, 1 unchanged, 1 superseded, 2 dead letters: the counters do not "
        "add up; please report this with the summary"
    )


def test_dead_letters_without_a_reason_do_not_add_up():
    of = record_totals(read=3, written=1, dead_letter_count=2, dead_letters=Counter({("UpsertPairs", "TOO_DEEP"): 1}))
    assert (summary(of=of).state, summary(of=of).exit_code(1)) == (FAILED, 1)
    assert "3 records were read, but there are 1 written" in summary(of=of).error
    assert "2 dead letters; 2 dead letters have 1 reasons" in summary(of=of).error


def test_results_are_shown_but_for_those_that_only_the_next_run_needs():
    results = {"rows_latest": 1200, "_cursors_of": "c0ffee"}
    text = shown(Summary.of("export-1", COMPLETED, totals(), STARTED_AT, STARTED_AT + 2.5, None, results))
    assert "rows_latest" in text
    assert "1,200" in text
    assert "cursors_of" not in text


@pytest.mark.parametrize("state", [FAILED, INTERRUPTED])
def test_accounts_that_do_not_add_up_fail_a_run_that_ended_badly_anyway(state):
    assert summary(state, totals(read=99)).exit_code(1) == 1


@pytest.mark.parametrize(
    ("state", "ratio", "code"),
    [
        (COMPLETED, 0.2, 0),
        (COMPLETED, 1.0, 0),
        (COMPLETED, 0.19, 4),
        (COMPLETED, 0.0, 4),
        (FAILED, 1.0, 1),
        (FAILED, 0.0, 1),
        (INTERRUPTED, 1.0, 130),
    ],
)
def test_the_exit_code_tells_a_scheduler_how_it_ended(state, ratio, code):
    assert summary(state, totals(written=8, dead=2)).exit_code(ratio) == code


def test_nothing_read_is_no_reason_to_fail():
    assert summary(of=record_totals()).exit_code(max_dead_letter_ratio=0) == 0


def test_the_json_has_exactly_these_keys_in_this_order():
    first = datetime.datetime.fromtimestamp(STARTED_AT + 1.25, datetime.timezone.utc)
    of = totals(retries=3, overflowed=4, repaired=5, first_completed_at=first)
    assert list(json.loads(summary(of=of).as_json()).items()) == [
        ("job_id", "ingest-1"),
        ("state", "completed"),
        ("read", 10),
        ("written", 8),
        ("unchanged", 0),
        ("superseded", 0),
        ("dead_letters", 2),
        ("dead_letters_by", [{"step": "FlattenRecords", "code": "MISSING_FIELD", "count": 2}]),
        ("batches", 1),
        ("retries", 3),
        ("overflowed", 4),
        ("repaired", 5),
        ("elapsed_s", 2.5),
        ("first_result_s", 1.25),
        ("error", None),
        ("overflowed_by", {}),
        ("results", {}),
    ]


def test_bytes_that_nobody_has_seen_are_shown_where_there_are_any():
    assert "unread_bytes" not in shown(summary(of=totals()))
    unread = summary(of=totals(unread_bytes=12_345))
    assert re.search(r"unread_bytes\W+12,345", shown(unread))
    assert json.loads(unread.as_json())["unread_bytes"] == 12_345


def test_dead_letters_are_broken_down_most_frequent_first_and_corrected_ones_left_out():
    reasons = Counter({("A", "RARE"): 1, ("B", "OFTEN"): 5, ("C", "CORRECTED"): 0})
    of = totals(read=14, written=8, dead_letters=reasons)
    assert json.loads(summary(of=of).as_json())["dead_letters_by"] == [
        {"step": "B", "code": "OFTEN", "count": 5},
        {"step": "A", "code": "RARE", "count": 1},
    ]


def test_a_run_that_went_on_has_no_first_result_of_its_predecessor():
    before, after = (datetime.datetime.fromtimestamp(STARTED_AT + s, datetime.timezone.utc) for s in (-60, 1))
    assert summary(of=totals(first_completed_at=after)).first_result_s == 1
    assert summary(of=totals(first_completed_at=before)).first_result_s is None


def test_the_table_shows_job_state_and_every_number():
    text = shown(summary(of=totals(written=1_234_567, retries=3)))
    assert "ingest-1: completed" in text
    lines = [line.strip("│ \n").split() for line in text.splitlines()]
    assert ["written", "│", "1,234,567"] in lines
    assert ["FlattenRecords:", "MISSING_FIELD", "│", "2"] in lines
    assert ["retries", "│", "3"] in lines
    assert ["elapsed_s", "│", "2.5"] in lines
    assert ["first_result_s", "│", "–"] in lines


def test_a_long_job_id_stays_on_one_line():
    long = Summary.of("backfill-20260101-000000-abcdef", COMPLETED, record_totals(), STARTED_AT, STARTED_AT)
    assert "backfill-20260101-000000-abcdef: completed" in shown(long)


def test_the_summary_is_saved_where_no_folder_was_yet(tmp_path):
    file = tmp_path / "results" / "today" / "summary.json"
    save(summary(), str(file))
    assert file.read_text() == summary().as_json()
