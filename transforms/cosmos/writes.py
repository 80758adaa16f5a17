"""Writing items: each write says under which condition, and what became of it is a value.

    create(item)                 Written │ EXISTS
    replace(item, if_match)      Written │ MISSING │ CHANGED
    patch, delete                Written │ MISSING │ CHANGED
    batch(key, operations)       [Written] │ Failed(place, why): all of one logical partition, or none

A write is sent again when its answer is lost: then a creation may find EXISTS, and a write under an etag CHANGED, that
it has made itself. Who writes compares what is there before it calls that a conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from transforms.cosmos.connection import REFUSALS, Connection, Hook, Refused
from transforms.cosmos.failures import refused_content
from transforms.cosmos.items import ItemVersion, check_id
from transforms.cosmos.reads import sdk_key
from transforms.errors import RecordError

# learn.microsoft.com/azure/cosmos-db/transactional-batch
MAX_BATCH, MAX_BATCH_BYTES = 100, 2 * 1024 * 1024

Operation = tuple[str, tuple[Any, ...]] | tuple[str, tuple[Any, ...], dict[str, Any]]


class Written(NamedTuple):
    """A write that was done.

    Attributes:
      version: of the item now; None of one that is deleted.
      charge: request units.
    """

    version: ItemVersion | None
    charge: float


class Failed(NamedTuple):
    """A batch of which nothing was done.

    Attributes:
      place: of the operation at fault, from 0.
      why: MISSING, EXISTS or CHANGED; a RecordError for content that is refused.
    """

    place: int
    why: Refused | RecordError


def create(connection: Connection, item: Mapping[str, Any]) -> Written | Refused:
    """Stores an item that is not there yet.

    Raises:
      RecordError: the service does not take the item.
      JobError, TransientError: as `Connection.ask`.
    """
    check_id(item["id"])
    container = connection.container
    return _written(connection, lambda hook: container.create_item(dict(item), response_hook=hook))


def replace(connection: Connection, item: Mapping[str, Any], if_match: str | None = None) -> Written | Refused:
    """Replaces an item that is there; with `if_match` only the version of this etag. Errors as `create`."""
    check_id(item["id"])
    container = connection.container
    return _written(
        connection,
        lambda hook: container.replace_item(item["id"], dict(item), response_hook=hook, **_condition(if_match)),
    )


def upsert(connection: Connection, item: Mapping[str, Any]) -> Written | Refused:
    """Stores an item whatever is there. Errors as `create`."""
    check_id(item["id"])
    container = connection.container
    return _written(connection, lambda hook: container.upsert_item(dict(item), response_hook=hook))


def patch(
    connection: Connection,
    name: str,
    key: Sequence[Any],
    operations: Sequence[Mapping[str, Any]],
    if_match: str | None = None,
) -> Written | Refused:
    """Changes parts of an item that is there, as a JSON patch of at most 10 operations. Errors as `create`."""
    check_id(name)
    container, of_key = connection.container, sdk_key(key)
    return _written(
        connection,
        lambda hook: container.patch_item(
            name, of_key, [dict(each) for each in operations], response_hook=hook, **_condition(if_match)
        ),
    )


def delete(connection: Connection, name: str, key: Sequence[Any], if_match: str | None = None) -> Written | Refused:
    """Deletes an item that is there; with `if_match` only the version of this etag. Errors as `create`."""
    check_id(name)
    container, of_key = connection.container, sdk_key(key)
    return _written(
        connection, lambda hook: container.delete_item(name, of_key, response_hook=hook, **_condition(if_match))
    )


def batch(connection: Connection, key: Sequence[Any], operations: Sequence[Operation]) -> list[Written] | Failed:
    """Does several writes of one logical partition, or none of them.

    Args:
      operations: at most MAX_BATCH, as azure-cosmos takes them: ("create", (item,)), ("replace", (id, item),
        {"if_match_etag": …}), ("delete", (id,)), …

    Raises:
      JobError, TransientError: as `Connection.ask`.
    """
    from azure.cosmos.exceptions import CosmosBatchOperationError

    container, of_key = connection.container, sdk_key(key)

    def request(hook: Hook) -> list[dict[str, Any]] | Failed:
        try:
            return [*container.execute_item_batch([*operations], of_key, response_hook=hook)]
        except CosmosBatchOperationError as error:
            status = error.status_code
            if status in REFUSALS:
                return Failed(error.error_index, REFUSALS[status])
            if status in (400, 413):
                return Failed(error.error_index, refused_content(status))
            raise

    answered = connection.ask(request)
    if isinstance(answered.value, Failed):
        return answered.value
    return [
        Written(ItemVersion.of(body) if (body := each.get("resourceBody")) else None, float(each["requestCharge"]))
        for each in answered.value
    ]


def _written(connection: Connection, request: Callable[[Hook], Any]) -> Written | Refused:
    answered = connection.ask_item(request)
    if isinstance(answered.value, Refused):
        return answered.value
    return Written(ItemVersion.of(answered.value) if answered.value else None, answered.charge)


def _condition(if_match: str | None) -> dict[str, Any]:
    from azure.core import MatchConditions

    return {} if if_match is None else {"etag": if_match, "match_condition": MatchConditions.IfNotModified}
