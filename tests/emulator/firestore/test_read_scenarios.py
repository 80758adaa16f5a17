"""Reading the real emulator: every kind of source, every value, odd ids, and streams cut after every document."""

import datetime
import math

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clocks import no_waiting
from transforms.errors import JobError
from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.query import Query
from transforms.firestore.ranges import ranges_between
from transforms.firestore.read import ReadAllFromFirestore, ReadFromFirestore
from transforms.firestore.read_plan import RangePlanner
from transforms.firestore.read_time import JOB_START, fix_read_time
from transforms.firestore.reader import count, read, read_paths
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.tracker import NameRangeTracker
from transforms.firestore.values import GeoPoint, Reference, Vector, serialised_fields
from transforms.retry import Retry
from transforms.testing import name_key

pytestmark = pytest.mark.emulator
UTC = datetime.timezone.utc

PEOPLE = {
    f"users/u{n:02d}": {
        "n": n,
        "age": n % 4,
        "city": "ABC"[n % 3],
        "tags": [f"t{n % 2}", "all"],
        "address": {"zip": n % 5, "street": f"s{n}"},
        "nick": None if n % 2 else "x",
    }
    for n in range(17)
}
POSTS = {f"users/u{n:02d}/posts/{k}": {"likes": n * k} for n in range(0, 9, 2) for k in range(3)} | {
    "posts/r": {"likes": 7}
}
ODD_IDS = [
    *("a", "b", "A", "~", " ", "!", "é", "\uffee", "😀", "a.b", "a`b", "a\\b", 'a"b', "%2F", "__a", "a__"),
    *("__id7__", "__id-3__", "__id70__", "\x01", "\x7f", "x" * 1_500),
]
EVERY_TYPE = {
    "null": None,
    "bool": True,
    "int": 2**63 - 1,
    "negative": -(2**63),
    "double": 1.0,
    "inf": -math.inf,
    "text": "Ada 😀",
    "bytes": b"\x00\xff",
    "time": datetime.datetime(2026, 1, 1, 1, 2, 3, 456_789, tzinfo=UTC),
    "point": GeoPoint(52.5, -13.4),
    "vector": Vector((0.25, -1.0)),
    "array": [1, 1.0, "1", None, {"a": []}],
    "map": {"nested": {"empty": {}}, "full name": 1},
}


@pytest.fixture(scope="module")
def target(firestore_host):
    """A database with all the documents of this module."""
    filled = FirestoreTarget("demo-read-scenarios", emulator_host=firestore_host)
    every = {**EVERY_TYPE, "reference": Reference(filled.document_name("users/u00"))}
    odd = {f"odd/{odd_id}": {"id": odd_id} for odd_id in ODD_IDS}
    write(filled, {**PEOPLE, **POSTS, **odd, "types/every": every})
    return filled


def write(target, documents):
    names = ((target.document_name(path), serialised_fields(fields)) for path, fields in documents.items())
    target.connect().commit([messages.update(messages.document(*each)) for each in names], 30).result()


def paths(documents):
    return [document.path for document in documents]


class CuttingClient:
    """The real client, except that each of its query streams breaks after some documents."""

    def __init__(self, client, documents_per_stream):
        self._client, self._n = client, documents_per_stream
        self.target, self.breaker = client.target, client.breaker

    def run_query(self, *arguments):
        n = 0
        for answer in self._client.run_query(*arguments):
            if n == self._n:
                raise RpcError("UNAVAILABLE", "cut")
            n += answer.HasField("document")
            yield answer


NUMBER = {path: fields["n"] for path, fields in PEOPLE.items()}
USERS = Query("users")
SCENARIOS = {
    "collection": (USERS, sorted(PEOPLE)),
    "subcollection": (Query("users/u04/posts"), [f"users/u04/posts/{k}" for k in range(3)]),
    "group": (Query.group("posts"), sorted(POSTS)),
    "group below a document": (Query.group("posts", "users/u04"), [f"users/u04/posts/{k}" for k in range(3)]),
    "nothing": (Query("nobody"), []),
    "equality": (USERS.where("age", "==", 1), [p for p in PEOPLE if NUMBER[p] % 4 == 1]),
    "two equalities": (USERS.where("age", "==", 1).where("city", "==", "B"), ["users/u01", "users/u13"]),
    "in": (USERS.where("age", "in", [1, 2]), [p for p in PEOPLE if NUMBER[p] % 4 in (1, 2)]),
    "null": (USERS.where("nick", "==", None), [p for p in PEOPLE if NUMBER[p] % 2]),
    "nested": (USERS.where("address.zip", "==", 3), [p for p in PEOPLE if NUMBER[p] % 5 == 3]),
    "array": (USERS.where("tags", "array-contains", "t1"), [p for p in PEOPLE if NUMBER[p] % 2]),
    "any": (
        USERS.where_any(("n", "==", 3), ("city", "==", "A")),
        [p for p in PEOPLE if NUMBER[p] == 3 or NUMBER[p] % 3 == 0],
    ),
    "names": (USERS.where("__name__", ">=", "users/u05").where("__name__", "<", "users/u08"), sorted(PEOPLE)[5:8]),
    "inequality": (USERS.where("n", ">", 9), sorted(PEOPLE)[10:]),
    "not equal": (
        USERS.where("age", "!=", 1),
        sorted((p for p in PEOPLE if NUMBER[p] % 4 != 1), key=lambda p: (NUMBER[p] % 4, p)),
    ),
    "two inequalities": (
        USERS.where("n", ">", 3).where("age", "<", 2),
        sorted((p for p in PEOPLE if NUMBER[p] > 3 and NUMBER[p] % 4 < 2), key=lambda p: (NUMBER[p] % 4, NUMBER[p])),
    ),
    "order": (USERS.order_by("age"), sorted(PEOPLE, key=lambda p: (NUMBER[p] % 4, p))),
    "descending": (
        USERS.order_by("city", descending=True),
        sorted(PEOPLE, key=lambda p: (NUMBER[p] % 3, p), reverse=True),
    ),
    "mixed order": (
        USERS.order_by("city").order_by("age", descending=True),
        sorted(PEOPLE, key=lambda p: (NUMBER[p] % 3, -(NUMBER[p] % 4), -NUMBER[p])),
    ),
    "nested order": (USERS.order_by("address.zip"), sorted(PEOPLE, key=lambda p: (NUMBER[p] % 5, p))),
    "order by a mixed field": (USERS.order_by("nick"), sorted(PEOPLE, key=lambda p: (NUMBER[p] % 2 == 0, p))),
    "limit": (USERS.limit(5), sorted(PEOPLE)[:5]),
    "order and limit": (USERS.order_by("n", descending=True).limit(4), sorted(PEOPLE)[:-5:-1]),
    "odd ids": (Query("odd"), sorted((f"odd/{odd_id}" for odd_id in ODD_IDS), key=name_key)),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_query_gives_its_documents_in_its_order(target, name):
    query, expected = SCENARIOS[name]
    assert paths(read(target.connect(), query)) == expected
    assert count(target.connect(), query) == len(expected)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_stream_that_breaks_after_every_document_gives_the_same(target, name):
    query, expected = SCENARIOS[name]
    found = list(read(CuttingClient(target.connect(), 1), query, retry=Retry(clock=no_waiting())))
    assert paths(found) == expected


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=15)
@given(cuts=st.lists(st.sampled_from(ODD_IDS) | st.text("ab~\x01é😀", min_size=1, max_size=3), max_size=5))
def test_ranges_cut_anywhere_read_every_document_once_in_order(target, cuts):
    ranges = ranges_between(f"odd/{odd_id}" for odd_id in cuts)
    found = [path for each in ranges for path in paths(read(target.connect(), Query("odd"), each))]
    assert found == SCENARIOS["odd ids"][1]


@pytest.mark.parametrize("name", ["collection", "group", "odd ids", "equality"])
@pytest.mark.parametrize("fraction", [0, 0.3, 0.7])
def test_a_range_that_is_split_after_every_document_reads_every_document_once(target, name, fraction):
    query, expected = SCENARIOS[name]
    found, waiting = [], ranges_between([])
    while waiting:
        tracker = NameRangeTracker(waiting.pop())
        for document in read(target.connect(), query, tracker.current_restriction()):
            if not tracker.try_claim(document.path):
                break
            found.append(document.path)
            if parts := tracker.try_split(fraction):
                waiting.append(parts[1])
    assert found == expected


def test_every_type_comes_back_as_it_was(target):
    (document,) = read(target.connect(), Query("types"))
    assert document.fields == {**EVERY_TYPE, "reference": Reference(target.document_name("users/u00"))}
    assert type(document.fields["double"]) is float
    assert [type(item) for item in document.fields["array"]] == [int, float, str, type(None), dict]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (USERS.select("n", "address.zip"), {"n": 6, "address": {"zip": 1}}),
        (USERS.select(), {}),
        (USERS.select("n").order_by("address.zip"), {"n": 6}),
        (USERS.select("address.street").order_by("address.zip"), {"address": {"street": "s6"}}),
        (USERS.select("address.nothing").order_by("address.zip"), {}),
        (USERS.select("address").order_by("address.zip"), {"address": {"zip": 1, "street": "s6"}}),
    ],
)
def test_a_projection_gives_the_fields_it_names_and_no_others(target, query, fields):
    found = {document.path: document.fields for document in read(target.connect(), query)}
    assert found["users/u06"] == fields
    assert len(found) == 17


def test_paths_give_the_documents_there_and_say_where_there_is_none(target):
    wanted = ["users/u03", "users/nobody", "odd/😀", "users/u01/posts/9"]
    found = {document.path: document.exists for document in read_paths(target.connect(), wanted)}
    assert found == {"users/u03": True, "users/nobody": False, "odd/😀": True, "users/u01/posts/9": False}


def test_a_read_sees_the_database_as_it_was_at_its_time(firestore_host, firestore_project):
    target = FirestoreTarget(firestore_project, emulator_host=firestore_host)
    write(target, {"users/ada": {"v": 1}})
    moment = fix_read_time(target.connect(), JOB_START)
    write(target, {"users/ada": {"v": 2}, "users/bob": {"v": 2}})
    client = target.connect()
    assert [document.fields for document in read(client, USERS, read_time=moment)] == [{"v": 1}]
    assert [document.exists for document in read_paths(client, ["users/bob"], moment)] == [False]
    assert (count(client, USERS, moment), count(client, USERS)) == (1, 2)


@pytest.mark.parametrize(
    "wrong", [USERS.where("n", ">", 1).order_by("__name__"), USERS.order_by("__name__", descending=True)]
)
def test_a_query_that_the_service_refuses_says_so(target, wrong):
    with pytest.raises(JobError, match=r"^Firestore refused the read with .* Correct the query"):
        list(read(target.connect(), wrong))


def test_a_database_without_partitions_is_cut_by_arithmetic_and_loses_nothing(firestore_host, firestore_project):
    target = FirestoreTarget(firestore_project, emulator_host=firestore_host)
    documents = {f"users/cand-{n:05d}": {"n": n} for n in range(1_500)}
    every = list(documents)
    for first in range(0, len(every), 500):
        write(target, {path: documents[path] for path in every[first : first + 500]})
    ranges = RangePlanner(target.connect(), 8, documents_per_range=1_000).ranges(USERS)
    assert len(ranges) == 2
    sizes = [sum(1 for _ in read(target.connect(), USERS, each)) for each in ranges]
    assert sum(sizes) == 1_500
    assert min(sizes) > 200


def test_a_pipeline_reads_collections_and_paths(target):
    with beam.Pipeline(FnApiRunner(), PipelineOptions([])) as p:
        dicts = p | ReadFromFirestore(USERS.where("age", "==", 1).select("n"), target=target, as_dicts=True)
        expected = [{"__name__": path, "n": NUMBER[path]} for path in SCENARIOS["equality"][1]]
        assert_that(dicts, equal_to(expected), "Dicts")
        posts = p | beam.Create(["users/u02/posts", "posts/r"]) | ReadAllFromFirestore(target=target)
        found = posts | beam.Map(lambda document: document.path)
        assert_that(found, equal_to(["posts/r", *(f"users/u02/posts/{k}" for k in range(3))]), "Posts")
