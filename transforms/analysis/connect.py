"""How a worker reaches a chat API: plain data that travels to it. Imports the HTTP client only where it is used."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from transforms.analysis.chat import ChatApi
from transforms.providers.description import ProviderDescription
from transforms.retry import Retry
from transforms.secrets import SecretSource


@dataclass(frozen=True)
class ConnectChat:
    """Opens a provider's chat API in an event loop. Picklable; holds no secret.

    Attributes:
      description: with the variables of its chat filled in, see `ProviderDescription.for_chat`.
      model: that is asked.
      secret: where the key is; None: where the description says, or none at an address of a user's own.
      retry: of every call.
      tokens_per_min: that one process may use; None: as the provider's headers say.
    """

    description: ProviderDescription
    model: str
    secret: SecretSource | None = None
    retry: Retry = field(default_factory=Retry)
    tokens_per_min: float | None = None

    def __call__(self) -> AbstractAsyncContextManager[ChatApi]:
        from transforms.analysis.http_chat import HttpChatApi

        return HttpChatApi(self.description, self.model, self.secret, self.retry, self.tokens_per_min)
