"""The scripted account's change feed, read by the unchanged azure-cosmos: both modes, splits, expiry."""

from __future__ import annotations

import pytest
from azure.cosmos.exceptions import CosmosHttpResponseError

from tests.support.cosmos import OwnContainer, new_container
from transforms.testing.cosmos import ScriptedCosmos


@pytest.fixture
def container(cosmos: ScriptedCosmos) -> OwnContainer:
    made = new_container(cosmos)
    made.put(*({"id": f"i{n:02}", "student_id": f"s{n % 9}", "n": n} for n in range(40)))
    return made


def read(container, **arguments):
    """Items of every range, and the continuation of each range."""
    items, continuations = [], []
    for feed_range in container.proxy.read_feed_ranges():
        items += container.proxy.query_items_change_feed(feed_range=feed_range, **arguments)
        continuations.append(container.client.client_connection.last_response_headers["etag"])
    return items, continuations


def behind(container, continuations):
    """Items behind continuations."""
    return [
        item
        for continuation in continuations
        for item in container.proxy.query_items_change_feed(continuation=continuation)
    ]


def test_from_the_beginning_each_item_comes_once_in_its_newest_version(container):
    container.put({"id": "i07", "student_id": "s7", "n": 700})
    container.proxy.delete_item("i08", "s8")
    items, continuations = read(container, start_time="Beginning", max_item_count=3)
    assert sorted((item["id"], item["n"]) for item in items) == sorted(
        (f"i{n:02}", 700 if n == 7 else n) for n in range(40) if n != 8
    )
    assert all(item["_lsn"] > 0 for item in items)
    assert behind(container, continuations) == []


def test_behind_a_continuation_come_the_changes_without_deletes(container):
    _, continuations = read(container, start_time="Beginning")
    container.put({"id": "i07", "student_id": "s7", "n": 7.5}, {"id": "new", "student_id": "s1", "n": 0})
    container.proxy.delete_item("i08", "s8")
    assert sorted(item["id"] for item in behind(container, continuations)) == ["i07", "new"]


def test_a_split_loses_and_repeats_nothing(container):
    first = next(iter(container.proxy.read_feed_ranges()))
    pages = container.proxy.query_items_change_feed(
        feed_range=first, start_time="Beginning", max_item_count=2
    ).by_page()
    seen = [item["id"] for item in next(pages)]
    continuation = pages.continuation_token
    assert container.server.split(container.database, container.name) == ("4", "5")
    seen += [item["id"] for item in behind(container, [continuation])]
    whole, _ = read(container, start_time="Beginning")
    assert len(list(container.proxy.read_feed_ranges())) == 5
    assert len(seen) == len(set(seen)) < len(whole) == 40


def test_all_versions_and_deletes_are_read_from_now_on(container):
    _, continuations = read(container, start_time="Now", mode="AllVersionsAndDeletes")
    container.put({"id": "i07", "student_id": "s7", "n": 70}, {"id": "i07", "student_id": "s7", "n": 71})
    container.proxy.delete_item("i07", "s7")
    changes = behind(container, continuations)
    assert [each["metadata"]["operationType"] for each in changes] == ["replace", "replace", "delete"]
    assert [each["current"].get("n") for each in changes] == [70, 71, None]
    deleted = changes[-1]
    assert deleted["previous"]["n"] == 71
    assert (deleted["metadata"]["id"], deleted["metadata"]["partitionKey"]) == ("i07", {"student_id": "s7"})
    assert deleted["metadata"]["previousImageLSN"] == changes[1]["metadata"]["lsn"]


def test_an_item_that_expires_is_a_delete_that_says_so(cosmos):
    container = new_container(cosmos, default_ttl=30)
    container.put({"id": "a", "student_id": "s1"})
    _, continuations = read(container, start_time="Now", mode="AllVersionsAndDeletes")
    with cosmos.following({"clock_offset_s": 31}):
        (change,) = behind(container, continuations)
        assert (change["metadata"]["operationType"], change["metadata"]["timeToLiveExpired"]) == ("delete", True)
        assert read(container, start_time="Beginning")[0] == []


def test_without_continuous_backup_there_are_no_versions(container):
    with container.server.following({"keeps_versions": False}), pytest.raises(CosmosHttpResponseError) as refused:
        read(container, start_time="Now", mode="AllVersionsAndDeletes")
    assert refused.value.status_code == 400


def test_the_continuation_of_a_container_that_was_created_again_is_refused(container):
    from azure.cosmos import PartitionKey

    _, continuations = read(container, start_time="Beginning")
    database = container.client.get_database_client(container.database)
    database.delete_container(container.name)
    database.create_container(container.name, PartitionKey("/student_id"))
    with pytest.raises(ValueError, match="ollection"):
        behind(container, continuations)


def test_a_batch_is_never_cut_by_a_page(container):
    _, continuations = read(container, start_time="Beginning")
    container.proxy.execute_item_batch([("create", ({"id": f"b{n}", "student_id": "s1"},)) for n in range(10)], "s1")
    pages = [
        [item["_lsn"] for item in page]
        for continuation in continuations
        for page in container.proxy.query_items_change_feed(continuation=continuation, max_item_count=4).by_page()
    ]
    assert [(len(page), len(set(page))) for page in pages if page] == [(10, 1)]
