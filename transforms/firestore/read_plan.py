"""Cuts a query into ranges of names that can be read apart.

    PartitionQuery of the group ──▶ cursors of all pages ──sort, keep the query's own──▶ N cuts ──▶ N + 1 ranges
            │ UNIMPLEMENTED
            ▼
    count ──▶ few: one range
            │ many: first and last name, found by a few requests for one name each ──▶ even cuts between them

PartitionQuery knows collection groups without filters only; its cursors fit every query on such a collection, because
filters run inside the ranges. Cursors outside a query's own collection or parent are dropped. A database that knows no
PartitionQuery, such as the emulator, gets cuts made by arithmetic; they may be uneven, which costs time, never a
document: a range is cut again while it is read.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

from transforms.errors import JobError, UsageError
from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.document_order import name_between, sort_key
from transforms.firestore.fetch import fetch_all
from transforms.firestore.query import NAME, Query
from transforms.firestore.query_messages import structured_query
from transforms.firestore.ranges import EVERY_NAME, MAX_RANGES, Bound, NameRange, ranges_between
from transforms.firestore.reader import REQUEST_TIMEOUT_S, count, read, read_error

_PAGE_SIZE = 1_000
# Where cuts are made by arithmetic. Fewer do not pay for the dozen requests that find where to cut; a range that turns
# out to be large is cut again while it is read.
DOCUMENTS_PER_RANGE = 10_000


class _NoPartitionsError(JobError):
    """This database knows no PartitionQuery."""


class RangePlanner:
    """Plans the ranges of queries at one time; asks for the partitions of a collection group once.

    Args:
      client: of the database.
      max_ranges: maximum number of ranges of a query; the service may make fewer.
      documents_per_range: how many documents a range should have where there are no partitions.
    """

    def __init__(self, client: FirestoreClient, max_ranges: int, documents_per_range: int = DOCUMENTS_PER_RANGE):
        check_max_ranges(max_ranges)
        self._client, self._max_ranges, self._documents_per_range = client, max_ranges, documents_per_range
        self._cuts: dict[tuple[str, datetime.datetime | None], tuple[str, ...] | None] = {}

    def ranges(self, query: Query, read_time: datetime.datetime | None = None) -> list[NameRange]:
        """Disjoint ranges that together are all names, in order; one only for a query that cannot be divided.

        Raises:
          JobError, TransientError: as `reader.read`.
        """
        every_name = NameRange(shared_segments=query.shared_segments)
        if not query.is_divisible or self._max_ranges == 1:
            return [every_name]
        cuts = self._partitions(query.collection_id, read_time)
        if cuts is None:
            return self._ranges_by_arithmetic(query, every_name, read_time)
        own = [path for path in cuts if query.holds(path)]
        if not own:
            return [every_name]
        return ranges_between(own, every_name, self._end_of_names(query, own[-1], read_time))

    def _partitions(self, collection_id: str, read_time: datetime.datetime | None) -> tuple[str, ...] | None:
        key = (collection_id, read_time)
        if key not in self._cuts:
            try:
                self._cuts[key] = partition_cursors(self._client, collection_id, self._max_ranges - 1, read_time)
            except _NoPartitionsError:
                self._cuts[key] = None
        return self._cuts[key]

    def _ranges_by_arithmetic(
        self, query: Query, every_name: NameRange, read_time: datetime.datetime | None
    ) -> list[NameRange]:
        if query.all_descendants:
            return [every_name]  # its names lie below many documents; arithmetic knows nothing of those
        names = Query(query.collection)
        worth_cutting = names.limit(self._max_ranges * self._documents_per_range)
        wanted = -(-count(self._client, worth_cutting, read_time) // self._documents_per_range)
        first = self._first_name(query, every_name, read_time) if wanted > 1 else None
        if first is None:
            return [every_name]
        end = self._end_of_names(query, first, read_time)
        cuts = (name_between(first, end, part / wanted, query.shared_segments) for part in range(1, wanted))
        return ranges_between((cut for cut in cuts if cut), every_name, end)

    def _end_of_names(self, query: Query, known: str, read_time: datetime.datetime | None) -> str | None:
        if query.all_descendants:
            return None
        return end_of_names(known, lambda path: self._first_name(query, NameRange(Bound(path)), read_time))

    def _first_name(self, query: Query, span: NameRange, read_time: datetime.datetime | None) -> str | None:
        """The first document of the query's collection in a range of names, filters aside."""
        one_name = Query(query.collection).select(NAME).limit(1)
        found = next(read(self._client, one_name, span, read_time), None)
        return found.path if found else None


def check_max_ranges(max_ranges: int) -> None:
    """Raises UsageError if a query cannot be cut into so many ranges."""
    if not 1 <= max_ranges <= MAX_RANGES:
        raise UsageError(f"max_ranges must be in [1, {MAX_RANGES:,}], got {max_ranges:,}")


def partition_cursors(
    client: FirestoreClient, collection_id: str, max_cursors: int, read_time: datetime.datetime | None = None
) -> tuple[str, ...]:
    """Paths that cut a collection group into parts of about the same size, in Firestore's order.

    The service's own order holds within a page only, so they are sorted when the last page is there.
    """
    query = structured_query(Query.group(collection_id), client.target, EVERY_NAME)
    request = messages.PartitionQueryRequest(
        parent=f"{client.target.name}/documents",
        structured_query=query,
        partition_count=max_cursors,
        page_size=min(_PAGE_SIZE, max_cursors),
    )

    def explain(error: RpcError) -> JobError:
        return _NoPartitionsError(str(error)) if error.code == "UNIMPLEMENTED" else read_error(client, error)

    paths: set[str] = set()
    while True:
        (page,) = fetch_all(
            client,
            lambda: iter([client.partition_query(request, REQUEST_TIMEOUT_S, read_time)]),
            explain=explain,
        )
        paths.update(cursor.values[0].reference_value.split("/documents/", 1)[1] for cursor in page.partitions)
        if not page.next_page_token:
            return tuple(sorted(paths, key=sort_key))
        request.page_token = page.next_page_token


def end_of_names(known: str, first_from: Callable[[str], str | None]) -> str | None:
    """A path close behind a collection's last document; None for ids that are not printable ASCII. A dozen requests.

    First how much of the known id all later ids share: the shorter the beginning that is passed over, the fewer
    documents lie behind. Then the first character in which they differ, by bisection.

    Args:
      known: path of a document of the collection.
      first_from: gives the first document at or behind a path.

    >>> ids = [f"users/cand-{n:05d}" for n in range(1, 2000)]
    >>> end_of_names(ids[0], lambda path: next((known for known in ids if known >= path), None))
    'users/cand-02'
    """
    collection, _, known_id = known.rpartition("/")

    def is_behind_all(prefix: str, character: int) -> bool:
        return first_from(f"{collection}/{prefix}{chr(character)}") is None

    if not known_id.isascii() or not known_id.isprintable() or known_id.startswith("__"):
        return None  # a hint does not justify the care that those would need
    shared, longest = 0, len(known_id) - 1
    while shared < longest:  # the longest beginning such that nothing lies behind all ids that have it
        length = (shared + longest + 1) // 2
        if is_behind_all(known_id[: length - 1], _next_character(known_id[length - 1])):
            shared = length
        else:
            longest = length - 1
    low, high = ord(known_id[shared]), _AFTER_ASCII
    while high - low > 1:
        middle = _allowed((low + high) // 2)
        if not low < middle < high:
            break
        if is_behind_all(known_id[:shared], middle):
            high = middle
        else:
            low = middle
    return f"{collection}/{known_id[:shared]}{chr(high)}"


_AFTER_ASCII = 0x7F


def _next_character(character: str) -> int:
    return _allowed(ord(character) + 1)


def _allowed(code: int) -> int:
    """The nearest character that may end a document id: "/" may not, and "." would make ids that are reserved."""
    return ord("0") if code in (ord("."), ord("/")) else code
