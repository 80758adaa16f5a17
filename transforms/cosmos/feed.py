"""The change feed of a container, per feed range, page by page.

    feed_ranges()          ranges of effective partition keys that together are the container
    now(range)             the point that a range has reached; a copy is complete once it has passed that of its start
    page(range, …)         the next page from the beginning, or behind a continuation
        LATEST             each item in its newest version, without deletes; from the beginning
        ALL_VERSIONS       every version and every delete; only behind a continuation, which `now` gives

A continuation is the SDK's text, opaque but for the sequence numbers in it: `positions`. It stays valid over splits and
merges of partitions. Between two pages nothing is lost; a page that is read again has the same items or newer ones.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from transforms.cosmos.connection import Connection, Hook
from transforms.cosmos.items import partition_key_of
from transforms.errors import JobError

LATEST, ALL_VERSIONS = "LatestVersion", "AllVersionsAndDeletes"
CREATE, REPLACE, DELETE = "create", "replace", "delete"

DEFAULT_PAGE_ITEMS = 1000  # the service ends a page before at 4 MB

_BEGINNING, _NOW = "Beginning", "Now"
_ETAG = "etag"
_BAD_REQUEST = 400


class FeedRange(NamedTuple):
    """Effective partition keys in [low, high), as hexadecimal digits."""

    low: str
    high: str

    @property
    def as_sdk(self) -> dict[str, Any]:
        """As azure-cosmos takes it."""
        return {"Range": {"min": self.low, "max": self.high, "isMinInclusive": True, "isMaxInclusive": False}}

    def overlaps(self, other: FeedRange) -> bool:
        """Whether an item can be in both."""
        return self.low < other.high and other.low < self.high


class Position(NamedTuple):
    """How far a range has been read: to this sequence number; 0 for the beginning."""

    span: FeedRange
    lsn: int


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Some changes.

    Attributes:
      items: LATEST: items with the service's fields; ALL_VERSIONS: what `change_of` reads.
      continuation: where the next page begins; complete only when these items are.
      charge: request units.
      is_last: whether there was nothing behind it when it was read; such a page is empty.
    """

    items: list[dict[str, Any]]
    continuation: str
    charge: float
    is_last: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the feed of all versions and deletes.

    Attributes:
      kind: CREATE, REPLACE or DELETE.
      id: of the item.
      key: its partition key, one value per path.
      item: the new version; None for a delete.
      lsn: sequence number in its partition.
      ts: seconds since 1970.
      is_expired: whether its time to live is what deleted it.
    """

    kind: str
    id: str
    key: list[Any]
    item: dict[str, Any] | None
    lsn: int
    ts: int
    is_expired: bool = False


def feed_ranges(connection: Connection) -> list[FeedRange]:
    """The container's ranges at this moment, one per physical partition. Raises JobError, TransientError."""
    listed = connection.ask(lambda hook: [*connection.container.read_feed_ranges()]).value
    return [FeedRange(each["Range"]["min"], each["Range"]["max"]) for each in listed]


def now(connection: Connection, span: FeedRange, mode: str = LATEST) -> str:
    """A continuation behind everything that a range holds at this moment.

    Raises:
      JobError, TransientError: as `page`.
    """
    return _page(connection, mode, 1, feed_range=span.as_sdk, start_time=_NOW, mode=mode).continuation


def page(
    connection: Connection,
    span: FeedRange,
    continuation: str | None = None,
    *,
    mode: str = LATEST,
    max_items: int = DEFAULT_PAGE_ITEMS,
) -> FeedPage:
    """The next page of a range.

    Args:
      continuation: of this range; None for the beginning.
      max_items: maximum number of items; a batch of the container is never cut, so there may be a few more.

    Raises:
      JobError: the container was created again, or the account keeps no versions; says what to do.
      TransientError: after bounded retries.
    """
    if continuation is None:
        return _page(connection, mode, max_items, feed_range=span.as_sdk, start_time=_BEGINNING, mode=mode)
    _check(connection, continuation)
    return _page(connection, mode, max_items, continuation=continuation)


def positions(continuation: str) -> tuple[Position, ...]:
    """How far a continuation has come: one sequence number per partition that its range has.

    Raises:
      JobError: it is not a continuation of the change feed.
    """
    try:
        parts = _decoded(continuation)["continuation"]["continuation"]
        return tuple(
            Position(FeedRange(each["range"]["min"], each["range"]["max"]), int((each["token"] or "0").strip('"')))
            for each in parts
        )
    except (KeyError, TypeError, ValueError):
        raise JobError("this is not a continuation of a change feed of Cosmos DB") from None


def has_passed(reached: Iterable[Position], start: Sequence[Position]) -> bool:
    """Whether everything that was there at `start` has been read.

    >>> whole, low, high = FeedRange("", "FF"), FeedRange("", "20"), FeedRange("20", "FF")
    >>> has_passed([Position(low, 9), Position(high, 7)], [Position(whole, 8)])
    False
    >>> has_passed([Position(low, 9), Position(high, 8)], [Position(whole, 8)])
    True
    """
    return all(each.lsn >= point.lsn for each in reached for point in start if each.span.overlaps(point.span))


def change_of(entry: dict[str, Any], key_paths: Sequence[str]) -> Change:
    """What an entry of the feed of all versions and deletes says.

    Args:
      key_paths: of the container's partition key.

    Source: learn.microsoft.com/javascript/api/@azure/functions/cosmosdbv4changefeedmetadata
    """
    metadata = entry["metadata"]
    kind, lsn, ts = str(metadata["operationType"]).lower(), int(metadata["lsn"]), int(metadata["crts"])
    if kind != DELETE:
        item: dict[str, Any] = entry["current"]
        return Change(kind, item["id"], partition_key_of(item, key_paths), item, lsn, ts)
    before = entry.get("previous") or {}
    if "id" in metadata:
        name, named = metadata["id"], metadata.get("partitionKey") or {}
        key = [named.get(path.strip("/"), {}) for path in key_paths]
    else:
        name, key = before["id"], partition_key_of(before, key_paths)
    return Change(kind, name, key, None, lsn, ts, bool(metadata.get("timeToLiveExpired")))


def _page(connection: Connection, of_mode: str, max_items: int, **options: Any) -> FeedPage:
    def request(hook: Hook) -> tuple[list[dict[str, Any]], Any]:
        last: Any = None

        def note(headers: Any, result: object) -> None:
            nonlocal last
            last = headers
            hook(headers, result)

        pages = connection.container.query_items_change_feed(max_item_count=max_items, response_hook=note, **options)
        items = [*next(pages.by_page(), ())]
        # The SDK replaces the partition's own etag by the continuation of the whole range.
        return items, last[_ETAG]

    means = {_BAD_REQUEST: JobError(_no_versions(connection.label))} if of_mode == ALL_VERSIONS else {}
    answered = connection.ask(request, means=means)
    items, continuation = answered.value
    return FeedPage(items, str(continuation), answered.charge, not items)


def _check(connection: Connection, continuation: str) -> None:
    rid = _decoded(continuation).get("containerRid")
    if rid != connection.properties.rid:
        raise JobError(
            f"{connection.label} was created again since its feed was read, so the place where reading stopped says "
            "nothing about it. Start over under another name of the migration, or restore the old container"
        )


def _decoded(continuation: str) -> dict[str, Any]:
    try:
        decoded: dict[str, Any] = json.loads(base64.b64decode(continuation, validate=True))
    except (ValueError, binascii.Error):
        raise JobError("this is not a continuation of a change feed of Cosmos DB") from None
    return decoded


def _no_versions(label: str) -> str:
    return (
        f"{label}: the feed of all versions and deletes cannot be read from there. It needs continuous backup and "
        "reaches back no further than that; choose another way to find deletes"
    )
