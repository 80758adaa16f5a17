"""Where a query is cut: partitions in any order on any page, databases without them, and names found by asking."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.partitions import NO_PARTITIONS, partitioned
from transforms.errors import JobError, UsageError
from transforms.firestore.query import Query, check_document_path
from transforms.firestore.ranges import EVERY_NAME, NameRange
from transforms.firestore.read_plan import RangePlanner, end_of_names, partition_cursors
from transforms.firestore.reader import read
from transforms.testing import ScriptedFirestore, always, name_key, status

IDS = st.one_of(
    st.text("abc~!09", min_size=1, max_size=5),
    st.integers(0, 99_999).map("{:05d}".format),
    st.integers(1, 99).map("__id{}__".format),
)


def planned(server, query, max_ranges=8, read_time=None):
    return RangePlanner(server.target.connect(), max_ranges, documents_per_range=1_000).ranges(query, read_time)


def cuts(ranges):
    return [each.end.path for each in ranges[:-1]]


@settings(max_examples=30)
@given(pages=st.lists(st.lists(IDS.map("users/{}".format), max_size=4), min_size=1, max_size=4))
def test_the_cursors_of_all_pages_are_sorted_in_firestore_s_order(pages):
    with ScriptedFirestore(scripts={"PartitionQuery": partitioned(*pages)}) as server:
        found = partition_cursors(server.target.connect(), "users", 99)
    assert list(found) == sorted({path for page in pages for path in page}, key=name_key)


def test_pages_that_overlap_make_as_many_ranges_as_cursors_and_one():
    pages = [["users/b", "users/m", "users/q"], ["users/a", "users/u", "users/w"]]
    with ScriptedFirestore(scripts={"PartitionQuery": partitioned(*pages)}) as server:
        ranges = planned(server, Query("users"))
    assert cuts(ranges) == ["users/a", "users/b", "users/m", "users/q", "users/u", "users/w"]
    assert (ranges[0].start, ranges[-1].end) == (None, None)


def test_partitions_are_asked_for_of_the_whole_group_by_name_and_without_filters():
    with ScriptedFirestore(scripts={"PartitionQuery": partitioned(["users/m"])}) as server:
        planned(server, Query("users").where("age", "==", 1), max_ranges=8)
        (request,) = server.requests("PartitionQuery")
    assert request.parent == f"{server.target.name}/documents"
    assert request.structured_query.from_[0].all_descendants
    assert [order.field.field_path for order in request.structured_query.order_by] == ["__name__"]
    assert not request.structured_query.HasField("where")
    assert request.partition_count == 7


@pytest.mark.parametrize(
    ("query", "own"),
    [
        (Query("posts"), ["posts/r"]),
        (Query("users/ada/posts"), ["users/ada/posts/1", "users/ada/posts/5"]),
        (Query.group("posts"), ["posts/r", "teams/x/posts/3", "users/ada/posts/1", "users/ada/posts/5"]),
        (Query.group("posts", "users/ada"), ["users/ada/posts/1", "users/ada/posts/5"]),
        (Query("users/bob/posts"), []),
    ],
)
def test_a_query_keeps_only_the_cursors_of_its_own_collection(query, own):
    pages = [["users/ada/posts/5", "teams/x/posts/3"], ["users/ada/posts/1", "posts/r"]]
    with ScriptedFirestore(scripts={"PartitionQuery": partitioned(*pages)}) as server:
        assert cuts(planned(server, query)) == own


def test_queries_on_one_group_share_its_partitions():
    with ScriptedFirestore(scripts={"PartitionQuery": partitioned(["users/ada/posts/5"])}) as server:
        planner = RangePlanner(server.target.connect(), 8)
        for user in ("ada", "bob", "eve"):
            planner.ranges(Query(f"users/{user}/posts"))
    assert len(server.requests("PartitionQuery")) == 1


@pytest.mark.parametrize(
    "query", [Query("users").limit(3), Query("users").order_by("age"), Query("users").where("a", ">", 1)]
)
def test_what_cannot_be_divided_is_one_range_without_asking(query):
    with ScriptedFirestore() as server:
        assert planned(server, query) == [NameRange(shared_segments=1)]
    assert server.requests() == []


def test_where_there_are_no_partitions_a_large_collection_is_cut_evenly_by_arithmetic():
    documents = {f"users/cand-{n:05d}": {"n": n} for n in range(2_500)}
    with ScriptedFirestore(documents, {"PartitionQuery": NO_PARTITIONS}) as server:
        ranges = planned(server, Query("users").where("odd", "==", 1))
        sizes = [sum(each.contains(path) for path in server.documents) for each in ranges]
    assert len(ranges) == 3
    assert sum(sizes) == 2_500
    assert min(sizes) >= 500
    assert ranges[-1].busy_until.startswith("users/cand-0")
    assert len(server.requests()) < 25


def test_where_there_are_no_partitions_a_small_collection_is_one_range():
    with ScriptedFirestore({f"users/{n}": {} for n in range(50)}, {"PartitionQuery": NO_PARTITIONS}) as server:
        assert planned(server, Query("users")) == [NameRange(shared_segments=1)]
    assert len(server.requests()) == 2


def test_where_there_are_no_partitions_a_group_is_one_range():
    documents = {f"users/{n}/posts/1": {} for n in range(50)}
    with ScriptedFirestore(documents, {"PartitionQuery": NO_PARTITIONS}) as server:
        assert planned(server, Query.group("posts")) == [EVERY_NAME]


@pytest.mark.parametrize("partitions", [NO_PARTITIONS, partitioned(["users/ada/posts/3", "teams/x/posts/1"])])
@pytest.mark.parametrize("query", [Query("users/ada/posts"), Query.group("posts", "users/ada")])
def test_no_range_is_ever_split_outside_of_the_query_s_own_names(query, partitions):
    documents = {f"users/ada/posts/{n}": {} for n in range(9)}
    with ScriptedFirestore(documents, {"PartitionQuery": partitions}) as server:
        last = planned(server, query)[-1]
    _, rest = last.split("users/ada/posts/5", 0.5)
    assert query.holds(rest.start.path)


@settings(max_examples=10)
@given(cursors=st.lists(st.integers(0, 40).map("users/u{:02d}".format), max_size=6), n=st.integers(0, 40))
def test_the_ranges_together_read_every_document_once(cursors, n):
    documents = {f"users/u{k:02d}": {} for k in range(n)}
    with ScriptedFirestore(documents, {"PartitionQuery": partitioned(cursors)}) as server:
        client = server.target.connect()
        found = [
            document.path for each in planned(server, Query("users")) for document in read(client, Query("users"), each)
        ]
    assert found == sorted(server.documents)


def test_a_refused_plan_says_what_to_do():
    with ScriptedFirestore(scripts={"PartitionQuery": always(status("PERMISSION_DENIED", "no"))}) as server:
        with pytest.raises(JobError, match=r"Grant the job's account roles/datastore\.user"):
            planned(server, Query("users"))


@pytest.mark.parametrize("max_ranges", [0, 10_001])
def test_the_number_of_ranges_has_bounds(max_ranges):
    with ScriptedFirestore() as server, pytest.raises(UsageError, match=r"^max_ranges must be in \[1, 10,000\], got"):
        RangePlanner(server.target.connect(), max_ranges)


ASCII_IDS = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="/"), min_size=1, max_size=8
).filter(lambda text: text not in (".", "..") and not text.startswith("__"))


@given(ids=st.lists(ASCII_IDS, min_size=1, max_size=30, unique=True))
def test_behind_the_end_of_names_there_are_no_documents(ids):
    paths = sorted(f"users/{id_}" for id_ in ids)
    requests = []

    def first_from(path):
        check_document_path(path)
        requests.append(path)
        return next((known for known in paths if known >= path), None)

    end = end_of_names(paths[0], first_from)
    assert paths[-1] < end
    assert len(requests) <= 3 + 7


def test_the_end_of_names_is_close_to_the_last_one():
    ids = [f"users/cand-{n:05d}" for n in range(1, 64_000)]
    assert end_of_names(ids[0], lambda path: next((known for known in ids if known >= path), None)) == "users/cand-7"


@pytest.mark.parametrize("known", ["users/é", "users/\x01", "users/__id7__"])
def test_no_end_is_looked_for_behind_ids_that_are_no_plain_text(known):
    assert end_of_names(known, lambda path: pytest.fail("asked")) is None
