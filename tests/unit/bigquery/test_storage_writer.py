"""StorageWriter on a table's default stream."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.clocks import no_waiting
from tests.support.scripted_storage_write import Appended, Cut, ScriptedStorageWrite, refusal, row_errors
from transforms.bigquery.inserter import Rejected
from transforms.bigquery.schema import Column
from transforms.bigquery.storage_target import AppendRowsResponse
from transforms.bigquery.storage_write import StorageWriter
from transforms.errors import JobError, TransientError
from transforms.retry import Retry

COLUMNS = (Column("id", "STRING"), Column("n", "INT64"), Column("text", "STRING"))


@pytest.fixture
def service() -> Iterator[ScriptedStorageWrite]:
    with ScriptedStorageWrite() as scripted:
        yield scripted


@pytest.fixture
def naps() -> list[float]:
    """How long the writer would have slept."""
    return []


@pytest.fixture
def writer_of(naps: list[float]) -> Iterator[Callable[..., StorageWriter]]:
    writers = []

    def make(service: ScriptedStorageWrite, **settings: Any) -> StorageWriter:
        settings = {"retry": Retry(max_attempts=4), "lag_retry": Retry(3, 2.0, 60.0)} | settings
        settings["retry"] = replace(settings["retry"], clock=no_waiting(slept=naps, chance=1.0))
        writers.append(StorageWriter(service.target, COLUMNS, **settings))
        return writers[-1]

    yield make
    for writer in writers:
        writer.close()


def rows(*ids: str) -> list[dict[str, Any]]:
    return [{"id": id_, "n": 1} for id_ in ids]


def insert(writer: StorageWriter, *ids: str) -> Any:
    return writer.insert(rows(*ids), ids)


def test_rows_are_packed_by_number_and_go_over_one_connection(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    writer = writer_of(service, max_rows=2)
    assert insert(writer, "a", "b", "c", "d", "e") == (5, (), 3, 0)
    assert insert(writer, "f") == (1, (), 1, 0)
    assert service.sent == [["a", "b"], ["c", "d"], ["e"], ["f"]]
    assert service.connections == 1


def test_requests_stay_below_the_limit_of_bytes(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    data = [{"id": str(n), "text": "x" * 400} for n in range(5)]
    result = writer_of(service, max_request_bytes=1024).insert(data, [""] * 5)
    assert (result.accepted, service.sent) == (5, [["0", "1"], ["2", "3"], ["4"]])


def test_nothing_to_insert_calls_nothing(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    assert insert(writer_of(service)) == (0, (), 0, 0)
    assert service.connections == 0


def test_the_first_request_says_where_to_and_brings_the_routing_header(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    insert(writer_of(service), "a")
    stream = "projects/demo-script/datasets/people/tables/candidates/streams/_default"
    assert service.appended == [Appended(stream, None, ["a"], 1)]
    assert service.metadata[0]["x-goog-request-params"] == f"write_stream={stream}"


def test_several_requests_are_on_their_way_at_once_but_no_more_than_allowed(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    # Nothing is answered before the connection is cut, so what came until then was sent without an answer.
    service.script = [Cut("UNAVAILABLE", written=True)]
    result = insert(writer_of(service, max_rows=1, max_in_flight=2), "a", "b", "c")
    assert (result.accepted, result.retries) == (3, 2)
    assert service.sent == [["a"], ["a"], ["b"], ["c"]]


def test_blamed_rows_are_rejected_in_bigquery_s_words_without_the_value_and_the_others_sent_again(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    service.script = [row_errors((1, "Field n: cannot parse 'eight'"), (3, "Field n: too large"))]
    result = insert(writer_of(service), "a", "b", "c", "d")
    assert result.rejected == (
        Rejected(1, "FIELDS_ERROR", "Field n: cannot parse '…'"),
        Rejected(3, "FIELDS_ERROR", "Field n: too large"),
    )
    assert (result.accepted, result.requests, result.retries) == (2, 2, 1)
    assert service.sent == [["a", "b", "c", "d"], ["a", "c"]]
    assert service.rows == ["a", "c"]


def test_a_request_refused_as_a_whole_is_halved_until_the_row_at_fault_is_alone(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    def refuse_c(appended: Appended) -> Any:
        return refusal("INVALID_ARGUMENT", 'Malformed row "c"') if "c" in appended.ids else None

    service.script = [refuse_c] * 20
    result = insert(writer_of(service), "a", "b", "c", "d")
    assert result.rejected == (Rejected(2, "INVALID_ARGUMENT", 'Malformed row "…"'),)
    assert sorted(service.rows) == ["a", "b", "d"]
    assert result.accepted == 3


def test_a_request_too_large_for_the_service_is_halved_though_it_ends_the_connection(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    service.script = [Cut("RESOURCE_EXHAUSTED", "Received message larger than max (5000000 vs. 4194304)")]
    assert insert(writer_of(service), "a", "b", "c").accepted == 3
    assert service.sent == [["a", "b", "c"], ["a"], ["b", "c"]]


def test_a_row_larger_than_a_request_is_rejected_with_its_largest_column(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    data = [{"id": "a", "text": "x" * 2000}, {"id": "b"}]
    result = writer_of(service, max_request_bytes=1024).insert(data, ["a", "b"])
    message = "the row takes 2,006 bytes in a request, BigQuery takes 1,024: leave out or shorten column text"
    assert result.rejected == (Rejected(0, "ROW_TOO_LARGE", message),)
    assert (result.accepted, service.sent) == (1, [["b"]])


def test_a_row_that_does_not_fit_the_columns_is_rejected_before_it_is_sent(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    result = writer_of(service).insert([{"id": "a", "n": "secret"}, {"id": "b", "n": 1}], ["a", "b"])
    assert result.rejected == (Rejected(0, "INVALID", "column n: this str does not fit INT64"),)
    assert service.sent == [["b"]]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "ABORTED", "INTERNAL", "RESOURCE_EXHAUSTED", "CANCELLED", "UNKNOWN"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_passing_failure_is_waited_out(
    service: ScriptedStorageWrite,
    writer_of: Callable[..., StorageWriter],
    naps: list[float],
    code: str,
    cut: bool,
) -> None:
    service.script = [Cut(code, "try later") if cut else refusal(code, "try later")] * 2
    assert insert(writer_of(service), "a", "b") == (2, (), 3, 2)
    assert (service.rows, naps) == (["a", "b"], [0.5, 1.0])


def test_a_failure_that_does_not_pass_is_given_up(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter], naps: list[float]
) -> None:
    service.script = [Cut("UNAVAILABLE", "no backend")] * 9
    message = "^BigQuery table demo-script.people.candidates: no backend; gave up after 4 attempts$"
    with pytest.raises(TransientError, match=message):
        insert(writer_of(service), "a")
    assert (len(service.sent), naps) == (4, [0.5, 1.0, 2.0])


def test_a_request_without_an_answer_is_given_up_in_time(writer_of: Callable[..., StorageWriter]) -> None:
    with ScriptedStorageWrite() as silent:
        writer = writer_of(silent, timeout_s=0.05, retry=Retry(max_attempts=1))
        silent.hold.clear()
        with pytest.raises(TransientError, match=r"no answer within 0\.05 s; gave up after 1 attempts$"):
            insert(writer, "a")
        silent.hold.set()


def test_acknowledged_requests_are_never_sent_again(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    service.script = [None, None, Cut("UNAVAILABLE"), None, None, Cut("INTERNAL", written=True)]
    result = insert(writer_of(service, max_rows=1), "a", "b", "c", "d", "e", "f")
    assert result.accepted == 6
    assert set(service.rows) == set("abcdef")
    assert [service.rows.count(id_) for id_ in "ab"] == [1, 1]


def test_a_connection_that_was_closed_in_silence_is_opened_again(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    writer = writer_of(service)
    service.ends_after_answer = True
    assert insert(writer, "a").accepted == 1
    service.ends_after_answer = False
    assert insert(writer, "b").accepted == 1
    assert service.connections == 2
    assert service.rows == ["a", "b"]


@pytest.mark.parametrize(
    "lag",
    [
        refusal("INVALID_ARGUMENT", "Input schema has more fields than BigQuery schema, extra fields: 'n'"),
        refusal("INVALID_ARGUMENT", "Schema mismatch", 7),
        Cut("INVALID_ARGUMENT", "Schema mismatch", storage_code=7),
    ],
)
def test_a_column_just_added_is_waited_for_on_a_new_connection(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter], naps: list[float], lag: Any
) -> None:
    service.script = [lag, lag]
    assert insert(writer_of(service), "a").accepted == 1
    assert (naps, service.connections) == ([2.0, 4.0], 3)


def test_a_column_that_stays_unknown_stops_the_job(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter], naps: list[float]
) -> None:
    service.script = [row_errors((0, "no such field: n."))] * 3
    with pytest.raises(
        JobError,
        match=r"^BigQuery table demo-script\.people\.candidates lacks a column of the rows: no such field: n\. "
        r"Add it; if it was just added, start again in a few minutes$",
    ):
        insert(writer_of(service), "a", "b")
    assert naps == [2.0, 4.0]


def test_a_table_that_grew_is_no_trouble(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    def grown(appended: Appended) -> Any:
        response = AppendRowsResponse()
        response.append_result.SetInParent()
        response.updated_schema.fields.add(name="later")
        return response

    service.script = [grown]
    assert insert(writer_of(service), "a") == (1, (), 1, 0)


def test_a_new_table_is_waited_for(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter], naps: list[float]
) -> None:
    service.script = [Cut("NOT_FOUND", "Requested entity was not found"), refusal("NOT_FOUND", "Table not found", 1)]
    assert insert(writer_of(service), "a").accepted == 1
    assert naps == [2.0, 4.0]


@pytest.mark.parametrize(
    ("step", "naps_s", "message"),
    [
        (Cut("NOT_FOUND", "Not found: Dataset p:d"), [], r"Not found: Dataset p:d\. To fix it: check project, dataset"),
        (Cut("NOT_FOUND", "Table not found"), [2.0, 4.0], r"Table not found\. To fix it: check project, dataset"),
        (Cut("PERMISSION_DENIED", "Permission denied"), [], r"Permission denied\. To fix it: grant roles/bigquery\."),
        (
            refusal("PERMISSION_DENIED", "Denied", 14),
            [],
            "Denied: give BigQuery's service account the role roles/cloudkms",
        ),
        (Cut("UNAUTHENTICATED", "No credentials"), [], r"No credentials\. To fix it: run `gcloud auth"),
        (Cut("UNIMPLEMENTED", "No such method"), [], "check BIGQUERY_EMULATOR_HOST"),
    ],
)
def test_what_no_request_can_get_past_stops_the_job_with_the_fix(
    service: ScriptedStorageWrite,
    writer_of: Callable[..., StorageWriter],
    naps: list[float],
    step: Any,
    naps_s: list[float],
    message: str,
) -> None:
    service.script = [step] * 3
    with pytest.raises(JobError, match=f"^BigQuery table demo-script.people.candidates: .*{message}"):
        insert(writer_of(service), "a")
    assert naps == naps_s


def test_after_an_error_the_next_call_takes_no_answer_of_the_last_one(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    writer = writer_of(service, max_rows=1)
    service.script = [refusal("PERMISSION_DENIED", "Denied"), None, None, row_errors((0, "late"))]
    with pytest.raises(JobError, match="Denied"):
        insert(writer, "a", "b", "c", "d")
    service.script = []
    assert insert(writer, "e") == (1, (), 1, 0)


def test_rows_all_refused_alike_are_the_table_s_fault(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    service.judge = lambda _: "Field id: missing required value"
    with pytest.raises(JobError, match="refuses every row alike: Field id: missing required value"):
        insert(writer_of(service), *(str(n) for n in range(30)))


def test_requests_all_refused_alike_are_the_table_s_fault(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    service.script = [refusal("INVALID_ARGUMENT", "Bad proto")] * 99
    with pytest.raises(JobError, match=r"every request is refused alike: Bad proto\. Compare the table's schema"):
        insert(writer_of(service), *(str(n) for n in range(16)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_rows": 0}, r"max_rows must be in \[1, 50000\], got 0"),
        ({"max_request_bytes": 9_999_999}, r"max_request_bytes must be in \[1024, 4128768\], got 9999999"),
        ({"max_in_flight": 0}, r"max_in_flight must be in \[1, 100\], got 0"),
    ],
)
def test_settings_out_of_bounds_are_refused(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter], settings: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        writer_of(service, **settings)


def test_every_row_has_an_id_and_a_stream_is_kept(
    service: ScriptedStorageWrite, writer_of: Callable[..., StorageWriter]
) -> None:
    writer = writer_of(service)
    with pytest.raises(ValueError, match=r"^one insert id per row is needed, got 1 for 2 rows$"):
        writer.insert(rows("a", "b"), ["a"])
    with pytest.raises(ValueError, match=r"^stream and keep are needed together"):
        writer.insert(rows("a"), ["a"], stream="s")
