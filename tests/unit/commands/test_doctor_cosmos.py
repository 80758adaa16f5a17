"""What doctor says about an account of Cosmos DB: only if the environment names one, and never its key."""

from __future__ import annotations

import pytest

from pipeline.commands.doctor import Config, Verdict, diagnose
from pipeline.emulators.processes import free_ports
from tests.support.cosmos import new_container
from transforms.testing import PROJECT, ScriptedFirestore

KEY = "env:FIREBEAM_TEST_COSMOS_KEY"


def looked_at(tmp_path, **environ):
    with ScriptedFirestore() as server:
        host = server.target.emulator_host
        bare = {"PATH": str(tmp_path), "HOME": str(tmp_path), "BIGQUERY_EMULATOR_HOST": host}
        checks = diagnose(Config(project=PROJECT), {**bare, "FIRESTORE_EMULATOR_HOST": host, **environ})
    return next((check for check in checks if check.name == "Cosmos DB"), None)


def test_nothing_is_said_where_no_account_is_named(tmp_path):
    assert looked_at(tmp_path) is None


def test_an_account_that_answers_is_ok(tmp_path, cosmos):
    database = new_container(cosmos).database
    check = looked_at(tmp_path, COSMOS_ENDPOINT=cosmos.endpoint, COSMOS_KEY=KEY)
    assert check.verdict is Verdict.OK
    assert check.detail.startswith("answers; databases: ")
    assert database in check.detail or check.detail.endswith("…")


def test_an_identity_that_may_not_list_names_is_ok(tmp_path, cosmos):
    with cosmos.following({"rules": [{"operation": "database", "status": 403}]}):
        check = looked_at(tmp_path, COSMOS_ENDPOINT=cosmos.endpoint, COSMOS_KEY=KEY)
    assert check.verdict is Verdict.OK


@pytest.mark.parametrize(
    ("endpoint", "advice"),
    [
        ("mongodb://a.mongo.cosmos.azure.com:10255", "Migrate to Firestore with MongoDB compatibility"),
        ("acme", "COSMOS_ENDPOINT must be an address like"),
        (None, "the account of COSMOS_ENDPOINT"),
    ],
)
def test_an_account_that_cannot_be_used_is_to_be_fixed(tmp_path, endpoint, advice):
    (port,) = free_ports(1)
    check = looked_at(tmp_path, COSMOS_ENDPOINT=endpoint or f"http://127.0.0.1:{port}/", COSMOS_KEY=KEY)
    assert check.verdict is Verdict.FIX
    assert advice in check.detail
