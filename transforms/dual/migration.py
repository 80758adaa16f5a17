"""The migration's document as DualStore reads and writes it: Firestore, on first use."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from transforms.firestore.target import FirestoreTarget
from transforms.migrate.phases import State


class LedgerMigration:
    """A migration in the ledger.

    Args:
      target: the database that keeps it.
      name: of the migration.
      pair: whose writes are saved: the name of the collection. Who only reads the phase needs none.
    """

    def __init__(self, target: FirestoreTarget, name: str, pair: str = ""):
        self._target, self._name, self._pair = target, name, pair

    def read(self, timeout_s: float) -> tuple[State, datetime.datetime]:
        """As `watch.Migration`."""
        from transforms.ledger.migrations import see
        from transforms.migrate.states import state_of

        seen = see(self._target.connect(), self._name, timeout_s)
        return state_of(seen.migration), seen.read_at

    def save(
        self, instance: str, phase: str, counts: Mapping[str, int], hours: Mapping[str, Mapping[str, int]]
    ) -> None:
        """As `watch.Migration`."""
        from transforms.ledger.migrations import migration_document, save_writer
        from transforms.retry import Retry

        document = migration_document(self._target.connect(), self._name, Retry(max_attempts=1))
        save_writer(document, instance, self._pair, phase, counts, hours)
