"""What `firebeam doctor` asks Firestore; each question returns what it found, or raises how to fix it.

`use_database` writes, reads back and deletes one document of `pipeline_doctor/`, a collection that nothing else uses,
so that whoever listens to other collections sees nothing of it. No request is retried.

    open_database(FirestoreTarget("my-project"), timeout_s=3)      JobError: … gcloud firestore databases create …
"""

from __future__ import annotations

import secrets
from typing import Any

from transforms.errors import FirebeamError, JobError, TransientError
from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.committer import AtomicGroup, CommitLimits, Committer, Refused
from transforms.firestore.fetch import fetch_all
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import decode_fields, serialised_fields
from transforms.retry import Retry

PROBE_COLLECTION = "pipeline_doctor"

_ONCE = Retry(max_attempts=1)
_PROBE = {"purpose": "written by firebeam doctor, which deletes it again"}


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


def _read(target: FirestoreTarget, name: str, timeout_s: float) -> list[dict[str, Any]]:
    client = target.connect()
    answers = fetch_all(client, lambda: client.batch_get([name], (), timeout_s), _ONCE)
    return [decode_fields(answer.found.fields) for answer in answers if answer.HasField("found")]


def _commit(target: FirestoreTarget, write: bytes, timeout_s: float) -> None:
    committer = Committer(target.connect(), CommitLimits(timeout_s=timeout_s), _ONCE)
    (outcome,) = committer.commit([AtomicGroup((write,))]).outcomes
    if isinstance(outcome, Refused):
        raise target.job_error(RpcError(outcome.code, outcome.message))
