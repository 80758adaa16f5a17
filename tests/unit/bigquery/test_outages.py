"""BigQuery away: whatever is sent there waits for `max_outage_s`, then says that the same command continues."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.clocks import no_waiting
from tests.support.scripted_storage_write import Cut, ScriptedStorageWrite
from transforms.bigquery.inserter import RowInserter
from transforms.bigquery.load_jobs import LoadJobSender
from transforms.bigquery.queries import drop, execute, query
from transforms.bigquery.schema import Column, TableOptions
from transforms.bigquery.storage_write import StorageWriter
from transforms.bigquery.tables import ensure_latest_view, ensure_table, existing_columns
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError, OutageError, TransientError
from transforms.retry import Retry
from transforms.verify.bigquery_store import BigQueryStore, RowVersions
from transforms.verify.forms import TypedForm
from transforms.verify.ignored import Ignored
from transforms.verify.table_kinds import KnownTable

RETRY = Retry(max_attempts=5, clock=no_waiting())
COLUMNS = (Column("id", "STRING"),)
RESULT = {
    "jobComplete": True,
    "totalRows": "1",
    "schema": {"fields": [{"name": "n", "type": "INTEGER"}]},
    "rows": [{"f": [{"v": "7"}]}],
}
REFERENCE = {"projectId": "demo-script", "datasetId": "people", "tableId": "candidates"}
TABLE = {"tableReference": REFERENCE, "type": "TABLE", "schema": {"fields": [{"name": "id", "type": "STRING"}]}}
MISSING = (404, {"error": {"code": 404, "message": "Not found: Table d.t"}})

# More failures than attempts.
MANY = 3 * RETRY.max_attempts


def job(**more: Any) -> tuple[int, Any]:
    reference = {"projectId": "demo-script", "jobId": "job-1", "location": "EU"}
    of_table = {"destinationTable": {"projectId": "p", "datasetId": "d", "tableId": "t"}}
    configuration = {"query": {"query": "SELECT 7", **of_table}, "load": of_table}
    return 200, {"jobReference": reference, "configuration": configuration, "status": {"state": "DONE"}, **more}


def _insert_all(target: BigQueryTarget) -> Any:
    return RowInserter(target, retry=RETRY).insert([{"id": "a"}], ["i"]).accepted


def _query(target: BigQueryTarget) -> Any:
    return query(target.client(), "SELECT 7", retry=RETRY)


def _execute(target: BigQueryTarget) -> Any:
    return execute(target.client(), "DELETE FROM t WHERE TRUE", retry=RETRY).affected


def _drop(target: BigQueryTarget) -> Any:
    return drop(target.client(), target.id, RETRY)


def _create_table(target: BigQueryTarget) -> Any:
    return ensure_table(target, COLUMNS, TableOptions(), retry=RETRY).created


def _create_view(target: BigQueryTarget) -> Any:
    return ensure_latest_view(target, "SELECT 1", retry=RETRY).table


def _columns(target: BigQueryTarget) -> Any:
    return existing_columns(target, retry=RETRY)


def _load(target: BigQueryTarget) -> Any:
    return LoadJobSender(target, COLUMNS, retry=RETRY).send("load", [{"id": "a"}]).accepted


# What is sent, the answers that make it succeed, and what it gives then.
REQUESTS = {
    "insertAll": (_insert_all, [(200, {})], 1),
    "query": (_query, [job(), (200, RESULT)], [(7,)]),
    "statement": (_execute, [job(statistics={"query": {"numDmlAffectedRows": "3"}}), (200, RESULT)], 3),
    "removal of a table": (_drop, [(200, {})], None),
    "creation of a table": (_create_table, [MISSING, (200, TABLE)], True),
    "creation of a view": (_create_view, [MISSING, (200, TABLE)], "candidates_latest"),
    "columns": (_columns, [(200, TABLE)], COLUMNS),
    "load job": (_load, [job()], 1),
}
AWAY = {
    503: ("backendError", "Service Unavailable"),
    429: ("rateLimitExceeded", "Too Many Requests"),
    502: ("badGateway", "Bad Gateway"),
}
send = pytest.mark.parametrize("sent", REQUESTS)


@send
@pytest.mark.parametrize("status", AWAY)
def test_an_outage_is_waited_out_whatever_the_number_of_attempts(
    service: Any, bigquery_error: Callable[..., Any], sent: str, status: int
) -> None:
    request, answers, result = REQUESTS[sent]
    service.script = [bigquery_error(status, *AWAY[status])] * MANY + list(answers)
    assert request(service.target) == result
    assert service.script == []


@send
def test_an_outage_that_lasts_too_long_stops_the_job_and_says_that_the_same_command_continues(
    service: Any, bigquery_error: Callable[..., Any], sent: str
) -> None:
    request, _, _ = REQUESTS[sent]
    service.script = [bigquery_error(503, *AWAY[503])] * MANY
    with pytest.raises(OutageError) as raised:
        request(replace(service.target, max_outage_s=0))
    message = str(raised.value)
    assert message.startswith(f"BigQuery (demo-script, {service.target.emulator}) has not answered for 0 s, the last ")
    assert "UNAVAILABLE: Service Unavailable" in message
    assert message.endswith("no record was given up for it: run the same command again when it is back")


def test_a_failure_of_one_request_is_no_outage(service: Any, bigquery_error: Callable[..., Any]) -> None:
    target, failing = replace(service.target, max_outage_s=0), bigquery_error(503, *AWAY[503])
    for _ in range(MANY):
        service.script = [failing, failing, (200, {})]
        assert _insert_all(target) == 1


def test_a_lost_race_between_two_statements_shows_that_the_service_is_there(
    service: Any, bigquery_error: Callable[..., Any]
) -> None:
    service.script = [bigquery_error(400, "invalidQuery", "could not serialize due to concurrent update")] * MANY
    with pytest.raises(TransientError, match="concurrent update"):
        _query(replace(service.target, max_outage_s=0))


def test_a_refusal_shows_that_the_service_is_there(service: Any, bigquery_error: Callable[..., Any]) -> None:
    target, failing = replace(service.target, max_outage_s=0), bigquery_error(503, *AWAY[503])
    for _ in range(3):
        service.script = [failing, failing, bigquery_error(403, "accessDenied", "Access Denied")]
        with pytest.raises(JobError, match="Access Denied"):
            _columns(target)


def test_all_clients_of_a_process_know_of_an_outage_together(service: Any, bigquery_error: Callable[..., Any]) -> None:
    target, once = replace(service.target, max_outage_s=0), Retry(max_attempts=1)
    service.script = [bigquery_error(503, *AWAY[503])] * MANY
    for table in "abcd":
        with pytest.raises(TransientError):
            existing_columns(replace(target, table=table), retry=once)
    with pytest.raises(OutageError):
        _insert_all(target)


@pytest.fixture
def appends() -> Iterator[ScriptedStorageWrite]:
    with ScriptedStorageWrite() as scripted:
        yield scripted


def _append(appends: ScriptedStorageWrite, max_outage_s: float = 300) -> Any:
    target = replace(appends.target, table=replace(appends.target.table, max_outage_s=max_outage_s))
    writer = StorageWriter(target, COLUMNS, retry=RETRY)
    try:
        return writer.insert([{"id": "a"}], ["i"])
    finally:
        writer.close()


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_appended_rows_wait_out_an_outage(appends: ScriptedStorageWrite, code: str) -> None:
    appends.script = [Cut(code, "try again later")] * MANY
    assert _append(appends).accepted == 1
    assert appends.rows == ["a"]


def test_appended_rows_are_given_up_with_the_job_when_the_outage_lasts(appends: ScriptedStorageWrite) -> None:
    appends.script = [Cut("UNAVAILABLE", "try again later")] * MANY
    with pytest.raises(OutageError) as raised:
        _append(appends, max_outage_s=0)
    assert str(raised.value) == (
        f"BigQuery Storage Write API (demo-script, {appends.target.grpc_host}) has not answered for 0 s, the last time "
        "with UNAVAILABLE: try again later; no record was given up for it: run the same command again when it is back"
    )


def _store(target: BigQueryTarget) -> BigQueryStore:
    form = TypedForm(KnownTable.of([Column("n", "INT64")]), Ignored())
    return BigQueryStore(target, RowVersions("id", "id"), form, retry=RETRY)


def test_a_table_that_is_compared_is_read_after_an_outage(service: Any, bigquery_error: Callable[..., Any]) -> None:
    service.script = [bigquery_error(503, *AWAY[503])] * MANY + [job(), (200, RESULT)]
    assert len(_store(service.target).ranges(2)) == 1
    assert service.script == []


def test_a_table_that_is_compared_is_given_up_when_the_outage_lasts(
    service: Any, bigquery_error: Callable[..., Any]
) -> None:
    service.script = [bigquery_error(503, *AWAY[503])] * MANY
    with pytest.raises(OutageError, match="run the same command again when it is back"):
        _store(replace(service.target, max_outage_s=0)).ranges(2)
