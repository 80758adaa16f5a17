"""Cosmos DB for DualStore, by azure-cosmos: one request per read or write.

A request with which the account has not begun, which 429 says, is sent again when the account says, while its time
suffices. Nothing else is sent twice: it may have been done.

A request that fails is a value: what follows from it is the protocol's to decide. A write under no condition is an
upsert; a new item is created, an existing one replaced under its `_etag`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from transforms.cosmos.target import INSTALL, CosmosTarget
from transforms.errors import FirebeamError, JobError, RecordError, TransientError

try:
    from azure.core import MatchConditions
except ImportError:
    raise JobError(f"Cosmos DB needs a client that is not installed: {INSTALL}") from None

from transforms.cosmos.connection import Hook, Refused
from transforms.cosmos.reads import sdk_key
from transforms.dual.finding import Search
from transforms.dual.items import item_of, stored_of, version_of
from transforms.dual.kinds import Key
from transforms.dual.stored import Answer, Conflict, Content, Failed, Found, Read, Remove, Request, Written
from transforms.migrate.documents import content_of

_MIN_TIMEOUT_S = 0.001  # zero would mean none


class CosmosStore:
    """The items of one kind in one container. Thread-safe; connects when it is first asked.

    Args:
      target: the container.
    """

    def __init__(self, target: CosmosTarget):
        self._connection = unrepeated(target).connect()

    def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        """Does what a request of the protocol asks, within about this time."""
        try:
            container, limits = self._connection.container, self._limits(timeout_s)
            name, arguments, options = call_of(key, request)

            def send(hook: Hook) -> Any:
                return getattr(container, name)(*arguments, **options, **limits(), response_hook=hook)

            return meant(request, self._connection.ask_item(send, within_s=timeout_s).value)
        except (JobError, TransientError, RecordError) as error:
            return failed(error, error.__cause__)

    def query(self, search: Search, timeout_s: float) -> list[Content]:
        """The items that are asked for. Raises TransientError."""
        text, parameters = search.sql()
        try:
            container, limits = self._connection.container, self._limits(timeout_s)

            def send(hook: Hook) -> list[Mapping[str, Any]]:
                asked = container.query_items(
                    text,
                    parameters=sdk_parameters(parameters),
                    enable_cross_partition_query=True,
                    response_hook=hook,
                    **limits(),
                )
                return list(asked)

            return [content_of(item) for item in self._connection.ask(send, within_s=timeout_s).value]
        except JobError as error:
            raise TransientError(str(error)) from error

    def _limits(self, timeout_s: float) -> Callable[[], dict[str, Any]]:
        """Makes the options of each attempt, so that all of them together take no longer."""
        clock = self._connection.target.retry.clock
        ends_s = clock.monotonic() + timeout_s

        def limits() -> dict[str, Any]:
            left_s = max(ends_s - clock.monotonic(), _MIN_TIMEOUT_S)
            return {"read_timeout": left_s, "connection_timeout": left_s}

        return limits


def unrepeated(target: CosmosTarget) -> CosmosTarget:
    """The target whose requests are sent once, but for those that the account has not begun with."""
    return replace(target, retry=replace(target.retry, max_attempts=1))


def call_of(key: Key, request: Request) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """The method of azure-cosmos for a request, and its arguments."""
    if isinstance(request, Read):
        return "read_item", (key.item_id, sdk_key(key.partition_key)), {}
    if isinstance(request, Remove):
        return "delete_item", (key.item_id, sdk_key(key.partition_key)), _if_match(request.found.version.tag)
    item = item_of(key, request.draft)
    if not request.is_guarded:
        return "upsert_item", (item,), {}
    if request.over is None:
        return "create_item", (item,), {}
    return "replace_item", (key.item_id, item), _if_match(request.over.version.tag)


def meant(request: Request, answer: Mapping[str, Any] | Refused | None) -> Answer:
    """What the service's answer says to the protocol. Raises RecordError."""
    if isinstance(request, Read):
        if isinstance(answer, Refused) or answer is None:
            return Found(None)
        return Found(stored_of(answer, needs_content=request.needs_content))
    if isinstance(answer, Refused):
        return Conflict()
    return Written(None if isinstance(request, Remove) or not answer else version_of(answer))


def failed(error: FirebeamError, cause: BaseException | None) -> Failed:
    """What a failure says to the protocol."""
    if isinstance(error, RecordError):
        return Failed(error.message, refused=error.code)
    if "Timeout" in type(cause).__name__:
        return Failed("connection timeout")
    return Failed(str(error))


def _if_match(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def sdk_parameters(named: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Parameters of a query as azure-cosmos takes them."""
    return [{"name": f"@{name}", "value": value} for name, value in named.items()]
