"""The public reading transforms on a real runner, against a scripted server."""

import datetime

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.window import FixedWindows, SlidingWindows, TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from tests.support.clocks import STARTED_AT, Clock
from tests.support.partitions import partitioned
from transforms.errors import JobError, UsageError
from transforms.firestore.documents import Document
from transforms.firestore.query import Query
from transforms.firestore.read import ReadAllFromFirestore, ReadFromFirestore
from transforms.firestore.read_time import LATEST
from transforms.testing import ScriptedFirestore, always, cut_after, status

UTC = datetime.timezone.utc
USERS = {f"users/u{n:02d}": {"n": n, "even": n % 2 == 0} for n in range(20)}
POSTS = {f"{user}/posts/{k}": {"k": k} for user in ("users/u00", "users/u01") for k in "ab"}


@pytest.fixture
def server():
    with ScriptedFirestore({**USERS, **POSTS}, now=Clock()) as scripted:
        yield scripted


def pipeline():
    return beam.Pipeline(FnApiRunner(), PipelineOptions([]))


def path_of(document: Document) -> str:
    return document.path


def placed(document, window=beam.DoFn.WindowParam, timestamp=beam.DoFn.TimestampParam):
    return document.path, float(window.start), float(timestamp)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("users", sorted(USERS)),
        (Query("users/u00/posts"), ["users/u00/posts/a", "users/u00/posts/b"]),
        (Query.group("posts"), sorted(POSTS)),
        (Query("users").order_by("n", descending=True).limit(2), ["users/u18", "users/u19"]),
        (["users/u03", "users/nobody"], ["users/nobody", "users/u03"]),
    ],
    ids=["collection", "subcollection", "group", "query", "paths"],
)
def test_every_source_gives_its_documents(server, source, expected):
    with pipeline() as p:
        paths = p | ReadFromFirestore(source, target=server.target) | beam.Map(path_of)
        assert_that(paths, equal_to(expected))


def test_partitions_are_read_apart_as_of_one_moment_and_lose_nothing(server):
    server.script("PartitionQuery", partitioned(["users/u15", "users/u05"], ["users/u10"]))
    with pipeline() as p:
        paths = p | ReadFromFirestore("users", target=server.target) | beam.Map(path_of)
        assert_that(paths, equal_to(sorted(USERS)))
    whole_reads = [each for each in server.requests("RunQuery") if not each.structured_query.limit.value]
    assert len(whole_reads) == 4
    assert {each.read_time.seconds for each in whole_reads} == {int(STARTED_AT)}


def test_streams_that_are_cut_lose_nothing_and_are_counted(server):
    server.script("RunQuery", [cut_after(8), cut_after(8)])
    p = pipeline()
    paths = p | ReadFromFirestore("users", target=server.target) | beam.Map(path_of)
    assert_that(paths, equal_to(sorted(USERS)))
    result = p.run()
    counters = result.metrics().query(beam.metrics.MetricsFilter().with_namespace("ReadFromFirestore"))["counters"]
    assert {each.key.metric.name: each.committed for each in counters if each.committed} == {
        "pieces_planned": 1,
        "documents_read": 20,
        "streams_resumed": 2,
    }


def test_plain_dicts_name_their_document_and_leave_out_what_is_missing(server):
    with pipeline() as p:
        dicts = p | ReadFromFirestore(["users/u03", "users/nobody"], target=server.target, as_dicts=True)
        assert_that(dicts, equal_to([{"__name__": "users/u03", "n": 3, "even": False}]))


def test_the_newest_state_is_read_without_a_time(server):
    with pipeline() as p:
        _ = p | ReadFromFirestore("users", target=server.target, read_time=LATEST)
    assert [each for each in server.requests() if each.HasField("read_time")] == []


def test_each_element_s_documents_keep_its_window_and_timestamp(server):
    elements = [
        TimestampedValue("users/u00/posts", 3),
        TimestampedValue("users/u01", 14),
        TimestampedValue("users/u02", 15),
    ]
    with pipeline() as p:
        found = (
            p
            | beam.Create(elements)
            | beam.Map(lambda each: each)
            | beam.WindowInto(FixedWindows(10))
            | ReadAllFromFirestore(target=server.target)
            | beam.Map(placed)
        )
        assert_that(
            found,
            equal_to(
                [
                    ("users/u00/posts/a", 0.0, 3.0),
                    ("users/u00/posts/b", 0.0, 3.0),
                    ("users/u01", 10.0, 14.0),
                    ("users/u02", 10.0, 15.0),
                ]
            ),
        )


def test_an_element_in_several_windows_is_read_for_each(server):
    with pipeline() as p:
        found = (
            p
            | beam.Create([TimestampedValue("users/u00", 7)])
            | beam.WindowInto(SlidingWindows(10, 5))
            | ReadAllFromFirestore(target=server.target)
            | beam.Map(placed)
        )
        assert_that(found, equal_to([("users/u00", 0.0, 7.0), ("users/u00", 5.0, 7.0)]))


def test_paths_of_a_bundle_are_asked_for_together(server):
    with pipeline() as p:
        found = p | beam.Create(sorted(USERS), reshuffle=False) | ReadAllFromFirestore(target=server.target)
        assert_that(found | beam.Map(path_of), equal_to(sorted(USERS)))
    lookups = [request for request in server.requests("BatchGetDocuments") if request.HasField("read_time")]
    assert [len(request.documents) for request in lookups] == [20]


def test_an_unbounded_input_is_read_at_times_of_its_own(server):
    now = Timestamp.now()
    with pipeline() as p:
        ticks = p | PeriodicImpulse(start_timestamp=now, stop_timestamp=now + 0.2, fire_interval=0.1)
        assert not ticks.is_bounded
        found = ticks | beam.Map(lambda tick: "users/u00") | ReadAllFromFirestore(target=server.target)
        assert_that(found | beam.Map(path_of), equal_to(["users/u00"] * 2))
    lookups = server.requests("BatchGetDocuments")
    assert {request.read_time.seconds for request in lookups if request.HasField("read_time")} == {int(STARTED_AT)}
    assert len([request for request in lookups if not request.HasField("read_time")]) >= 1


def test_a_job_that_cannot_read_fails_with_what_to_do(server):
    refused = status("NOT_FOUND", "The database (default) does not exist for project demo-scripted")
    server.script("BatchGetDocuments", always(refused))
    with pytest.raises(JobError, match="Check --project and --database, or create it: gcloud firestore databases"):
        with pipeline() as p:
            _ = p | ReadFromFirestore("users", target=server.target)


def test_project_and_emulator_come_from_the_pipeline_and_the_environment(server, monkeypatch):
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
    with beam.Pipeline(FnApiRunner(), PipelineOptions(["--project", server.target.project])) as p:
        paths = p | ReadFromFirestore("users") | beam.Map(path_of)
        assert_that(paths, equal_to(sorted(USERS)))


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda: ReadFromFirestore("users/ada"), "'users/ada' names a document"),
        (lambda: ReadFromFirestore([]), "source must be the path of a collection, a Query, or a list of paths"),
        (lambda: ReadFromFirestore(["users"]), "'users' names no document"),
        (lambda: ReadFromFirestore("users", max_ranges=0), r"max_ranges must be in \[1, 10,000\], got 0"),
        (
            lambda: ReadFromFirestore("users", read_time=datetime.datetime(2020, 1, 1, tzinfo=UTC)),
            "read_time is older than the 7 days that Firestore keeps",
        ),
        (
            lambda: ReadAllFromFirestore(
                read_time=datetime.datetime(2026, 1, 2, tzinfo=UTC),
                now=lambda: datetime.datetime(2026, 1, 1, tzinfo=UTC),
            ),
            "read_time lies in the future",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_when_the_pipeline_is_built(build, problem):
    with pytest.raises(UsageError, match=problem):
        build()
