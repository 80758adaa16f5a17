"""Which container a job means, and how its workers reach it. Plain data; no key is ever part of it.

    cosmos://DATABASE/CONTAINER     as flags name it; special characters are written with %XX
    COSMOS_ENDPOINT                 https://ACCOUNT.documents.azure.com:443/
    COSMOS_KEY                      the account's key, or where it is: secret:projects/P/secrets/S, file:PATH, env:NAME;
                                    without it Entra ID signs in (azure-identity's default credential)

Neither the endpoint nor the key is in a location, so that none is in flags, ledger or logs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from transforms.errors import UsageError
from transforms.retry import Retry
from transforms.secrets import SecretSource, parse_secret

if TYPE_CHECKING:
    from transforms.cosmos.connection import Connection

COSMOS = "cosmos://"
USAGE = f"{COSMOS}DATABASE/CONTAINER"
INSTALL = "pip install 'firebeam[cosmos]'"
ENDPOINT_VARIABLE, KEY_VARIABLE = "COSMOS_ENDPOINT", "COSMOS_KEY"
# Of azure-cosmos's clients, whose own retries are switched off: ours are the one layer.
CLIENT_OPTIONS: Mapping[str, Any] = {
    "retry_total": 0,
    "retry_connect": 0,
    "retry_read": 0,
    "retry_status": 0,
    "retry_throttle_total": -1,  # 0 would mean the SDK's default
    "user_agent_suffix": "firebeam",
}

_LOCATION = re.compile(r"cosmos://([^/?#]+)/([^/?#]+)")
_EXAMPLE = "https://ACCOUNT.documents.azure.com:443/"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SECRET_SCHEMES = ("secret:", "file:", "env:")
_MONGODB = (".mongo.cosmos.azure.com", ".mongocluster.cosmos.azure.com")
_OTHER_APIS = {
    ".cassandra.cosmos.azure.com": "Cassandra",
    ".gremlin.cosmos.azure.com": "Gremlin",
    ".table.cosmos.azure.com": "Table",
    ".postgres.cosmos.azure.com": "PostgreSQL",
}


@dataclass(frozen=True)
class CosmosTarget:
    """A container, and how to reach its account. Picklable; holds no secret.

    Attributes:
      endpoint: the account's address.
      key: where the account's key is; None for Entra ID.
      is_low_priority: whether its requests give way to others where the account knows priorities.
      max_request_units_per_s: what one process may use; None for no bound.
      retry: of every request.
    """

    database: str
    container: str
    endpoint: str
    key: SecretSource | None = None
    is_low_priority: bool = False
    max_request_units_per_s: float | None = None
    retry: Retry = Retry()  # noqa: RUF009  # frozen

    def __post_init__(self) -> None:
        units = self.max_request_units_per_s
        if units is not None and units <= 0:
            raise UsageError(f"request units per second must be above 0, got {units:g}")

    @classmethod
    def of(cls, location: str, flag: str, environ: Mapping[str, str] = os.environ) -> CosmosTarget:
        """The container that a flag names, of the account that the environment names.

        >>> environ = {"COSMOS_ENDPOINT": "https://a.documents.azure.com", "COSMOS_KEY": "c2VjcmV0"}
        >>> CosmosTarget.of("cosmos://school/attempts", "--from", environ).label
        'cosmos://school/attempts'

        Raises:
          UsageError: it names none, or the environment does not say which account; says how to.
        """
        found = _LOCATION.fullmatch(location)
        if found is None:
            raise UsageError(f"{flag} must be {USAGE}, got {location!r}")
        database, container = map(unquote, found.groups())
        return cls(database, container, endpoint_of(environ), _key_of(environ))

    @classmethod
    def of_account(cls, environ: Mapping[str, str] = os.environ, retry: Retry = Retry()) -> CosmosTarget:  # noqa: B008  # frozen
        """No container yet, but the account that the environment names. Raises UsageError as `of`."""
        return cls("", "", endpoint_of(environ), _key_of(environ), retry=retry)

    @property
    def label(self) -> str:
        """As a location."""
        if not self.database:
            return f"the account of {ENDPOINT_VARIABLE}"
        return f"{COSMOS}{quote(self.database, safe='')}/{quote(self.container, safe='')}"

    def connect(self) -> Connection:
        """The connection of this process to this container; the same one for every caller. Calls nothing yet."""
        from transforms.cosmos.connection import connection_of

        return connection_of(self)


def endpoint_of(environ: Mapping[str, str] = os.environ) -> str:
    """The account's address.

    >>> endpoint_of({"COSMOS_ENDPOINT": "https://a.documents.azure.com:443/"})
    'https://a.documents.azure.com:443/'

    Raises:
      UsageError: there is none, or it is not that of the API for NoSQL. What may hold a key is not shown.
    """
    text = environ.get(ENDPOINT_VARIABLE, "").strip()
    if not text:
        raise UsageError(f"set {ENDPOINT_VARIABLE} to the account's address, {_EXAMPLE}")
    if "accountkey=" in text.lower():
        raise UsageError(f"{ENDPOINT_VARIABLE} must be the address alone, {_EXAMPLE}; the key goes to {KEY_VARIABLE}")
    address = urlsplit(text)
    host = (address.hostname or "").lower()
    if address.scheme.startswith("mongodb") or host.endswith(_MONGODB):
        raise UsageError(
            f"{ENDPOINT_VARIABLE} is an account of the API for MongoDB, which this job does not read; Google has a way "
            'for it: "Migrate to Firestore with MongoDB compatibility" in the documentation of Firestore'
        )
    if api := next((api for suffix, api in _OTHER_APIS.items() if host.endswith(suffix)), None):
        raise UsageError(f"{ENDPOINT_VARIABLE} is an account of the API for {api}; only the API for NoSQL can be read")
    is_plain = address.scheme == "http" and host in _LOOPBACK
    if not host or address.username or not (address.scheme == "https" or is_plain):
        raise UsageError(f"{ENDPOINT_VARIABLE} must be an address like {_EXAMPLE}")
    return text if text.endswith("/") else f"{text}/"


def _key_of(environ: Mapping[str, str]) -> SecretSource | None:
    text = environ.get(KEY_VARIABLE, "").strip()
    if not text:
        return None
    return parse_secret(text if text.startswith(_SECRET_SCHEMES) else f"env:{KEY_VARIABLE}", KEY_VARIABLE)
