"""Bytes of one file, front to back: gunzipped where needed, damage told apart from an outage.

    stored file ──▶ gunzip_if_compressed ──▶ Stream.read ──▶ lines.py, json_document.py, csv_rows.py

A stream hands out everything before the damage and then raises `DamagedError`, every time it is asked again.
"""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO, Protocol

from transforms.errors import JobError

BLOCK_BYTES = 256 * 1024
GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WBITS = 16 + zlib.MAX_WBITS  # source: zlib's inflateInit2, "add 16 to decode only the gzip format"


class DamagedError(Exception):
    """The rest of a file cannot be read.

    Attributes:
      why: one clause for the dead letter's message.
      offset: where reading ended, in decompressed bytes.
      partial: the beginning of the record the damage cut off.
      line: the line that record began in, if known.
      unread: bytes of records that nobody has seen: decompressed ones, as far as the file can be decompressed.
    """

    def __init__(self, why: str, offset: int, partial: bytes = b"", line: int | None = None, unread: int = 0):
        self.why, self.offset, self.partial, self.line, self.unread = why, offset, partial, line, unread
        super().__init__(why)


class Stream(Protocol):
    """Reads on, like a file that can only be read forwards."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` further bytes; b"" at the end. Raises DamagedError."""

    def pass_over(self) -> int:
        """Goes to the end, damaged or not; returns how many bytes were left."""


class PlainStream:
    """A stored file from where it stands; a failing disk or network becomes a JobError."""

    def __init__(self, stored: BinaryIO, path: str):
        self._stored, self._path = stored, path

    def read(self, size: int, /) -> bytes:
        """As `Stream.read`."""
        try:
            return self._stored.read(size)
        except OSError as error:
            raise JobError(f"reading input {self._path} failed ({error}); run the same command again") from error

    def pass_over(self) -> int:
        """As `Stream.pass_over`."""
        try:
            at = self._stored.tell()
            return self._stored.seek(0, io.SEEK_END) - at
        except OSError as error:
            raise JobError(f"reading input {self._path} failed ({error}); run the same command again") from error


class CountedStream:
    """A stream that knows how far it has been read.

    Attributes:
      offset: bytes read so far.
    """

    def __init__(self, stream: Stream):
        self._stream = stream
        self.offset = 0

    def read(self, size: int, /) -> bytes:
        """As `Stream.read`."""
        block = self._stream.read(size)
        self.offset += len(block)
        return block

    def pass_over(self) -> int:
        """As `Stream.pass_over`."""
        left = self._stream.pass_over()
        self.offset += left
        return left


class GunzipStream:
    """The content of a gzip file, members one after another as gzip(1) reads them."""

    def __init__(self, compressed: Stream):
        self._compressed = compressed
        self._inflate = zlib.decompressobj(_GZIP_WBITS)
        self._input = b""
        self._in_member = False
        self._offset = 0
        self._damage: DamagedError | None = None

    def read(self, size: int, /) -> bytes:
        """As `Stream.read`."""
        if self._damage is not None:
            raise self._damage
        while True:
            if not self._input:
                self._input = self._compressed.read(BLOCK_BYTES)
                if not self._input:
                    if self._in_member:
                        raise self._damaged("the gzip data ends too early; the file was probably not copied completely")
                    return b""
            if not self._in_member:
                self._input = self._input.lstrip(b"\0")  # tape blocks are padded with zeros
                if not self._input:
                    continue
                self._inflate, self._in_member = zlib.decompressobj(_GZIP_WBITS), True
            data = self._some(size)
            if self._inflate.eof:
                self._input, self._in_member = self._inflate.unused_data, False
            if data:
                self._offset += len(data)
                return data

    def pass_over(self) -> int:
        """As `Stream.pass_over`. Behind damage, the compressed bytes are counted."""
        return passed_over(self)

    def _some(self, size: int) -> bytes:
        before = self._inflate.copy()
        try:
            data = self._inflate.decompress(self._input, size)
        except zlib.error:
            return self._up_to_damage(before)
        self._input = self._inflate.unconsumed_tail
        return data

    def _up_to_damage(self, inflate: zlib._Decompress) -> bytes:
        """zlib gives nothing of a call that fails; going on byte by byte finds all that stands before the damage."""
        found = bytearray()
        good = 0
        try:
            for good, byte in enumerate(self._input):  # noqa: B007  # where the loop ends is what counts
                found += inflate.decompress(bytes((byte,)))
        except zlib.error as error:
            damage = self._damaged("the gzip data is damaged", len(found), len(self._input) - good)
            if not found:
                raise damage from error
        self._input = b""
        return bytes(found)

    def _damaged(self, why: str, found: int = 0, undecoded: int = 0) -> DamagedError:
        offset = self._offset + found
        unread = undecoded + self._compressed.pass_over()
        self._damage = DamagedError(f"{why}, after {offset} decompressed bytes", offset, unread=unread)
        return self._damage


def passed_over(stream: Stream) -> int:
    """Reads a stream to its end, damaged or not; returns how many bytes were left, those behind damage among them."""
    passed = 0
    try:
        while block := stream.read(BLOCK_BYTES):
            passed += len(block)
    except DamagedError as damage:
        return passed + damage.unread
    return passed


def is_gzip(head: bytes) -> bool:
    """True for the first bytes of a gzip file. Source: RFC 1952, section 2.3.1."""
    return head.startswith(GZIP_MAGIC)


def gunzip_if_compressed(stored: BinaryIO, path: str) -> Stream:
    """The content of a stored file from its beginning, whatever its name says about compression."""
    stream = PlainStream(stored, path)
    compressed = is_gzip(stream.read(len(GZIP_MAGIC)))
    stored.seek(0)
    return GunzipStream(stream) if compressed else stream


def head_of(stream: Stream, size: int) -> tuple[bytes, bool]:
    """The first `size` bytes, or fewer where the stream ends or is damaged; and whether that is all of it."""
    head = io.BytesIO()
    while head.tell() < size:
        try:
            block = stream.read(size - head.tell())
        except DamagedError:
            return head.getvalue(), True
        if not block:
            return head.getvalue(), True
        head.write(block)
    return head.getvalue(), False
