"""Stores in memory whose changes are followed, and an application that writes them, for tests of the loop."""

from __future__ import annotations

import datetime
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pipeline.specs import read_spec
from transforms.dual.core import Settings as DualSettings
from transforms.dual.core import WriteFailedError, core_of
from transforms.dual.kinds import Kind
from transforms.dual.memory import MemoryMigration, MemoryStore
from transforms.dual.store import DualStore
from transforms.dual.stored import COSMOS, FIRESTORE, STORES
from transforms.dual.watch import PhaseWatch
from transforms.follow.changes import Changed, Page
from transforms.follow.follower import Follower, Parts, Settings
from transforms.follow.phase import PhaseReader
from transforms.follow.removals import Removals
from transforms.follow.repairing import Repairing
from transforms.migrate.phases import FIRESTORE_ANALYTICS, State

KIND = Kind.of(read_spec("student_attempts"), "/student_id")
POLL_S, PUT_TIMEOUT_S = 0.2, 0.4
SETTINGS = Settings(pending_every_s=0.1, forget_every_s=0.1, page_s=0.5, max_outage_s=60)
STATE = State(FIRESTORE_ANALYTICS, None, POLL_S, PUT_TIMEOUT_S)


class MemoryFeed:
    """What `MemoryStore.changed_since` gives."""

    def __init__(self, name, store, positions):
        self._name, self._store, self._positions = name, store, positions
        self.read_to = None

    def next(self):
        asked = datetime.datetime.now(datetime.timezone.utc)
        changed = list(self._store.changed_since(self._positions.get(self._name, 0)))[:10]
        if not changed:
            self.read_to = asked
            return None
        changes = [Changed(key, stored.version.time, stored.is_pending) for _, key, stored in changed]
        return Page(self._name, changes, token=changed[-1][0])

    def applied(self, page):
        self._positions[self._name] = page.token

    def close(self):
        pass


class MemorySearch:
    def __init__(self, store):
        self._store = store

    def pending(self):
        return [key for key, stored in self._store.documents() if stored.is_pending]

    def tombstones(self, before_us):
        return [
            key for key, stored in self._store.documents() if stored.content is None and stored.stamp.time < before_us
        ]


class KeptLosers:
    """Dead letters in memory."""

    def __init__(self):
        self.lost_stamps, self.codes = set(), []

    def lost(self, key, stored):
        self.lost_stamps.add(stored.stamp)

    def refused(self, key, failed, stored):
        self.codes.append(failed.refused)


@dataclass
class World:
    """A migration in memory."""

    settings: Settings = SETTINGS
    stores: dict = field(default_factory=lambda: {name: MemoryStore(name) for name in STORES})
    migration: MemoryMigration = field(default_factory=lambda: MemoryMigration(STATE))
    positions: dict = field(default_factory=dict)
    losers: KeptLosers = field(default_factory=KeptLosers)
    rows: Callable[[Page], None] = lambda _: None

    def follower(self):
        phases = PhaseReader(self.migration)
        repairing = Repairing(self.stores, self.losers, lambda: phases.repair_s)
        parts = Parts(
            repairing,
            phases,
            lambda store, course: MemoryFeed(store, self.stores[store], self.positions),
            {name: MemorySearch(store) for name, store in self.stores.items()},
            Removals(None, KIND, "", repairing, None),
            lambda each: None,
            self.finish,
            rows=self.rows,
        )
        return Follower(parts, self.settings)

    def finish(self, course, read_to):
        state, now = self.migration.state, datetime.datetime.now(datetime.timezone.utc)
        if state.change is not None:
            old = replace(state, change=None).phase_at(now).primary
            if state.may_finish(now, read_to[old]):
                self.migration.state = state.finished()

    def announce(self, phase):
        self.migration.state = self.migration.state.announce(phase, datetime.datetime.now(datetime.timezone.utc))

    def application(self):
        """A DualStore of its own."""
        settings = DualSettings(primary_timeout_s=0.3, secondary_timeout_s=0.2, skip_s=0.1, shadow_ratio=0)
        core = core_of(KIND, None, settings)
        core.phases = PhaseWatch(self.migration, core.stamper, core.counts)
        return DualStore(KIND, core.phases, cosmos=self.stores[COSMOS], firestore=self.stores[FIRESTORE], core=core)

    def contents(self, name):
        return {
            key.item_id: stored.content for key, stored in self.stores[name].documents() if stored.content is not None
        }


class Following:
    """A follower in a thread, until the block ends."""

    def __init__(self, world):
        self.follower = world.follower()
        self._phases = self.follower._parts.phases
        self._thread = threading.Thread(target=self._run)
        self.failure = None

    def _run(self):
        try:
            self.follower.run()
        except Exception as failure:
            self.failure = failure

    def __enter__(self):
        self._phases.start()
        self._thread.start()
        return self.follower

    def __exit__(self, *_):
        self.follower.stop()
        self._thread.join()
        self._phases.close()


class Writer(threading.Thread):
    """Writes and deletes at random until it is told to end; remembers what was acknowledged last, by id."""

    def __init__(self, application, seed, n_ids=8, pause_s=0.005):
        super().__init__(daemon=True)
        self._application, self._random = application, random.Random(seed)
        self._seed, self._n_ids, self._pause_s = seed, n_ids, pause_s
        self._ended = threading.Event()
        self.acknowledged, self.failures, self.n = {}, [], 0

    def run(self):
        while not self._ended.wait(self._pause_s):
            # No two writers write one id, so that the last acknowledged write is what must be there.
            item_id = f"w{self._seed}-{self._random.randrange(self._n_ids)}"
            self.n += 1
            try:
                if self._random.random() < 0.2:
                    self._application.delete(item_id, student_id="s")
                    self.acknowledged[item_id] = None
                else:
                    item = {"id": item_id, "student_id": "s", "n": self.n}
                    self._application.put(item)
                    self.acknowledged[item_id] = item
            except WriteFailedError as error:
                self.failures.append(error)

    def end(self):
        self._ended.set()
        self.join()
        self._application.close()

    @property
    def expected(self):
        return {item_id: item for item_id, item in self.acknowledged.items() if item is not None}
