"""`HttpBatchApi`: a provider as its description says it, through HTTP. See `remote.BatchApi` for what each method does.

async with HttpBatchApi(description, parse_secret("env:OPENAI_API_KEY", "--api_key")) as api:
    batch_id = await api.create(Path("requests.jsonl"), 1_000, "fb-0123456789abcdef01234567")
    while (batch := await api.get(batch_id)).state is State.RUNNING:
        …
    paths = await api.download(batch, folder)
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

from transforms.errors import JobError
from transforms.providers.answers import batch_in, text_at
from transforms.providers.bodies import LinesInJson, has_requests
from transforms.providers.description import ProviderDescription, Upload
from transforms.providers.downloads import Downloads, LinkExpiredError
from transforms.providers.http import Body, ProviderHttp, json_body
from transforms.providers.remote import RefusedError, RemoteBatch, State, UncertainError, UnknownBatchError
from transforms.providers.templates import filled
from transforms.providers.uploads import upload
from transforms.retry import Retry
from transforms.secrets import SecretSource
from transforms.services import APPLICATION_DEFAULT

_MAX_PAGES = 1_000  # of a list: a server that always names a next page ends there
_ASKED_AT_ONCE = 8
# A provider's clock, which may also show whole seconds only, against ours.
_CLOCKS_DIFFER = datetime.timedelta(seconds=5)


class HttpBatchApi:
    """A `BatchApi`. To be opened (`async with`), used and closed in one event loop.

    Args:
      description: with its variables filled in.
      secret: where the key is; None: where the description says.
      retry: of every request; create is sent again only if it has not reached the provider.
      credentials: for providers of Google Cloud; returns what google.auth calls credentials.
    """

    def __init__(
        self,
        description: ProviderDescription,
        secret: SecretSource | None = None,
        retry: Retry = Retry(),  # noqa: B008  # frozen
        credentials: Callable[[], Any] = APPLICATION_DEFAULT,  # frozen
    ):
        if secret is None and not description.auth.is_google:
            secret = SecretSource(description.auth.secret, "--api_key")
        self._description = description
        self._http = ProviderHttp(description, secret, retry, credentials)
        self._downloads = Downloads(self._http, description)
        self._keys: dict[str, str | None] = {}  # of files that batches were made of
        self._files: dict[str, str] = {}  # by key, of batches that are still to be created

    async def __aenter__(self) -> HttpBatchApi:
        """Reads the key. Raises JobError or TransientError as `SecretSource.read`."""
        await self._http.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.close()

    async def check(self) -> int:
        """Asks for the first page of the list, and returns how many batches are on it. Raises as every method."""
        async for page in self._pages():
            return len(page)
        raise JobError(f"{self._description.name} has no list of batches to ask for")

    async def create(self, requests: Path, n_requests: int, key: str) -> str:
        """See `BatchApi`."""
        how = self._description.create
        if how is None:
            raise JobError(f"{self._description.name}'s description has no create: its batches can only be taken")
        self._http.check_may_create()
        values = {"key": key}
        if self._description.upload is not None:
            values["file"] = await self._uploaded(self._description.upload, requests, key)
        headers, body = await _body(filled(how.body, values), requests)
        answer = await self._http.create(how.call, values, headers=headers, body=body)
        batch_id = text_at(how.id, answer.value)
        if not batch_id:
            raise UncertainError(f"{self._description.name} answered a create without the id of a batch")
        self._files.pop(key, None)
        return batch_id

    async def created_with(self, key: str, since: datetime.datetime, n_requests: int) -> list[RemoteBatch]:
        """See `BatchApi`."""
        if self._description.listing is None:
            raise UncertainError(f"{self._description.name} has no list in which {key} could be looked for")
        fields, found = self._description.batch, list[RemoteBatch]()
        async for page in self._pages():
            batches = [(batch, item) for item in page if (batch := batch_in(item, fields)) is not None]
            recent = [(batch, item) for batch, item in batches if not _is_older(batch, since)]
            for batch, item in recent:
                if await self._may_be(batch, text_at(fields.input_file, item), key, n_requests):
                    found.append(batch)
            if self._description.listing.newest_first and not recent:
                break
        return found

    async def poll(self, ids: Collection[str]) -> dict[str, RemoteBatch]:
        """See `BatchApi`."""
        fields = self._description.batch
        missing, found, n_pages = set(ids), dict[str, RemoteBatch](), 0
        if missing:
            async for page in self._pages():
                ours = (batch_in(item, fields) for item in page if text_at(fields.id, item) in missing)
                found |= {batch.id: batch for batch in ours if batch is not None}
                missing -= found.keys()
                n_pages += 1
                # From then on asking for each takes no more requests than have been sent for pages.
                if len(missing) <= n_pages:
                    break
        at_once = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def ask(batch_id: str) -> RemoteBatch | None:
            async with at_once:
                try:
                    return await self.get(batch_id)
                except UnknownBatchError:
                    return None

        alone = await asyncio.gather(*(ask(batch_id) for batch_id in sorted(missing)))
        return found | {batch_id: batch for batch_id, batch in zip(sorted(missing), alone, strict=True) if batch}

    async def get(self, batch_id: str) -> RemoteBatch:
        """See `BatchApi`."""
        try:
            answer = (await self._http.ask(self._description.one, {"id": batch_id})).value
        except RefusedError as error:  # as some answer to what cannot be an id of theirs
            raise UnknownBatchError(f"{self._description.name} does not know {batch_id!r}: {error}") from None
        at = self._description.one_at
        value = at.read(answer) if at else answer
        batch = batch_in(value, self._description.batch)
        if batch is None:
            raise UnknownBatchError(f"{self._description.name} answers nothing about {batch_id!r}")
        return batch

    async def download(self, batch: RemoteBatch, folder: Path) -> list[Path]:
        """See `BatchApi`."""
        if not batch.results and batch.state in (State.READY, State.PARTIAL):
            batch = await self.get(batch.id)  # a list may be behind
        try:
            try:
                return await self._downloads.fetch(batch, folder)
            except LinkExpiredError:
                return await self._downloads.fetch(await self.get(batch.id), folder)
        except (LinkExpiredError, UnknownBatchError):
            raise RefusedError(
                "RESULTS_GONE", f"{self._description.name} does not have the results of {batch.id} any more"
            ) from None

    async def cancel(self, batch_id: str) -> None:
        """See `BatchApi`."""
        if self._description.cancel is None:
            raise JobError(f"{self._description.name}'s description has no cancel")
        try:
            await self._http.ask(self._description.cancel, {"id": batch_id})
        except RefusedError:
            if (await self.get(batch_id)).state is State.RUNNING:
                raise

    async def _uploaded(self, how: Upload, requests: Path, key: str) -> str:
        """The file of a key, which is uploaded once however often a queue is full."""
        if key not in self._files:
            try:
                self._files[key] = await upload(self._http, how, requests, key)
            except UnknownBatchError as error:
                raise self._wrong_address("files cannot be uploaded there", error) from None
        return self._files[key]

    def _wrong_address(self, what: str, error: Exception) -> JobError:
        return JobError(f"{self._description.name}: {what} ({error}). Check base_url and --provider_var")

    async def _may_be(self, batch: RemoteBatch, file: str, key: str, n_requests: int) -> bool:
        """Whether a batch may be the one that was created with a key."""
        if self._description.batch.key is not None:
            return batch.key == key
        if self._description.file_key is not None:
            return bool(file) and await self._key_of_file(file) == key
        return batch.created_at is not None and batch.requests in (None, n_requests)

    async def _key_of_file(self, file: str) -> str | None:
        how = self._description.file_key
        if how is not None and file not in self._keys:
            try:
                answer = (await self._http.ask(how.call, {"file": file})).value
                self._keys[file] = text_at(how.key, answer).partition(".")[0]
            except (UnknownBatchError, RefusedError):
                self._keys[file] = None  # deleted: not the one that was just uploaded
        return self._keys.get(file)

    async def _pages(self) -> AsyncIterator[list[Any]]:
        """The list, page by page, in the provider's own words. Nothing if there is no list."""
        listing = self._description.listing
        if listing is None:
            return
        query: Mapping[str, str] = {}
        for page in range(_MAX_PAGES):
            values = {"page": str(page + listing.first_page), "offset": str(page * listing.page_size)}
            try:
                answer = (await self._http.ask(listing.call, values, query=query)).value
            except (RefusedError, UnknownBatchError) as error:
                raise self._wrong_address("batches cannot be listed there", error) from None
            found = listing.items.read(answer)
            items = found if isinstance(found, list) else []
            yield items
            is_counted = bool(listing.page_size) and not listing.next
            before, query = query, {name: text_at(path, answer) for name, path in listing.next.items()}
            if (
                (bool(query) and query == before)  # the same page again
                or (is_counted and len(items) < listing.page_size)
                or (not is_counted and not (query and all(query.values())))
                or (listing.more is not None and not listing.more.read(answer))
            ):
                return


async def _body(body: Any, requests: Path) -> tuple[Mapping[str, str], Body]:
    """Headers and body of a create."""
    if not has_requests(body):
        return json_body(body)
    text = LinesInJson(body, requests)
    headers = {"Content-Type": "application/json", "Content-Length": str(await asyncio.to_thread(text.size))}
    return headers, lambda: nullcontext(text.chunks())


def _is_older(batch: RemoteBatch, since: datetime.datetime) -> bool:
    return batch.created_at is not None and batch.created_at < since - _CLOCKS_DIFFER
