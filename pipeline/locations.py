"""Where a run reads and writes, as flags say it."""

from __future__ import annotations

import re

from transforms.errors import UsageError
from transforms.firestore.target import FirestoreTarget
from transforms.services import PROJECT_VARIABLE, Services

# With the domain that older organisations' projects have: example.com:my-project.
_PROJECT_ID = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{2,61}[a-z0-9]")


def firestore_target(project: str | None, database: str, services: Services) -> FirestoreTarget:
    """The database of `--project` and `--database`; without the flag, the project of the services.

    Raises:
      UsageError: no project is named.
    """
    project = project or services.project
    if not project:
        raise UsageError(f"no Google Cloud project is named; pass --project=PROJECT or set {PROJECT_VARIABLE}")
    if not _PROJECT_ID.fullmatch(project):
        raise UsageError(
            f"project must be a project id: lower-case letters, digits and hyphens, such as my-project, got {project!r}"
        )
    return FirestoreTarget.of(services, project, database)
