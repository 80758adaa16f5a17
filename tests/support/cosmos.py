"""An account of Cosmos DB for tests, and containers that nobody else has."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import Any

from azure.cosmos import CosmosClient, PartitionKey

from transforms.testing.cosmos import ScriptedCosmos

_NUMBERS = itertools.count()


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
