"""The scripted account's SQL, asked by the unchanged azure-cosmos over four physical partitions."""

from __future__ import annotations

import pytest
from azure.cosmos.exceptions import CosmosHttpResponseError

from tests.support.cosmos import OwnContainer, new_container
from transforms.testing.cosmos import ScriptedCosmos


@pytest.fixture(scope="module")
def container(cosmos: ScriptedCosmos) -> OwnContainer:
    made = new_container(cosmos)
    made.put(
        *(
            {"id": f"i{n:02}", "student_id": f"s{n % 7}", "n": n, "half": n / 2, "tags": ["even"] if n % 2 == 0 else []}
            for n in range(50)
        ),
        {"id": "odd one", "student_id": "s9", "address": {"city": "Łódź"}, "none": None},
    )
    return made


def asked(container, query, **parameters):
    given = [{"name": f"@{name}", "value": value} for name, value in parameters.items()]
    return list(container.proxy.query_items(query, parameters=given, enable_cross_partition_query=True))


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("SELECT VALUE COUNT(1) FROM c", [51]),
        ("SELECT VALUE SUM(c.n) FROM c WHERE c.n < 3", [3]),
        ("SELECT VALUE MAX(c.n) FROM c", [49]),
        ("SELECT VALUE AVG(c.n) FROM c WHERE c.n <= 2", [1]),
        ("SELECT c.id FROM c WHERE c.n > 46 ORDER BY c.n DESC", [{"id": "i49"}, {"id": "i48"}, {"id": "i47"}]),
        ("SELECT VALUE c.id FROM c WHERE c.n >= 0 ORDER BY c.n OFFSET 10 LIMIT 2", ["i10", "i11"]),
        ("SELECT TOP 2 VALUE c.n FROM c ORDER BY c.n DESC", [49, 48]),
        ("SELECT VALUE c.id FROM c WHERE c.n IN (3, 5) AND NOT (c.id = 'i05')", ["i03"]),
        ("SELECT VALUE c.id FROM c WHERE c.n BETWEEN 3 AND 4 AND ARRAY_CONTAINS(c.tags, 'even')", ["i04"]),
        ("SELECT VALUE c.id FROM c WHERE c.address.city LIKE '%ź'", ["odd one"]),
        ("SELECT VALUE c['address']['city'] FROM c WHERE IS_DEFINED(c.address)", ["Łódź"]),
        ("SELECT VALUE c.id FROM c WHERE NOT IS_DEFINED(c.n) AND IS_NULL(c.none)", ["odd one"]),
        ("SELECT c.n AS number, c.nothing FROM c WHERE c.half = 1.5", [{"number": 3}]),
    ],
)
def test_a_query_is_answered_over_all_partitions(container, query, answer):
    assert asked(container, query) == answer


def test_text_is_ordered_by_code_points_and_parameters_are_values(container):
    found = asked(container, "SELECT VALUE c.id FROM c WHERE c.id >= @low AND c.id < @high", low="i03", high="i06")
    assert sorted(found) == ["i03", "i04", "i05"]


def test_distinct_values_are_given_once(container):
    assert sorted(asked(container, "SELECT DISTINCT VALUE c.student_id FROM c")) == [*(f"s{n}" for n in range(7)), "s9"]


def test_one_partition_key_needs_no_plan(container):
    before = len(container.server.requests("plan"))
    query = "SELECT VALUE c.n FROM c ORDER BY c.n DESC OFFSET 1 LIMIT 2"
    assert list(container.proxy.query_items(query, partition_key="s3")) == [38, 31]
    assert len(container.server.requests("plan")) == before


def test_pages_continue_where_the_last_one_ended(container):
    pages = container.proxy.query_items(
        "SELECT * FROM c", enable_cross_partition_query=True, max_item_count=7
    ).by_page()
    first = len(list(next(pages)))
    rest = container.proxy.query_items("SELECT * FROM c", enable_cross_partition_query=True, max_item_count=7)
    assert first + sum(len(list(page)) for page in rest.by_page(pages.continuation_token)) == 51


@pytest.mark.parametrize("query", ["SELECT * FROM c JOIN t IN c.tags", "SELECT FROM", "SELECT * FROM c WHERE x.n = 1"])
def test_what_is_not_imitated_is_refused(container, query):
    with pytest.raises(CosmosHttpResponseError) as refused:
        asked(container, query)
    assert refused.value.status_code == 400
