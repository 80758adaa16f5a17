"""Pairs of migrations that are or were followed, as the ledger has them, for every command that shows some."""

from __future__ import annotations

from pipeline.present.followed import ShownFollow
from transforms.errors import UsageError
from transforms.firestore.client import FirestoreClient
from transforms.ledger.migrations import migration_document, read_migration, read_migrations, read_pairs
from transforms.migrate.states import state_of
from transforms.retry import Retry


def followed_pairs(client: FirestoreClient, retry: Retry) -> tuple[list[ShownFollow], list[str]]:
    """All pairs that a process follows or has followed, and the paths of documents that are not migrations."""
    migrations = read_migrations(client, retry)
    found = []
    for name, saved in sorted(migrations.found.items()):
        document = migration_document(client, name, retry)
        pairs = [pair for pair in read_pairs(document) if pair.heartbeat_at is not None]
        found += [ShownFollow(name, state_of(saved), pair, document.now()) for pair in pairs]
    return found, list(migrations.foreign)


def followed_pair(client: FirestoreClient, shown_id: str, retry: Retry) -> ShownFollow:
    """One pair, by what `ShownFollow.id` calls it.

    Raises:
      UsageError: nobody has followed such a pair.
    """
    migration, _, name = shown_id.partition("/")
    document = migration_document(client, migration, retry)
    saved = read_migration(document)
    for pair in read_pairs(document):
        if pair.name == name and pair.heartbeat_at is not None:
            return ShownFollow(migration, state_of(saved), pair, document.now())
    raise UsageError(
        f"nobody has followed {name} of a migration {migration} in {client.target.name}; `firebeam status` without an "
        "id lists what is followed"
    )
