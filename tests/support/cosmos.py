"""An account of Cosmos DB for tests, and containers that nobody else has."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, replace
from typing import Any

from azure.cosmos import CosmosClient, PartitionKey

from tests.support.clocks import no_waiting
from transforms.cosmos.connection import Connection
from transforms.cosmos.target import CosmosTarget
from transforms.retry import Retry
from transforms.secrets import SecretSource
from transforms.testing.cosmos import ScriptedCosmos
from transforms.testing.cosmos.process import KEY

_NUMBERS = itertools.count()
# Read by targets that tests make; any key opens the scripted account.
os.environ["FIREBEAM_TEST_COSMOS_KEY"] = KEY
_KEY = SecretSource("env:FIREBEAM_TEST_COSMOS_KEY", "COSMOS_KEY")


@dataclass(frozen=True)
class OwnContainer:
    """A container of one test.

    Attributes:
      proxy: of the unchanged azure-cosmos, with its own retries.
      client: whose proxy it is.
    """

    server: ScriptedCosmos
    client: CosmosClient
    database: str
    name: str
    proxy: Any

    @property
    def location(self) -> str:
        """As a flag names it."""
        return f"cosmos://{self.database}/{self.name}"

    def target(self, max_attempts: int = 3, slept: list[float] | None = None, **more: Any) -> CosmosTarget:
        """As a job reaches it, by a clock that does not wait."""
        retry = Retry(max_attempts, clock=no_waiting(slept=slept))
        return replace(CosmosTarget.of(self.location, "--from", self.server.environ), retry=retry, key=_KEY, **more)

    def connection(self, max_attempts: int = 3, slept: list[float] | None = None, **more: Any) -> Connection:
        """Of the target; a new one."""
        return Connection(self.target(max_attempts, slept, **more))

    def put(self, *items: dict[str, Any]) -> None:
        """Stores items at once, without requests of a client."""
        self.server.put_items(self.database, self.name, items)

    def items(self) -> list[dict[str, Any]]:
        """All items, with the fields of the service, by id."""
        return sorted(self.proxy.read_all_items(), key=lambda item: item["id"])


def new_container(
    server: ScriptedCosmos, *partition_key: str, partitions: int = 4, default_ttl: int | None = None, **more: Any
) -> OwnContainer:
    """An empty container in a database of its own.

    Args:
      partition_key: paths, one or several of a hierarchy; default: /student_id.
    """
    paths = partition_key or ("/student_id",)
    key = PartitionKey(paths[0]) if len(paths) == 1 else PartitionKey(list(paths), kind="MultiHash")
    client = CosmosClient(server.endpoint, server.key)
    name = f"db{os.getpid()}_{next(_NUMBERS)}"
    with server.following({"partitions": partitions}):
        proxy = client.create_database(name).create_container("items", key, default_ttl=default_ttl, **more)
    return OwnContainer(server, client, name, "items", proxy)
