"""Pages of the change feed: complete over splits and failures, with sequence numbers that say how far they are."""

from __future__ import annotations

import pytest

from tests.support.cosmos import OwnContainer, new_container
from transforms.cosmos import feed, reads
from transforms.cosmos.feed import ALL_VERSIONS, FeedRange, Position
from transforms.errors import JobError


@pytest.fixture
def container(cosmos) -> OwnContainer:
    made = new_container(cosmos)
    made.put(*({"id": f"i{n:03}", "student_id": f"s{n % 23}", "n": n} for n in range(200)))
    return made


def read(connection, span, continuation=None, **options):
    """All pages until the last one: items, and where they end."""
    items = []
    while True:
        page = feed.page(connection, span, continuation, **options)
        items += page.items
        continuation = page.continuation
        if page.is_last:
            return items, continuation


def test_from_the_beginning_every_item_comes_once(container):
    connection = container.connection()
    items = [item for span in feed.feed_ranges(connection) for item in read(connection, span, max_items=7)[0]]
    assert sorted(item["n"] for item in items) == list(range(200))
    assert connection.budget.spent > 0


def test_a_copy_has_passed_its_start_once_its_sequence_numbers_have(container):
    connection = container.connection()
    spans = feed.feed_ranges(connection)
    start = [point for span in spans for point in feed.positions(feed.now(connection, span))]
    assert sum(point.lsn for point in start) == 200
    container.put(*({"id": f"i{n:03}", "student_id": f"s{n % 23}", "n": n + 0.5} for n in range(20)))
    for span in spans:
        continuation, passed = None, []
        while True:
            page = feed.page(connection, span, continuation, max_items=5)
            continuation = page.continuation
            passed.append(feed.has_passed(feed.positions(continuation), start))
            if page.is_last:
                break
        assert passed == sorted(passed)  # once it has, it has
        assert passed[-1]


def test_behind_now_come_only_later_changes(container):
    connection = container.connection()
    points = {span: feed.now(connection, span) for span in feed.feed_ranges(connection)}
    container.put({"id": "i007", "student_id": "s7", "n": -1})
    items = [item for span, point in points.items() for item in read(connection, span, point)[0]]
    assert [(item["id"], item["n"]) for item in items] == [("i007", -1)]


@pytest.mark.parametrize("splits", [1, 3])
def test_a_split_on_the_way_loses_and_repeats_nothing(container, splits):
    connection = container.connection()
    found = []
    for n, span in enumerate(feed.feed_ranges(connection)):
        page = feed.page(connection, span, max_items=5)
        found += page.items
        partition = str(n)
        for _ in range(splits):
            _, partition = container.server.split(container.database, container.name, partition)
        items, continuation = read(connection, span, page.continuation, max_items=5)
        found += items
        assert feed.has_passed(feed.positions(continuation), feed.positions(feed.now(connection, span)))
    assert sorted(item["n"] for item in found) == list(range(200))
    assert len(feed.feed_ranges(container.connection())) == 4 + 4 * splits


def test_pages_that_fail_are_read_again(container):
    connection = container.connection(max_attempts=5)
    spans = feed.feed_ranges(connection)
    rules = [
        {"operation": "feed", "status": 429, "retry_after_ms": 1, "every": 3},
        {"operation": "feed", "lost": "after", "every": 5},
    ]
    with container.server.following({"rules": rules}):
        items = [item for span in spans for item in read(connection, span, max_items=11)[0]]
    assert sorted(item["n"] for item in items) == list(range(200))


def test_all_versions_and_deletes_come_behind_now(container):
    connection = container.connection()
    points = {span: feed.now(connection, span, ALL_VERSIONS) for span in feed.feed_ranges(connection)}
    container.put({"id": "i007", "student_id": "s7", "n": -1})
    container.proxy.delete_item("i007", "s7")
    container.put({"id": "i007", "student_id": "s7", "n": 7})
    paths = connection.properties.key_paths
    changes = [
        feed.change_of(entry, paths)
        for span, point in points.items()
        for entry in read(connection, span, point, mode=ALL_VERSIONS)[0]
    ]
    assert [(each.kind, each.id, each.key, each.item and each.item["n"]) for each in changes] == [
        ("replace", "i007", ["s7"], -1),
        ("delete", "i007", ["s7"], None),
        ("create", "i007", ["s7"], 7),
    ]
    assert [each.lsn for each in changes] == sorted(each.lsn for each in changes)


def test_a_delete_without_an_image_of_the_item_is_read_from_its_metadata():
    metadata = {"operationType": "delete", "lsn": 3, "crts": 9, "id": "a", "partitionKey": {"t": "x", "u": 1}}
    change = feed.change_of({"current": {}, "metadata": {**metadata, "timeToLiveExpired": True}}, ("/t", "/u"))
    assert (change.id, change.key, change.is_expired) == ("a", ["x", 1], True)
    older = {"previous": {"id": "a", "t": "x"}, "metadata": {"operationType": "delete", "lsn": 3, "crts": 9}}
    assert feed.change_of(older, ("/t",)).key == ["x"]


def test_without_continuous_backup_there_are_no_versions(container):
    connection = container.connection()
    with container.server.following({"keeps_versions": False}):
        with pytest.raises(JobError, match="needs continuous backup"):
            feed.now(connection, feed.feed_ranges(connection)[0], ALL_VERSIONS)


def test_the_continuation_of_a_container_that_was_created_again_is_refused(container):
    from azure.cosmos import PartitionKey

    connection = container.connection()
    span = feed.feed_ranges(connection)[0]
    continuation = feed.page(connection, span).continuation
    database = container.client.get_database_client(container.database)
    database.delete_container(container.name)
    database.create_container(container.name, PartitionKey("/student_id"))
    with pytest.raises(JobError, match="was created again since its feed was read"):
        feed.page(container.connection(), span, continuation)


def test_a_text_that_is_not_a_continuation_is_refused(container):
    for text in ("", "x", "e30=", "eyJ2IjogMX0="):
        with pytest.raises(JobError, match="continuation"):
            feed.positions(text)


def test_malformed_text_is_the_matter_of_its_item(container):
    container.put({"id": "bad", "student_id": "s1", "garbled": "é", "n": -1})
    container.server.garble(container.database, container.name, ["s1"], "bad")
    connection = container.connection()
    items = [item for span in feed.feed_ranges(connection) for item in read(connection, span)[0]]
    assert len(items) == 201
    bad = next(item for item in items if item["id"] == "bad")
    assert bad["garbled"] == "\udce9é"
    assert reads.read_item(connection, "bad", ["s1"])["garbled"] == "\udce9é"


def test_ranges_that_only_touch_do_not_overlap():
    low, high = FeedRange("", "20"), FeedRange("20", "FF")
    assert not low.overlaps(high)
    assert feed.has_passed([Position(high, 1)], [Position(low, 9)])


def deletes_behind(connection, points):
    paths = connection.properties.key_paths
    entries = [e for span, point in points.items() for e in read(connection, span, point, mode=ALL_VERSIONS)[0]]
    changes = [feed.change_of(entry, paths) for entry in entries]
    return sorted(each.id for each in changes if each.kind == feed.DELETE)


@pytest.mark.parametrize("moment", ["before the points", "behind the points"])
def test_a_split_loses_no_deletes(container, moment):
    connection = container.connection()
    spans = feed.feed_ranges(connection)
    split = [container.server.split] * (moment == "before the points")
    for each in split:
        each(container.database, container.name, "0")
    points = {span: feed.now(connection, span, ALL_VERSIONS) for span in spans}
    if not split:
        container.server.split(container.database, container.name, "0")
    for n in range(0, 200, 10):
        container.proxy.delete_item(f"i{n:03}", f"s{n % 23}")
    assert deletes_behind(connection, points) == [f"i{n:03}" for n in range(0, 200, 10)]


def test_deletes_that_the_account_no_longer_keeps_are_too_old(container):
    connection = container.connection()
    points = {span: feed.now(connection, span, ALL_VERSIONS) for span in feed.feed_ranges(connection)}
    container.proxy.delete_item("i007", "s7")
    with container.server.following({"versions_kept_s": 3600}):
        assert deletes_behind(connection, points) == ["i007"]
        with container.server.following({"clock_offset_s": 7200}):
            with pytest.raises(feed.TooOldError, match="reaches back as far as the continuous backup"):
                deletes_behind(connection, points)


def test_a_container_that_was_created_again_is_not_one_that_was_read_too_long_ago(container):
    from azure.cosmos import PartitionKey

    connection = container.connection()
    span = feed.feed_ranges(connection)[0]
    point = feed.now(connection, span, ALL_VERSIONS)
    assert feed.is_of(connection, point)
    database = container.client.get_database_client(container.database)
    database.delete_container(container.name)
    database.create_container(container.name, PartitionKey("/student_id"))
    with container.server.following({"keeps_versions": False}):
        with pytest.raises(JobError, match="was created again since its feed was read"):
            feed.page(connection, span, point, mode=ALL_VERSIONS)
    assert not feed.is_of(container.connection(), point)
