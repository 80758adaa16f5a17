"""What keeps a container from being read is said in one line, with the fix."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.emulators.processes import free_ports
from tests.support.cosmos import new_container
from transforms.cosmos.check import check_container
from transforms.errors import JobError, UsageError


def test_a_container_that_can_be_read_is_described(cosmos):
    properties = check_container(new_container(cosmos, "/tenant", "/user", default_ttl=60).target())
    assert (properties.key_paths, properties.default_ttl) == (("/tenant", "/user"), 60)


def test_a_wrong_name_is_told_with_those_that_are_like_it(cosmos):
    container = new_container(cosmos)
    target = container.target()
    with pytest.raises(UsageError, match=r"the account has no container 'itmes'; there is items$"):
        check_container(replace(target, container="itmes"))
    with pytest.raises(
        UsageError, match=rf"the account has no database '{container.database}x'; there is .*{container.database}"
    ):
        check_container(replace(target, database=f"{container.database}x"))


def test_several_write_regions_are_refused(cosmos):
    target = new_container(cosmos).target()
    with cosmos.following({"write_regions": ["West Europe", "East US"]}):
        with pytest.raises(JobError, match=r"several regions of the account accept writes \(West Europe, East US\)"):
            check_container(replace(target, max_request_units_per_s=1e6))


def test_an_account_that_does_not_answer_is_told_by_its_variable(cosmos):
    (port,) = free_ports(1)
    target = replace(new_container(cosmos).target(max_attempts=1), endpoint=f"http://127.0.0.1:{port}/")
    with pytest.raises(JobError, match="Nobody answers as this account: is COSMOS_ENDPOINT its address"):
        check_container(target)


def test_an_identity_that_may_not_list_names_may_read(cosmos):
    target = new_container(cosmos).target()
    with cosmos.following({"rules": [{"operation": "database", "status": 403}]}):
        assert check_container(replace(target, max_request_units_per_s=1e6 + 1)).key_paths == ("/student_id",)
