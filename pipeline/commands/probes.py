"""The questions `firebeam doctor` puts to the services: each returns what it found, or raises how to fix it.

`use_database` writes, reads back and deletes one document of `pipeline_doctor/`, a collection that nothing else uses,
so that whoever listens to other collections sees nothing of it. `use_table` makes and deletes an empty table
`firebeam_doctor_…` where the table asked about does not exist yet. No request is repeated.

    open_database(FirestoreTarget("my-project"), timeout_s=3)      JobError: … gcloud firestore databases create …
"""

from __future__ import annotations

import datetime
import secrets
import socket
import urllib.parse
from dataclasses import replace
from typing import Any

import google.auth.transport.requests
from google.api_core.exceptions import NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from transforms.bigquery.failures import ask
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import FirebeamError, JobError, TransientError
from transforms.files import is_local
from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.committer import AtomicGroup, CommitLimits, Committer, Refused
from transforms.firestore.fetch import fetch_all
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import decode_fields, serialised_fields
from transforms.retry import Retry
from transforms.services import Credentials

PROBE_COLLECTION = "pipeline_doctor"
PROBE_TABLE_PREFIX = "firebeam_doctor_"
SIGN_IN = "Sign in: gcloud auth application-default login, or name a key file in GOOGLE_APPLICATION_CREDENTIALS"

_LET_IMPERSONATE = "to act as {}, your account needs roles/iam.serviceAccountTokenCreator on it"
_ONCE = Retry(max_attempts=1)
_PROBE = {"purpose": "written by firebeam doctor, which deletes it again"}
_PROBE_TABLE_LIFETIME = datetime.timedelta(hours=1)
# What a job does with a table that exists: looks at it, adds columns, inserts rows.
_TABLE_PERMISSIONS = ("bigquery.tables.get", "bigquery.tables.update", "bigquery.tables.updateData")


def reach(variable: str, address: str, timeout_s: float) -> str:
    """Opens a connection to the emulator that an environment variable names, and closes it."""
    try:
        url = urllib.parse.urlsplit(address if "://" in address else f"//{address}")
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise JobError(f"{variable} must be HOST:PORT, got {address!r}")
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise JobError(f"nothing answers at {address} ({reason}): start the emulator, or unset {variable}") from error
    return f"{address} answers"


def find_account(impersonated: str | None = None) -> str:
    """Finds the credentials of the account to impersonate, or one's own, and a valid token for them."""
    try:
        credentials = Credentials(impersonated)()
        if not credentials.valid:
            credentials.refresh(google.auth.transport.requests.Request())
    except GoogleAuthError as error:
        # Not the whole of it: what follows the first argument is the server's answer as it came.
        advice = f"{SIGN_IN}; {_LET_IMPERSONATE.format(impersonated)}" if impersonated else SIGN_IN
        raise JobError(f"{str(error.args[0]).rstrip('.')}. {advice}") from error
    email = getattr(credentials, "service_account_email", None)
    return f"service account {email}" if email else "an account signed in with gcloud"


def open_database(target: FirestoreTarget, timeout_s: float) -> str:
    """Asks the database for a document that does not exist: needs a database in Native mode and the right to read."""
    _read(target, target.document_name(f"{PROBE_COLLECTION}/missing"), timeout_s)
    return target.name


def use_database(target: FirestoreTarget, timeout_s: float) -> str:
    """Writes a document, reads it back and deletes it."""
    path = f"{PROBE_COLLECTION}/probe-{secrets.token_hex(8)}"
    name = target.document_name(path)
    by_hand = f"delete {path} by hand, should it be there"
    try:
        _commit(target, messages.update(messages.document(name, serialised_fields(_PROBE))), timeout_s)
    except TransientError as error:
        raise TransientError(f"{error}; {by_hand}") from error
    try:
        found = _read(target, name, timeout_s)
    finally:
        try:
            _commit(target, messages.Write(delete=name).SerializeToString(), timeout_s)
        except FirebeamError as error:
            raise JobError(f"{error} The probe could not be deleted: {by_hand}") from error
    if found != [_PROBE]:
        raise JobError(f"{path} did not hold what had just been written to it: does another program delete documents?")
    return f"{path} written, read and deleted"


def open_dataset(target: BigQueryTarget, timeout_s: float) -> str:
    """Looks the dataset up."""
    client, dataset = target.client(), bigquery.DatasetReference(target.project, target.dataset)
    name = f"BigQuery dataset {target.project}:{target.dataset}"
    rpc: dict[str, Any] = {"retry": None, "timeout": timeout_s}
    found = ask(lambda: client.get_dataset(dataset, **rpc), name, _ONCE)
    return f"{target.project}:{target.dataset} in {found.location}"


def use_table(target: BigQueryTarget, timeout_s: float) -> str:
    """Asks what this account may do with the table; where there is none yet, makes another one and deletes it."""
    client = target.client()
    rpc: dict[str, Any] = {"retry": None, "timeout": timeout_s}

    def try_out() -> str:
        try:
            client.get_table(target.id, **rpc)
        except NotFound:
            probe = bigquery.Table(replace(target, table=PROBE_TABLE_PREFIX + secrets.token_hex(8)).id)
            probe.expires = datetime.datetime.now(datetime.timezone.utc) + _PROBE_TABLE_LIFETIME
            client.create_table(probe, **rpc)
            client.delete_table(probe, **rpc)
            return f"{target.id} does not exist yet; the job may make it"
        granted = client.test_iam_permissions(target.id, _TABLE_PERMISSIONS, **rpc).get("permissions", [])
        lacking = [permission for permission in _TABLE_PERMISSIONS if permission not in granted]
        if lacking and not target.emulator:  # emulators know no permissions
            raise JobError(
                f"this account lacks {', '.join(lacking)} on {target.id}: grant it roles/bigquery.dataEditor there"
            )
        return f"{target.id} exists and takes rows"

    return ask(try_out, f"BigQuery table {target.id}", _ONCE)


def use_folder(folder: str, account: str | None = None) -> str:
    """Writes an empty file there and deletes it, as an account to impersonate or one's own."""
    from transforms.dead_letters.folder import DeadLetterFolder

    if not is_local(folder):  # Beam takes seconds to import
        from apache_beam.io.filesystems import FileSystems
        from apache_beam.options.pipeline_options import PipelineOptions

        FileSystems.set_options(PipelineOptions([f"--impersonate_service_account={account}"] if account else []))
    DeadLetterFolder(folder).check_writable()
    return f"{folder} can be written"


def _read(target: FirestoreTarget, name: str, timeout_s: float) -> list[dict[str, Any]]:
    client = target.connect()
    answers = fetch_all(client, lambda: client.batch_get([name], (), timeout_s), _ONCE)
    return [decode_fields(answer.found.fields) for answer in answers if answer.HasField("found")]


def _commit(target: FirestoreTarget, write: bytes, timeout_s: float) -> None:
    committer = Committer(target.connect(), CommitLimits(timeout_s=timeout_s), _ONCE)
    (outcome,) = committer.commit([AtomicGroup((write,))]).outcomes
    if isinstance(outcome, Refused):
        raise target.job_error(RpcError(outcome.code, outcome.message))
