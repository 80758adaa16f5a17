"""Cosmos DB for AsyncDualStore, by azure-cosmos in one event loop; what is asked and meant is in `cosmos_store.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from azure.cosmos.aio import ContainerProxy, CosmosClient

from transforms.cosmos.async_transport import AsyncOneAttemptTransport
from transforms.cosmos.connection import Refused
from transforms.cosmos.failures import failures, meaning, status_error
from transforms.cosmos.target import CLIENT_OPTIONS, INSTALL, CosmosTarget
from transforms.dual.cosmos_store import call_of, failed, meant, sdk_parameters
from transforms.dual.finding import Search
from transforms.dual.kinds import Key
from transforms.dual.stored import Answer, Content, Failed, Request
from transforms.errors import JobError, TransientError
from transforms.migrate.documents import content_of

_REFUSALS = {404: Refused.MISSING, 409: Refused.EXISTS, 412: Refused.CHANGED}


class AsyncCosmosStore:
    """As `CosmosStore`, for one event loop."""

    def __init__(self, target: CosmosTarget):
        self._target = target
        self._client: CosmosClient | None = None

    async def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        """As `CosmosStore.answer`, within this time."""
        name, arguments, options = call_of(key, request)
        try:
            found = await asyncio.wait_for(getattr(self._container(), name)(*arguments, **options), timeout_s)
            return meant(request, dict(found) if found is not None else None)
        except asyncio.TimeoutError:  # another class before Python 3.11
            return Failed("connection timeout")
        except JobError as error:
            return failed(error, None)
        except failures() as error:
            refused = status_error(error)
            refusal = None if refused is None or refused.sub_status else _REFUSALS.get(refused.status)
            if refusal is not None:
                return meant(request, refusal)
            return failed(meaning(self._target.label, error, is_about_item=True), error)

    async def query(self, search: Search, timeout_s: float) -> list[Content]:
        """As `CosmosStore.query`."""
        text, parameters = search.sql()
        try:
            return await asyncio.wait_for(self._found(text, parameters), timeout_s)
        except asyncio.TimeoutError:  # another class before Python 3.11
            raise TransientError(f"{self._target.label}: connection timeout") from None
        except failures() as error:
            raise TransientError(str(meaning(self._target.label, error))) from error

    async def close(self) -> None:
        """Closes connections."""
        if self._client is not None:
            await self._client.close()

    async def _found(self, text: str, parameters: Mapping[str, Any]) -> list[Content]:
        items = self._container().query_items(text, parameters=sdk_parameters(parameters))
        return [content_of(item) async for item in items]

    def _container(self) -> ContainerProxy:
        if self._client is None:
            self._client = _opened(self._target)
        return self._client.get_database_client(self._target.database).get_container_client(self._target.container)


def _opened(target: CosmosTarget) -> CosmosClient:
    """A client whose own retries are switched off."""
    credential: Any = target.key.read() if target.key is not None else _entra_id()
    return CosmosClient(target.endpoint, credential, transport=AsyncOneAttemptTransport(), **CLIENT_OPTIONS)


def _entra_id() -> Any:
    try:
        from azure.identity.aio import DefaultAzureCredential
    except ImportError:
        raise JobError(f"Entra ID needs a package that is not installed: {INSTALL}") from None
    return DefaultAzureCredential()
