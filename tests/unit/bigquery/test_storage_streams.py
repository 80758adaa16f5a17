"""StorageWriter in streams of a batch's own: every row once, however often the batch is done."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.clocks import no_waiting
from tests.support.scripted_storage_write import Appended, Cut, ScriptedStorageWrite, refusal, row_errors
from transforms.bigquery.inserter import InsertResult, Rejected
from transforms.bigquery.schema import Column
from transforms.bigquery.storage_streams import StreamPosition
from transforms.bigquery.storage_write import StorageWriter
from transforms.errors import JobError, TransientError
from transforms.retry import Retry

COLUMNS = (Column("id", "STRING"), Column("n", "INT64"))
TABLE = "projects/demo-script/datasets/people/tables/candidates"
EXISTS, BEYOND = 8, 9  # of StorageErrorCode


class Ledger:
    """Keeps the stream of one batch, unless somebody else has changed it."""

    def __init__(self, stream: str, table: ScriptedStorageWrite):
        self.stream, self.table = stream, table
        self.rows_when_kept: list[list[str]] = []
        self.kept: list[str] = []
        self.taken = False

    def keep(self, stream: str) -> None:
        if self.taken:
            raise TransientError("somebody else does the batch")
        self.stream = stream
        self.kept.append(stream)
        self.rows_when_kept.append(self.table.rows)


class Batch:
    """A batch that is done again and again, each time by a worker that knows nothing but the ledger."""

    def __init__(self, service: ScriptedStorageWrite):
        self.service = service
        self.naps: list[float] = []
        self.ledger = Ledger(self.with_writer(lambda writer: writer.begin_stream()), service)

    def with_writer(self, work: Callable[[StorageWriter], Any], **options: Any) -> Any:
        retry = Retry(max_attempts=3, clock=no_waiting(slept=self.naps, chance=1.0))
        options = {"max_rows": 2, "retry": retry} | options
        writer = StorageWriter(self.service.target, COLUMNS, **options)
        try:
            return work(writer)
        finally:
            writer.close()

    def do(self, ids: str, **options: Any) -> InsertResult:
        rows = [{"id": id_, "n": "no number" if id_ == "?" else 1} for id_ in ids]
        result: InsertResult = self.with_writer(
            lambda writer: writer.insert(rows, list(ids), stream=self.ledger.stream, keep=self.ledger.keep), **options
        )
        return result


@pytest.fixture
def service() -> Iterator[ScriptedStorageWrite]:
    with ScriptedStorageWrite() as scripted:
        yield scripted


@pytest.fixture
def batch(service: ScriptedStorageWrite) -> Batch:
    return Batch(service)


def test_rows_are_sent_with_the_offsets_at_which_they_stand(batch: Batch, service: ScriptedStorageWrite) -> None:
    assert batch.ledger.stream == f"{TABLE}/streams/s1"
    assert batch.do("abcde") == (5, (), 3, 0)
    assert [(appended.offset, appended.ids) for appended in service.appended] == [
        (0, ["a", "b"]),
        (2, ["c", "d"]),
        (4, ["e"]),
    ]
    assert {appended.stream for appended in service.appended} == {f"{TABLE}/streams/s1"}
    assert batch.ledger.kept == []


def test_a_new_stream_is_asked_for_with_the_table_s_routing_header(batch: Batch, service: ScriptedStorageWrite) -> None:
    assert service.metadata[0]["x-goog-request-params"] == f"parent={TABLE}"


def test_a_batch_done_again_writes_nothing_twice(batch: Batch, service: ScriptedStorageWrite) -> None:
    first = batch.do("abcde")
    for _ in range(3):
        assert batch.do("abcde")[:2] == first[:2] == (5, ())
    assert service.rows == list("abcde")
    assert batch.naps == []


def test_a_batch_that_was_interrupted_goes_on_where_it_was(batch: Batch, service: ScriptedStorageWrite) -> None:
    service.script = [None, Cut("PERMISSION_DENIED", "Denied", written=True)]
    with pytest.raises(JobError, match="Denied"):
        batch.do("abcdefg")
    assert service.rows == list("abcd")
    assert batch.do("abcdefg")[:2] == (7, ())
    assert service.rows == list("abcdefg")


def test_requests_of_another_size_change_nothing_when_a_batch_is_done_again(
    batch: Batch, service: ScriptedStorageWrite
) -> None:
    service.script = [None, None, Cut("PERMISSION_DENIED", "Denied")]
    with pytest.raises(JobError):
        batch.do("abcdefghi")
    assert batch.do("abcdefghi", max_rows=3).accepted == 9
    assert service.rows == list("abcdefghi")


@pytest.mark.parametrize("written", [True, False])
def test_a_request_whose_answer_is_lost_is_there_once(
    batch: Batch, service: ScriptedStorageWrite, written: bool
) -> None:
    service.script = [None, Cut("UNAVAILABLE", written=written)]
    assert batch.do("abcdef").accepted == 6
    assert service.rows == list("abcdef")
    assert batch.do("abcdef").accepted == 6
    assert service.rows == list("abcdef")


def test_rejected_rows_are_kept_before_a_row_behind_them_is_written_and_rejected_again_unasked(
    batch: Batch, service: ScriptedStorageWrite
) -> None:
    service.judge = lambda id_: "Field n: out of range" if id_ in "cf" else None
    first = batch.do("abcdefgh")
    assert first.rejected == (
        Rejected(2, "FIELDS_ERROR", "Field n: out of range"),
        Rejected(5, "FIELDS_ERROR", "Field n: out of range"),
    )
    assert (first.accepted, service.rows) == (6, list("abdegh"))
    assert batch.ledger.rows_when_kept == [list("ab"), list("abd")]

    service.judge = lambda _: None
    assert batch.do("abcdefgh")[:2] == first[:2]
    assert service.rows == list("abdegh")


def test_a_batch_interrupted_behind_a_rejected_row_goes_on_where_it_was(
    batch: Batch, service: ScriptedStorageWrite
) -> None:
    service.script = [row_errors((1, "bad")), None, Cut("PERMISSION_DENIED", "Denied")]
    with pytest.raises(JobError, match="Denied"):
        batch.do("abcdef", max_in_flight=1)
    assert service.rows == ["a"]
    result = batch.do("abcdef")
    assert (result.accepted, result.rejected) == (5, (Rejected(1, "FIELDS_ERROR", "bad"),))
    assert service.rows == list("acdef")


def test_rows_refused_before_they_are_sent_are_kept_too(batch: Batch, service: ScriptedStorageWrite) -> None:
    result = batch.do("a?b")
    assert (result.accepted, service.rows) == (2, ["a", "b"])
    assert StreamPosition.parse(batch.ledger.kept[0]).rejected == {1: result.rejected[0]}
    assert batch.do("a?b")[:2] == result[:2]


def test_a_lone_row_refused_as_a_whole_is_rejected_and_the_others_are_there_once(
    batch: Batch, service: ScriptedStorageWrite
) -> None:
    def refuse_c(appended: Appended) -> Any:
        return refusal("INVALID_ARGUMENT", "Malformed") if "c" in appended.ids else None

    service.script = [refuse_c] * 20
    result = batch.do("abcdef", max_rows=6)
    assert result.rejected == (Rejected(2, "INVALID_ARGUMENT", "Malformed"),)
    assert service.rows == list("abdef")


def test_whoever_has_lost_the_batch_writes_nothing_more(batch: Batch, service: ScriptedStorageWrite) -> None:
    """Two workers do one batch: the second ends the stream of the first and goes on in its own."""
    service.script = [None, Cut("UNAVAILABLE")]
    batch.ledger.taken = True
    with pytest.raises(TransientError, match="somebody else does the batch"):
        batch.do("abcd")
    assert service.rows == ["a", "b"]
    batch.ledger.taken = False
    assert batch.do("abcd").accepted == 4
    assert service.rows == list("abcd")


def test_a_stream_that_another_worker_has_ended_is_left_for_a_new_one(
    batch: Batch, service: ScriptedStorageWrite
) -> None:
    def end(appended: Appended) -> None:
        service.ended.add(appended.stream)

    service.script = [None, end]
    assert batch.do("abcd").accepted == 4
    assert service.streams == {f"{TABLE}/streams/s1": ["a", "b"], f"{TABLE}/streams/s2": ["c", "d"]}


def test_rows_lost_from_a_stream_stop_the_job(batch: Batch, service: ScriptedStorageWrite) -> None:
    def lose(appended: Appended) -> Any:
        service.streams[appended.stream].clear()
        return refusal("OUT_OF_RANGE", "The offset is beyond stream", BEYOND)

    service.script = [None, lose]
    with pytest.raises(
        JobError, match=r"streams/s1 holds 0 rows, this batch has written between 2 and 4 to it: the str"
    ):
        batch.do("abcd")


def test_the_stream_of_a_larger_batch_is_not_taken_for_one_s_own(batch: Batch, service: ScriptedStorageWrite) -> None:
    batch.do("abcdef")
    with pytest.raises(
        JobError, match="holds 6 rows, this batch has written between 0 and 2 to it: the stream is anot"
    ):
        batch.do("ab")


@pytest.mark.parametrize(
    "answer",
    [
        Cut("NOT_FOUND", f"Requested entity was not found. Entity: {TABLE}/streams/s1"),
        refusal("NOT_FOUND", "No such stream", 3),
        Cut("INVALID_ARGUMENT", f"Invalid stream name. Entity: {TABLE}/streams/s1"),
    ],
)
def test_a_stream_that_is_gone_stops_the_job_with_what_to_do(
    batch: Batch, service: ScriptedStorageWrite, answer: Any
) -> None:
    service.script = [answer]
    with pytest.raises(
        JobError, match=r"no longer has the stream .*Delete them from the table and the stream from the l"
    ):
        batch.do("ab")


def test_an_offset_that_is_always_taken_is_given_up(batch: Batch, service: ScriptedStorageWrite) -> None:
    service.script = [refusal("ALREADY_EXISTS", "The offset is within stream", EXISTS)] * 9
    with pytest.raises(TransientError, match=r"The offset is within stream; gave up after 3 attempts$"):
        batch.do("ab")


def test_making_and_ending_streams_is_tried_again(batch: Batch, service: ScriptedStorageWrite) -> None:
    service.script = [Cut("UNAVAILABLE")]
    service.unary = [("UNAVAILABLE", "later"), ("INTERNAL", "later")]
    assert batch.do("ab").accepted == 2
    assert len(batch.naps) == 3


def test_a_refusal_to_make_a_stream_stops_the_job_with_the_fix(batch: Batch, service: ScriptedStorageWrite) -> None:
    service.unary = [("PERMISSION_DENIED", "Denied")]
    with pytest.raises(
        JobError, match=r"^BigQuery table demo-script.people.candidates: Denied\. To fix it: grant roles"
    ):
        batch.with_writer(lambda writer: writer.begin_stream())


MALFORMED = refusal("INVALID_ARGUMENT", "Malformed")
FAULTS = st.sampled_from(
    [
        None,
        None,
        Cut("UNAVAILABLE"),
        Cut("UNAVAILABLE", written=True),
        Cut("PERMISSION_DENIED"),
        Cut("PERMISSION_DENIED", written=True),
        refusal("INTERNAL", "later"),
        MALFORMED,
        row_errors((0, "bad")),
    ]
)


@settings(max_examples=60)
@example(rows=1, bad=set(), max_rows=1, faults=[Cut("PERMISSION_DENIED", written=True), MALFORMED])
@example(rows=3, bad=set(), max_rows=2, faults=[Cut("PERMISSION_DENIED", written=True), row_errors((0, "bad"))])
@given(
    rows=st.integers(1, 9),
    bad=st.sets(st.integers(0, 8)),
    max_rows=st.integers(1, 4),
    faults=st.lists(FAULTS, max_size=12),
)
def test_whatever_happens_on_the_way_each_good_row_is_there_once(
    rows: int, bad: set[int], max_rows: int, faults: list[Any]
) -> None:
    ids = "abcdefghi"[:rows]
    with ScriptedStorageWrite() as service:
        batch = Batch(service)
        service.judge = lambda id_: "bad" if ids.index(id_) in bad else None
        service.script = list(faults)
        result = None
        while result is None:
            try:
                result = batch.do(ids, max_rows=max_rows)
            except (JobError, TransientError):
                assert len(service.appended) < 200
        rejected = {row.index for row in result.rejected}
        assert service.rows == [id_ for index, id_ in enumerate(ids) if index not in rejected]
        assert {index for index in bad if index < rows} <= rejected
        service.script = []
        assert batch.do(ids, max_rows=max_rows)[:2] == result[:2]
        assert len(service.rows) == result.accepted == rows - len(rejected)
