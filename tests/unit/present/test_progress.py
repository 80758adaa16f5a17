"""The progress line, on a terminal and elsewhere; and what it says of pace and of what is left."""

import datetime
import io

import pytest
from rich.console import Console

from pipeline.present.progress import Pace, pace, progress_line, show_progress
from tests.support.counted import record_totals
from transforms.errors import JobError, TransientError
from transforms.ledger.totals import Completion
from transforms.retry import Clock

STARTED_AT = 1_700_000_000.0


def moment(seconds):
    return datetime.datetime.fromtimestamp(STARTED_AT + seconds, datetime.timezone.utc)


class Script:
    """A run, its ledger and its clock in one: ends after `polls` polls, each of which takes `poll_s`."""

    def __init__(self, polls, poll_s=0.0, failure=None, beats=None):
        self.left, self.poll_s, self.failure, self.beats = polls, poll_s, failure, beats
        self.time_s = 0.0
        self.waited_s, self.read_at_s, self.heartbeats = [], [], 0

    def wait(self, timeout_s):
        self.waited_s.append(timeout_s)
        self.time_s += timeout_s
        self.left -= 1
        return self.left < 0

    def totals(self):
        self.read_at_s.append(self.time_s)
        self.time_s += self.poll_s
        if self.failure:
            raise self.failure
        done = int(self.time_s) * 100
        recent = (Completion(moment(self.time_s), done, done * 10),)
        return record_totals(batches=1, read=done, written=done, bytes_read=done * 10, recent=recent)

    def beat(self):
        self.heartbeats += 1
        if self.beats:
            raise self.beats

    def now(self):
        return STARTED_AT + self.time_s


def show(script, bytes_total=None, **settings):
    out = io.StringIO()
    console = Console(file=out, width=200, **settings)
    show_progress(script, script.totals, script.beat, console, bytes_total, Clock(now=script.now))
    return out.getvalue()


def test_where_nobody_watches_a_plain_line_is_printed_every_ten_seconds():
    printed = show(Script(polls=25), force_terminal=False).splitlines()
    assert [line for line in printed if "batches" in line] == [
        "1 batches, 1,000 records, 0 dead letters, 0 retries, 100 records/s",
        "1 batches, 2,000 records, 0 dead letters, 0 retries, 100 records/s",
    ]


def test_a_short_run_prints_no_line():
    assert "records/s" not in show(Script(polls=3), force_terminal=False)


def test_on_a_terminal_the_line_is_live_and_leaves_nothing_behind():
    assert "\n1 batches" not in show(Script(polls=25), force_terminal=True)


def test_reading_the_ledger_takes_at_most_a_twentieth_of_the_time():
    script = Script(polls=9, poll_s=2.0)
    show(script)
    assert script.read_at_s == [1.0, 43.0, 85.0]


def test_the_run_is_known_to_be_alive_every_ten_seconds_however_long_reading_takes():
    script = Script(polls=9, poll_s=2.0)
    show(script)
    assert script.waited_s == [1.0] + [10.0] * 9
    assert script.heartbeats == 9


def test_a_ledger_that_does_not_answer_is_told_and_does_not_end_the_run():
    script = Script(polls=12, failure=TransientError("Firestore did not answer [/] in 8 attempts"))
    assert "progress is not known: Firestore did not answer [/] in 8 attempts" in show(script, force_terminal=False)


def test_a_heartbeat_that_is_not_heard_does_not_end_the_run_either():
    script = Script(polls=12, beats=TransientError("Firestore did not answer"))
    assert "progress is not known: Firestore did not answer" in show(script, force_terminal=False)


def test_a_job_that_another_process_has_taken_is_not_waited_for():
    with pytest.raises(JobError, match="was taken"):
        show(Script(polls=12, beats=JobError("job a was taken over")))


def test_with_the_bytes_of_the_input_the_line_says_how_far_it_is_and_how_long_it_takes():
    printed = show(Script(polls=11), bytes_total=40_000, force_terminal=False)
    assert "100 records/s, 25 %, 0:00:30 left" in printed


def test_on_a_terminal_there_is_a_bar_and_the_line_behind_it():
    shown = show(Script(polls=10), bytes_total=40_000, force_terminal=True)
    assert "━" in shown
    assert "25 %, 0:00:30 left" in shown


# Pace.


def completions(*seconds, read=10, n_bytes=100):
    """Batches completed at these seconds, newest first."""
    return tuple(Completion(moment(at), read, n_bytes) for at in sorted(seconds, reverse=True))


@pytest.mark.parametrize(
    ("totals", "bytes_total", "since", "until", "expected"),
    [
        pytest.param(record_totals(), 1_000, 0, 5, Pace(None, 0.0, None), id="nothing is done yet"),
        pytest.param(
            record_totals(batches=2, bytes_read=200, recent=completions(1, 2)),
            1_000,
            0,
            2,
            Pace(10.0, 0.2, 8.0),
            id="all of it",
        ),
        pytest.param(
            record_totals(batches=9, bytes_read=900, recent=completions(6, 7, 8)),
            1_000,
            0,
            8,
            Pace(10.0, 0.9, 1.0),
            id="newest",
        ),
        pytest.param(
            record_totals(batches=3, bytes_read=300, recent=completions(1, 2, 102)),
            600,
            100,
            102,
            Pace(5.0, 0.5, 6.0),
            id="resumed",
        ),
        pytest.param(
            record_totals(batches=1, bytes_read=100, recent=completions(1)),
            1_000,
            100,
            102,
            Pace(None, 0.1, None),
            id="idle",
        ),
        pytest.param(
            record_totals(batches=2, bytes_read=200, recent=completions(1, 2)),
            1_000,
            0,
            20,
            Pace(1.0, 0.2, 80.0),
            id="stalls",
        ),
        pytest.param(
            record_totals(batches=2, bytes_read=200, recent=completions(1, 2)),
            None,
            0,
            2,
            Pace(10.0, None, None),
            id="no total",
        ),
        pytest.param(
            record_totals(batches=2, bytes_read=200, recent=completions(1, 2)),
            150,
            0,
            2,
            Pace(10.0, None, None),
            id="packed",
        ),
        pytest.param(
            record_totals(batches=1, recent=completions(1, n_bytes=0)),
            150,
            0,
            2,
            Pace(5.0, 0.0, None),
            id="no bytes told",
        ),
    ],
)
def test_the_pace_is_that_of_the_newest_batches_of_the_process_that_runs_the_job(
    totals, bytes_total, since, until, expected
):
    assert pace(totals, bytes_total, moment(since), moment(until)) == expected


def test_what_is_not_known_is_left_out():
    assert progress_line(record_totals(), Pace()) == "0 batches, 0 records, 0 dead letters, 0 retries"
    assert progress_line(record_totals(), Pace(share=0.004)) == "0 batches, 0 records, 0 dead letters, 0 retries, 0 %"
