"""The scripted account, asked by the unchanged azure-cosmos: items, versions, batches, expiry."""

from __future__ import annotations

import pytest
from azure.core import MatchConditions
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from tests.support.cosmos import OwnContainer, new_container
from transforms.testing.cosmos import ScriptedCosmos
from transforms.testing.cosmos.answers import RefusedError
from transforms.testing.cosmos.items import check_item

ADA = {"id": "ada", "student_id": "s1", "score": 1}


@pytest.fixture
def container(cosmos: ScriptedCosmos) -> OwnContainer:
    return new_container(cosmos)


def test_an_item_is_read_as_it_was_written_with_the_fields_of_the_service(container):
    container.proxy.create_item({**ADA, "text": "é😀", "deep": {"a": [1, None, True]}})
    item = container.proxy.read_item("ada", "s1")
    assert {name: item[name] for name in ("id", "text", "deep")} == {
        "id": "ada",
        "text": "é😀",
        "deep": {"a": [1, None, True]},
    }
    assert {"_rid", "_self", "_etag", "_attachments", "_ts"} <= item.keys()


@pytest.mark.parametrize(
    ("written", "kept"),
    [(2**53 + 1, 2**53), (1.0, 1), (-0.0, 0), (1e20, 10**20), (1e300, 1e300), (0.1, 0.1), (-3, -3)],
)
def test_numbers_are_doubles(container, written, kept):
    container.proxy.create_item({**ADA, "n": written})
    read = container.proxy.read_item("ada", "s1")["n"]
    assert (read, type(read)) == (kept, type(kept))


def test_a_second_creation_is_refused_and_an_id_may_be_in_several_partitions(container):
    container.proxy.create_item(ADA)
    with pytest.raises(CosmosResourceExistsError):
        container.proxy.create_item(ADA)
    container.proxy.create_item({**ADA, "student_id": "s2"})
    assert len(container.items()) == 2


def test_a_stale_etag_changes_nothing(container):
    first = container.proxy.create_item(ADA)
    second = container.proxy.replace_item(
        "ada", {**ADA, "score": 2}, etag=first["_etag"], match_condition=MatchConditions.IfNotModified
    )
    stale = {"etag": first["_etag"], "match_condition": MatchConditions.IfNotModified}
    with pytest.raises(CosmosAccessConditionFailedError):
        container.proxy.replace_item("ada", {**ADA, "score": 3}, **stale)
    with pytest.raises(CosmosAccessConditionFailedError):
        container.proxy.delete_item("ada", "s1", **stale)
    assert container.proxy.read_item("ada", "s1")["_etag"] == second["_etag"] != first["_etag"]


def test_a_missing_item_cannot_be_read_replaced_patched_or_deleted(container):
    for request in (
        lambda: container.proxy.read_item("ada", "s1"),
        lambda: container.proxy.replace_item("ada", ADA),
        lambda: container.proxy.patch_item("ada", "s1", [{"op": "set", "path": "/a", "value": 1}]),
        lambda: container.proxy.delete_item("ada", "s1"),
    ):
        with pytest.raises(CosmosResourceNotFoundError):
            request()


@pytest.mark.parametrize("name", ["a/b", "a\\b", "a?b", "a#b", "x" * 1024, "", 7])
def test_ids_that_the_service_refuses_are_refused(name):
    with pytest.raises(RefusedError) as refused:
        check_item({**ADA, "id": name})
    assert refused.value.status == 400


def test_an_item_above_two_megabytes_is_refused(container):
    with pytest.raises(CosmosHttpResponseError) as refused:
        container.proxy.create_item({**ADA, "text": "x" * 2**21})
    assert refused.value.status_code == 413


def test_a_patch_changes_what_it_names_if_its_condition_holds(container):
    container.proxy.create_item({**ADA, "tags": ["a"], "old": 1})
    patched = container.proxy.patch_item(
        "ada",
        "s1",
        [
            {"op": "incr", "path": "/score", "value": 4},
            {"op": "add", "path": "/tags/-", "value": "b"},
            {"op": "move", "from": "/old", "path": "/new"},
        ],
        filter_predicate="FROM c WHERE c.score = 1",
    )
    assert (patched["score"], patched["tags"], patched["new"], "old" in patched) == (5, ["a", "b"], 1, False)
    with pytest.raises(CosmosAccessConditionFailedError):
        container.proxy.patch_item(
            "ada", "s1", [{"op": "set", "path": "/score", "value": 0}], filter_predicate="FROM c WHERE c.score = 1"
        )


def test_a_batch_is_done_as_a_whole_or_not_at_all(container):
    container.proxy.create_item(ADA)
    done = container.proxy.execute_item_batch(
        [("create", ({"id": "b", "student_id": "s1"},)), ("delete", ("ada",)), ("read", ("b",))], "s1"
    )
    assert [each["statusCode"] for each in done] == [201, 204, 200]
    with pytest.raises(CosmosBatchOperationError) as failed:
        container.proxy.execute_item_batch(
            [("upsert", ({"id": "b", "student_id": "s1", "n": 1},)), ("delete", ("b",)), ("delete", ("ada",))], "s1"
        )
    assert (failed.value.error_index, failed.value.status_code) == (2, 404)
    assert [(each["id"], each.get("n")) for each in container.items()] == [("b", None)]


def test_an_item_that_has_expired_is_gone(cosmos):
    container = new_container(cosmos, default_ttl=-1)
    container.put({**ADA, "ttl": 60}, {**ADA, "id": "eve"})
    assert len(container.items()) == 2
    with cosmos.following({"clock_offset_s": 61}):
        assert [each["id"] for each in container.items()] == ["eve"]


def test_ttl_does_nothing_where_the_container_has_none(cosmos):
    container = new_container(cosmos)
    container.put({**ADA, "ttl": 60})
    with cosmos.following({"clock_offset_s": 61}):
        assert len(container.items()) == 1


def test_items_of_hierarchical_keys_are_found_by_a_prefix(cosmos):
    container = new_container(cosmos, "/tenant", "/user")
    container.put(*({"id": str(n), "tenant": f"t{n % 2}", "user": n} for n in range(20)))
    assert container.proxy.read_item("3", ["t1", 3])["user"] == 3
    assert len(list(container.proxy.query_items("SELECT * FROM c", partition_key=["t1"]))) == 10
    feed = container.proxy.query_items_change_feed(partition_key=["t1", 3], start_time="Beginning")
    assert [each["id"] for each in feed] == ["3"]


def test_provisioned_throughput_and_the_number_of_items_can_be_read(cosmos):
    container = new_container(cosmos, offer_throughput=400)
    container.put(ADA)
    assert container.proxy.get_throughput().offer_throughput == 400
    container.proxy.read(populate_quota_info=True)
    usage = container.client.client_connection.last_response_headers["x-ms-resource-usage"]
    assert "documentsCount=1;" in usage
