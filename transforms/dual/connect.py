"""How an application opens its DualStore: of a spec, a container and a migration, by the environment.

    GOOGLE_CLOUD_PROJECT, FIRESTORE_EMULATOR_HOST     Firestore; without a project only Cosmos DB is written
    COSMOS_ENDPOINT, COSMOS_KEY or Entra ID           Cosmos DB, see transforms/cosmos/target.py
    FIREBEAM_PHASE                                    wins over the migration's phase, even if Firestore is ill

Nothing connects, and no client is imported, before it is first used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from transforms.cosmos.target import COSMOS as SCHEME
from transforms.cosmos.target import CosmosTarget
from transforms.dual.async_store import AsyncDualStore, AsyncStore
from transforms.dual.core import Core, Phases, Settings, core_of
from transforms.dual.finding import Search
from transforms.dual.kinds import Key, Kind
from transforms.dual.migration import LedgerMigration
from transforms.dual.store import DualStore, Store
from transforms.dual.stored import FIRESTORE, Answer, Content, Request
from transforms.dual.watch import FixedPhase, PhaseWatch
from transforms.errors import UsageError
from transforms.firestore.names import DEFAULT_DATABASE
from transforms.firestore.target import FirestoreTarget
from transforms.migrate.documents import REFUSE
from transforms.migrate.phases import COSMOS_ONLY, PHASE_VARIABLE, phase_of
from transforms.records.model import RecordSpec
from transforms.services import Services

S = TypeVar("S")


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
    of = _Opening(spec, container, partition_key, migration, project, database, settings, environ)
    target, firestore = of.cosmos, of.firestore

    def cosmos_store() -> Store:
        from transforms.dual.cosmos_store import CosmosStore

        return CosmosStore(target)

    def firestore_store() -> Store:
        from transforms.dual.firestore_store import FirestoreStore

        assert firestore is not None, "made only where there is a project"
        return FirestoreStore(firestore, of.kind, nested_arrays)

    other = None if firestore is None else _OnFirstUse(firestore_store)
    return DualStore(of.kind, of.core.phases, cosmos=_OnFirstUse(cosmos_store), firestore=other, core=of.core)


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
    of = _Opening(spec, container, partition_key, migration, project, database, settings, environ)
    target, firestore = of.cosmos, of.firestore

    def cosmos_store() -> AsyncStore:
        from transforms.dual.async_cosmos_store import AsyncCosmosStore

        return AsyncCosmosStore(target)

    def firestore_store() -> AsyncStore:
        from transforms.dual.firestore_store import AsyncFirestoreStore

        assert firestore is not None, "made only where there is a project"
        return AsyncFirestoreStore(firestore, of.kind, nested_arrays)

    other = None if firestore is None else _AsyncOnFirstUse(firestore_store)
    return AsyncDualStore(of.kind, of.core.phases, cosmos=_AsyncOnFirstUse(cosmos_store), firestore=other, core=of.core)


@dataclass
class _Opening:
    """What both kinds of DualStore are made of."""

    spec: RecordSpec
    container: str
    partition_key: str | tuple[str, ...]
    migration: str
    project: str | None
    database: str
    settings: Settings | None
    environ: Mapping[str, str]

    def __post_init__(self) -> None:
        self.kind = Kind.of(self.spec, self.partition_key)
        if not self.container.startswith(SCHEME):
            raise UsageError(f"container must be {SCHEME}DATABASE/CONTAINER, got {self.container!r}")
        self.cosmos = CosmosTarget.of(self.container, "container", self.environ)
        services = Services.of(self.environ)
        project = self.project or services.project
        self.firestore = FirestoreTarget.of(services, project, self.database) if project else None
        self.core: Core = core_of(self.kind, FixedPhase(COSMOS_ONLY), self.settings)
        self.core.phases = self._phases(self.core)

    def _phases(self, core: Core) -> Phases:
        forced = self.environ.get(PHASE_VARIABLE, "").strip() or None
        if self.firestore is not None:
            migration = LedgerMigration(self.firestore, self.migration, self.kind.collection)
            return PhaseWatch(migration, core.stamper, core.counts, forced)
        if forced is not None and FIRESTORE in phase_of(forced).writes:
            raise UsageError(f"{PHASE_VARIABLE}={forced} writes Firestore; set GOOGLE_CLOUD_PROJECT or pass project")
        return FixedPhase(COSMOS_ONLY)


class _Made(Generic[S]):
    """A store that is made, and whose client is imported, when it is first asked."""

    def __init__(self, make: Callable[[], S]):
        self._make = make
        self._made: S | None = None

    def store(self) -> S:
        if self._made is None:
            self._made = self._make()
        return self._made


class _OnFirstUse(_Made[Store]):
    def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        return self.store().answer(key, request, timeout_s)

    def query(self, search: Search, timeout_s: float) -> list[Content]:
        return self.store().query(search, timeout_s)


class _AsyncOnFirstUse(_Made[AsyncStore]):
    async def answer(self, key: Key, request: Request, timeout_s: float) -> Answer:
        return await self.store().answer(key, request, timeout_s)

    async def query(self, search: Search, timeout_s: float) -> list[Content]:
        return await self.store().query(search, timeout_s)

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()
