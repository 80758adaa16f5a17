"""Results on their way to the disk: each in files of JSON lines that ingest's readers read.

    an id            by the description's request, page by page where it has pages
    https://…        that address, a signed link without our headers
    gs://…           the files below it, through Beam

Nothing is held in memory. A download that breaks off, or ends within a line, begins again, bounded. A file is there as
a whole or not at all.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import aiohttp

from transforms import files
from transforms.errors import JobError, TransientError
from transforms.files import GCS, replaced_file
from transforms.providers.answers import number_at
from transforms.providers.description import ProviderDescription, Results
from transforms.providers.failures import NotYetError, RefusalError, is_gone
from transforms.providers.http import FAILURES, ProviderHttp
from transforms.providers.remote import RemoteBatch

_JSON_LINES = "application/jsonl"
_CHUNK_BYTES = 256 * 1024
_NOT_YET = 202
_NOT_YET_S = 10.0  # as Bright Data asks in its text
_MAX_PENDING_BYTES = 4_096
_ADDRESS = ("http://", "https://")


class LinkExpiredError(Exception):
    """A signed link leads nowhere any more: the batch may have a new one."""


class _Saved(NamedTuple):
    lines: int
    size: int


class Downloads:
    """Fetches results of one provider.

    Args:
      description: with its variables filled in.
    """

    def __init__(self, http: ProviderHttp, description: ProviderDescription):
        self._http, self._results = http, description.results
        place = description.upload.copy_to if description.upload else ""
        # Where we put files ourselves we also read them, wherever that is.
        self._own_folder = place.partition("{")[0]

    async def fetch(self, batch: RemoteBatch, folder: Path) -> list[Path]:
        """The files of a batch's results.

        Raises:
          LinkExpiredError: ask for the batch again, and then fetch that.
          FirebeamError: as `BatchApi.download`.
        """
        paths: list[Path] = []
        for number, result in enumerate(batch.results):
            stem = f"results-{number:03d}"
            if result.startswith(_ADDRESS):
                paths += await self._linked(result, folder / f"{stem}.jsonl")
            elif self._is_place(result):
                paths += await self._copied(result, folder, stem)
            elif self._results.call is not None and "://" not in result:
                paths += await self._pages(batch.id, result, folder, stem)
            else:
                scheme = result.partition("://")[0] if "://" in result else "an unknown form"
                raise JobError(f"{self._http.provider.name} names results by {files.shown(scheme)}; not fetched")
        return paths

    def _is_place(self, result: str) -> bool:
        own = self._own_folder
        return result.startswith(GCS) or bool(own and result.startswith(own) and ".." not in result.split("/"))

    async def _linked(self, url: str, path: Path) -> list[Path]:
        saved = await self._retried(url, path, is_link=not self._http.is_own(url))
        return [path] if saved else []

    async def _pages(self, batch_id: str, result: str, folder: Path, stem: str) -> list[Path]:
        results, paths = self._results, list[Path]()
        assert results.call is not None
        values = {"id": batch_id, "result": result, "size": str(results.page_size)}
        n_pages = None if results.page_size else 1
        if results.pages is not None:
            n_pages = number_at(results.n_pages, (await self._http.ask(results.pages, values)).value)
        while n_pages is None or len(paths) < n_pages:
            page = len(paths)
            here = {**values, "page": str(page + 1), "offset": str(page * results.page_size)}
            path = folder / f"{stem}-{page:05d}.jsonl"
            saved = await self._retried(self._http.url(results.call, here), path, is_link=False)
            if saved is None:
                break
            paths.append(path)
            if n_pages is None and saved.lines < results.page_size:
                break
        return paths

    async def _retried(self, url: str, path: Path, *, is_link: bool) -> _Saved | None:
        """Saves an answer; None if the provider says that there is nothing."""
        empty = self._results.empty

        async def save() -> _Saved | None:
            try:
                return await self._saved(url, path)
            except RefusalError as error:
                if empty and (empty in error.text or empty == error.code):
                    return None
                if is_link and is_gone(error):
                    raise LinkExpiredError from None
                raise

        return await self._http.retry.acall(
            save, catch=(NotYetError, *FAILURES), meaning=lambda error, attempts: self._http.provider.meaning(error)
        )

    async def _saved(self, url: str, path: Path) -> _Saved:
        results: Results = self._results
        async with self._http.stream(url, results.headers) as response:
            if response.status == _NOT_YET:
                await self._http.retry.clock.asleep(_NOT_YET_S)
                raise NotYetError
            is_framed = bool(response.headers.get("Content-Length") or response.headers.get("Transfer-Encoding"))
            with replaced_file(str(path), _JSON_LINES) as file:
                saved = await _written(response, file)
                file.flush()
        if not is_framed and saved.size and not await asyncio.to_thread(_ends_with_json, path):
            raise aiohttp.ClientPayloadError("the answer ends within a line")
        if saved.lines <= 1 and await asyncio.to_thread(self._is_pending, path):
            path.unlink()
            await self._http.retry.clock.asleep(_NOT_YET_S)
            raise NotYetError
        return saved

    def _is_pending(self, path: Path) -> bool:
        pending = self._results.pending
        if pending is None or not 0 < path.stat().st_size <= _MAX_PENDING_BYTES:
            return False
        try:
            return bool(pending.read(json.loads(path.read_bytes())))
        except ValueError:
            return False

    async def _copied(self, place: str, folder: Path, stem: str) -> list[Path]:
        place = place.rstrip("/")

        def copy() -> list[Path]:
            pattern = place if place.endswith(".jsonl") else files.join(place, self._results.names)
            paths = []
            for number, found in enumerate(sorted(files.match(pattern))):
                path = folder / f"{stem}-{number:05d}.jsonl"
                with files.open_file(found.path) as source, replaced_file(str(path), _JSON_LINES) as copied:
                    shutil.copyfileobj(source, copied, 2**20)
                paths.append(path)
            return paths

        return await self._http.retry.acall(
            partial(asyncio.to_thread, copy),
            catch=OSError,
            meaning=lambda error, attempts: TransientError(
                f"results in {files.shown(place)} cannot be read: {files.reason(error)}"
            ),
        )


async def _written(response: aiohttp.ClientResponse, file: BinaryIO) -> _Saved:
    lines = size = 0
    last = b"\n"
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        file.write(chunk)
        lines += chunk.count(b"\n")
        size += len(chunk)
        last = chunk[-1:]
    return _Saved(lines + (last != b"\n"), size)


def _ends_with_json(path: Path) -> bool:
    """Whether the last line is whole. Only asked where nothing else says how long an answer is."""
    with path.open("rb") as file:
        start = end = file.seek(0, 2)
        tail = b""
        while start and b"\n" not in tail.rstrip():
            start = max(0, start - _CHUNK_BYTES)
            file.seek(start)
            tail = file.read(end - start)
    try:
        json.loads(tail.rstrip().rpartition(b"\n")[2] or b"null")
    except ValueError:
        return False
    return True
