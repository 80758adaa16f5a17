"""What the scripted account and npm's cosmosdb-server, which is not ours, answer alike to the unchanged azure-cosmos.

Neither is the service. Where both agree, an assumption of ours is at least somebody else's as well.
"""

from __future__ import annotations

import itertools
import json

import pytest
from azure.core import MatchConditions
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.exceptions import CosmosAccessConditionFailedError, CosmosResourceExistsError

from transforms.testing.cosmos import ScriptedCosmos

pytestmark = pytest.mark.emulator

_NUMBERS = itertools.count()
ADA = {"id": "ada", "student_id": "s1"}


@pytest.fixture(scope="module", params=["scripted", "npm"])
def client(request: pytest.FixtureRequest, cosmos: ScriptedCosmos) -> CosmosClient:
    if request.param == "scripted":
        return CosmosClient(cosmos.endpoint, cosmos.key)
    endpoint = request.getfixturevalue("npm_cosmos")
    # It says of itself that it speaks TLS.
    return CosmosClient(endpoint, cosmos.key, enable_endpoint_discovery=False)


@pytest.fixture
def container(client: CosmosClient) -> ContainerProxy:
    database = client.create_database(f"stand_in_{next(_NUMBERS)}")
    return database.create_container("items", PartitionKey("/student_id"))


@pytest.mark.parametrize(
    "value",
    [
        2**53,
        2**53 + 1,
        -(2**60),
        1.0,
        -0.0,
        1e20,
        1e300,
        0.1,
        -3,
        1.5e-7,
        "é😀\u0000",
        None,
        True,
        [[1], []],
        {"a": {}},
    ],
    ids=str,
)
def test_values_come_back_as_json_keeps_them(container, value):
    container.create_item({**ADA, "value": value})
    read = container.read_item("ada", "s1")["value"]
    # Digits beyond those of a double are the writer's own choice.
    read_again, written = (json.loads(json.dumps(each), parse_int=float) for each in (read, value))
    assert read_again == written
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        assert type(read) is int


def test_an_item_has_the_fields_of_the_service_and_a_new_etag_with_each_version(container):
    first = container.create_item(ADA)
    second = container.replace_item("ada", {**ADA, "n": 1})
    assert {"_rid", "_self", "_etag", "_ts"} <= first.keys() & second.keys()
    assert first["_etag"] != second["_etag"]
    assert first["_rid"] == second["_rid"]
    assert first["_ts"] <= second["_ts"]


def test_an_item_is_created_once_per_partition(container):
    container.create_item(ADA)
    with pytest.raises(CosmosResourceExistsError):
        container.create_item(ADA)
    container.create_item({**ADA, "student_id": "s2"})
    assert len(list(container.read_all_items())) == 2


def test_a_stale_etag_changes_nothing(container):
    etag = container.create_item(ADA)["_etag"]
    container.replace_item("ada", {**ADA, "n": 1}, etag=etag, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(CosmosAccessConditionFailedError):
        container.replace_item("ada", {**ADA, "n": 2}, etag=etag, match_condition=MatchConditions.IfNotModified)
    assert container.read_item("ada", "s1")["n"] == 1


def test_a_patch_adds_to_a_number(container):
    container.create_item({**ADA, "n": 1})
    assert container.patch_item("ada", "s1", [{"op": "incr", "path": "/n", "value": 4}])["n"] == 5


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("SELECT VALUE COUNT(1) FROM c", [21]),
        ("SELECT VALUE MAX(c.n) FROM c", [19]),
        ("SELECT c.id FROM c WHERE c.n > 16 ORDER BY c.n DESC", [{"id": "i19"}, {"id": "i18"}, {"id": "i17"}]),
        ("SELECT TOP 2 VALUE c.n FROM c ORDER BY c.n DESC", [19, 18]),
        ("SELECT VALUE c.id FROM c WHERE c.id >= 'i03' AND c.id < 'i06' ORDER BY c.id", ["i03", "i04", "i05"]),
        ("SELECT VALUE c.n FROM c WHERE c.n BETWEEN 3 AND 4 AND ARRAY_CONTAINS(c.tags, 'even')", [4]),
        ("SELECT VALUE c.id FROM c WHERE NOT IS_DEFINED(c.n)", ["ada"]),
        ("SELECT c.n AS number, c.nothing FROM c WHERE c.id = 'i03'", [{"number": 3}]),
        ("SELECT VALUE c.id FROM c WHERE STARTSWITH(c.id, 'i1') AND c.n / 2 = 6", ["i12"]),
        ("SELECT VALUE c.id FROM c WHERE c.n IN (5) AND c.nothing != 1", []),
    ],
)
def test_a_query_has_one_answer(queried, query, answer):
    assert list(queried.query_items(query, enable_cross_partition_query=True)) == answer


@pytest.fixture(scope="module")
def queried(client: CosmosClient) -> ContainerProxy:
    database = client.create_database(f"stand_in_{next(_NUMBERS)}")
    made = database.create_container("items", PartitionKey("/student_id"))
    for n in range(20):
        made.create_item({"id": f"i{n:02}", "student_id": f"s{n % 3}", "n": n, "tags": ["even"] if n % 2 == 0 else []})
    made.create_item(ADA)
    return made
