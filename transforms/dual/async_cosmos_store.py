"""Cosmos DB for AsyncDualStore, by azure-cosmos in one event loop; what is asked and meant is in `cosmos_store.py`."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from azure.cosmos.aio import ContainerProxy, CosmosClient

from transforms.cosmos.async_transport import AsyncOneAttemptTransport
from transforms.cosmos.connection import Refused, refusal_of
from transforms.cosmos.failures import failures, meaning, not_a_key, status_error
from transforms.cosmos.target import CLIENT_OPTIONS, INSTALL, CosmosTarget
from transforms.dual.cosmos_store import call_of, failed, meant, sdk_parameters, unrepeated
from transforms.dual.finding import Search
from transforms.dual.kinds import Key
from transforms.dual.stored import Answer, Content, Failed, Request
from transforms.errors import FirebeamError, JobError, RecordError, TransientError
from transforms.migrate.documents import content_of
from transforms.secrets import SecretSource

T = TypeVar("T")


class AsyncCosmosStore:
    """As `CosmosStore`, for one event loop."""

    def __init__(self, target: CosmosTarget):
        self._target = unrepeated(target)
        self._client: CosmosClient | None = None

    async def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        """As `CosmosStore.answer`, within this time."""
        name, arguments, options = call_of(key, request)

        async def send() -> Mapping[str, Any] | Refused | None:
            try:
                found = await getattr(self._container(), name)(*arguments, **options)
            except failures() as error:
                refused = status_error(error)
                if refused is None or (refusal := refusal_of(refused)) is None:
                    raise
                return refusal
            return dict(found) if found is not None else None

        try:
            return meant(request, await self._ask(send, timeout_s, is_about_item=True))
        except asyncio.TimeoutError:  # another class before Python 3.11
            return Failed("connection timeout")
        except (JobError, TransientError, RecordError) as error:
            return failed(error, error.__cause__)

    async def query(self, search: Search, timeout_s: float) -> list[Content]:
        """As `CosmosStore.query`."""
        text, parameters = search.sql()
        try:
            return await self._ask(lambda: self._found(text, parameters), timeout_s)
        except asyncio.TimeoutError:  # another class before Python 3.11
            raise TransientError(f"{self._target.label}: connection timeout") from None
        except JobError as error:
            raise TransientError(str(error)) from error

    async def close(self) -> None:
        """Closes connections."""
        if self._client is not None:
            await self._client.close()

    async def _ask(self, send: Callable[[], Awaitable[T]], timeout_s: float, *, is_about_item: bool = False) -> T:
        def meant(error: Exception, _: int) -> FirebeamError:
            return meaning(self._target.label, error, is_about_item=is_about_item)

        asked = self._target.retry.acall(send, catch=failures(), meaning=meant, within_s=timeout_s)
        return await asyncio.wait_for(asked, timeout_s)

    async def _found(self, text: str, parameters: Mapping[str, Any]) -> list[Content]:
        items = self._container().query_items(text, parameters=sdk_parameters(parameters))
        return [content_of(item) async for item in items]

    def _container(self) -> ContainerProxy:
        if self._client is None:
            self._client = _opened(self._target)
        return self._client.get_database_client(self._target.database).get_container_client(self._target.container)


def _opened(target: CosmosTarget) -> CosmosClient:
    """A client whose own retries are switched off."""
    credential: Any = _entra_id() if target.key is None else _key(target.key, target.label)
    return CosmosClient(target.endpoint, credential, transport=AsyncOneAttemptTransport(), **CLIENT_OPTIONS)


def _key(source: SecretSource, label: str) -> str:
    """The account's key, looked at now: this client of azure-cosmos looks when it signs a request."""
    key = source.read()
    try:
        base64.b64decode(key)
    except ValueError:
        raise not_a_key(label) from None
    return key


def _entra_id() -> Any:
    try:
        from azure.identity.aio import DefaultAzureCredential
    except ImportError:
        raise JobError(f"Entra ID needs a package that is not installed: {INSTALL}") from None
    return DefaultAzureCredential()
