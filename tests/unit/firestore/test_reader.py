"""Reading goes on where a stream was cut: whatever the cuts, every document comes once and in order."""

import datetime
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clocks import Clock, no_waiting
from transforms.errors import JobError, OutageError, TransientError
from transforms.firestore.query import Query
from transforms.firestore.ranges import EVERY_NAME, Bound, NameRange
from transforms.firestore.reader import count, read, read_paths
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore, always, cut_after, name_key, status

POLICY = Retry(max_attempts=4, initial_s=1, clock=no_waiting(chance=0.5))
CUTS = st.lists(st.integers(0, 6), max_size=3)
PEOPLE = {f"users/u{n:02d}": {"age": n % 4, "city": "ABC"[n % 3], "n": n} for n in range(23)}
POSTS = {f"users/u{n:02d}/posts/{k}": {"likes": n * k} for n in range(0, 9, 2) for k in range(3)}
MOMENT = datetime.datetime(2023, 11, 14, 22, 10, 0, 123_456, tzinfo=datetime.timezone.utc)


@pytest.fixture(scope="module")
def database():
    documents = {**PEOPLE, **POSTS}
    with ScriptedFirestore(documents, max_outage_s=0, now=Clock()) as server:
        yield server


@pytest.fixture
def server(database):
    database.reset()
    return database


def reading(server, query, span=EVERY_NAME, cuts=(), code="UNAVAILABLE", **more):
    """The documents of a query whose streams are cut after so many messages."""
    server.script("RunQuery", [cut_after(n, code) for n in cuts])
    more = {"retry": POLICY, **more}
    return list(read(server.target.connect(), query, span, **more))


def paths(documents):
    return [document.path for document in documents]


QUERIES = [
    Query("users"),
    Query("users/u02/posts"),
    Query.group("posts"),
    Query.group("posts", parent="users/u04"),
    Query("users").limit(7),
    Query("users").order_by("age"),
    Query("users").order_by("age", descending=True).limit(9),
    Query("users").order_by("city").order_by("age", descending=True),
    Query("users").order_by("__name__", descending=True).limit(10),
    Query("users").order_by("city").select("n"),
]


@settings(max_examples=60)
@given(query=st.sampled_from(QUERIES), cuts=CUTS, code=st.sampled_from(["UNAVAILABLE", "INTERNAL", "ABORTED"]))
def test_however_a_stream_is_cut_no_document_is_lost_and_none_comes_twice(query, cuts, code, database):
    whole = reading(database, query)
    assert reading(database, query, cuts=cuts, code=code) == whole
    assert len(set(paths(whole))) == len(whole) > 0


@given(bounds=st.lists(st.sampled_from(sorted(PEOPLE)), min_size=2, max_size=2, unique=True), cuts=CUTS)
@settings(max_examples=25)
def test_a_range_is_read_from_its_start_to_its_end_however_it_is_cut(bounds, cuts, database):
    low, high = sorted(bounds, key=name_key)
    found = reading(database, Query("users"), NameRange(Bound(low), Bound(high)), cuts)
    assert paths(found) == [path for path in sorted(PEOPLE) if low <= path < high]


def test_a_stream_cut_before_its_first_document_is_asked_for_again_as_it_was(server):
    reading(server, Query("users").limit(3), cuts=[0, 1])  # the first answer is none but progress
    first, second, third = server.requests("RunQuery")
    assert first == second == third


def test_a_stream_goes_on_behind_its_last_document_with_the_limit_that_remains(server):
    reading(server, Query("users").order_by("age").limit(5), cuts=[3])
    _, second = server.requests("RunQuery")
    age, name = second.structured_query.start_at.values
    assert (age.integer_value, name.reference_value) == (0, server.target.document_name("users/u04"))
    assert not second.structured_query.start_at.before
    assert second.structured_query.limit.value == 3


def test_nothing_is_asked_for_once_the_limit_is_reached(server):
    assert len(reading(server, Query("users").limit(5), cuts=[6])) == 5
    assert len(server.requests()) == 1


def test_fields_read_for_the_cursor_only_do_not_show(server):
    found = reading(server, Query("users").order_by("city").order_by("age").select("n", "age"), cuts=[4, 4])
    assert {tuple(sorted(document.fields)) for document in found} == {("age", "n")}


def test_every_request_reads_the_same_moment(server):
    reading(server, Query("users"), cuts=[3, 3], read_time=MOMENT)
    assert [request.read_time.ToDatetime(datetime.timezone.utc) for request in server.requests()] == [MOMENT] * 3


def test_waits_grow_while_nothing_comes_and_begin_anew_with_the_next_document(server):
    slept_s = []
    reading(
        server, Query("users"), cuts=[0, 0, 3, 0], retry=replace(POLICY, clock=no_waiting(slept=slept_s, chance=0.5))
    )
    assert slept_s == [0.5, 1.0, 0.5, 1.0]


def test_attempts_without_progress_are_bounded(server):
    with pytest.raises(
        TransientError, match=r"^Firestore sent no document in 4 attempts; the last answer was UNAVAILABLE"
    ):
        reading(server, Query("users"), cuts=[1] * 9)
    assert len(server.requests()) == 4


def test_attempts_with_progress_are_not_bounded(server):
    assert len(reading(server, Query("users"), cuts=[2] * 22)) == 23
    assert len(server.requests()) == 23


def test_each_cut_is_reported(server):
    resumed = []
    reading(server, Query("users"), cuts=[0, 4], on_resume=lambda: resumed.append(1))
    assert len(resumed) == 2


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        (
            "FAILED_PRECONDITION",
            "The query requires an index. You can create it here: https://console.firebase.google.com/x",
            r"needs an index that projects/.* does not have. Create it with the link below, .*"
            r"https://console\.firebase\.google\.com/x$",
        ),
        (
            "FAILED_PRECONDITION",
            "The requested 'read_time' cannot be before the database's earliest version time",
            r"cannot be read as it was at the given read_time: .* --enable-pitr\) and pass a whole minute as read_time",
        ),
        (
            "INVALID_ARGUMENT",
            "cursor has too many values",
            r"^Firestore refused the read with INVALID_ARGUMENT: cursor",
        ),
        ("NOT_FOUND", "The database other does not exist for project acme", r"Check --project and --database"),
        ("PERMISSION_DENIED", "Missing permissions", r"Grant the job's account roles/datastore\.user"),
    ],
)
def test_what_a_retry_cannot_mend_says_what_can(server, code, message, advice):
    server.script("RunQuery", always(status(code, message)))
    with pytest.raises(JobError, match=advice):
        list(read(server.target.connect(), Query("users")))
    assert len(server.requests()) == 1


def test_a_read_time_that_expires_while_reading_stops_the_read(server):
    server.script("RunQuery", [cut_after(3), status("FAILED_PRECONDITION", "read_time is too old")])
    with pytest.raises(JobError, match="Without point-in-time recovery Firestore keeps old versions for one hour"):
        list(read(server.target.connect(), Query("users"), read_time=MOMENT, retry=POLICY))


@given(wanted=st.lists(st.sampled_from([*PEOPLE, "users/nobody", "users/no-one"]), max_size=30), cuts=CUTS)
@settings(max_examples=40)
def test_however_a_lookup_is_cut_every_path_is_answered_once(wanted, cuts, database):
    database.script("BatchGetDocuments", [cut_after(n) for n in cuts])
    found = list(read_paths(database.target.connect(), wanted, retry=POLICY))
    assert sorted(paths(found)) == sorted(set(wanted))
    assert {document.path for document in found if document.exists} == set(wanted) & set(PEOPLE)


def test_many_paths_are_asked_for_a_hundred_at_a_time(server):
    found = list(read_paths(server.target.connect(), [f"users/x{n}" for n in range(250)]))
    assert len(found) == 250
    assert [len(request.documents) for request in server.requests()] == [100, 100, 50]


def test_only_what_is_missing_is_asked_for_again(server):
    server.script("BatchGetDocuments", [cut_after(2)])
    list(read_paths(server.target.connect(), ["users/u00", "users/u01", "users/u02"], retry=POLICY))
    assert [len(request.documents) for request in server.requests()] == [3, 1]


def test_a_lookup_without_answers_is_given_up(server):
    server.script("BatchGetDocuments", [cut_after(0)] * 9)
    with pytest.raises(TransientError, match="sent no document in 4 attempts"):
        list(read_paths(server.target.connect(), ["users/u00"], retry=POLICY))


@pytest.mark.parametrize(
    ("query", "documents"),
    [(Query("users"), 23), (Query("users").limit(7), 7), (Query.group("posts").select("likes"), 15)],
)
def test_documents_are_counted_without_reading_them(server, query, documents):
    assert count(server.target.connect(), query, MOMENT) == documents
    (request,) = server.requests()
    assert server.requests("RunAggregationQuery") == [request]
    assert request.read_time.ToDatetime(datetime.timezone.utc) == MOMENT


def test_a_count_that_is_refused_says_what_to_do(server):
    refused = status("FAILED_PRECONDITION", "The query requires an index: https://console.firebase.google.com/y")
    server.script("RunAggregationQuery", always(refused))
    with pytest.raises(JobError, match="Create it with the link below"):
        count(server.target.connect(), Query("users"))


def test_an_outage_that_no_request_survives_stops_the_job_and_not_only_the_bundle(server):
    with pytest.raises(OutageError, match="has not answered for"):
        reading(server, Query("users"), cuts=[0] * 20, retry=Retry(max_attempts=8, initial_s=0))
