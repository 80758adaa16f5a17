"""The results of the tries of batches on this machine's disk, and what is known of what they answer. Plain asyncio.

    folder/{key}/{try}/…    as `BatchApi.download` leaves them, looked through once

What the tries answer together says which requests are still to be sent, or have no answer.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from transforms.ledger.provider_batches import ProviderBatch
from transforms.providers.remote import BatchApi, RefusedError, RemoteBatch, UnknownBatchError
from transforms.providers.scan import Answers, scanned


@dataclass
class _Held:
    """What is known of the tries of a batch, by the provider's ids.

    Attributes:
      answers: of those whose results were looked through.
      taken: those whose records were handed over.
    """

    answers: dict[str, Answers] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)


class Fetched:
    """Of all batches of a coordinator.

    Args:
      api: the provider's.
      folder: for the files.

    Raises (every method that asks the provider): UnknownBatchError or RefusedError if results are gone, and as every
    method of `BatchApi`.
    """

    def __init__(self, api: BatchApi, folder: Path):
        self._api, self._folder = api, folder
        self._held: dict[str, _Held] = {}

    async def all_of(self, batch: ProviderBatch, last: RemoteBatch) -> tuple[list[tuple[int, int, Path]], bool]:
        """Files of all tries that were not handed over, and whether those of an earlier one are gone.

        Args:
          last: what the provider says of the last try. Those of the earlier ones may be gone: what it has was paid for,
            and is taken all the same.
        """
        files: list[tuple[int, int, Path]] = []
        is_one_gone = False
        for number, each in enumerate(batch.tries[:-1]):
            if each.id and not each.error_code and each.id not in self._of(batch).taken:
                try:
                    files += await self._fetch(batch, number, await self._api.get(each.id))
                except (UnknownBatchError, RefusedError):
                    is_one_gone = True
        return files + await self._fetch(batch, len(batch.tries) - 1, last), is_one_gone

    async def answered(self, batch: ProviderBatch) -> frozenset[str]:
        """The names of the requests that the tries so far have answered."""
        held = self._of(batch)
        for number, each in enumerate(batch.tries):
            if each.id and not each.error_code and each.id not in held.answers:
                await self._fetch(batch, number, await self._api.get(each.id))
                shutil.rmtree(self._folder / batch.key / str(number), ignore_errors=True)
        return frozenset(self.answers(batch).answered)

    def answers(self, batch: ProviderBatch) -> Answers:
        """What all tries together answer that were fetched."""
        answers = Answers()
        for each in self._of(batch).answers.values():
            answers.add(each)
        return answers

    def are_taken(self, batch: ProviderBatch) -> None:
        """All tries so far were handed over, and there will be one more."""
        self._of(batch).taken |= {each.id for each in batch.tries}

    def forget(self, batch: ProviderBatch) -> None:
        """There will be no more of it."""
        self._held.pop(batch.key, None)

    def _of(self, batch: ProviderBatch) -> _Held:
        return self._held.setdefault(batch.key, _Held())

    async def _fetch(self, batch: ProviderBatch, number: int, remote: RemoteBatch) -> list[tuple[int, int, Path]]:
        folder = self._folder / batch.key / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        paths = await self._api.download(remote, folder)
        self._of(batch).answers[remote.id] = await asyncio.to_thread(scanned, paths)
        return [(number, n, path) for n, path in enumerate(paths)]
