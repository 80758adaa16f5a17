"""Whose requests they are: a header with a key, or an account of Google Cloud.

Guarantee: a key is read on the worker that uses it, and `hidden` keeps it out of every text that is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from transforms.errors import JobError
from transforms.providers.description import Auth
from transforms.secrets import SecretSource
from transforms.services import SIGN_IN

_OF_AN_EMULATOR = "Bearer owner"  # as emulators of Google Cloud know accounts


class ProviderKey:
    """To be read and used in one event loop.

    Args:
      secret: where the key is; None for an account of Google Cloud, or of an emulator.
      is_loopback: whether the provider is on this computer.
      credentials: returns what google.auth calls credentials.
    """

    def __init__(self, auth: Auth, secret: SecretSource | None, is_loopback: bool, credentials: Callable[[], Any]):
        self._auth, self._secret, self._is_loopback, self._credentials = auth, secret, is_loopback, credentials
        self._header: dict[str, str] = {}
        self._account: Any = None

    async def read(self) -> None:
        """Finds it. Raises JobError or TransientError as `SecretSource.read`."""
        if self._secret is not None:
            secret = await asyncio.to_thread(self._secret.read)
            self._header = {self._auth.header: self._auth.value.replace("{secret}", secret)}
        elif self._is_loopback:
            self._header = {self._auth.header: _OF_AN_EMULATOR}
        elif self._auth.is_google:
            self._account = await asyncio.to_thread(self._find_account)

    async def headers(self) -> Mapping[str, str]:
        """Of a request that is sent now. Raises JobError, or OSError if Google's accounts do not answer."""
        account = self._account
        if account is None:
            return self._header
        if not account.valid:
            await asyncio.to_thread(self._refresh)
        return {"Authorization": f"Bearer {account.token}"}

    def hidden(self, text: str) -> str:
        """A text without the key."""
        for value in self._header.values():
            text = text.replace(value.rpartition(" ")[2], "…")
        return text

    def _find_account(self) -> Any:
        from google.auth.exceptions import GoogleAuthError

        try:
            return self._credentials()
        except GoogleAuthError as error:
            raise JobError(f"{str(error.args[0]).rstrip('.')}. {SIGN_IN}") from None

    def _refresh(self) -> None:
        import google.auth.transport.requests
        from google.auth.exceptions import GoogleAuthError, TransportError

        try:
            self._account.refresh(google.auth.transport.requests.Request())
        except TransportError as error:
            raise OSError(f"Google's accounts did not answer ({type(error).__name__})") from None
        except GoogleAuthError as error:
            raise JobError(f"{str(error.args[0]).rstrip('.')}. {SIGN_IN}") from None
