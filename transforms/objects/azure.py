"""Objects of Azure Blob Storage.

AZURE_STORAGE_CONNECTION_STRING    of the account that a path names: another one is an error
else                               who azure-identity finds: AZURE_CLIENT_ID …, a role of the machine, `az login`
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from transforms.errors import FirebeamError, JobError, TransientError
from transforms.objects.store import AZURE, FileStat, changed
from transforms.retry import Retry

T = TypeVar("T")

CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"
INSTALL = "pip install 'firebeam[azure]'"
USAGE = "azfs://ACCOUNT/CONTAINER/BLOB"
_CONNECT_S, _READ_S = 10, 60
# Of one request: larger than any range that is asked for, so that each is one request.
_MOST_BYTES = 64 * 1024 * 1024

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_OWN_ACCOUNT = re.compile(r"(?:^|;)\s*AccountName=([^;]+)", re.IGNORECASE)
# Codes of answers: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
_NO_CONTAINER = frozenset({"ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"})
_CREDENTIALS = frozenset({"AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"})
_ARCHIVED = frozenset({"BlobArchived", "BlobBeingRehydrated"})
_SIGN_IN = f"set {CONNECTION_STRING}, or sign in for azure-identity: AZURE_CLIENT_ID …, `az login`, or a role"
_NEEDED = (
    "the credentials need the role Storage Blob Data Reader, or read and list in a shared access signature, and the "
    "account's firewall has to let this machine in"
)


class AzureStore:
    """The blobs of one account; as `ObjectStore`.

    Args:
      client: a BlobServiceClient that does not retry by itself.
      account: that paths must name.
      retry: of every request.
      page_size: blobs in one answer of a listing; Azure gives 5,000 at most.
    """

    def __init__(self, client: Any, account: str, retry: Retry, page_size: int):
        self._client, self._account, self._retry, self._page_size = client, account, retry, page_size

    @classmethod
    def connected(cls, account: str, retry: Retry = Retry(), page_size: int = 5_000) -> AzureStore:  # noqa: B008
        """With the credentials of the environment; asks for nothing yet.

        Raises:
          JobError: as `store_of`, or they are of another account.
        """
        if not _ACCOUNT.fullmatch(account):
            raise JobError(f"{AZURE}{account} names no storage account; a blob is named as {USAGE}")
        try:
            from azure.identity import DefaultAzureCredential
            from azure.storage.blob import BlobServiceClient
        except ImportError:
            raise JobError(f"azfs:// needs a client that is not installed: {INSTALL}") from None
        how: dict[str, Any] = {
            "retry_total": 0,
            "connection_timeout": _CONNECT_S,
            "read_timeout": _READ_S,
            "max_single_get_size": _MOST_BYTES,
        }
        stated = os.environ.get(CONNECTION_STRING)
        if not stated:
            url = f"https://{account}.blob.core.windows.net"
            return cls(BlobServiceClient(url, DefaultAzureCredential(), **how), account, retry, page_size)
        try:
            client = BlobServiceClient.from_connection_string(stated, **how)
        except (ValueError, KeyError):  # whose text may show a key
            raise JobError(f"{CONNECTION_STRING} is not a connection string; copy it anew from the account") from None
        named = _OWN_ACCOUNT.search(stated)
        own = named[1].strip() if named else client.account_name
        if own != account:
            raise JobError(
                f"{AZURE}{account}/… is of another account than {CONNECTION_STRING}, which is of {own}; set that of "
                f"{account}, or unset it to use azure-identity"
            )
        return cls(client, account, retry, page_size)

    def list(self, prefix: str, /) -> Iterator[FileStat]:
        """As `ObjectStore.list`."""
        container, name = _split(prefix)
        # Where a storage account has folders, they are listed as blobs, and only their metadata says so.
        blobs = self._client.get_container_client(container).list_blobs(
            name_starts_with=name, include=["metadata"], results_per_page=self._page_size
        )
        token: str | None = None
        while True:
            page, token = self._send(prefix, functools.partial(_page, blobs, token))
            for found in page:
                if (found.metadata or {}).get("hdi_isfolder") != "true":
                    yield _stat(f"{AZURE}{self._account}/{container}/{found.name}", found)
            if not token:
                return

    def stat(self, path: str, /) -> FileStat | None:
        """As `ObjectStore.stat`."""
        found = self._send(path, lambda: self._properties(path))
        return None if found is None else _stat(path, found)

    def read(self, found: FileStat, start: int, stop: int, /) -> bytes:
        """As `ObjectStore.read`."""
        return self._send(found.path, lambda: self._content(found, start, stop))

    def _properties(self, path: str) -> Any:
        from azure.core.exceptions import HttpResponseError

        container, name = _split(path)
        if not name:
            return None
        try:
            return self._client.get_blob_client(container, name).get_blob_properties()
        except HttpResponseError as error:
            if error.status_code == 404 and _code(error) not in _NO_CONTAINER:
                return None
            raise

    def _content(self, found: FileStat, start: int, stop: int) -> bytes:
        from azure.core import MatchConditions

        container, name = _split(found.path)
        content: bytes = (
            self._client.get_blob_client(container, name)
            .download_blob(
                start,
                stop - start,
                etag=f'"{found.etag}"',
                match_condition=MatchConditions.IfNotModified,
                decompress=False,  # whatever Content-Encoding says: readers look at the bytes
            )
            .readall()
        )
        return content

    def _send(self, path: str, request: Callable[[], T]) -> T:
        from azure.core.exceptions import AzureError

        return self._retry.call(
            request, catch=AzureError, meaning=lambda error, attempts: _meaning(error, path, attempts)
        )


def _split(path: str) -> tuple[str, str]:
    """
    >>> _split("azfs://account/container/a/b.jsonl"), _split("azfs://account/container")
    (('container', 'a/b.jsonl'), ('container', ''))
    """
    _, _, below = path.removeprefix(AZURE).partition("/")
    container, _, name = below.partition("/")
    if not container or set("*?[") & set(container):
        raise JobError(f"{path} names no container; a blob is named as {USAGE}, with globs in BLOB alone")
    return container, name


def _page(blobs: Any, token: str | None) -> tuple[list[Any], str | None]:
    """One page of a listing, and where the next one begins."""
    pages = blobs.by_page(token)
    return list(next(pages, ())), pages.continuation_token


def _stat(path: str, found: Any) -> FileStat:
    return FileStat(path, found.size, found.last_modified.timestamp(), found.etag.strip('"'))


def _code(error: Exception) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _meaning(error: Any, path: str, attempts: int) -> FirebeamError:
    """What a failed request means."""
    from azure.core import exceptions

    code, status = _code(error), getattr(error, "status_code", None) or 0
    lines = str(error.message).strip().splitlines()
    said = ": ".join(filter(None, (code, lines[0].rstrip(".") if lines else "")))
    unanswered = (exceptions.ServiceRequestError, exceptions.ServiceResponseError, exceptions.IncompleteReadError)
    if isinstance(error, unanswered) or status >= 500 or status in (408, 429):
        return TransientError(f"{path} cannot be read after {attempts} attempts: {said}")
    if status == 412:
        return JobError(changed(path))
    if code in _NO_CONTAINER:
        return JobError(f"there is no container {_split(path)[0]} in the account that {path} names; check both names")
    if status == 404:
        return JobError(f"{path}, which was there when the job started, is gone; put it back, and run it again")
    if code in _ARCHIVED:
        return JobError(f"{path} is archived; move it to the hot or cool tier first")
    if status == 401 or code in _CREDENTIALS:
        return JobError(f"Azure refuses the credentials for {path} ({said}); {_SIGN_IN}")
    if status == 403:
        return JobError(f"{path} may not be read ({said}); {_NEEDED}")
    if isinstance(error, exceptions.ClientAuthenticationError):
        return JobError(f"{path} cannot be read: there are no Azure credentials; {_SIGN_IN}")
    return JobError(f"{path} cannot be read ({said or status})")
