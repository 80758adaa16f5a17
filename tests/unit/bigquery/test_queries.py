"""Queries: a job is waited for until it has ended, whatever becomes of the requests that ask about it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.clocks import no_waiting
from transforms.bigquery.queries import execute, query
from transforms.errors import JobError, TransientError
from transforms.retry import Retry

FIELDS = [{"name": "n", "type": "INTEGER", "mode": "NULLABLE"}]
ANSWER = {"jobComplete": True, "totalRows": "1", "schema": {"fields": FIELDS}, "rows": [{"f": [{"v": "7"}]}]}


def job(state: str, **status: Any) -> tuple[int, Any]:
    """The answer about a job."""
    reference = {"projectId": "demo-script", "jobId": "job-1", "location": "EU"}
    query = {"query": {"query": "SELECT 7", "destinationTable": {"projectId": "p", "datasetId": "d", "tableId": "t"}}}
    return 200, {"jobReference": reference, "configuration": query, "status": {"state": state, **status}}


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def retry(pauses: list[float]) -> Retry:
    return Retry(max_attempts=3, clock=no_waiting(slept=pauses))


def test_a_lost_answer_asks_about_the_same_job_and_starts_no_second_one(
    service: Any, bigquery_error: Callable[..., Any], retry: Retry
) -> None:
    unavailable = bigquery_error(503, "backendError", "try again")
    service.script = [job("RUNNING"), unavailable, job("RUNNING"), unavailable, job("DONE"), (200, ANSWER)]
    assert query(service.target.client(), "SELECT 7", retry=retry) == [(7,)]
    assert [path.partition(" ")[0] for path in service.paths] == ["POST"] + ["GET"] * 5


def test_a_result_that_is_lost_is_asked_for_again_and_the_job_not_done_again(
    service: Any, bigquery_error: Callable[..., Any], retry: Retry
) -> None:
    unavailable = bigquery_error(503, "backendError", "try again")
    service.script = [job("DONE"), unavailable, (200, ANSWER)]
    assert query(service.target.client(), "SELECT 7", retry=retry) == [(7,)]
    done = {**job("DONE")[1], "statistics": {"query": {"numDmlAffectedRows": "3"}}}
    service.script = [(200, done), unavailable, (200, ANSWER)]
    assert execute(service.target.client(), "DELETE FROM t WHERE TRUE", retry=retry).affected == 3
    assert [path.partition(" ")[0] for path in service.paths] == ["POST", "GET", "GET"] * 2


@pytest.mark.parametrize("n_polls", [2, 5, 20, 60])
def test_the_end_of_a_job_is_noticed_after_an_eighth_of_its_time_at_the_latest(
    service: Any, pauses: list[float], retry: Retry, n_polls: int
) -> None:
    service.script = [job("RUNNING")] * n_polls + [job("DONE"), (200, ANSWER)]
    query(service.target.client(), "SELECT 7", retry=retry)
    *_, last = pauses
    assert last <= max(0.1, sum(pauses) / 8)
    assert pauses == sorted(pauses)
    assert n_polls < 60 or last == 5.0  # it is not asked about more often than that


def test_a_job_that_does_not_end_is_given_up(service: Any, retry: Retry) -> None:
    def endless(body: Any) -> tuple[int, Any]:
        service.script.append(endless)
        return job("RUNNING")

    service.script = [endless]
    with pytest.raises(TransientError, match=r"BigQuery job job-1 has not ended after 0\.05 hours"):
        execute(service.target.client(), "DELETE FROM t WHERE TRUE", retry=retry, max_job_s=180)


def test_a_job_that_failed_in_passing_is_started_again_and_one_that_is_refused_is_not(
    service: Any, retry: Retry
) -> None:
    failed = {"reason": "backendError", "message": "try again"}
    refused = {"reason": "invalidQuery", "message": "no such column"}
    service.script = [job("DONE", errorResult=failed), job("DONE", errorResult=refused)]
    with pytest.raises(JobError, match=r"BigQuery query: .*no such column"):
        query(service.target.client(), "SELECT 7", retry=retry)
    assert len(service.requests) == 2
