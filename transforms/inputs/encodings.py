"""Text in another encoding than UTF-8, turned into UTF-8 while it is read.

    bytes of the file ──decoded──▶ bytes of UTF-8 ──▶ lines.py, json_document.py, csv_rows.py

A file that begins with UTF-8's byte order mark is UTF-8 whatever it was said to be. Bytes that mean nothing in the
encoding stay as they are, so that they are the fault of their record alone; only where UTF-16 loses its step, the rest
of the file is unreadable.
"""

from __future__ import annotations

import codecs

from transforms.inputs.lines import BYTE_ORDER_MARK
from transforms.inputs.streams import BLOCK_BYTES, DamagedError, Stream, passed_over

UTF_8 = "utf-8"
ENCODINGS = (
    UTF_8,
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "mac-roman",
    "cp437",
    "cp850",
    "shift_jis",
    "gb18030",
    "big5",
    "euc-kr",
)


_UNMARKED = "it has no byte order mark; --encoding=utf-16-le or utf-16-be says which order it has"


def decoded(stream: Stream, encoding: str) -> Stream:
    """The stream as UTF-8; the same one, if it is that already."""
    return stream if encoding == UTF_8 else _DecodedStream(stream, encoding)


class _DecodedStream:
    """A stream in UTF-8 of one in another encoding."""

    def __init__(self, stream: Stream, encoding: str):
        self._stream, self._encoding = stream, encoding
        # A lone surrogate of UTF-16, and a byte that a code page lacks, become bytes that are not UTF-8.
        self._errors = "surrogatepass" if encoding.startswith("utf-16") else "surrogateescape"
        self._decoder: codecs.IncrementalDecoder | None = None
        self._offset = 0
        self._damage: DamagedError | None = None

    def read(self, size: int, /) -> bytes:
        """As `Stream.read`; a block may be longer than asked for."""
        if self._damage is not None:
            raise self._damage
        if self._offset == 0 and self._decoder is None:
            found = self._decoded(self._first_bytes() + self._stream.read(size))
        else:
            found = self._decoded(self._stream.read(size))
        self._offset += len(found)
        return found

    def pass_over(self) -> int:
        """As `Stream.pass_over`."""
        return passed_over(self)

    def _first_bytes(self) -> bytes:
        """As many bytes as a byte order mark has. Decides whether there is anything to decode."""
        first = b""
        while len(first) < len(BYTE_ORDER_MARK) and (more := self._stream.read(len(BYTE_ORDER_MARK) - len(first))):
            first += more
        if first != BYTE_ORDER_MARK:
            self._decoder = codecs.getincrementaldecoder(self._encoding)(self._errors)
        return first

    def _decoded(self, block: bytes) -> bytes:
        """The block in UTF-8, and as many after it as it takes to have something; b"" only at the end."""
        if self._decoder is None:
            return block
        while True:
            try:
                text = self._decoder.decode(block, final=not block)
            except UnicodeError as error:
                # The codec of UTF-16 says the one thing that a decoding error cannot say: that no order is marked.
                reason = error.reason if isinstance(error, UnicodeDecodeError) else _UNMARKED
                why, unread = f"it is not {self._encoding} ({reason})", len(block) + self._stream.pass_over()
                self._damage = DamagedError(why, self._offset, unread=unread)
                raise self._damage from error
            if text or not block:
                return text.encode("utf-8", self._errors)
            block = self._stream.read(BLOCK_BYTES)
