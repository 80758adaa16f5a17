"""How an application opens its DualStore: of a spec, a container and a migration, by the environment.

    GOOGLE_CLOUD_PROJECT, FIRESTORE_EMULATOR_HOST     Firestore; without a project only Cosmos DB is written
    COSMOS_ENDPOINT, COSMOS_KEY or Entra ID           Cosmos DB, see transforms/cosmos/target.py
    FIREBEAM_PHASE                                    wins over the migration's phase, even if Firestore is ill

Nothing connects, and no client is imported, before it is first used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from transforms.cosmos.target import COSMOS as SCHEME
from transforms.cosmos.target import CosmosTarget
from transforms.dual.async_store import AsyncDualStore, AsyncStore
from transforms.dual.core import Phases, Settings, core_of
from transforms.dual.counting import Counts
from transforms.dual.first_use import AsyncOnFirstUse, OnFirstUse
from transforms.dual.kinds import Kind
from transforms.dual.migration import LedgerMigration
from transforms.dual.stamps import Stamper
from transforms.dual.store import DualStore, Store
from transforms.dual.stored import FIRESTORE
from transforms.dual.watch import FixedPhase, PhaseWatch
from transforms.errors import UsageError
from transforms.firestore.names import DEFAULT_DATABASE
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.migration_names import check_migration
from transforms.migrate.documents import REFUSE
from transforms.migrate.phases import COSMOS_ONLY, PHASE_VARIABLE, phase_of
from transforms.records.model import RecordSpec
from transforms.services import Services


def open_dual_store(
    spec: RecordSpec,
    container: str,
    partition_key: str | tuple[str, ...],
    migration: str,
    *,
    project: str | None = None,
    database: str = DEFAULT_DATABASE,
    nested_arrays: str = REFUSE,
    settings: Settings | None = None,
    environ: Mapping[str, str] = os.environ,
) -> DualStore:
    """A `DualStore` by the environment.

    Args:
      spec: of the records, with `collection:`.
      container: cosmos://DATABASE/CONTAINER.
      partition_key: of the container: `/student_id`, or several paths of a hierarchy.
      migration: its name; its document says which phase holds.
      project, database: of Firestore; default: the environment's project.
      nested_arrays: `refuse` or `wrap`, as the migration has it.

    Raises:
      UsageError: the environment lacks something, or an argument is wrong.
    """
    of = _Opening(spec, container, partition_key, migration, project, database, nested_arrays, settings, environ)
    firestore = None if of.firestore is None else OnFirstUse(of.firestore_store)
    return DualStore(of.kind, of.core.phases, cosmos=OnFirstUse(of.cosmos_store), firestore=firestore, core=of.core)


def open_async_dual_store(
    spec: RecordSpec,
    container: str,
    partition_key: str | tuple[str, ...],
    migration: str,
    *,
    project: str | None = None,
    database: str = DEFAULT_DATABASE,
    nested_arrays: str = REFUSE,
    settings: Settings | None = None,
    environ: Mapping[str, str] = os.environ,
) -> AsyncDualStore:
    """As `open_dual_store`, for one event loop."""
    of = _Opening(spec, container, partition_key, migration, project, database, nested_arrays, settings, environ)
    cosmos = AsyncOnFirstUse(of.async_cosmos_store)
    firestore = None if of.firestore is None else AsyncOnFirstUse(of.async_firestore_store)
    return AsyncDualStore(of.kind, of.core.phases, cosmos=cosmos, firestore=firestore, core=of.core)


@dataclass
class _Opening:
    """What both kinds of DualStore are made of."""

    spec: RecordSpec
    container: str
    partition_key: str | tuple[str, ...]
    migration: str
    project: str | None
    database: str
    nested_arrays: str
    settings: Settings | None
    environ: Mapping[str, str]

    def __post_init__(self) -> None:
        self.kind = Kind.of(self.spec, self.partition_key)
        check_migration(self.migration)
        if not self.container.startswith(SCHEME):
            raise UsageError(f"container must be {SCHEME}DATABASE/CONTAINER, got {self.container!r}")
        self.cosmos = CosmosTarget.of(self.container, "container", self.environ)
        services = Services.of(self.environ)
        project = self.project or services.project
        self.firestore = FirestoreTarget.of(services, project, self.database) if project else None
        stamper, counts = Stamper(), Counts()
        phases = self._phases(stamper, counts)
        self.core = core_of(self.kind, phases, self.settings, stamper=stamper, counts=counts)

    def _phases(self, stamper: Stamper, counts: Counts) -> Phases:
        forced = self.environ.get(PHASE_VARIABLE, "").strip() or None
        if self.firestore is not None:
            migration = LedgerMigration(self.firestore, self.migration, self.kind.collection)
            return PhaseWatch(migration, stamper, counts, forced)
        if forced is not None and FIRESTORE in phase_of(forced).writes:
            raise UsageError(f"{PHASE_VARIABLE}={forced} writes Firestore; set GOOGLE_CLOUD_PROJECT or pass project")
        return FixedPhase(COSMOS_ONLY)

    # Clients are imported when a store is made.

    def cosmos_store(self) -> Store:
        from transforms.dual.cosmos_store import CosmosStore

        return CosmosStore(self.cosmos)

    def async_cosmos_store(self) -> AsyncStore:
        from transforms.dual.async_cosmos_store import AsyncCosmosStore

        return AsyncCosmosStore(self.cosmos)

    def firestore_store(self) -> Store:
        from transforms.dual.firestore_store import FirestoreStore

        return FirestoreStore(self._firestore(), self.kind, self.nested_arrays)

    def async_firestore_store(self) -> AsyncStore:
        from transforms.dual.firestore_store import AsyncFirestoreStore

        return AsyncFirestoreStore(self._firestore(), self.kind, self.nested_arrays)

    def _firestore(self) -> FirestoreTarget:
        assert self.firestore is not None, "made only where there is a project"
        return self.firestore
