"""Which container a flag names, and what of it is ever shown."""

from __future__ import annotations

import pickle

import pytest

from transforms.cosmos.target import CosmosTarget
from transforms.errors import UsageError
from transforms.secrets import SecretSource

ENVIRON = {"COSMOS_ENDPOINT": "https://acme.documents.azure.com", "COSMOS_KEY": "bmV2ZXIgc2hvd24="}


def test_a_target_is_plain_data_without_a_secret():
    target = CosmosTarget.of("cosmos://school/student%20attempts", "--from", ENVIRON)
    assert pickle.loads(pickle.dumps(target)) == target
    assert (target.database, target.container) == ("school", "student attempts")
    assert target.label == "cosmos://school/student%20attempts"
    assert ENVIRON["COSMOS_KEY"] not in repr(target)
    assert "acme" not in target.label


@pytest.mark.parametrize(
    ("key", "source"),
    [
        ("bmV2ZXIgc2hvd24=", SecretSource("env:COSMOS_KEY", "COSMOS_KEY")),
        ("secret:projects/p/secrets/s", SecretSource("secret:projects/p/secrets/s", "COSMOS_KEY")),
        ("file:/run/key", SecretSource("file:/run/key", "COSMOS_KEY")),
        ("", None),
    ],
)
def test_the_key_is_named_by_where_it_is_and_without_one_entra_id_signs_in(key, source):
    assert CosmosTarget.of("cosmos://d/c", "--from", {**ENVIRON, "COSMOS_KEY": key}).key == source


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ("", "set COSMOS_ENDPOINT to the account's address"),
        ("AccountEndpoint=https://a/;AccountKey=abc;", "must be the address alone"),
        ("mongodb://a.mongo.cosmos.azure.com:10255", "Migrate to Firestore with MongoDB compatibility"),
        ("https://a.mongo.cosmos.azure.com:10255", "Migrate to Firestore with MongoDB compatibility"),
        ("https://a.mongocluster.cosmos.azure.com", "API for MongoDB"),
        ("https://a.gremlin.cosmos.azure.com", "API for Gremlin"),
        ("http://acme.documents.azure.com", "must be an address like"),
        ("https://user:secret@acme.documents.azure.com", "must be an address like"),
        ("acme", "must be an address like"),
    ],
)
def test_an_endpoint_that_cannot_be_used_says_what_to_set_and_shows_no_secret(endpoint, problem):
    with pytest.raises(UsageError, match=problem) as refused:
        CosmosTarget.of("cosmos://d/c", "--from", {**ENVIRON, "COSMOS_ENDPOINT": endpoint})
    assert "abc" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("location", ["cosmos://", "cosmos://d", "cosmos://d/", "cosmos://d/c/x", "cosmos:/d/c"])
def test_a_location_names_a_database_and_a_container(location):
    with pytest.raises(UsageError, match="--from must be cosmos://DATABASE/CONTAINER"):
        CosmosTarget.of(location, "--from", ENVIRON)
