"""What an object store can do, and which one a path is of. Plain data; the clients are imported by who needs them.

    s3://BUCKET/KEY                    S3, and stores that speak its protocol     `s3.py`
    azfs://ACCOUNT/CONTAINER/BLOB      Azure Blob                                 `azure.py`

One client per process and store. Clients never retry by themselves: every request goes through `transforms/retry.py`.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from transforms.errors import JobError

S3, AZURE = "s3://", "azfs://"
OBJECT_STORES = (S3, AZURE)

# Of a shared access signature of Azure.
_SIGNATURE = re.compile(r"[?&]sig=", re.IGNORECASE)

_ONE_AT_A_TIME = threading.Lock()  # threads that need the first client wait for it, rather than each making its own


class FileStat(NamedTuple):
    """A file or an object that is there.

    Attributes:
      path: local path or URL.
      size: bytes as stored.
      modified_s: when it was last changed, in seconds since the epoch.
      etag: of an object: another one after every change of its content; empty for files.
    """

    path: str
    size: int
    modified_s: float
    etag: str = ""


class ObjectStore(Protocol):
    """Objects of one service, by their paths.

    Whatever fails is a JobError, one line that says what to fix, or a TransientError once retries are exhausted.
    """

    def list(self, prefix: str, /) -> Iterator[FileStat]:
        """All objects whose paths begin so; the bucket or container is part of it, as a whole."""

    def stat(self, path: str, /) -> FileStat | None:
        """One object; None if it is not there."""

    def read(self, found: FileStat, start: int, stop: int, /) -> bytes:
        """The bytes [start, stop) of an object as it was found; JobError if it has changed since."""


def is_object(path: str) -> bool:
    """Whether a path is of an object store.

    >>> is_object("s3://bucket/a.jsonl"), is_object("gs://bucket/a.jsonl")
    (True, False)
    """
    return path.startswith(OBJECT_STORES)


def store_of(path: str) -> ObjectStore:
    """The store that a path is of, with the process's one client.

    Raises:
      JobError: its client is not installed, or has no credentials; says what to do. Or the path holds some.
    """
    place = path.partition("://")[2].partition("/")[0]
    if "@" in place or _SIGNATURE.search(path):
        raise JobError(
            "a location of S3 or Azure must not hold a key or a signature, which would end up in logs and the ledger; "
            "the clients find theirs in the environment, as docs/sources.md says"
        )
    with _ONE_AT_A_TIME:
        if path.startswith(S3):
            return _s3()
        account = path.removeprefix(AZURE).partition("/")[0]
        return _azure(account)


@functools.cache
def _s3() -> ObjectStore:
    from transforms.objects.s3 import S3Store

    return S3Store.connected()


@functools.cache
def _azure(account: str) -> ObjectStore:
    from transforms.objects.azure import AzureStore

    return AzureStore.connected(account)


def changed(path: str) -> str:
    """What to say of an object that is not the one that was found."""
    return (
        f"input {path} has changed since the job started; run the same command again when nothing writes to it any more"
    )
