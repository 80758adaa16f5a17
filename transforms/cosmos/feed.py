"""The change feed of a container, per feed range, page by page.

    feed_ranges()          ranges of effective partition keys that together are the container
    now(range)             the point that a range has reached; a copy is complete once it has passed that of its start
    page(range, …)         the next page from the beginning, or behind a continuation
        LATEST             each item in its newest version, without deletes; from the beginning
        ALL_VERSIONS       every version and every delete; only behind a continuation, which `now` gives

A continuation is the SDK's text, opaque but for the sequence numbers in it: `positions`. It stays valid over splits and
merges of partitions; one of all versions only for as long as the account keeps what comes behind it. Between two pages
nothing is lost; a page that is read again has the same items or newer ones.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from transforms.cosmos.connection import Connection, Hook
from transforms.cosmos.items import partition_key_of
from transforms.errors import FirebeamError, JobError

LATEST, ALL_VERSIONS = "LatestVersion", "AllVersionsAndDeletes"
CREATE, REPLACE, DELETE = "create", "replace", "delete"

DEFAULT_PAGE_ITEMS = 1000  # the service ends a page before at 4 MB

_BEGINNING, _NOW = "Beginning", "Now"
_ETAG = "etag"
_BAD_REQUEST = 400  # of ALL_VERSIONS: learn.microsoft.com/dotnet/api/microsoft.azure.cosmos.changefeedpolicy
_NOTHING_ELSE: Mapping[int, FirebeamError] = MappingProxyType({})


class NoVersionsError(JobError):
    """The account does not offer the feed of all versions and deletes."""


class TooOldError(JobError):
    """What comes behind a continuation of all versions and deletes is no longer kept."""


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
      NoVersionsError: ALL_VERSIONS, and the account keeps no versions; says what to do.
      JobError, TransientError: as `page`.
    """
    means = {_BAD_REQUEST: NoVersionsError(_no_versions(connection.label))} if mode == ALL_VERSIONS else {}
    return _page(connection, 1, means, feed_range=span.as_sdk, start_time=_NOW, mode=mode).continuation


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
      continuation: of this range and mode; None for the beginning, which LATEST alone has.
      max_items: maximum number of items; a batch of the container is never cut, so there may be a few more.

    Raises:
      TooOldError: ALL_VERSIONS, and the account no longer keeps what comes behind the continuation.
      JobError: the container was created again; says what to do.
      TransientError: after bounded retries.
    """
    if continuation is None:
        return _page(connection, max_items, feed_range=span.as_sdk, start_time=_BEGINNING, mode=mode)
    _check(connection, continuation, connection.properties.rid)
    means = {_BAD_REQUEST: TooOldError(_too_old(connection.label))} if mode == ALL_VERSIONS else {}
    try:
        return _page(connection, max_items, means, continuation=continuation)
    except TooOldError:
        # The service says 400 as well if the container was created again since this process has asked for it.
        _check(connection, continuation, connection.read_properties().rid)
        raise


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
    if "id" in before:
        name, key = before["id"], partition_key_of(before, key_paths)
    else:
        name, named = metadata["id"], metadata.get("partitionKey") or {}
        key = [named.get(path.strip("/"), {}) for path in key_paths]
    return Change(kind, name, key, None, lsn, ts, bool(metadata.get("timeToLiveExpired")))


def is_of(connection: Connection, continuation: str) -> bool:
    """Whether a continuation is one of this container, and not of one that had its name before. Raises JobError."""
    return bool(_decoded(continuation).get("containerRid") == connection.properties.rid)


def _page(
    connection: Connection, max_items: int, means: Mapping[int, FirebeamError] = _NOTHING_ELSE, **options: Any
) -> FeedPage:
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

    answered = connection.ask(request, means=means)
    items, continuation = answered.value
    return FeedPage(items, str(continuation), answered.charge, not items)


def _check(connection: Connection, continuation: str, rid: str) -> None:
    if _decoded(continuation).get("containerRid") != rid:
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
        f"{label}: the account does not offer the feed of all versions and deletes, which needs continuous backup and "
        "the feature of that name; enable both"
    )


def _too_old(label: str) -> str:
    return (
        f"{label}: the feed of all versions and deletes was read too long ago: the account no longer keeps what came "
        "next, because it reaches back as far as the continuous backup"
    )
