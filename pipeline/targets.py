"""Where a run writes to, as flags and environment say it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from transforms.errors import UsageError
from transforms.firestore.client import FirestoreTarget

# With the domain that older organisations' projects have: example.com:my-project.
_PROJECT_ID = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{2,61}[a-z0-9]")

EMULATOR_VARIABLES = (
    "FIRESTORE_EMULATOR_HOST",
    "BIGQUERY_EMULATOR_HOST",
    "BIGQUERY_EMULATOR_GRPC_HOST",
    "STORAGE_EMULATOR_HOST",
)


def firestore_target(project: str | None, database: str, environ: Mapping[str, str] = os.environ) -> FirestoreTarget:
    """The database of `--project` and `--database`; honours GOOGLE_CLOUD_PROJECT and FIRESTORE_EMULATOR_HOST.

    Raises:
      UsageError: no project is named.
    """
    project = project or environ.get("GOOGLE_CLOUD_PROJECT")
    if not project:
        raise UsageError("no Google Cloud project is named; pass --project=PROJECT or set GOOGLE_CLOUD_PROJECT")
    if not _PROJECT_ID.fullmatch(project):
        raise UsageError(
            f"project must be a project id: lower-case letters, digits and hyphens, such as my-project, got {project!r}"
        )
    return FirestoreTarget(project, database, environ.get("FIRESTORE_EMULATOR_HOST") or None)
