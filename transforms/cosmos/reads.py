"""Reading items other than by the change feed: one, those of a range of ids, all keys, how many there are.

A query reads every partition; it is answered page by page, and each page is a request of its own with its own retries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from transforms.cosmos.connection import Connection, Hook, Refused
from transforms.cosmos.feed import FeedRange
from transforms.cosmos.items import ItemVersion, accessor, is_path_step, partition_key_of, path_steps
from transforms.cosmos.status import StatusError
from transforms.errors import TransientError

_PAGE_ITEMS = 1000
_FORBIDDEN = 403


class ItemKey(NamedTuple):
    """What names an item in its container.

    Attributes:
      key: partition key, one value per path.
    """

    id: str
    key: tuple[Any, ...]
    version: ItemVersion


def read_item(connection: Connection, name: str, key: Sequence[Any]) -> dict[str, Any] | None:
    """An item as it is now, with the service's fields; None if there is none. Costs 1 request unit per KiB.

    Args:
      key: partition key, one value per path, {} for undefined.

    Raises:
      JobError, TransientError: as `Connection.ask`.
    """
    if is_path_step(name):
        found = [item for page in query(connection, "SELECT * FROM c WHERE c.id = @id", {"id": name}) for item in page]
        return next((dict(item) for item in found if key_of(connection, item) == [*key]), None)
    container, of_key = connection.container, sdk_key(key)
    answered = connection.ask_item(lambda hook: container.read_item(name, of_key, response_hook=hook))
    return None if isinstance(answered.value, Refused) else dict(answered.value)


def query(
    connection: Connection,
    text: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    span: FeedRange | None = None,
    key: Sequence[Any] | None = None,
    max_items: int = _PAGE_ITEMS,
) -> Iterator[list[Any]]:
    """Pages of a query's answer.

    Args:
      text: of Cosmos DB's SQL.
      parameters: by name, without @.
      span: the part of the container that is asked; None for all.
      key: of the one logical partition that is asked, as in `read_item`.

    Raises:
      JobError, TransientError: as `Connection.ask`.
    """
    given = [{"name": f"@{name}", "value": value} for name, value in (parameters or {}).items()]
    scope: dict[str, Any] = {"enable_cross_partition_query": True}
    if key is not None:
        scope = {"partition_key": sdk_key(key)}
    elif span is not None:
        scope = {"feed_range": span.as_sdk}
    container = connection.container
    # An iterator of pages that has failed has ended: another one continues behind the last page, where the SDK can.
    continuation: str | None = None
    pages: Any = None
    n_pages = 0

    def request(hook: Hook) -> list[Any] | None:
        nonlocal pages
        if pages is None:
            if n_pages and continuation is None:
                raise TransientError(f"{connection.label}: a query that orders or counts broke off; ask again")
            options = {"parameters": given, "max_item_count": max_items, "response_hook": hook, **scope}
            pages = container.query_items(text, **options).by_page(continuation)
        asked, pages = pages, None
        found = next(asked, None)
        pages = asked
        return None if found is None else [*found]

    while (page := connection.ask(request).value) is not None:
        continuation, n_pages = pages.continuation_token, n_pages + 1
        if page:
            yield page


def items_between(
    connection: Connection, low: str | None, high: str | None, *, span: FeedRange | None = None
) -> Iterator[list[dict[str, Any]]]:
    """Items whose ids are in [low, high); None for no bound. Arguments and errors as `query`."""
    bounds = {"low": low, "high": high}
    given = {name: value for name, value in bounds.items() if value is not None}
    conditions = {"low": "c.id >= @low", "high": "c.id < @high"}
    where = " AND ".join(conditions[name] for name in given)
    text = f"SELECT * FROM c WHERE {where}" if where else "SELECT * FROM c"  # noqa: S608  # bounds are parameters
    yield from query(connection, text, given, span=span)


def keys(connection: Connection, span: FeedRange | None = None) -> Iterator[list[ItemKey]]:
    """Names and versions of all items, without the rest of them. Errors as `query`."""
    paths = connection.properties.key_paths
    members = ", ".join(f"{accessor(path_steps(path))} AS k{n}" for n, path in enumerate(paths))
    text = f"SELECT c.id, c._ts, c._etag, {members} FROM c"  # noqa: S608  # paths of the container's own key, quoted
    for page in query(connection, text, span=span):
        yield [
            ItemKey(row["id"], tuple(row.get(f"k{n}", {}) for n in range(len(paths))), ItemVersion.of(row))
            for row in page
        ]


def count(connection: Connection) -> int:
    """How many items there are. Errors as `query`."""
    return sum(sum(page) for page in query(connection, "SELECT VALUE COUNT(1) FROM c"))


class Size(NamedTuple):
    """About how large a container is, by the service's own count."""

    items: int
    n_bytes: int


def size(connection: Connection) -> Size:
    """About how large a container is; costs nothing like a count. Errors as `Connection.ask`."""
    answered = connection.ask(lambda hook: connection.container.read(populate_quota_info=True, response_hook=hook))
    usage = dict(
        each.partition("=")[::2] for each in answered.headers.get("x-ms-resource-usage", "").split(";") if each
    )
    return Size(int(usage.get("documentsCount") or 0), int(usage.get("documentsSize") or 0) * 1024)


def provisioned_units_per_s(connection: Connection) -> int | None:
    """Request units per second that the container has for itself; None if nobody says.

    That is so where it shares its database's, where the account is serverless, and for identities of Entra ID, which
    may not ask. Of a container that scales by itself it is the most that it scales to. Errors as `Connection.ask`.
    """

    def request(hook: Hook) -> list[dict[str, Any]]:
        try:
            # Not get_throughput, which breaks in the SDK where there is none.
            return [*connection.client.client_connection.ReadOffers(response_hook=hook)]
        except StatusError as error:
            if error.status == _FORBIDDEN:
                return []
            raise

    offers = [
        each for each in connection.ask(request).value if each["resource"].strip("/") == connection.properties.link
    ]
    if not offers:
        return None
    content = offers[0]["content"]
    scaling = content.get("offerAutopilotSettings") or {}
    return int(scaling.get("maxThroughput") or content["offerThroughput"])


def sdk_key(key: Sequence[Any]) -> Any:
    """A partition key as azure-cosmos takes it."""
    from azure.cosmos.partition_key import NonePartitionKeyValue, NullPartitionKeyValue

    if len(key) > 1:
        return list(key)
    if key[0] is None:
        return NullPartitionKeyValue
    return NonePartitionKeyValue if key[0] == {} else key[0]


def key_of(connection: Connection, item: Mapping[str, Any]) -> list[Any]:
    """An item's partition key, one value per path."""
    return partition_key_of(item, connection.properties.key_paths)
