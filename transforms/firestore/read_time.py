"""The read time of a job: one snapshot of the database for the whole job, so that all its ranges belong together.

    explicit    checked when the pipeline is built, and by one request when the job starts
    default     the server's own time when the job starts
    LATEST      none: every request reads the newest state

Firestore keeps old versions for one hour; with point-in-time recovery for seven days, then readable at whole minutes
only. A job that reads for more than an hour therefore needs point-in-time recovery and a whole minute, or LATEST.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from typing import TypeAlias

from transforms.errors import UsageError
from transforms.firestore.client import FirestoreClient
from transforms.firestore.fetch import fetch_all
from transforms.firestore.reader import REQUEST_TIMEOUT_S, read_error
from transforms.firestore.values import timestamp
from transforms.retry import Retry

_HOUR = datetime.timedelta(hours=1)
_RETENTION = datetime.timedelta(days=7)
_CLOCK_SKEW = datetime.timedelta(minutes=1)  # between this computer and the server, which has the last word

# A document that need not exist: also the answer that there is none carries the server's time.
_ANY_DOCUMENT = "firebeam/read_time"


class ReadTime(enum.Enum):
    """Read times that are not fixed beforehand."""

    JOB_START = "the server's time when the job starts"
    LATEST = "the newest state, at every request"


JOB_START, LATEST = ReadTime.JOB_START, ReadTime.LATEST
ReadTimeChoice: TypeAlias = datetime.datetime | ReadTime


def check_read_time(choice: ReadTimeChoice, now: Callable[[], datetime.datetime]) -> None:
    """Raises UsageError if no database can be read at this time, whatever its settings.

    >>> noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
    >>> check_read_time(noon, lambda: noon + datetime.timedelta(days=8))
    Traceback (most recent call last):
    transforms.errors.UsageError: read_time is older than the 7 days that Firestore keeps, 2026-01-01T12:00:00+00:00
    """
    if isinstance(choice, ReadTime):
        return
    if choice.tzinfo is None:
        raise UsageError(f"read_time needs a time zone, such as UTC, got {choice.isoformat()}")
    age = now() - choice
    if age < -_CLOCK_SKEW:
        raise UsageError(f"read_time lies in the future, {choice.isoformat()}")
    if age > _RETENTION:
        raise UsageError(f"read_time is older than the 7 days that Firestore keeps, {choice.isoformat()}")
    if age > _HOUR and (choice.second or choice.microsecond):
        raise UsageError(
            f"read_time is older than one hour, so it must be a whole minute, got {choice.isoformat()}; "
            "point-in-time recovery keeps no others"
        )


def fix_read_time(
    client: FirestoreClient, choice: ReadTimeChoice, retry: Retry | None = None
) -> datetime.datetime | None:
    """The read time; None for the newest state. One request, unless the choice is LATEST.

    Args:
      client: of the database.
      choice: what was asked for.
      retry: maximum attempts, and how long to wait between them.

    Raises:
      JobError: the database cannot be read at that time, cannot be reached, or does not exist.
      TransientError: the database did not answer.
    """
    if choice is LATEST:
        return None
    wanted = None if isinstance(choice, ReadTime) else choice
    name = client.target.document_name(_ANY_DOCUMENT)
    answers = fetch_all(
        client,
        lambda: client.batch_get((name,), (), REQUEST_TIMEOUT_S, wanted),
        retry,
        explain=lambda error: read_error(client, error),
    )
    read_time = answers[0].read_time
    return wanted or timestamp(read_time.seconds, read_time.nanos)


def utc_now() -> datetime.datetime:
    """This computer's time."""
    return datetime.datetime.now(datetime.timezone.utc)
