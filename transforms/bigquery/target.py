"""Which BigQuery table a job means, and how its workers reach it. Plain data: making a target calls nothing.

target = BigQueryTarget.parse("acme:people.candidates", services)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from transforms.breaker import CircuitBreaker, breaker_of
from transforms.errors import UsageError
from transforms.services import APPLICATION_DEFAULT, Services

if TYPE_CHECKING:
    from google.auth.transport.requests import AuthorizedSession

    from transforms.bigquery.client import BigQueryClient

MAX_OUTAGE_S = 300.0

_TARGET = re.compile(
    r"(?P<project>(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]*[a-z0-9])[:.](?P<dataset>\w{1,1024})\.(?P<table>[\w-]{1,1024})"
)


@dataclass(frozen=True, slots=True)
class BigQueryTarget:
    """A table, and where the service is that holds it. Picklable: workers lack the launcher's environment.

    Attributes:
      emulator: URL of an emulator; None for Google Cloud.
      credentials: called by every client, in the worker, never for an emulator; returns what google.auth calls
        credentials. Picklable.
      max_outage_s: how long the service may not answer any request of a process before the job stops, in seconds.
    """

    project: str
    dataset: str
    table: str
    emulator: str | None = None
    credentials: Callable[[], Any] = APPLICATION_DEFAULT
    max_outage_s: float = MAX_OUTAGE_S

    @classmethod
    def parse(cls, text: str, services: Services, max_outage_s: float = MAX_OUTAGE_S) -> BigQueryTarget:
        """The table that a flag names.

        >>> BigQueryTarget.parse("acme-prod:people.candidates", Services()).id
        'acme-prod.people.candidates'
        >>> BigQueryTarget.parse("people.candidates", Services())
        Traceback (most recent call last):
        transforms.errors.UsageError: a BigQuery table is named PROJECT:DATASET.TABLE, such as acme-prod:people.candidates, got 'people.candidates'
        """  # noqa: E501  # the message is one line
        match = _TARGET.fullmatch(text.strip())
        if not match:
            raise UsageError(
                "a BigQuery table is named PROJECT:DATASET.TABLE, such as acme-prod:people.candidates, "
                f"got {text.strip()!r}"
            )
        where = services.bigquery_emulator, services.credentials
        return cls(match["project"], match["dataset"], match["table"], *where, max_outage_s)

    @property
    def url(self) -> str:
        """Of the service."""
        return self.emulator or "https://bigquery.googleapis.com"

    @property
    def name(self) -> str:
        """As flags name it."""
        return f"{self.project}:{self.dataset}.{self.table}"

    @property
    def id(self) -> str:
        """As the client library names it."""
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def latest(self) -> BigQueryTarget:
        """The view with one row per id."""
        return replace(self, table=f"{self.table}_latest")

    @property
    def breaker(self) -> CircuitBreaker:
        """Tells an outage from failed requests, for all of this process together."""
        return breaker_of(f"BigQuery ({', '.join(filter(None, (self.project, self.emulator)))})", self.max_outage_s)

    def client(self) -> BigQueryClient:
        """A new client.

        Raises:
          JobError: there are no credentials.
        """
        from transforms.bigquery.client import BigQueryClient  # the library takes as long as a command's help may

        options = {"api_endpoint": self.emulator} if self.emulator else None
        credentials = self.google_credentials()
        return BigQueryClient(self.breaker, project=self.project, credentials=credentials, client_options=options)

    def session(self) -> AuthorizedSession:
        """For requests that the client library has no call for, or a slow one. Credentials and errors as `client`."""
        from google.auth.transport.requests import AuthorizedSession

        return AuthorizedSession(self.google_credentials())

    def google_credentials(self) -> Any:
        """What google.auth calls credentials: an emulator's are nobody's. Raises as `client`."""
        from google.auth.credentials import AnonymousCredentials

        from transforms.bigquery.failures import credentials_of

        return AnonymousCredentials() if self.emulator else credentials_of(self.credentials)
