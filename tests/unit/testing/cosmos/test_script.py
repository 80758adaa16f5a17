"""What a script makes of requests to the scripted account."""

from __future__ import annotations

import subprocess
import sys

import pytest
from azure.cosmos import CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

from tests.support.cosmos import new_container
from transforms.testing.cosmos import scripted_cosmos

ADA = {"id": "ada", "student_id": "s1"}


def test_a_refused_request_says_how_long_to_wait_and_the_client_tries_again(cosmos):
    container = new_container(cosmos)
    with cosmos.following({"rules": [{"operation": "create", "status": 429, "retry_after_ms": 1, "times": 2}]}):
        before = len(cosmos.requests("create"))
        container.proxy.create_item(ADA)
        assert [each.status for each in cosmos.requests("create")[before:]] == [429, 429, 201]


def test_a_rule_may_skip_repeat_and_name_a_container(cosmos):
    container, other = new_container(cosmos), new_container(cosmos)
    rules = [{"operation": "create", "container": "items", "status": 449, "skip": 1, "every": 2, "times": 1}]
    with cosmos.following({"rules": rules}):
        statuses = []
        for n in range(6):
            try:
                container.proxy.create_item({**ADA, "id": str(n)})
                statuses.append(201)
            except CosmosHttpResponseError as error:
                statuses.append(error.status_code)
    assert statuses == [201, 201, 449, 201, 201, 201]
    other.proxy.create_item(ADA)


def test_a_write_whose_answer_is_lost_was_done(cosmos):
    container = new_container(cosmos)
    with cosmos.following({"rules": [{"operation": "create", "lost": "after", "times": 1}]}):
        with pytest.raises(Exception, match="onnection"):
            container.proxy.create_item(ADA)
    assert [each["id"] for each in container.items()] == ["ada"]


def test_beyond_its_request_units_an_account_refuses_low_priority_first(cosmos):
    container = new_container(cosmos)
    container.put(*({**ADA, "id": str(n)} for n in range(30)))
    client = CosmosClient(cosmos.endpoint, cosmos.key, retry_throttle_total=-1)
    low = client.get_database_client(container.database).get_container_client(container.name)
    with cosmos.following({"request_units_per_s": 10}), pytest.raises(CosmosHttpResponseError) as refused:
        [low.read_item(str(n), "s1", priority="Low") for n in range(30)]
    assert refused.value.status_code == 429
    assert int(refused.value.headers["x-ms-retry-after-ms"]) > 0


def test_only_the_accounts_key_opens_it():
    with scripted_cosmos({"key": "cmlnaHQ="}) as server:
        assert list(CosmosClient(server.endpoint, "cmlnaHQ=").list_databases()) == []
        with pytest.raises(CosmosHttpResponseError) as refused:
            list(CosmosClient(server.endpoint, "d3Jvbmc=").list_databases())
        assert refused.value.status_code == 401


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ({"rules": [{"operation": "fly"}]}, "there is no operation 'fly'"),
        ({"rules": [{"operations": "read"}]}, "a rule has no 'operations'"),
        ({"rules": [{"lost": "twice"}]}, "lost is one of before, after"),
        ({"rules": [{"every": 0}]}, "every must be at least 1, got 0"),
    ],
)
def test_a_wrong_script_is_refused_with_its_place(cosmos, script, problem):
    with pytest.raises(ValueError, match=problem):
        cosmos.script(script)


def test_a_wrong_script_file_is_wrong_usage(tmp_path):
    file = tmp_path / "script.json"
    file.write_text('{"rule": []}')
    done = subprocess.run(
        [sys.executable, "-m", "transforms.testing.cosmos", f"--script={file}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "a script has no 'rule'" in done.stderr


def test_the_effective_key_is_the_one_the_client_computes(cosmos):
    from transforms.testing.cosmos.keys import effective_key

    container = new_container(cosmos)
    for value in ("", "ada" * 30, "é😀", 1, 1.5, -3, None, True, False, 2**53, *("x" * n for n in range(33))):
        import base64
        import json

        feed_range = container.proxy.feed_range_from_partition_key(value)
        encoded = feed_range if isinstance(feed_range, dict) else json.loads(base64.b64decode(feed_range))
        assert encoded["Range"]["min"] == effective_key([value], "Hash"), value
