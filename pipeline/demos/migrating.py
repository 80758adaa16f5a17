"""What the demo of migrate does once the stand-ins run.

items ─▶ audit ─▶ copy ─▶ follow ─▶ verify ─▶ dual_write ─▶ Cosmos DB fails ─▶ … ─▶ cosmos_retired
                            │            application writes all the time              │
         verify: equal ◀────┴───────────────────── … one phase back at a time ◀───────┘
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from azure.cosmos import CosmosClient, PartitionKey

from pipeline.demos.application import Application
from pipeline.demos.commands import announce, run_command
from pipeline.demos.emulators import PROJECT
from pipeline.demos.job_process import JobProcess
from pipeline.exit_codes import EXIT_FAILED, EXIT_OK
from pipeline.present.tables import Column, Table
from pipeline.present.terminal import Console, say, show
from pipeline.specs import read_spec
from transforms.dual.connect import open_dual_store
from transforms.dual.core import Settings
from transforms.errors import JobError
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.migrations import migration_document, read_migration, read_pairs, save_migration
from transforms.migrate.documents import content_in, content_of, is_tombstone
from transforms.migrate.phases import (
    COSMOS_ONLY,
    COSMOS_RETIRED,
    DUAL_WRITE,
    FIRESTORE_ANALYTICS,
    FIRESTORE_PRIMARY,
    State,
)
from transforms.migrate.states import saved_as, state_of
from transforms.services import Services
from transforms.testing.cosmos import ScriptedCosmos

MIGRATION, DATABASE, CONTAINER, SPEC = "students", "school", "attempts", "student_attempts"
LOCATION = f"cosmos://{DATABASE}/{CONTAINER}"

# Of the migration's document, so that a change takes seconds; by default it takes half a minute.
_POLL_S, _PUT_TIMEOUT_S = 0.5, 3.0
_PAUSE_S, _OUTAGE_S, _SETTLE_S, _LOOK_S = 0.05, 4.0, 90.0, 0.2


def run(account: ScriptedCosmos, n_items: int, console: Console) -> int:
    """Runs the demo; returns the exit code of the last verify. Raises JobError."""
    demo = _Demo(account, console)
    items = {
        f"a-{n:04}": {"id": f"a-{n:04}", "student_id": f"s-{sum(f'a-{n:04}'.encode()) % 20}", "score": n % 101}
        for n in range(n_items)
    }
    demo.container.read()
    account.put_items(DATABASE, CONTAINER, list(items.values()))
    say(console, f"{LOCATION} has {n_items} items")
    demo.command("migrate", *demo.flags)
    demo.command("migrate", *demo.flags, "--mode=copy")
    logging.getLogger("firebeam.dual").setLevel(logging.CRITICAL)  # an outage of one store says so per write
    store = open_dual_store(
        read_spec(SPEC), LOCATION, "/student_id", MIGRATION, settings=Settings(secondary_timeout_s=2.0, skip_s=1.0)
    )
    log = demo.folder / "follow.log"
    flags = [*demo.flags, "--mode=follow"]
    with JobProcess("migrate", flags, log) as follow:
        announce("migrate", flags, console)
        say(console, f"process {follow.start()}; what it says: {log}")
        demo.checks.append(follow.check)
        demo.until("the feed is followed", demo.is_followed)
        demo.open_gate()
        with Application(store, items, _PAUSE_S) as application:
            demo.checks.append(application.check)
            demo.phases(account, application)
        application.check()
        demo.until("both stores hold what was acknowledged", lambda: demo.hold(application.expected))
        exit_code = demo.command("verify", *demo.verify_flags)
        follow.end()
    show(console, _writes_table(application))
    if application.n_failed:
        raise JobError(f"{application.n_failed} calls of the application failed")
    return exit_code


class _Demo:
    """The places of the demo, and what it asks of them."""

    def __init__(self, account: ScriptedCosmos, console: Console):
        self._console = console
        self.folder = Path(tempfile.mkdtemp(prefix="firebeam-demo-"))
        self.checks: list[Callable[[], None]] = []
        database = CosmosClient(account.endpoint, account.key).create_database(DATABASE)
        self.container = database.create_container(CONTAINER, PartitionKey("/student_id"))
        services = Services.of()
        self._target = FirestoreTarget.of(services, PROJECT)
        self._migration = migration_document(self._target.connect(), MIGRATION)
        state = State(poll_interval_s=_POLL_S, put_timeout_s=_PUT_TIMEOUT_S)
        save_migration(self._migration, saved_as(state, None), None)
        kept = [f"--project={PROJECT}", f"--dead_letters={self.folder / 'dead_letters'}"]
        pair = [f"--migration={MIGRATION}"]
        self.flags = [
            *pair,
            f"--from={LOCATION}",
            f"--to=firestore://{SPEC}",
            f"--spec={SPEC}",
            *kept,
            f"--report={self.folder / 'audit'}",
        ]
        self.verify_flags = [*pair, f"--left={LOCATION}", f"--right=firestore://{SPEC}", *kept]

    def command(self, name: str, *arguments: str, may_fail: bool = False) -> int:
        """Runs a command as a user would. Raises JobError if it fails and may not."""
        code = run_command(name, arguments, self._console)
        if code != EXIT_OK and not may_fail:
            raise JobError(f"firebeam {name} ended with exit code {code}")
        return code

    def open_gate(self) -> None:
        """No phase before both stores were compared."""
        if self._phase(f"--to={DUAL_WRITE}", may_fail=True) == EXIT_FAILED:
            say(self._console, "a gate: nobody has compared the stores yet", "yellow")
        self.until("Firestore has caught up", lambda: self._pair_has(lag_s=0.0))
        self.command("verify", *self.verify_flags)

    def phases(self, account: ScriptedCosmos, application: Application) -> None:
        """All phases and back, with an outage of Cosmos DB in between."""
        self._go(DUAL_WRITE, f"--to={DUAL_WRITE}")
        say(self._console, f"Cosmos DB fails for {_OUTAGE_S:.0f} s; the application goes on", "bold yellow")
        with account.following({"rules": [{"operation": "any", "status": 503}]}):
            self._for_seconds(_OUTAGE_S)
        self.until("pending writes are carried over", lambda: self._pair_has(pending=0) and not self._pending())
        counts = application.counts
        say(self._console, f"only Firestore accepted {counts['only_firestore']} writes; all were carried over")
        forced = ["--force", "--reason=the demo made Cosmos DB fail"]
        if self._phase(f"--to={FIRESTORE_ANALYTICS}", may_fail=True) == EXIT_OK:
            self._until_in(FIRESTORE_ANALYTICS)
        else:
            say(self._console, "a gate: too many dual writes failed in the last 24 hours", "yellow")
            self._go(FIRESTORE_ANALYTICS, f"--to={FIRESTORE_ANALYTICS}", *forced)
        for phase in (FIRESTORE_PRIMARY, COSMOS_RETIRED):
            self._go(phase, f"--to={phase}", *forced)
        for phase in (FIRESTORE_PRIMARY, FIRESTORE_ANALYTICS, DUAL_WRITE, COSMOS_ONLY):
            self._go(phase, "--rollback")

    def is_followed(self) -> bool:
        """Whether the job has begun."""
        pairs = read_pairs(self._migration)
        return bool(pairs) and pairs[0].heartbeat_at is not None

    def hold(self, expected: dict[str, dict[str, object]]) -> bool:
        """Whether both stores hold this."""
        found = self.container.read_all_items()
        items = {item["id"]: content_of(item) for item in found if not is_tombstone(item)}
        documents = read(self._target.connect(), Query(SPEC))
        return items == expected == {document.id: content_in(document.fields) for document in documents}

    def until(self, what: str, is_so: Callable[[], bool]) -> None:
        """Waits. Raises JobError if it takes too long."""
        ends_at = time.monotonic() + _SETTLE_S
        while not is_so():
            self._check()
            if time.monotonic() > ends_at:
                raise JobError(f"after {_SETTLE_S:.0f} s it is still not so that {what}")
            time.sleep(_LOOK_S)

    def _go(self, phase: str, *arguments: str) -> None:
        self._phase(*arguments)
        self._until_in(phase)

    def _phase(self, *arguments: str, may_fail: bool = False) -> int:
        return self.command("phase", MIGRATION, f"--project={PROJECT}", *arguments, may_fail=may_fail)

    def _until_in(self, phase: str) -> None:
        began = time.monotonic()
        self.until(f"the phase is {phase}", lambda: self._state == State(phase, None, _POLL_S, _PUT_TIMEOUT_S))
        say(self._console, f"in {phase} after {time.monotonic() - began:.0f} s", "green")

    @property
    def _state(self) -> State:
        return state_of(read_migration(self._migration))

    def _pair_has(self, **wanted: object) -> bool:
        (pair,) = read_pairs(self._migration)
        return all(getattr(pair, name) == value for name, value in wanted.items())

    def _pending(self) -> int:
        return sum(1 for _ in read(self._target.connect(), Query(SPEC).where("_meta.pending", "==", True)))

    def _check(self) -> None:
        for check in self.checks:
            check()

    def _for_seconds(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            self._check()
            time.sleep(_LOOK_S)


def _writes_table(application: Application) -> Table:
    counts = application.counts
    rows: Sequence[tuple[str, str]] = (
        ("puts acknowledged", f"{application.n_puts:,}"),
        ("deletes acknowledged", f"{application.n_deletes:,}"),
        ("calls failed", f"{application.n_failed:,}"),
        ("accepted by both stores", f"{counts['success']:,}"),
        ("accepted by one store alone", f"{counts['only_cosmos'] + counts['only_firestore']:,}"),
        ("acknowledged writes lost", "0: both stores hold exactly the last ones"),
    )
    return Table("what the application did", (Column("what"), Column("writes", is_number=True)), (tuple(rows),))
