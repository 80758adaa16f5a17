"""The flags that say which services are used, and as whom.

DatabaseFlags     every job: its account is an option of Beam's
  AccountFlags    every command that reaches a service
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.locations import firestore_target
from pipeline.run.flags import option
from transforms.firestore.names import DATABASE_ID, DEFAULT_DATABASE
from transforms.firestore.target import BATCH_HOST, ENDPOINT, HOST, FirestoreTarget
from transforms.services import Credentials, Services


@dataclass(frozen=True, kw_only=True)
class DatabaseFlags:
    """Which database."""

    project: str | None = option(
        None,
        group="Firestore",
        metavar="PROJECT",
        help="Google Cloud project; default: GOOGLE_CLOUD_PROJECT",
        in_templates=False,  # the service passes the one it runs the job in
    )
    database: str = option(
        DEFAULT_DATABASE,
        group="Firestore",
        metavar="DATABASE",
        help="Firestore database",
        pattern=DATABASE_ID,
    )

    firestore_endpoint: str | None = option(
        None,
        group="Firestore",
        metavar="HOST",
        help=f"address for all requests, such as nam5-{HOST}; default: {HOST}, and {BATCH_HOST} for bulk reads",
        pattern=ENDPOINT,
    )

    def firestore(self, services: Services) -> FirestoreTarget:
        """The database. Raises UsageError if it is not named well."""
        return replace(firestore_target(self.project, self.database, services), endpoint=self.firestore_endpoint)


@dataclass(frozen=True, kw_only=True)
class AccountFlags(DatabaseFlags):
    """Which database, and as whom services are reached."""

    impersonate_service_account: str | None = option(
        None,
        group="Account",
        metavar="EMAIL",
        help="service account to act as, as the job does; a chain is separated by commas; default: your own account",
    )

    def services(self, environ: Mapping[str, str] = os.environ) -> Services:
        """As flags and environment say."""
        return Services.of(environ, credentials=Credentials(self.impersonate_service_account))
