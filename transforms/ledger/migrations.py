"""The document of a migration, and those below it: which phase it is in, how its pairs and writers are. Plain Python.

    pipeline_migrations/{name}
        phase               the phase before the change, or for good
        change              null, or {to, announced_at, effective_at}: announced and not finished
        poll_interval_s, put_timeout_s      what applications, command and job all go by
        history             [{at, from, to, reason, forced}], the newest last
        created_at, updated_at
      pairs/{pair}          one per container and collection, written by the repairing job:
        container, collection
        heartbeat_at        while it runs; a job that was not heard of for a minute is dead
        direction           the primary that it follows
        lag_s               age of the oldest change of the primary that is not applied yet; 0 if there is none
        read_to             {cosmos, firestore}: up to when all changes of a store are applied to the other one; null
                            for a store that is not followed. `State.may_finish` wants that of the old primary
        pending             writes that one store alone holds
        dead_letters        retryable ones
        owner               {host, pid, since} of the repairing job; null once it has ended cleanly
        latency, counts, waits              for people: see follow/pairs.py
        verified_at, verified_equal         of the last full verify, which writes these two
        equal_at            when the last full verify began that found both stores equal
        scanned_at, items_scanned_at        of the last comparison of keys, of documents and of items
        scan_wanted_at                      since when one of documents is wanted, because deletes may have been missed
      writers/{instance}    one per instance of an application, written by DualStore:
        heartbeat_at, pair, phase           the pair that it writes, and the phase that it goes by
        counts              by name, since the instance began: absolute, so that a repeated save counts nothing twice
        hours               {"2026-01-01T12": {total, success}} of the last 25 hours, absolute as well

Applications read the first document only. It is written under a precondition; a change is announced by the command and
finished by whoever first sees that it may be: the repairing job, or the command.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import NoneType
from typing import Any, NamedTuple

from transforms.errors import JobError, Kind, TransientError, UsageError, classify
from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.committer import Conflicted
from transforms.firestore.documents import Document
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.firestore.values import timestamp
from transforms.ledger.document import KEPT, LedgerDocument
from transforms.ledger.migration_names import check_migration
from transforms.ledger.stored_fields import Types, misfit
from transforms.retry import Retry

MIGRATIONS, PAIRS, WRITERS = "pipeline_migrations", "pairs", "writers"
MAX_HISTORY = 200

_TIME = datetime.datetime
_FIELDS: Types = {
    "phase": (str,),
    "change": (dict, NoneType),
    "poll_interval_s": (int, float),
    "put_timeout_s": (int, float),
    "history": (list,),
}
_CHANGE: Types = {"to": (str,), "announced_at": (_TIME,), "effective_at": (_TIME,)}


@dataclass(frozen=True)
class SavedChange:
    """A change that is announced and not finished."""

    to: str
    announced_at: datetime.datetime
    effective_at: datetime.datetime


@dataclass(frozen=True)
class SavedMigration:
    """The first document.

    Attributes:
      update_time: its version; None if there is none yet.
    """

    phase: str
    change: SavedChange | None
    poll_interval_s: float
    put_timeout_s: float
    history: Sequence[Mapping[str, Any]] = ()
    update_time: datetime.datetime | None = None

    @classmethod
    def of(cls, document: Document) -> SavedMigration:
        """Raises UsageError if it is somebody else's."""
        fields = document.fields
        wrong = misfit(fields, _FIELDS)
        if not wrong and fields["change"] is not None:
            wrong = misfit(fields["change"], _CHANGE, "change.")
        if wrong:
            raise UsageError(f"{document.path} is not a migration of Firebeam: {wrong}; choose another name")
        change = None if fields["change"] is None else SavedChange(**{name: fields["change"][name] for name in _CHANGE})
        return cls(
            fields["phase"],
            change,
            float(fields["poll_interval_s"]),
            float(fields["put_timeout_s"]),
            fields["history"],
            document.update_time,
        )


class Seen(NamedTuple):
    """What an application reads: None if there is no migration yet; and when the server read it."""

    migration: SavedMigration | None
    read_at: datetime.datetime


def migration_document(client: FirestoreClient, name: str, retry: Retry | None = None) -> LedgerDocument:
    """Where a migration is kept. Raises UsageError for a name that is not one."""
    return LedgerDocument(client, f"{MIGRATIONS}/{check_migration(name)}", retry)


def see(client: FirestoreClient, name: str, timeout_s: float) -> Seen:
    """Reads a migration once, without retries: an application polls it.

    Raises:
      TransientError: Firestore does not answer.
      JobError: it refuses.
      UsageError: the document is somebody else's.
    """
    document_name = client.target.document_name(f"{MIGRATIONS}/{name}")
    try:
        (answer,) = client.batch_get([document_name], (), timeout_s)
    except RpcError as error:
        if classify(error.code, error.message) is Kind.TRANSIENT:
            raise TransientError(f"the phase of {name} could not be read: {error}") from None
        raise client.target.job_error(error) from None
    except ValueError:
        raise TransientError(f"the phase of {name} could not be read: the answer broke off") from None
    read_at = timestamp(answer.read_time.seconds, answer.read_time.nanos)
    return Seen(SavedMigration.of(Document(answer.found)) if answer.HasField("found") else None, read_at)


def read_migration(document: LedgerDocument) -> SavedMigration | None:
    """The migration; None if there is none. Raises UsageError if it is somebody else's."""
    found = document.read()
    return SavedMigration.of(found) if found else None


def save_migration(document: LedgerDocument, migration: SavedMigration, before: SavedMigration | None) -> None:
    """Writes the first document, if it is still as it was read.

    Raises:
      JobError: somebody else has written it meanwhile.
    """
    now = document.now()
    change = migration.change
    written = {
        "phase": migration.phase,
        "change": None
        if change is None
        else {"to": change.to, "announced_at": change.announced_at, "effective_at": change.effective_at},
        "poll_interval_s": migration.poll_interval_s,
        "put_timeout_s": migration.put_timeout_s,
        "history": [dict(each) for each in migration.history][-MAX_HISTORY:],
        "updated_at": now,
        **({} if before else {"created_at": now}),
    }
    at = before.update_time if before else None
    condition = messages.if_unchanged_since(at) if at else messages.IF_ABSENT
    if isinstance(document.write(written, condition, keeps_others=True), Conflicted):
        raise JobError(f"somebody else has changed {document.path} meanwhile; look at it and try again")


@dataclass(frozen=True)
class SavedPair:
    """How a pair of container and collection is; see the module's own description of the fields."""

    name: str
    container: str = ""
    collection: str = ""
    heartbeat_at: datetime.datetime | None = None
    direction: str = ""
    lag_s: float | None = None
    read_to: Mapping[str, datetime.datetime | None] = field(default_factory=dict)
    pending: int | None = None
    dead_letters: int | None = None
    verified_at: datetime.datetime | None = None
    verified_equal: bool | None = None
    equal_at: datetime.datetime | None = None
    owner: Mapping[str, Any] | None = None
    latency: Mapping[str, float | None] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    waits: str = ""


def pair_document(migration: LedgerDocument, pair: str) -> LedgerDocument:
    """Where a pair is kept: by the name of its collection."""
    return migration.below(PAIRS, pair)


def save_pair(migration: LedgerDocument, pair: str, written: Mapping[str, Any]) -> None:
    """Writes some fields of a pair; the others stay. For the repairing job, and for verify."""
    pair_document(migration, pair).write(written, keeps_others=True)


def read_pairs(migration: LedgerDocument) -> list[SavedPair]:
    """All pairs, by name; what is missing is None."""
    known = {each.name for each in fields(SavedPair)} - {"name"}
    return [
        SavedPair(found.id, **{name: value for name, value in found.fields.items() if name in known})
        for found in migration.documents(migration.query(PAIRS))
    ]


class Migrations(NamedTuple):
    """All of a ledger, by name, and the paths of documents beside them that are not migrations."""

    found: Mapping[str, SavedMigration]
    foreign: Sequence[str]


def read_migrations(client: FirestoreClient, retry: Retry | None = None) -> Migrations:
    """The migrations that a ledger has."""
    found, foreign = {}, []
    for document in read(client, Query(MIGRATIONS), retry=retry):
        try:
            found[document.id] = SavedMigration.of(document)
        except UsageError:
            foreign.append(document.path)
    return Migrations(found, foreign)


class Writes(NamedTuple):
    """Dual writes of all instances: how many, and how many of them both stores accepted."""

    total: int
    success: int

    @property
    def share(self) -> float | None:
        """Of successes; None without writes."""
        return self.success / self.total if self.total else None


def save_writer(
    migration: LedgerDocument,
    instance: str,
    pair: str,
    phase: str,
    counts: Mapping[str, int],
    hours: Mapping[str, Mapping[str, int]],
) -> None:
    """Writes what an instance has counted since it began."""
    now = migration.now()
    written = {
        "heartbeat_at": now,
        "pair": pair,
        "phase": phase,
        "counts": dict(counts),
        "hours": {hour: dict(each) for hour, each in hours.items()},
        "expire_at": now + KEPT,
    }
    migration.below(WRITERS, instance).write(written)


def writes_since(migration: LedgerDocument, since: datetime.datetime) -> dict[str, Writes]:
    """Dual writes from the hour of a time on, by pair."""
    first = hour_of(since)
    found: dict[str, Writes] = {}
    for writer in migration.documents(migration.query(WRITERS).where("heartbeat_at", ">=", since)):
        pair = str(writer.fields.get("pair", ""))
        for hour, each in writer.fields.get("hours", {}).items():
            if hour >= first:
                before = found.get(pair, Writes(0, 0))
                found[pair] = Writes(before.total + each.get("total", 0), before.success + each.get("success", 0))
    return found


def hour_of(time: datetime.datetime) -> str:
    """
    >>> hour_of(datetime.datetime(2026, 1, 1, 12, 59, tzinfo=datetime.timezone.utc))
    '2026-01-01T12'
    """
    return time.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H")
