"""An object as a file: seekable, fetched in ranges, each of them only if the object is still the one that was found.

    read, seek ──▶ BufferedReader ──▶ _Ranges ── GET bytes=a-b, If-Match ──▶ store

The first range behind a seek is short and each that follows it twice as long, up to a bound: a small object is one
request, a large one is few, and a Parquet footer does not fetch the columns before it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from transforms.objects.store import FileStat, ObjectStore

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_FIRST_BYTES = 256 * 1024  # as much as `detect` looks at
_MOST_BYTES = 4 * 1024 * 1024
_BUFFER_BYTES = 64 * 1024


def open_object(store: ObjectStore, found: FileStat) -> BinaryIO:
    """An object as a file. Asks for nothing until it is read.

    Reading raises JobError and TransientError as the store does, never OSError: to who reads a format that is damage.
    """
    return io.BufferedReader(_Ranges(store, found), _BUFFER_BYTES)


class _Ranges(io.RawIOBase):
    def __init__(self, store: ObjectStore, found: FileStat):
        super().__init__()
        self._store, self._found = store, found
        self._at = 0
        self._held, self._held_at = b"", 0
        self._next_bytes = _FIRST_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._found.size}[whence]
        if origin + offset < 0:
            raise ValueError(f"negative seek position {origin + offset}")
        self._at = origin + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        into = memoryview(buffer).cast("B")
        if self._at >= self._found.size or not into.nbytes:
            return 0
        if not self._held_at <= self._at < self._held_at + len(self._held):
            self._fetch(into.nbytes)
        start = self._at - self._held_at
        part = self._held[start : start + into.nbytes]
        into[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _fetch(self, wanted: int) -> None:
        follows = self._held and self._at == self._held_at + len(self._held)
        self._next_bytes = min(_MOST_BYTES, 2 * self._next_bytes) if follows else _FIRST_BYTES
        stop = min(self._found.size, self._at + max(wanted, self._next_bytes))
        self._held = b""  # two ranges need not be in memory together
        self._held = self._store.read(self._found, self._at, stop)
        self._held_at = self._at
