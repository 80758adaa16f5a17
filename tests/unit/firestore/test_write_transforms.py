"""WriteToFirestore and CommitToFirestore on a real runner, against a server that misbehaves as told."""

import datetime
import pickle

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, IntervalWindow, SlidingWindows, TimestampedValue

from transforms.firestore.document_ids import document_id
from transforms.firestore.operations import Create, Delete, Increment, Merge, Set, Update
from transforms.firestore.write import CommitToFirestore, WriteToFirestore
from transforms.firestore.written import FailedWrite, WrittenDocument
from transforms.retry import Retry
from transforms.runtime.parallelism import declared_parallelism
from transforms.testing import RpcError, ScriptedFirestore, always, applied_then, status, written_name

FAST = Retry(max_attempts=3, initial_s=0)


def pipeline(*flags):
    return beam.Pipeline(FnApiRunner(), options=PipelineOptions(list(flags)))


def paths_of(server):
    return set(server.documents)


def with_its_place(
    element, timestamp=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam
) -> tuple[str, float, tuple[float, float]]:
    return element.path, float(timestamp), (float(window.start), float(window.end))


class CountStored(beam.DoFn):
    """How many of these documents are there at the moment the element comes."""

    def __init__(self, target, names):
        self.target, self.names = target, names

    def process(self, element):
        answers = self.target.connect().batch_get(self.names, (), 10.0)
        yield sum(answer.HasField("found") for answer in answers)


def refuse_odd(write, before):
    if write.update.fields["n"].integer_value % 2:
        raise RpcError("FAILED_PRECONDITION", "odd")


def test_every_write_is_in_exactly_one_output_and_says_what_became_of_it():
    good, bad, unfit = Set("docs/a", {"n": 2}), Set("docs/b", {"n": 1}), Set("docs/c", {"n": [[1]]})
    moment = datetime.datetime(2023, 11, 14, 22, 13, 21, tzinfo=datetime.timezone.utc)
    with ScriptedFirestore(scripts={"Write": refuse_odd}, now=moment.timestamp) as server, pipeline() as p:
        result = p | beam.Create([good, bad, unfit]) | WriteToFirestore(target=server.target)
        assert_that(result.written, equal_to([WrittenDocument("docs/a", moment, 1)]), "Written")
        letters = [
            FailedWrite("docs/b", "FAILED_PRECONDITION", "odd", 1, False, bad),
            FailedWrite(
                "docs/c", "NESTED_ARRAY", "n[0]: an array directly inside an array; wrap it in a map", 0, False, unfit
            ),
        ]
        assert_that(result.dead_letters, equal_to(letters), "DeadLetters")


def test_a_dead_letter_can_be_put_in_again():
    with ScriptedFirestore(scripts={"Write": [status("ABORTED")] * 3}) as server, pipeline() as p:
        first = (
            p | beam.Create([Set("docs/a", {"n": 1})]) | "First" >> WriteToFirestore(target=server.target, retry=FAST)
        )
        assert_that(
            first.dead_letters | beam.Map(lambda letter: (letter.retryable, letter.attempts)), equal_to([(True, 3)])
        )
        writes = first.dead_letters | "Replay" >> beam.Map(lambda letter: letter.write)
        again = writes | "Second" >> WriteToFirestore(target=server.target)
        assert_that(again.written | beam.Map(lambda written: written.path), equal_to(["docs/a"]), "Again")


@pytest.mark.parametrize(
    ("window", "windows_of"),
    [
        (FixedWindows(10), lambda at: {(at // 10 * 10, at // 10 * 10 + 10)}),
        (SlidingWindows(10, 5), lambda at: {(at // 5 * 5 - back, at // 5 * 5 - back + 10) for back in (0, 5)}),
    ],
    ids=["fixed", "sliding"],
)
def test_a_write_keeps_its_timestamp_and_all_its_windows_and_is_sent_once(window, windows_of):
    n_writes = 1200  # more than a request: some come out while the bundle runs, the others when it ends
    with ScriptedFirestore(scripts={"Write": refuse_odd}) as server, pipeline() as p:
        stamped = p | beam.Create(range(n_writes)) | beam.Map(lambda n: TimestampedValue(Set(f"docs/{n}", {"n": n}), n))
        result = stamped | beam.WindowInto(window) | WriteToFirestore(target=server.target)
        expected = [(f"docs/{n}", float(n), place) for n in range(n_writes) for place in windows_of(n)]
        even, odd = [[each for each in expected if each[1] % 2 == rest] for rest in (0, 1)]
        placed = result.written | "PlaceWritten" >> beam.Map(with_its_place)
        assert_that(placed, equal_to(even), "Written")
        placed = result.dead_letters | "PlaceFailed" >> beam.Map(with_its_place)
        assert_that(placed, equal_to(odd), "Failed")
    assert sum(len(request.writes) for request in server.requests("BatchWrite")) == n_writes


def test_an_unbounded_input_is_written_bundle_by_bundle():
    stream = test_stream.TestStream()
    for n in range(4):
        stream = stream.advance_watermark_to(n * 10).add_elements(
            [TimestampedValue(Set(f"docs/{n}", {"n": 2 * n}), n * 10)]
        )
    options = PipelineOptions([])
    options.view_as(StandardOptions).streaming = True
    with ScriptedFirestore() as server, beam.Pipeline(BundleBasedDirectRunner(), options=options) as p:
        writes = p | stream.advance_watermark_to_infinity() | beam.WindowInto(FixedWindows(10))
        placed = writes | WriteToFirestore(target=server.target)
        expected = [(f"docs/{n}", n * 10.0, (n * 10.0, n * 10.0 + 10)) for n in range(4)]
        seen = placed.written | beam.Map(with_its_place)
        assert_that(seen, equal_to(expected))
    assert paths_of(server) == {f"docs/{n}" for n in range(4)}


def test_a_step_can_wait_until_everything_is_written():
    names = []
    with ScriptedFirestore() as server, pipeline() as p:
        names += [server.target.document_name(f"docs/{n}") for n in range(700)]
        result = p | beam.Create([Set(f"docs/{n}", {}) for n in range(700)]) | WriteToFirestore(target=server.target)
        waited = p | "Signal" >> beam.Create(["go"]) | beam.WaitOn(result.written, result.dead_letters)
        assert_that(waited | beam.ParDo(CountStored(server.target, names)), equal_to([700]))


def test_of_several_writes_of_a_document_all_are_done_in_their_order():
    writes = [Set("docs/a", {"n": 2}), Set("docs/b", {"n": 2}), Merge("docs/a", {"n": 4}), Delete("docs/b")]
    with ScriptedFirestore() as server, pipeline() as p:
        result = p | beam.Create(writes, reshuffle=False) | WriteToFirestore(target=server.target)
        written = result.written | beam.Map(lambda written: (written.path, written.superseded))
        assert_that(written, equal_to([("docs/a", False), ("docs/b", False)] * 2))
    assert paths_of(server) == {"docs/a"}
    assert len(server.requests("BatchWrite")) == 2


def test_last_sends_only_the_last_and_accounts_for_the_others():
    writes = [Set("docs/a", {"n": 2}), Merge("docs/a", {"n": 4}), Set("docs/a", {"n": 6}), Set("docs/b", {"n": 1})]
    writes += [Set("docs/b", {"n": 3})]
    with ScriptedFirestore(scripts={"Write": refuse_odd}) as server, pipeline() as p:
        result = p | beam.Create(writes, reshuffle=False) | WriteToFirestore(target=server.target, on_duplicate="last")
        # A Merge needs what was there before, so it is sent; the Set after it makes it moot, as it has not gone yet.
        written = result.written | beam.Map(lambda written: (written.path, written.superseded))
        assert_that(written, equal_to([("docs/a", False), ("docs/a", True), ("docs/a", False)]), "Written")
        failed = result.dead_letters | beam.Map(lambda letter: (letter.write.fields["n"], letter.code))
        assert_that(failed, equal_to([(1, "FAILED_PRECONDITION"), (3, "FAILED_PRECONDITION")]), "Failed")
    assert [len(request.writes) for request in server.requests("BatchWrite")] == [1, 2]


def test_an_element_without_an_id_gets_the_hash_of_its_fields_or_is_refused():
    fields = {"email": "a@b.c"}
    with ScriptedFirestore() as server, pipeline() as p:
        writes = p | beam.Create([Set("docs", fields), Set("docs", {"other": 1}), Set("docs/own", {})])
        result = writes | "WithId" >> WriteToFirestore(target=server.target, id_from=("email",))
        assert_that(
            result.dead_letters | beam.Map(lambda letter: (letter.code, letter.write)),
            equal_to([("MISSING_ID", Set("docs", {"other": 1}))]),
        )
        refused = writes | "WithoutId" >> WriteToFirestore(target=server.target)
        assert_that(
            refused.dead_letters | "Codes" >> beam.Map(lambda letter: letter.code),
            equal_to(["INVALID_PATH"] * 2),
            "Refused",
        )
    assert paths_of(server) == {f"docs/{document_id(fields, 'email')}", "docs/own"}


def test_a_group_lands_as_a_whole_or_is_one_dead_letter():
    def refuse_bad(request, earlier):
        if any(written_name(write).endswith("/bad") for write in request.writes):
            raise RpcError("ALREADY_EXISTS", "Document already exists")

    good, bad = (Set("docs/a", {}), Set("docs/b", {})), (Set("docs/c", {}), Create("docs/bad", {}))
    unfit = [Set("docs/d", {}), Set("docs/..", {})]
    with ScriptedFirestore(scripts={"Commit": refuse_bad}) as server, pipeline() as p:
        result = p | beam.Create([good, bad, unfit, ()]) | CommitToFirestore(target=server.target)
        assert_that(result.written | beam.Map(lambda written: written.path), equal_to(["docs/a", "docs/b"]), "Written")
        letters = result.dead_letters | beam.Map(
            lambda letter: (letter.path, letter.code, letter.message, letter.write)
        )
        expected = [
            ("docs/c", "ALREADY_EXISTS", "Document already exists", bad),
            ("docs/d", "INVALID_ID", 'docs/..: a document id must not be "." or ".."', unfit),
        ]
        assert_that(letters, equal_to(expected), "DeadLetters")
    assert paths_of(server) == {"docs/a", "docs/b"}


def test_a_creation_whose_answer_was_lost_has_landed_if_its_document_is_there():
    with ScriptedFirestore(scripts={"BatchWrite": [applied_then("UNAVAILABLE")]}) as server, pipeline() as p:
        creates = p | beam.Create([Create(f"docs/{n}", {"n": n, "m": {"x": [1.5]}}) for n in range(3)])
        result = creates | WriteToFirestore(target=server.target, retry=FAST)
        assert_that(result.written | beam.Map(lambda written: written.path), equal_to([f"docs/{n}" for n in range(3)]))
        assert_that(result.dead_letters, equal_to([]), "DeadLetters")


def test_a_creation_whose_answer_was_lost_is_not_claimed_if_another_document_is_there():
    def somebody_was_first(write, before):
        if not before:
            server.put({"docs/a": {}})

    with ScriptedFirestore(
        scripts={"Write": somebody_was_first, "BatchWrite": [applied_then("UNAVAILABLE")]}
    ) as server:
        with pipeline() as p:
            result = p | beam.Create([Create("docs/a", {"n": 1})]) | WriteToFirestore(target=server.target, retry=FAST)
            letters = result.dead_letters | beam.Map(
                lambda letter: (letter.code, "An earlier attempt had no answer" in letter.message, letter.retryable)
            )
            assert_that(letters, equal_to([("ALREADY_EXISTS", True, False)]))


def test_a_creation_that_finds_a_document_is_a_dead_letter():
    with ScriptedFirestore() as server, pipeline() as p:
        creates = [Create("docs/a", {"n": 1}), Create("docs/a", {"n": 1})]
        result = p | beam.Create(creates, reshuffle=False) | WriteToFirestore(target=server.target)
        codes = result.dead_letters | beam.Map(lambda letter: (letter.code, letter.message.partition(":")[0]))
        assert_that(codes, equal_to([("ALREADY_EXISTS", "Document already exists")]))


def test_an_outage_fails_the_bundle_instead_of_draining_the_input_into_dead_letters():
    with ScriptedFirestore(scripts={"BatchWrite": always(status("UNAVAILABLE"))}) as server:
        with pytest.raises(Exception, match="Firestore did not take a BatchWrite of 1 writes in 3 attempts"):
            with pipeline() as p:
                _ = p | beam.Create([Set("docs/a", {})]) | WriteToFirestore(target=server.target, retry=FAST)


@pytest.mark.parametrize(
    ("transform", "element", "message"),
    [
        (WriteToFirestore, {"name": "Ada"}, "dict cannot be written; make Set, Merge"),
        (WriteToFirestore, (Set("docs/a", {}),), "tuple cannot be written; make Set, Merge"),
        (CommitToFirestore, Set("docs/a", {}), "Set is not a group; make a tuple or list of operations"),
        (CommitToFirestore, ({"name": "Ada"},), "dict cannot be written"),
    ],
)
def test_what_is_no_operation_stops_the_job_and_says_what_to_do(transform, element, message):
    with ScriptedFirestore() as server, pytest.raises(Exception, match=message):
        with pipeline() as p:
            _ = p | beam.Create([element]) | transform(target=server.target)


def test_metrics_add_up():
    def busy_once(write, before):
        if not before:
            raise RpcError("ABORTED", "busy")
        refuse_odd(write, before)

    with ScriptedFirestore(scripts={"Write": busy_once}) as server:
        p = pipeline()
        writes = [*(Set(f"docs/{n}", {"n": n}) for n in range(10)), Set("docs/..", {}), Set("docs/0", {"n": 0})]
        _ = (
            p
            | beam.Create(writes, reshuffle=False)
            | WriteToFirestore(target=server.target, retry=FAST, on_duplicate="last")
        )
        run = p.run()
    counters = {each.key.metric.name: each.committed for each in run.metrics().query()["counters"]}
    expected = {
        "documents_written": 5,
        "documents_superseded": 1,
        "dead_letters": 6,
        "requests_sent": 2,
        "requests_retried": 1,
        "cumulativeThrottlingSeconds": 0,
    }
    assert {name: counters[name] for name in expected} == expected


def test_increments_are_warned_of_once(caplog):
    writes = [Merge(f"docs/{n}", {}, transforms={"n": Increment(1)}) for n in range(5)]
    with ScriptedFirestore() as server, pipeline() as p:
        _ = p | beam.Create(writes, reshuffle=False) | WriteToFirestore(target=server.target)
    warnings = [record.getMessage() for record in caplog.records if "increments fields" in record.getMessage()]
    assert len(warnings) == 1
    assert "adds again: compute the value in the pipeline and Set it, or give the write an update_time" in warnings[0]


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"on_duplicate": "first"}, ValueError, "on_duplicate must be 'order' or 'last', got 'first'"),
        (
            {"id_from": "email"},
            TypeError,
            r"id_from must be a sequence of field paths, got 'email'; write \('email',\)",
        ),
        ({"max_writes_per_s": -1}, ValueError, r"max_writes_per_s must be 0 \(off\) or more, got -1"),
        ({"parallelism": -1}, ValueError, "parallelism must be at least 1, got -1"),
        ({"max_in_flight": 0}, ValueError, r"max_in_flight must be in \[1, 64\], got 0"),
        ({"timeout_s": 0}, ValueError, "timeout_s must be positive, got 0"),
        ({"batch_size": 5}, TypeError, "batch_size"),
    ],
)
@pytest.mark.parametrize("transform", [WriteToFirestore, CommitToFirestore])
def test_settings_that_make_no_sense_are_refused_when_the_pipeline_is_built(transform, setting, error, message):
    with pytest.raises(error, match=message):
        transform(project="demo-x", **setting)


def test_what_comes_out_can_be_shuffled():
    outcomes = [WrittenDocument("a/b", None, 1), FailedWrite("a/b", "X", "y", 0, True, (Update("a/b", {"x": 1}),))]
    assert pickle.loads(pickle.dumps(outcomes)) == outcomes


@pytest.mark.parametrize(
    ("flags", "processes"),
    [
        ([], 1),
        (["--direct_num_workers=3"], 3),
        (["--runner=DataflowRunner", "--num_workers=4"], 4),
        (["--runner=DataflowRunner", "--max_num_workers=10", "--num_workers=2", "--machine_type=n2-standard-8"], 80),
        (["--runner=DataflowRunner", "--max_num_workers=10", "--machine_type=e2-medium"], 10),
        (["--max_num_workers=10", "--machine_type=n1-standard-4", "--experiments=no_use_multiple_sdk_containers"], 10),
    ],
)
def test_the_budget_is_divided_by_the_processes_that_the_options_declare(flags, processes):
    assert declared_parallelism(PipelineOptions(flags)) == processes


def test_an_autoscaled_job_without_a_bound_is_told_that_its_budget_may_not_hold(caplog):
    declared_parallelism(PipelineOptions(["--runner=DataflowRunner"]))
    assert "pass parallelism=" in caplog.text


def test_windows_of_the_test_are_those_of_beam():
    assert SlidingWindows(10, 5).assign(beam.transforms.window.WindowFn.AssignContext(7)) == [
        IntervalWindow(5, 15),
        IntervalWindow(0, 10),
    ]
