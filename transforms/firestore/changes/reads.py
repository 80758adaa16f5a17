"""What a stream of changes reads beside Listen: consistent states of its query, whole, by name, or counted.

All reads go through `reader.read`, which resumes where it is cut. Old states can be read for an hour; with
point-in-time recovery for seven days, then at whole minutes.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from transforms.errors import JobError
from transforms.firestore.changes.times import micros_of
from transforms.firestore.client import FirestoreClient
from transforms.firestore.documents import Document
from transforms.firestore.fetch import fetch_all
from transforms.firestore.query import NAME, Query
from transforms.firestore.ranges import EVERY_NAME, Bound, NameRange
from transforms.firestore.read_time import JOB_START, fix_read_time, utc_now
from transforms.firestore.reader import MAX_PATHS_PER_REQUEST, REQUEST_TIMEOUT_S, count, read
from transforms.retry import Retry

_MARGIN = datetime.timedelta(minutes=2)  # a read that begins now must still end
_READABLE_FOR = datetime.timedelta(hours=1) - _MARGIN
_RECOVERABLE_FOR = datetime.timedelta(days=7) - _MARGIN


class TooManyNamesError(Exception):
    """The query has more documents than names are kept."""


class Reads:
    """Reads of one query.

    Args:
      client: of the database.
      query: without order and limit.
      retry: of every read.
      now: this computer's time.
    """

    def __init__(
        self,
        client: FirestoreClient,
        query: Query,
        retry: Retry | None = None,
        now: Callable[[], datetime.datetime] = utc_now,
    ):
        self._client, self._query, self._retry, self._now = client, query, retry, now
        self.prefix = client.target.document_name("")
        self.is_filtered = any(condition.field != NAME for condition in query.conditions)
        self.is_in_name_order = query.is_in_name_order

    def server_time(self) -> datetime.datetime:
        """A read time at which everything can be read that was committed before the call."""
        read_time = fix_read_time(self._client, JOB_START, self._retry)
        assert read_time is not None
        return read_time

    def readable(self, read_time: datetime.datetime) -> datetime.datetime | None:
        """The newest time, not after `read_time`, whose state can still be read; None if there is none.

        An emulator answers every read time, too old ones with nothing.
        """
        age = self._now() - read_time
        if age < _READABLE_FOR:
            return read_time
        if self._client.target.emulator_host or age > _RECOVERABLE_FOR:
            return None
        minute = read_time.replace(second=0, microsecond=0)
        try:
            fix_read_time(self._client, minute, self._retry)
        except JobError:
            return None
        return minute

    def documents(self, read_time: datetime.datetime, after: str | None = None) -> Iterator[Document]:
        """The documents of the query, in its order, those behind the path `after`."""
        return read(self._client, self._query, _behind(after), read_time, self._retry)

    def versions(self, read_time: datetime.datetime, after: str | None = None) -> Iterator[tuple[str, int]]:
        """Path and update time of these documents; only their names are sent."""
        for document in read(self._client, replace(self._query, selected=()), _behind(after), read_time, self._retry):
            yield document.path, micros_of(document.message.update_time)

    def all_versions(self, read_time: datetime.datetime, max_names: int) -> dict[str, int]:
        """All of them. Raises TooManyNamesError."""
        found: dict[str, int] = {}
        for path, version in self.versions(read_time):
            found[path] = version
            if len(found) > max_names:
                raise TooManyNamesError(f"the query has more than {max_names:,} documents")
        return found

    def count(self, read_time: datetime.datetime) -> int:
        """How many documents the query has."""
        return count(self._client, self._query, read_time, self._retry)

    def existing(self, paths: Iterable[str], read_time: datetime.datetime) -> set[str]:
        """Those of the documents that exist, whether or not they match; only their names are sent."""
        names = [self.prefix + path for path in paths]
        found: set[str] = set()
        for first in range(0, len(names), MAX_PATHS_PER_REQUEST):
            part = names[first : first + MAX_PATHS_PER_REQUEST]
            answers = fetch_all(
                self._client,
                lambda part=part: self._client.batch_get(part, (NAME,), REQUEST_TIMEOUT_S, read_time),  # type: ignore[misc]
                self._retry,
            )
            found |= {answer.found.name[len(self.prefix) :] for answer in answers if answer.HasField("found")}
        return found


def _behind(after: str | None) -> NameRange:
    return EVERY_NAME if after is None else NameRange(start=Bound(after, after=True))
