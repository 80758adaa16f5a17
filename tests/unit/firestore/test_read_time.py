"""The moment a job reads: refused early when no database can have it, and fixed by one request."""

import datetime

import pytest

from transforms.errors import JobError, UsageError
from transforms.firestore.read_time import JOB_START, LATEST, check_read_time, fix_read_time
from transforms.testing import ScriptedFirestore, always, status

UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 1, 10, 12, tzinfo=UTC)


def ago(**parts):
    return NOON - datetime.timedelta(**parts)


@pytest.mark.parametrize(
    "choice", [JOB_START, LATEST, NOON, ago(seconds=-30), ago(minutes=59, microseconds=7), ago(hours=30), ago(days=7)]
)
def test_a_time_that_some_database_has_is_taken(choice):
    check_read_time(choice, lambda: NOON)


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        (ago(minutes=-2), "^read_time lies in the future, 2026-01-10T12:02:00"),
        (ago(days=7, minutes=1), "^read_time is older than the 7 days that Firestore keeps, 2026-01-03T11:59:00"),
        (
            ago(hours=2, seconds=1),
            "^read_time is older than one hour, so it must be a whole minute, got 2026-01-10T09:59:59",
        ),
        (NOON.replace(tzinfo=None), "^read_time needs a time zone, such as UTC, got 2026-01-10T12:00:00$"),
    ],
)
def test_a_time_that_no_database_has_is_refused_at_once(choice, problem):
    with pytest.raises(UsageError, match=problem):
        check_read_time(choice, lambda: NOON)


def test_the_start_of_the_job_is_what_the_server_calls_now():
    with ScriptedFirestore(now=NOON.timestamp) as server:
        moment = fix_read_time(server.target.connect(), JOB_START)
    assert moment == NOON
    (request,) = server.requests()
    assert not request.HasField("read_time")


def test_an_explicit_time_is_tried_by_one_request():
    with ScriptedFirestore(now=NOON.timestamp) as server:
        assert fix_read_time(server.target.connect(), NOON) == NOON
    (request,) = server.requests()
    assert request.read_time.ToDatetime(UTC) == NOON


def test_the_newest_state_needs_no_request():
    with ScriptedFirestore() as server:
        assert fix_read_time(server.target.connect(), LATEST) is None
    assert server.requests() == []


@pytest.mark.parametrize("code", ["FAILED_PRECONDITION", "INVALID_ARGUMENT"])
def test_a_time_that_this_database_does_not_have_says_how_to_get_it(code):
    refused = status(code, "The requested 'read_time' cannot be before the database's earliest version time")
    with ScriptedFirestore(scripts={"BatchGetDocuments": always(refused)}) as server:
        with pytest.raises(JobError, match=r"gcloud firestore databases update --database='\(default\)' --enable-pitr"):
            fix_read_time(server.target.connect(), NOON)


def test_a_database_that_does_not_exist_is_found_before_anything_is_read():
    refused = status("NOT_FOUND", "The database (default) does not exist for project demo-scripted")
    with ScriptedFirestore(scripts={"BatchGetDocuments": always(refused)}) as server:
        with pytest.raises(JobError, match="Check --project and --database, or create it: gcloud firestore databases"):
            fix_read_time(server.target.connect(), JOB_START)
