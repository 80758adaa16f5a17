r"""Lines of a byte stream, without ever holding one that is too long.

…}\n{"a":1}\n{"b":2}\n{"c…          a slice [start, stop) owns the lines whose first byte lies in it,
     ▲ start       ▲ stop           so every line belongs to exactly one slice, wherever the cuts fall
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from transforms.inputs.items import KEPT_BYTES
from transforms.inputs.streams import BLOCK_BYTES, DamagedError, Stream

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def without_marks(text: bytes) -> bytes:
    """The text without byte order marks before it: of its file, and of those that tools add without looking.

    >>> without_marks(BYTE_ORDER_MARK * 2 + b"id")
    b'id'
    """
    while text.startswith(BYTE_ORDER_MARK):
        text = text[len(BYTE_ORDER_MARK) :]
    return text


class Line(NamedTuple):
    """One line.

    Attributes:
      position: offset of its first byte.
      number: counted from 1; None where the lines before it were not read.
      raw: its bytes without the newline; only the first `KEPT_BYTES` of a line longer than allowed.
      length: bytes without the newline.
    """

    position: int
    number: int | None
    raw: bytes
    length: int


def split_lines(stream: Stream, start: int, stop: int | None, max_line_bytes: int) -> Iterator[Line]:
    """Lines whose first byte lies in [start, stop); `stop` None means to the end.

    Args:
      stream: stands at `start`, or one byte before it unless `start` is 0.

    Raises:
      DamagedError: the stream is damaged; `partial` is what had been read of the line it cuts off.
    """
    position, number = start, 1 if start == 0 else None
    keep_bytes = min(KEPT_BYTES, max_line_bytes)
    held: list[bytes] = []  # the beginning of a line whose end is not read yet, at most max_line_bytes of it
    held_bytes = length = 0
    skipping = start > 0  # the line that began before `start` belongs to the slice before
    if skipping:
        position -= 1
    while stop is None or position < stop:
        try:
            block = stream.read(BLOCK_BYTES)
        except DamagedError as damage:
            cut_off = 0 if skipping else length
            raise DamagedError(damage.why, damage.offset, b"".join(held), number, damage.unread + cut_off) from damage
        if not block:
            break
        if position == 0 and not length and block.startswith(BYTE_ORDER_MARK):
            block, position = block[len(BYTE_ORDER_MARK) :], len(BYTE_ORDER_MARK)
        *ends, tail = block.split(b"\n")
        for end in ends:
            length += len(end)
            if not skipping:
                if stop is not None and position >= stop:
                    return
                raw = b"".join((*held, end[: max_line_bytes - held_bytes])) if held else end
                yield Line(position, number, raw if length <= max_line_bytes else raw[:keep_bytes], length)
                number = number + 1 if number is not None else None
            position += length + 1
            held, held_bytes, length, skipping = [], 0, 0, False
        if skipping:
            position += len(tail)
        elif tail:
            length += len(tail)
            if held_bytes < max_line_bytes:
                held.append(tail[: max_line_bytes - held_bytes])
                held_bytes += len(held[-1])
            if length > max_line_bytes:
                held, held_bytes = [b"".join(held)[:keep_bytes]], max_line_bytes
    if length and (stop is None or position < stop):
        yield Line(position, number, b"".join(held), length)
