"""Which Firestore database a job means, and how its workers reach it. Plain data: building a target calls nothing.

FirestoreTarget  ── pickled with the job ──▶  worker  ──connect()──▶  FirestoreClient, one channel per process
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transforms.errors import JobError, UsageError
from transforms.firestore.names import DATABASE_ID, DEFAULT_DATABASE
from transforms.services import APPLICATION_DEFAULT, SIGN_IN, Services

if TYPE_CHECKING:
    from transforms.firestore.client import FirestoreClient, RpcError

HOST = "firestore.googleapis.com"
# For work in bulk, apart from what users wait for. Beam's Java connector sends its six RPCs there, among them the four
# that Firebeam has in common with it: RunQuery, PartitionQuery, BatchGetDocuments, BatchWrite. For Commit and
# RunAggregationQuery no public source names another host than HOST.
# https://github.com/apache/beam/blob/v2.77.0/sdks/java/io/google-cloud-platform/src/main/java/org/apache/beam/sdk/io/gcp/firestore/FirestoreStatefulComponentFactory.java
BATCH_HOST = "batch-firestore.googleapis.com"
_PORT = 443
ENDPOINT = r"[A-Za-z0-9.-]+(:\d{1,5})?"
MAX_REQUEST_BYTES = 10 * 1024 * 1024  # "Quotas and limits" in the Firestore documentation
MAX_EMULATOR_REQUEST_BYTES = 4 * 1024 * 1024  # gRPC Java's default for a received message
_DATABASE_ID = re.compile(DATABASE_ID)


@dataclass(frozen=True)
class FirestoreTarget:
    """Where a job's documents live.

    Attributes:
      project: Google Cloud project id.
      database: database id.
      emulator_host: `host:port` of an emulator; captured when the job is launched, because workers have an environment
        of their own.
      endpoint: `host` or `host:port` of all requests, such as a regional or private endpoint; None for HOST, and
        BATCH_HOST for what is known to be served there.
      credentials: called once per process, in the worker, never for an emulator; returns what google.auth calls
        credentials. Picklable, and equal to another that returns the same, because clients are shared by target.
      max_outage_s: how long the database may not answer any request of a process before the job stops, in seconds.
    """

    project: str
    database: str = DEFAULT_DATABASE
    emulator_host: str | None = None
    endpoint: str | None = None
    credentials: Callable[[], Any] = APPLICATION_DEFAULT
    max_outage_s: float = 300.0

    def __post_init__(self) -> None:
        if not self.project:
            raise UsageError("no Google Cloud project is given; pass --project=PROJECT")
        if not _DATABASE_ID.fullmatch(self.database):
            raise UsageError(
                f"database must be (default) or 4 to 63 lower-case letters, digits and hyphens, got {self.database!r}"
            )

        if self.endpoint is not None and not re.fullmatch(ENDPOINT, self.endpoint):
            raise UsageError(f"a Firestore endpoint must be HOST or HOST:PORT, such as {HOST}, got {self.endpoint!r}")

    @classmethod
    def of(cls, services: Services, project: str | None = None, database: str = DEFAULT_DATABASE) -> FirestoreTarget:
        """The database of that id.

        Args:
          project: instead of the services' own.

        Raises:
          UsageError: no project is named anywhere.
        """
        return cls(
            project or services.project or "",
            database,
            services.firestore_emulator,
            credentials=services.credentials,
        )

    @property
    def name(self) -> str:
        """The database's resource name: projects/P/databases/D."""
        return f"projects/{self.project}/databases/{self.database}"

    @property
    def address(self) -> str:
        """Where requests go that somebody may wait for, or that no other host is known to serve."""
        return self._address(HOST)

    @property
    def batch_address(self) -> str:
        """Where requests in bulk go."""
        return self._address(BATCH_HOST)

    def document_name(self, path: str) -> str:
        """The resource name of the document at `path`, such as `users/ada`."""
        return f"{self.name}/documents/{path}"

    @property
    def max_request_bytes(self) -> int:
        """The largest request the service accepts."""
        return MAX_EMULATOR_REQUEST_BYTES if self.emulator_host else MAX_REQUEST_BYTES

    def job_error(self, error: RpcError) -> JobError:
        """The error that stops a job, with what to do about it."""
        return JobError(f"Firestore refused {self.name} with {error}. {self._advice(error.code)}")

    def connect(self) -> FirestoreClient:
        """The client of this process for this target; the same one for every caller. Calls nothing yet."""
        from transforms.firestore.client import (
            client_of,  # gRPC and the service's messages: help must not wait for them
        )

        return client_of(self)

    def _address(self, host: str) -> str:
        if self.emulator_host:
            return self.emulator_host
        host = self.endpoint or host
        return host if ":" in host else f"{host}:{_PORT}"

    def _advice(self, code: str) -> str:
        if code == "UNAUTHENTICATED":
            return SIGN_IN
        if code == "PERMISSION_DENIED":
            of_region = f" {self.endpoint} may serve other locations only." if self.endpoint else ""
            return (
                f"Grant the job's account roles/datastore.user on project {self.project}, and enable the Firestore API."
                f"{of_region}"
            )
        if code == "NOT_FOUND":
            return (
                "Check --project and --database, or create it: "
                f"gcloud firestore databases create --project={self.project} --database='{self.database}' --location=…"
            )
        return "Check --project, --database and that the database is in Firestore Native mode."
