"""Records that only their source can judge: see `source_versions.py`. Plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from transforms.upsert.entries import Flat

# The entry as its source has it now, judged; raises RecordError if it cannot be written.
Resolve: TypeAlias = Callable[[Flat], Flat]


class AsksSource(Protocol):
    """What can ask the source of records about one of them; picklable."""

    def connect(self) -> Resolve:
        """Opens it in a worker."""
