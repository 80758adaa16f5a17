"""RowInserter against a scripted service: what the emulator cannot be made to answer."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from transforms.bigquery.inserter import InsertResult, Rejected, RowInserter
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError, TransientError
from transforms.retry import Clock, Retry


class Sleeper:
    """Sleeps by writing down for how long."""

    def __init__(self) -> None:
        self.delays_s: list[float] = []

    def __call__(self, delay_s: float) -> None:
        self.delays_s.append(delay_s)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def inserter(service: Any, sleeper: Sleeper) -> RowInserter:
    return inserter_for(service.target, sleeper)


def inserter_for(target: BigQueryTarget, sleeper: Sleeper, **options: Any) -> RowInserter:
    return RowInserter(
        target,
        retry=Retry(max_attempts=4, initial_s=1.0, max_s=30.0, clock=Clock(sleep=sleeper, random=lambda: 0.5)),
        missing_table_retry=Retry(max_attempts=3, initial_s=10.0, max_s=30.0),
        **options,
    )


def insert(inserter: RowInserter, rows: int, size: int = 1) -> InsertResult:
    return inserter.insert([{"id": f"{n}", "text": "x" * size} for n in range(rows)], [f"i{n}" for n in range(rows)])


def test_every_row_is_accepted_when_the_service_reports_no_error(inserter: RowInserter, service: Any) -> None:
    assert insert(inserter, 3) == InsertResult(accepted=3, rejected=(), requests=1, retries=0)
    body = service.requests[0]
    assert body["skipInvalidRows"] is True
    assert body["ignoreUnknownValues"] is False
    assert body["rows"][2] == {"insertId": "i2", "json": {"id": "2", "text": "x"}}


def test_no_rows_need_no_request(inserter: RowInserter, service: Any) -> None:
    assert insert(inserter, 0) == InsertResult(0, (), 0, 0)
    assert service.requests == []


def test_rows_and_insert_ids_must_pair(inserter: RowInserter) -> None:
    with pytest.raises(ValueError, match="one insert id per row is needed, got 1 for 2 rows"):
        inserter.insert([{}, {}], ["a"])


def test_refused_rows_are_told_apart_and_the_others_are_accepted(
    inserter: RowInserter, service: Any, refused_rows: Callable[..., Any]
) -> None:
    service.script = [
        refused_rows(
            (2, "invalid", "age", "Cannot convert value to integer (bad value): Ada"),
            (0, "invalid", "tags", "Field value of tags cannot be empty."),
        )
    ]
    assert insert(inserter, 3) == InsertResult(
        accepted=1,
        rejected=(
            Rejected(0, "INVALID", "column tags: Field value of tags cannot be empty"),
            Rejected(2, "INVALID", "column age: Cannot convert value to integer (bad value)"),
        ),
        requests=1,
        retries=0,
    )


def test_stopped_rows_are_sent_again_at_once_without_the_culprit(
    inserter: RowInserter, service: Any, sleeper: Sleeper, refused_rows: Callable[..., Any]
) -> None:
    service.script = [refused_rows((0, "stopped", "", ""), (1, "invalid", "age", "bad"), (2, "stopped", "", ""))]
    result = insert(inserter, 3)
    assert result == InsertResult(2, (Rejected(1, "INVALID", "column age: bad"),), requests=2, retries=1)
    assert service.sent_ids() == [["i0", "i1", "i2"], ["i0", "i2"]]
    assert sleeper.delays_s == []


def test_rows_that_stay_stopped_become_retryable_after_bounded_attempts(
    inserter: RowInserter, service: Any, sleeper: Sleeper, refused_rows: Callable[..., Any]
) -> None:
    service.script = [refused_rows((0, "stopped", "", "")) for _ in range(4)]
    result = insert(inserter, 1)
    assert result.rejected == (Rejected(0, "STOPPED", "stopped", retryable=True),)
    assert sleeper.delays_s == [0.5, 1.0, 2.0]


def test_a_row_that_met_a_passing_failure_is_sent_again_alone(
    inserter: RowInserter, service: Any, sleeper: Sleeper, refused_rows: Callable[..., Any]
) -> None:
    service.script = [refused_rows((1, "backendError", "", "try again"))]
    assert insert(inserter, 3) == InsertResult(3, (), requests=2, retries=1)
    assert service.sent_ids()[1] == ["i1"]
    assert sleeper.delays_s == [0.5]


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (503, "backendError", "Service Unavailable"),
        (500, "internalError", "An internal error occurred"),
        (502, "badGateway", "Bad Gateway"),
        (429, "rateLimitExceeded", "Too Many Requests"),
        (403, "quotaExceeded", "Quota exceeded: Your project exceeded quota for tabledata.list bytes"),
        (403, "rateLimitExceeded", "Exceeded rate limits"),
    ],
)
def test_an_outage_is_waited_out(
    inserter: RowInserter, service: Any, sleeper: Sleeper, bigquery_error: Any, status: int, reason: str, message: str
) -> None:
    service.script = [bigquery_error(status, reason, message), bigquery_error(status, reason, message)]
    assert insert(inserter, 2) == InsertResult(2, (), requests=3, retries=2)
    assert sleeper.delays_s == [0.5, 1.0]


def test_a_lasting_outage_ends_in_a_transient_error_and_no_rejected_row(
    inserter: RowInserter, service: Any, sleeper: Sleeper, bigquery_error: Any
) -> None:
    service.script = [bigquery_error(503, "backendError", "Service Unavailable")] * 9
    with pytest.raises(TransientError) as raised:
        insert(inserter, 2)
    assert str(raised.value) == (
        "BigQuery table demo-script.people.candidates: Service Unavailable; gave up after 4 attempts"
    )
    assert len(service.requests) == 4
    assert sleeper.delays_s == [0.5, 1.0, 2.0]


def test_a_service_that_does_not_answer_is_an_outage(sleeper: Sleeper) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        inserter = inserter_for(BigQueryTarget("demo-x", "d", "t", f"http://{host}"), sleeper)
        with pytest.raises(TransientError, match=r"no answer from BigQuery \(ConnectionError\); gave up after 4"):
            insert(inserter, 1)


def test_refused_access_stops_the_job_and_names_the_role(
    inserter: RowInserter, service: Any, bigquery_error: Any
) -> None:
    service.script = [bigquery_error(403, "accessDenied", "Access Denied: Table people.candidates")]
    with pytest.raises(JobError) as raised:
        insert(inserter, 2)
    assert str(raised.value) == (
        "BigQuery table demo-script.people.candidates: Access Denied: Table people.candidates. To fix it: grant "
        "roles/bigquery.dataEditor on the dataset and roles/bigquery.jobUser on the project to the account that runs "
        "the job"
    )
    assert len(service.requests) == 1


def test_a_table_just_made_may_stay_unknown_for_a_while(
    inserter: RowInserter, service: Any, sleeper: Sleeper, bigquery_error: Any
) -> None:
    service.script = [bigquery_error(404, "notFound", "Not found: Table demo-script:people.candidates")] * 2
    assert insert(inserter, 1) == InsertResult(1, (), requests=3, retries=2)
    assert sleeper.delays_s == [5.0, 10.0]


def test_a_table_that_stays_missing_stops_the_job(inserter: RowInserter, service: Any, bigquery_error: Any) -> None:
    service.script = [bigquery_error(404, "notFound", "Not found: Table demo-script:people.candidates")] * 9
    with pytest.raises(JobError, match=r"Not found: Table demo-script:people\.candidates\. To fix it: check project"):
        insert(inserter, 1)
    assert len(service.requests) == 3


def test_a_table_that_vanishes_stops_the_job_at_once(inserter: RowInserter, service: Any, bigquery_error: Any) -> None:
    service.script = [(200, {}), bigquery_error(404, "notFound", "Not found: Table demo-script:people.candidates")]
    insert(inserter, 1)
    with pytest.raises(JobError, match="Not found: Table"):
        insert(inserter, 1)
    assert len(service.requests) == 2


def test_a_missing_dataset_stops_the_job_at_once(inserter: RowInserter, service: Any, bigquery_error: Any) -> None:
    service.script = [bigquery_error(404, "notFound", "Not found: Dataset demo-script:people")]
    with pytest.raises(JobError, match=r"Not found: Dataset demo-script:people\. .*bq mk --dataset"):
        insert(inserter, 1)
    assert len(service.requests) == 1


def test_a_request_that_is_too_large_goes_in_halves(inserter: RowInserter, service: Any) -> None:
    service.script = [(413, b"<html><title>413 Request Entity Too Large</title></html>")]
    assert insert(inserter, 5) == InsertResult(5, (), requests=3, retries=0)
    assert service.sent_ids()[1:] == [["i0", "i1"], ["i2", "i3", "i4"]]


def test_a_request_refused_for_its_content_is_halved_until_the_row_at_fault_is_alone(
    inserter: RowInserter, service: Any, bigquery_error: Any
) -> None:
    def refuse_row_3(body: Any) -> Any:
        if any(row["insertId"] == "i3" for row in body["rows"]):
            return bigquery_error(400, "invalid", "Invalid JSON payload: 'Ada'")
        return 200, {}

    service.script = [refuse_row_3] * 20
    result = insert(inserter, 8)
    assert result.accepted == 7
    assert result.rejected == (Rejected(3, "INVALID_ARGUMENT", "Invalid JSON payload: '…'"),)


def test_requests_that_are_all_refused_alike_stop_the_job(
    inserter: RowInserter, service: Any, bigquery_error: Any
) -> None:
    service.script = [bigquery_error(400, "invalid", "Streaming into a view is not allowed")] * 100
    with pytest.raises(JobError, match="every request is refused alike: Streaming into a view is not allowed"):
        insert(inserter, 64)
    assert len(service.requests) < 30


def test_a_column_just_added_may_stay_unknown_for_a_while(
    inserter: RowInserter, service: Any, sleeper: Sleeper, refused_rows: Callable[..., Any]
) -> None:
    service.script = [refused_rows((1, "invalid", "team", "no such field: team."))] * 1
    service.script += [refused_rows((0, "invalid", "team", "no such field: team."))]
    assert insert(inserter, 2) == InsertResult(2, (), requests=3, retries=2)
    assert service.sent_ids() == [["i0", "i1"], ["i1"], ["i1"]]
    assert sleeper.delays_s == [0.5, 1.0]


@pytest.mark.parametrize(
    ("message", "attempts"), [("no such field: zzz.", 4), ("Cannot convert value to integer (bad value): 8+", 1)]
)
def test_rows_that_are_all_refused_alike_stop_the_job(
    inserter: RowInserter, service: Any, refused_rows: Callable[..., Any], message: str, attempts: int
) -> None:
    service.script = [refused_rows(*[(n, "invalid", "zzz", message) for n in range(20)])] * 9
    with pytest.raises(
        JobError, match=f"refuses every row alike: column zzz: {message[:13]}.* Compare the table's schema"
    ):
        insert(inserter, 20)
    assert len(service.requests) == attempts


def test_rows_that_failed_before_may_all_be_refused_alike(
    service: Any, sleeper: Sleeper, refused_rows: Callable[..., Any]
) -> None:
    service.script = [refused_rows(*[(n, "invalid", "age", "bad") for n in range(20)])]
    assert len(insert(inserter_for(service.target, sleeper, may_all_be_bad=True), 20).rejected) == 20


def test_a_few_rows_may_all_be_bad(inserter: RowInserter, service: Any, refused_rows: Callable[..., Any]) -> None:
    service.script = [refused_rows(*[(n, "invalid", "age", "bad") for n in range(19)])]
    assert len(insert(inserter, 19).rejected) == 19


@pytest.mark.parametrize("may_all_be_bad", [False, True])
def test_rows_that_all_meet_passing_failures_are_an_outage(
    service: Any, sleeper: Sleeper, refused_rows: Callable[..., Any], may_all_be_bad: bool
) -> None:
    service.script = [refused_rows(*[(n, "backendError", "", "try again") for n in range(20)])] * 9
    with pytest.raises(TransientError, match="no row was taken: try again"):
        insert(inserter_for(service.target, sleeper, may_all_be_bad=may_all_be_bad), 20)


def test_rows_are_packed_by_number(service: Any, sleeper: Sleeper) -> None:
    assert insert(inserter_for(service.target, sleeper, max_rows=2), 5).requests == 3
    assert [len(ids) for ids in service.sent_ids()] == [2, 2, 1]


@pytest.mark.parametrize("text", ["x" * 2000, "é" * 400, "😀" * 150], ids=["ascii", "latin", "astral"])
def test_requests_stay_within_the_byte_limit(service: Any, sleeper: Sleeper, text: str) -> None:
    limit = 10_000
    inserter = inserter_for(service.target, sleeper, max_request_bytes=limit)
    result = inserter.insert([{"text": text}] * 20, [f"i{n}" for n in range(20)])
    assert result.accepted == 20
    assert 1 < len(service.sizes) < 20
    assert max(service.sizes) <= limit


def test_a_row_over_the_limit_is_rejected_by_itself_before_any_request(service: Any, sleeper: Sleeper) -> None:
    inserter = inserter_for(service.target, sleeper, max_request_bytes=10_000)
    result = inserter.insert([{"t": "a"}, {"t": "b" * 10_000}, {"t": "c"}], ["i0", "i1", "i2"])
    assert result == InsertResult(
        2,
        (
            Rejected(
                1,
                "ROW_TOO_LARGE",
                "the row takes 10,096 bytes in a request, BigQuery takes 10,000: "
                "leave out or shorten the largest field",
            ),
        ),
        requests=1,
        retries=0,
    )
    assert service.sent_ids() == [["i0", "i2"]]


def test_a_row_of_other_scripts_is_measured_exactly_before_it_is_rejected(service: Any, sleeper: Sleeper) -> None:
    inserter = inserter_for(service.target, sleeper, max_request_bytes=10_000)
    assert inserter.insert([{"t": "語" * 3300}], ["i0"]).accepted == 1
    assert inserter.insert([{"t": "語" * 3400}], ["i0"]).rejected[0].code == "ROW_TOO_LARGE"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_rows": 0}, r"max_rows must be in \[1, 50000\], got 0"),
        ({"max_request_bytes": 11_000_000}, r"max_request_bytes must be in \[1024, 10000000\], got 11000000"),
    ],
)
def test_limits_are_checked_when_the_inserter_is_made(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RowInserter(BigQueryTarget("p", "d", "t"), **options)  # type: ignore[arg-type]
