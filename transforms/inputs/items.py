"""What a scan of a file finds, and how it is cut into batches, both without parsing a record.

    bytes ──scan──▶ Item | DeadLetter ──cut──▶ up to batch_size of them ──Reader.record──▶ Record | DeadLetter

Where a batch ends depends on nothing but counts and sizes, so a batch that is known to be complete is passed over
without looking into its records, and the same input always has the same batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from transforms.batch import DeadLetter, Record
from transforms.inputs.streams import DamagedError

STEP = "ReadBatches"
# What a dead letter keeps of a record too large or too damaged to be kept whole.
KEPT_BYTES = 64 * 1024


class Item(NamedTuple):
    """One record, found but not parsed.

    Attributes:
      position, line: as in `transforms.batch.Record`.
      size: bytes it counts against `max_batch_bytes`.
      content: whatever its format's reader makes the record of.
    """

    position: int
    line: int | None
    size: int
    content: Any


class Reader(Protocol):
    """One slice of one file in one format."""

    def scan(self) -> Iterator[Item | DeadLetter]:
        """The records of the slice in order; what is no record at all comes as a dead letter in its place."""

    def records(self, item: Item) -> Sequence[Record]:
        """Parses an item: one record, or several where it is a model's answer that has several. Raises RecordError."""

    def original(self, item: Item) -> bytes | Mapping[str, Any]:
        """What a dead letter shows of an item that is no record."""


def cut(items: Iterable[Item | DeadLetter], batch_size: int, max_batch_bytes: int) -> Iterator[list[Item | DeadLetter]]:
    """Groups a scan into batches, none of them empty; a single item larger than `max_batch_bytes` stands alone.

    >>> [len(batch) for batch in cut([Item(at, None, 40, b"") for at in range(5)], batch_size=3, max_batch_bytes=100)]
    [2, 2, 1]
    """
    batch: list[Item | DeadLetter] = []
    held_bytes = 0
    for item in items:
        size = item.size if isinstance(item, Item) else KEPT_BYTES
        if batch and (len(batch) >= batch_size or held_bytes + size > max_batch_bytes):
            yield batch
            batch, held_bytes = [], 0
        batch.append(item)
        held_bytes += size
    if batch:
        yield batch


def unreadable(position: int, damage: DamagedError) -> DeadLetter:
    """The one dead letter that stands for everything behind the damage."""
    return DeadLetter(
        STEP,
        "UNREADABLE_FILE",
        f"the file cannot be read on: {damage.why}; what stands before that was read, {damage.unread:,} bytes were "
        "not, repair the file to get them",
        damage.partial[:KEPT_BYTES] or None,
        position=position,
        line=damage.line,
        unread_bytes=damage.unread,
    )


def too_large(kept: bytes, length: int, max_bytes: int, position: int, offset: int, line: int | None) -> DeadLetter:
    """The dead letter of a record that was never held in memory as a whole.

    Args:
      kept: its first bytes.
      length: bytes of the whole record.
      max_bytes: the bound it exceeds.
      position, line: as in `Record`.
      offset: where its first byte stands in the (decompressed) file.
    """
    kept = kept[:KEPT_BYTES]
    return DeadLetter(
        STEP,
        "RECORD_TOO_LARGE",
        f"the record has {length} bytes, more than max_record_bytes={max_bytes}; the first {len(kept)} are kept here, "
        f"the rest stands at bytes {offset + len(kept)} to {offset + length} of the file",
        kept,
        position=position,
        line=line,
    )
