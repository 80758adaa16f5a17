"""Where a pipeline's Firestore is and as whom to reach it, as Beam's own options say it.

    pipeline options: --project, --impersonate_service_account, --gcp_oauth_scopes ──▶ FirestoreTarget ──▶ workers
    environment:      GOOGLE_CLOUD_PROJECT, FIRESTORE_EMULATOR_HOST                ──┘

Nothing is called while the pipeline is built: credentials are asked for in the worker, by the first client there.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apache_beam.internal.gcp.auth import get_service_credentials
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from transforms.errors import JobError
from transforms.firestore.client import SIGN_IN, FirestoreTarget
from transforms.firestore.names import DEFAULT_DATABASE


@dataclass(frozen=True)
class BeamCredentials:
    """The credentials that Beam's own Google Cloud connectors use; `FirestoreTarget.credentials`.

    Attributes:
      impersonate_service_account: as Beam's option: an account, or a chain of accounts separated by commas.
      scopes: as Beam's option gcp_oauth_scopes.
    """

    impersonate_service_account: str | None = None
    scopes: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: PipelineOptions) -> "BeamCredentials":
        """As the options of a pipeline say."""
        google = options.view_as(GoogleCloudOptions)
        return cls(google.impersonate_service_account, tuple(google.gcp_oauth_scopes or ()))

    def __call__(self) -> Any:
        """Beam keeps one for the process. Raises JobError if there are none."""
        options = PipelineOptions([])
        google = options.view_as(GoogleCloudOptions)
        google.impersonate_service_account = self.impersonate_service_account
        if self.scopes:
            google.gcp_oauth_scopes = list(self.scopes)
        credentials = get_service_credentials(options)
        if credentials is None:
            raise JobError(f"Beam found no Google Cloud credentials. {SIGN_IN}")
        return credentials.get_google_auth_credentials()


def target_of(
    options: PipelineOptions,
    project: str | None = None,
    database: str = DEFAULT_DATABASE,
    environ: Mapping[str, str] = os.environ,
) -> FirestoreTarget:
    """The database of a pipeline.

    Args:
      options: of the pipeline.
      project: Google Cloud project; the pipeline's own, then GOOGLE_CLOUD_PROJECT, when absent.
      database: database id.
      environ: environment variables; FIRESTORE_EMULATOR_HOST is captured here, because workers have others.

    Raises:
      UsageError: no project is named anywhere.
    """
    project = project or options.view_as(GoogleCloudOptions).project or environ.get("GOOGLE_CLOUD_PROJECT") or ""
    emulator_host = environ.get("FIRESTORE_EMULATOR_HOST") or None
    return FirestoreTarget(project, database, emulator_host, credentials=BeamCredentials.of(options))
