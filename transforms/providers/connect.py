"""How a worker reaches a provider: plain data that travels to it. Imports the HTTP client only where it is used."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from transforms.providers.description import ProviderDescription
from transforms.providers.remote import BatchApi
from transforms.retry import Retry
from transforms.secrets import SecretSource


@dataclass(frozen=True)
class Connect:
    """Opens a provider's API in an event loop. Picklable; holds no secret.

    Attributes:
      description: with its variables filled in.
      secret: where the key is; None for Google's credentials.
      retry: of every request.
    """

    description: ProviderDescription
    secret: SecretSource | None = None
    retry: Retry = field(default_factory=Retry)

    def __call__(self) -> AbstractAsyncContextManager[BatchApi]:
        from transforms.providers.api import HttpBatchApi

        return HttpBatchApi(self.description, self.secret, self.retry)
