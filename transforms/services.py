"""How Google Cloud's services are reached: in which project, at which emulator, as whom. Plain Python.

    environment     GOOGLE_CLOUD_PROJECT, *_EMULATOR_HOST     ─┐
    Beam's options  --project, --impersonate_service_account,  ├─▶ Services ─▶ FirestoreTarget, BigQueryTarget, …
                    --gcp_oauth_scopes                        ─┘                │ pickled with the job
                                                                   worker ◀─────┘ credentials() ─▶ client

`Services` is plain data, resolved where a job is launched: workers have an environment of their own. Nothing is called
to make it or a target. Credentials are looked for by the first client of a process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

PROJECT_VARIABLE = "GOOGLE_CLOUD_PROJECT"
FIRESTORE_EMULATOR = "FIRESTORE_EMULATOR_HOST"
BIGQUERY_EMULATOR = "BIGQUERY_EMULATOR_HOST"
BIGQUERY_GRPC_EMULATOR = "BIGQUERY_EMULATOR_GRPC_HOST"
STORAGE_EMULATOR = "STORAGE_EMULATOR_HOST"  # the Cloud Storage library reads it by itself
PUBSUB_EMULATOR = "PUBSUB_EMULATOR_HOST"
EMULATOR_VARIABLES = (
    FIRESTORE_EMULATOR,
    BIGQUERY_EMULATOR,
    BIGQUERY_GRPC_EMULATOR,
    STORAGE_EMULATOR,
    PUBSUB_EMULATOR,
)

# It covers all of the services.
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"

SIGN_IN = "Sign in: gcloud auth application-default login, or give the job a service account."


@dataclass(frozen=True)
class Credentials:
    """The account that requests are made as. Picklable, and equal to another that finds the same account.

    Attributes:
      impersonate_service_account: as Beam's option: an account to act as, or a chain of accounts separated by commas,
        of which each may act as the next; None for the computer's own user or service account.
      scopes: OAuth scopes, as Beam's option gcp_oauth_scopes.
    """

    impersonate_service_account: str | None = None
    scopes: tuple[str, ...] = (CLOUD_PLATFORM,)

    def __call__(self) -> Any:
        """Looks for them; returns what google.auth calls credentials.

        Raises:
          DefaultCredentialsError: of google.auth; there are none.
        """
        import google.auth
        import google.auth.impersonated_credentials

        found, _ = google.auth.default(scopes=self.scopes)
        if not self.impersonate_service_account:
            return found
        *delegates, account = (each.strip() for each in self.impersonate_service_account.split(","))
        return google.auth.impersonated_credentials.Credentials(found, account, self.scopes, delegates)


APPLICATION_DEFAULT = Credentials()


@dataclass(frozen=True)
class Services:
    """All that targets are made from, beside their own names.

    Attributes:
      project: Google Cloud project of what does not name one.
      credentials: called once per client, in the worker, never for an emulator. Picklable.
      firestore_emulator, bigquery_grpc_emulator, pubsub_emulator: `host:port`; None for Google Cloud.
      bigquery_emulator: URL; None for Google Cloud.
    """

    project: str | None = None
    credentials: Callable[[], Any] = APPLICATION_DEFAULT
    firestore_emulator: str | None = None
    bigquery_emulator: str | None = None
    bigquery_grpc_emulator: str | None = None
    pubsub_emulator: str | None = None

    @classmethod
    def of(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        project: str | None = None,
        credentials: Callable[[], Any] = APPLICATION_DEFAULT,  # frozen
    ) -> Services:
        """As the environment says now.

        Args:
          project: instead of the environment's.

        >>> Services.of({"BIGQUERY_EMULATOR_HOST": "127.0.0.1:9050/"}, project="demo-x").bigquery_emulator
        'http://127.0.0.1:9050'
        """

        def address(variable: str) -> str:
            return environ.get(variable, "").strip().rstrip("/")

        def host(variable: str) -> str | None:
            return address(variable).rpartition("://")[2] or None

        bigquery = address(BIGQUERY_EMULATOR)
        return cls(
            project or environ.get(PROJECT_VARIABLE) or None,
            credentials,
            host(FIRESTORE_EMULATOR),
            (bigquery if "://" in bigquery else f"http://{bigquery}") if bigquery else None,
            host(BIGQUERY_GRPC_EMULATOR),
            host(PUBSUB_EMULATOR),
        )
