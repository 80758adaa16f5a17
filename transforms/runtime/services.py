"""Where a pipeline's services are and as whom to reach them, as Beam's own options say it."""

import os
from collections.abc import Mapping

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from transforms.services import CLOUD_PLATFORM, Credentials, Services


def services_of(options: PipelineOptions, environ: Mapping[str, str] = os.environ) -> Services:
    """The services of a pipeline; its --project wins over the environment's.

    The account is that of Beam's own connectors: --impersonate_service_account and --gcp_oauth_scopes apply.
    """
    google = options.view_as(GoogleCloudOptions)
    credentials = Credentials(google.impersonate_service_account, tuple(google.gcp_oauth_scopes or (CLOUD_PLATFORM,)))
    return Services.of(environ, project=google.project, credentials=credentials)
