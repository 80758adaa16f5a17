"""A batch at a provider, and what can be asked of a provider. Plain Python.

    requests ─create─▶ id ─poll─▶ RUNNING … ─▶ READY or PARTIAL ─download─▶ files of JSON lines
                 │                          └▶ FAILED
                 └─ the answer was lost ─created_with─▶ the batches that it may have created

    FirebeamError
    ├── TransientError
    │   └── QueueFullError     create it later
    ├── UncertainError         create was sent, and nobody knows whether it took effect
    ├── RefusedError           the provider refuses this one batch
    └── UnknownBatchError      the provider has no batch of this id

Guarantee: a `BatchApi` sends no create twice unless the provider has clearly refused the first one. Whether a batch
whose answer was lost exists is the caller's to find out, by the key that it was created with.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from transforms.errors import FirebeamError, TransientError


class State(enum.Enum):
    """How far a batch is."""

    RUNNING = "running"  # everything that is not one of the others, a word that nobody knows included
    READY = "ready"  # has results, all of them
    PARTIAL = "partial"  # over, has some results (expired, cancelled): they are paid for
    FAILED = "failed"  # over, has no results


@dataclass(frozen=True, slots=True)
class RemoteBatch:
    """A batch as its provider describes it.

    Attributes:
      id: the provider's.
      key: that it was created with; None where the provider keeps none.
      created_at: with a time zone; None where the provider does not say.
      requests, answered, failed: numbers of requests; None where the provider does not count them, or not yet.
      input_tokens, output_tokens: as `requests`.
      error_code, error_text: the provider's own, about the batch as a whole; empty if there are none.
      results: what `download` fetches: URLs, ids of files.
    """

    id: str
    state: State
    key: str | None = None
    created_at: datetime.datetime | None = None
    requests: int | None = None
    answered: int | None = None
    failed: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    error_code: str = ""
    error_text: str = ""
    results: tuple[str, ...] = ()


class QueueFullError(TransientError):
    """The provider has as many batches as it accepts just now: create it later, and have fewer at once."""


class UncertainError(FirebeamError):
    """Create was sent and not answered: the batch may exist. It is never sent again before somebody has looked."""


class RefusedError(FirebeamError):
    """The provider refuses this one batch.

    Args:
      code: the provider's own, or `HTTP_400` and the like where it gives none.
      text: the provider's own; empty if it gives none.
    """

    def __init__(self, code: str, text: str):
        self.code, self.text = code, text
        super().__init__(f"{code}: {text}" if text else code)

    def __reduce__(self) -> tuple[type[RefusedError], tuple[str, str]]:
        return RefusedError, (self.code, self.text)


class UnknownBatchError(FirebeamError):
    """The provider has no batch of this id."""


class BatchApi(Protocol):
    """What can be asked of a provider.

    Every method raises JobError where nothing can succeed before somebody acts (wrong key, no credit, no permission),
    and TransientError where the provider did not answer well in the retries allowed.
    """

    async def create(self, requests: Path, n_requests: int, key: str) -> str:
        """Creates a batch and returns the provider's id of it.

        Args:
          requests: a file of JSON lines, in the format that the provider's description names.
          n_requests: how many there are.
          key: kept with the batch where the provider can; letters, digits and `-`, at most 40. The same key stands for
            the same requests.

        Raises:
          QueueFullError: it was not created; later it may be.
          UncertainError: nobody knows whether it was created.
          RefusedError: it was not created, and is not if it is sent again.
        """
        ...

    async def created_with(self, key: str, since: datetime.datetime, n_requests: int) -> list[RemoteBatch]:
        """The batches that a create whose answer was lost may have made.

        Where the provider keeps keys: those with this key. Else: those that were created since, with as many requests
        where the provider counts them.

        Raises:
          UncertainError: the provider has no list in which it could be found.
        """
        ...

    async def poll(self, ids: Collection[str]) -> dict[str, RemoteBatch]:
        """The batches by id, as they are now; those that the provider does not know are missing.

        One request for all where the provider has a list: pages are asked for until all ids are found. An id that the
        list lacks is asked for by itself.
        """
        ...

    async def get(self, batch_id: str) -> RemoteBatch:
        """One batch. Raises UnknownBatchError."""
        ...

    async def download(self, batch: RemoteBatch, folder: Path) -> list[Path]:
        """Fetches the results into files of JSON lines in a folder that is there; nothing is held in memory.

        Raises:
          RefusedError: the results are gone.
        """
        ...

    async def cancel(self, batch_id: str) -> None:
        """Asks the provider to stop a batch. One that is over stays as it is. Raises UnknownBatchError."""
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...
