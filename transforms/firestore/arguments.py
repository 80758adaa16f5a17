"""The arguments that the connector's transforms share, each declared once. Plain data.

A transform inherits them, so an editor completes every keyword:

    @dataclass
    class WriteToFirestore(WriteArguments, DatabaseArguments, beam.PTransform[…]): …
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from transforms.firestore.names import DEFAULT_DATABASE
from transforms.firestore.packing import RequestLimits
from transforms.firestore.qos import QosSettings
from transforms.firestore.read_plan import check_max_ranges
from transforms.firestore.read_time import JOB_START, ReadTimeChoice, check_read_time, utc_now
from transforms.firestore.target import FirestoreTarget
from transforms.retry import Retry
from transforms.services import Services

ORDER, LAST = "order", "last"

DEFAULT_MAX_RANGES = 256

# Headroom below the service's own limit, which counts the request's envelope as well.
_SHARE_OF_REQUEST_LIMIT = 0.9


@dataclass(kw_only=True)
class DatabaseArguments:
    """Which database.

    Attributes:
      project: Google Cloud project; default: the pipeline's own, then GOOGLE_CLOUD_PROJECT.
      database: database id.
      target: instead of project and database, for private endpoints and credentials of one's own.
    """

    project: str | None = None
    database: str = DEFAULT_DATABASE
    target: FirestoreTarget | None = None

    def target_of(self, services: Services) -> FirestoreTarget:
        """The database. Raises UsageError if no project is named anywhere."""
        return self.target or FirestoreTarget.of(services, self.project, self.database)


@dataclass(kw_only=True)
class ReadArguments(DatabaseArguments):
    """How to read.

    Attributes:
      read_time: the state of the database to read: a datetime, JOB_START or LATEST; see read_time.py.
      as_dicts: plain dicts with the path under `__name__`, instead of `Document`.
      max_ranges: ranges at the start, in [1, 10,000]; Firestore makes fewer of a small collection.
      now: this computer's time; injected by tests.
    """

    read_time: ReadTimeChoice = JOB_START
    as_dicts: bool = False
    max_ranges: int = DEFAULT_MAX_RANGES
    now: Callable[[], datetime.datetime] = utc_now

    def check(self) -> None:
        """Raises UsageError for an argument out of its bounds."""
        check_read_time(self.read_time, self.now)
        check_max_ranges(self.max_ranges)

    def read_arguments(self) -> dict[str, Any]:
        """These arguments by name, for another transform that reads."""
        return {each.name: getattr(self, each.name) for each in fields(ReadArguments)}


@dataclass(kw_only=True)
class WriteArguments:
    """How to write.

    Attributes:
      id_from: field paths; an element whose path is a collection gets their hash as its id. Without them it is refused.
      on_duplicate: of several writes of one document in a bundle, `order` sends all, one after the other; `last` sends
        only the last where that leaves the same document, which a plain Set or Delete does.
      max_writes_per_s: of the whole job; None is the ramp-up 500/50/5 alone, 0 turns ramp-up and throttling off. On the
        emulator it is off.
      parallelism: processes that share this budget; default: max workers times SDK processes, as the pipeline's options
        declare them.
      target_latency_s: requests that take longer are made smaller; 0 leaves them alone.
      max_in_flight: requests on the wire at once, per thread.
      timeout_s: deadline of one request.
      retry: of what failed transiently.
    """

    id_from: Sequence[str] = ()
    on_duplicate: str = ORDER
    max_writes_per_s: float | None = None
    parallelism: int | None = None
    target_latency_s: float = 2.0
    max_in_flight: int = 3
    timeout_s: float = 60.0
    retry: Retry = Retry()  # noqa: RUF009  # frozen

    def check(self) -> None:
        """Raises TypeError or ValueError for an argument out of its bounds."""
        if isinstance(self.id_from, str):
            raise TypeError(
                f"id_from must be a sequence of field paths, got {self.id_from!r}; write ({self.id_from!r},)"
            )
        self.id_from = tuple(self.id_from)
        if self.on_duplicate not in (ORDER, LAST):
            raise ValueError(f"on_duplicate must be {ORDER!r} or {LAST!r}, got {self.on_duplicate!r}")
        self.qos(1)
        self.limits(RequestLimits().max_request_bytes)

    def write_arguments(self) -> WriteArguments:
        """These arguments and nothing else, as plain data that workers get."""
        return WriteArguments(**{each.name: getattr(self, each.name) for each in fields(WriteArguments)})

    def qos(self, parallelism: int) -> QosSettings:
        """How fast, when `parallelism` is what the pipeline declares."""
        return QosSettings(self.max_writes_per_s, self.parallelism or parallelism, self.target_latency_s)

    def limits(self, max_request_bytes: int) -> RequestLimits:
        """Of one request and of those on the wire."""
        return RequestLimits(
            max_request_bytes=int(max_request_bytes * _SHARE_OF_REQUEST_LIMIT),
            max_in_flight=self.max_in_flight,
            timeout_s=self.timeout_s,
        )
