"""What every source of batches is, whatever stands behind it. Plain Python; the transforms are in `read.py`.

    location ─▶ partitions ──shuffled──▶ Source.batches(partition) ─▶ Batch, Batch, …

| location    | snapshot                    | partition       | position in it       | source         |
|-------------|-----------------------------|-----------------|----------------------|----------------|
| files       | size and time of each       | slice, pack     | byte offset, ordinal | `slices.py`    |
| collections | read time                   | range of names  | ordinal              | `documents.py` |
| tables      | held by one transaction     | range of keys   | key of the last row  | `tables.py`    |

A partition is small, picklable and named by what it is of: the same location in the same state, cut in the same way,
has the same partitions, and these the same batches in the same order, `{input}-{partition}-{ordinal}`. So a batch that
is known to be complete is passed over, and one that is read again replaces itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

from transforms.batch import Batch

P_contra = TypeVar("P_contra", contravariant=True)
T = TypeVar("T")


class Source(Protocol[P_contra, T]):
    """Reads partitions; picklable, connects in the worker."""

    def batches(self, partition: P_contra) -> Iterator[Batch[T]]:
        """Reads a partition batch by batch; no more than one of them is in memory.

        Raises:
          JobError: no further partition can be read before somebody fixes what the message names.
          TransientError: what stands behind it did not answer.
        """
