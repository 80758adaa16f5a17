"""The report of verify is loaded by jobs whose names BigQuery takes only once, also after one of them has failed."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.clocks import no_waiting
from transforms.firestore.ranges import NameRange
from transforms.retry import Retry
from transforms.verify.comparison import Compared
from transforms.verify.parts import Parts
from transforms.verify.reports import Report

MOMENT = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
DATASET = {"datasetReference": {"projectId": "demo-script", "datasetId": "people"}, "location": "EU"}


def load_job(**status: Any) -> tuple[int, Any]:
    table = {"projectId": "demo-script", "datasetId": "people", "tableId": "candidates"}
    return 200, {
        "jobReference": {"projectId": "demo-script", "jobId": "job-1", "location": "EU"},
        "configuration": {"load": {"destinationTable": table}},
        "status": {"state": "DONE", **status},
    }


def test_a_load_that_failed_in_passing_is_begun_under_another_name_and_one_that_was_done_is_not(
    service: Any, bigquery_error: Callable[..., Any], tmp_path: Path
) -> None:
    parts = Parts(str(tmp_path), "job", 1)
    parts.write_plan(MOMENT, [NameRange()])
    with parts.written("range-00000") as write:
        write(json.dumps({"key": "ada", "difference": "MISSING_LEFT"}))
    parts.write_found("range-00000", Compared(differing={"MISSING_LEFT": 1}))
    pauses: list[float] = []
    retry = Retry(max_attempts=3, clock=no_waiting(slept=pauses))
    report = Report(parts, MOMENT, table=service.target, retry=retry)
    failed = load_job(errorResult={"reason": "backendError", "message": "try again"})
    taken = bigquery_error(409, "duplicate", "Already Exists: Job")
    service.script = [failed, taken, (200, DATASET), failed, load_job()]
    assert report()["missing_left"] == 1
    service.script = [taken, (200, DATASET), failed, taken, (200, DATASET), load_job()]
    assert report()["missing_left"] == 1
    assert service.script == []
    assert len(pauses) == 1
