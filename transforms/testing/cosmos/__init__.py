"""A scripted Cosmos DB account (API for NoSQL) in a process of its own, for tests of what reads or writes one.

    from transforms.testing.cosmos import scripted_cosmos

    script = {"rules": [{"operation": "create", "status": 429, "retry_after_ms": 5, "times": 2}]}
    with scripted_cosmos(script) as cosmos:
        client = CosmosClient(cosmos.endpoint, cosmos.key)       # the unchanged azure-cosmos
        …
        assert [each.status for each in cosmos.requests("create")] == [429, 429, 201]

`python -m transforms.testing.cosmos --port=8081` runs it for any other program. It is not the service: docs/testing.md
says what it imitates and what not. Only the server's own process imports aiohttp; nothing imports azure-cosmos.
"""

from transforms.testing.cosmos.control import CosmosRequest
from transforms.testing.cosmos.process import ScriptedCosmos, scripted_cosmos

__all__ = ["CosmosRequest", "ScriptedCosmos", "scripted_cosmos"]
