"""firebeam phase: which phase a migration is in, and whether it may go further; the next one, or one back.

    firebeam phase students                                       phase, pairs, and what keeps it from going further
    firebeam phase students --to=dual_write                       one step, if every gate holds; else exit code 1
    firebeam phase students --rollback                            one step back
    firebeam phase students --to=… --force --reason="…"           past the gates; recorded

A change is announced: applications, which read the phase every few seconds, go by it once all of them know. From
`firestore_primary` the way back waits until Cosmos DB has all that Firestore accepted; if it has not, nothing changes.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.exit_codes import EXIT_FAILED, EXIT_OK
from pipeline.jobs.migrate_flags import COPY
from pipeline.jobs.migrate_flags import NAME as MIGRATE
from pipeline.present.phases import as_dict, gates_table, pairs_table, phase_line
from pipeline.present.terminal import Console, say, show, standard_output
from pipeline.run.flags import Usage, from_environment, option, parse, refuse_unknown
from pipeline.run.service_flags import AccountFlags
from transforms.errors import UsageError
from transforms.ledger.document import LedgerDocument
from transforms.ledger.jobs import RUNNING, recent_jobs
from transforms.ledger.migrations import (
    SavedMigration,
    migration_document,
    read_migration,
    read_pairs,
    save_migration,
    writes_since,
)
from transforms.migrate.gates import VERIFIED_WITHIN, Facts, Gate, caught_up, failing, gates
from transforms.migrate.phases import FIRESTORE_PRIMARY, NAMES, State, before, check_step, phase_of
from transforms.migrate.states import saved_as, state_of
from transforms.retry import SYSTEM_CLOCK, Clock, Retry

_DRAIN_POLL_S = 1.0
_RECENT_JOBS = 100


@dataclass(frozen=True, kw_only=True)
class Config(AccountFlags):
    """The flags of phase."""

    migration: str | None = option(
        None, group="Migration", metavar="NAME", help="the migration; the flag's name may be left out"
    )
    to: str | None = option(None, group="Change", choices=NAMES, help="the phase to go to, one step away")
    rollback: bool = option(False, group="Change", help="go one phase back")
    max_lag_s: float = option(
        30, group="Change", minimum=0, maximum=3600, help="how far the repairing job may be behind, in seconds"
    )
    drain_s: float = option(
        30,
        group="Change",
        minimum=0,
        maximum=3600,
        help="how long the way back from firestore_primary waits for Cosmos DB to catch up, in seconds",
    )
    force: bool = option(False, group="Change", help="change the phase whatever the gates say; needs --reason")
    reason: str | None = option(None, group="Change", metavar="TEXT", help="why; kept in the migration's history")
    json: bool = option(False, group="Output", help="print JSON")


USAGE = Usage(
    "phase",
    Config,
    about="""\
Shows which phase a migration from Cosmos DB to Firestore is in, how each pair of container and collection is, and what
keeps it from going further. --to and --rollback change the phase by one step. Its flags may also be set in the
environment, as FIREBEAM_ and the name.""",
    example="""\
  firebeam phase students --project=my-project
  firebeam phase students --project=my-project --to=dual_write
  firebeam phase students --project=my-project --rollback""",
)


def main(arguments: Sequence[str], console: Console, clock: Clock = SYSTEM_CLOCK) -> int:
    """Prints to standard output.

    Raises:
      UsageError: an argument is wrong, or the change is not one step.
    """
    config = _config(arguments)
    target = config.firestore(config.services())
    migration = _Migration(config, migration_document(target.connect(), config.migration or "", Retry(clock=clock)))
    if config.to is None and not config.rollback:
        return migration.show()
    return migration.change()


def _config(arguments: Sequence[str]) -> Config:
    config, rest = parse(USAGE, from_environment(USAGE, arguments))
    unknown = [word for word in rest if word.startswith("-")]
    if unknown:
        refuse_unknown(USAGE, unknown)
    named = [*([config.migration] if config.migration else []), *rest]
    if len(named) != 1:
        raise UsageError(f"phase needs the name of one migration, got {', '.join(named) or 'none'}")
    if config.to is not None and config.rollback:
        raise UsageError("pass either --to or --rollback")
    if config.force and not (config.reason or "").strip():
        raise UsageError("--force needs --reason=TEXT, which is kept in the migration's history")
    return replace(config, migration=named[0])


class _Migration:
    """A migration, and what is asked of it."""

    def __init__(self, config: Config, document: LedgerDocument):
        self._config, self._document = config, document
        self._saved = read_migration(document)
        self._finish_if_over()

    @property
    def _state(self) -> State:
        return state_of(self._saved)

    def show(self) -> int:
        """Phase, pairs and failing gates."""
        facts = self._facts()
        found = gates(facts, self._config.max_lag_s)
        if self._config.json:
            print(json.dumps(as_dict(facts, self._state, found), indent=2))  # noqa: T201
            return EXIT_OK
        say(standard_output(), phase_line(facts, self._state))
        if facts.pairs:
            show(standard_output(), pairs_table(facts))
        if facts.phase.name != NAMES[-1] and failing(found):
            show(standard_output(), gates_table(failing(found)))
        return EXIT_OK

    def change(self) -> int:
        """One step, if it may be."""
        state, config = self._state, self._config
        to = config.to or before(state.phase)
        if state.change is not None and config.force and state.change.to == to:
            self._save(state.finished(), state.phase, to)
            say(standard_output(), f"the change to {to} is finished, by force")
            return EXIT_OK
        check_step(state.phase, to)
        # Refused while another change is under way, before anybody waits.
        state.announce(to, self._document.now())
        closed = [] if config.force else self._closed(state, to)
        if closed:
            self._refuse(to, closed)
            return EXIT_FAILED
        announced = state.announce(to, self._document.now())
        self._save(announced, state.phase, to)
        assert announced.change is not None, "just announced"
        wait_s = (announced.change.effective_at - announced.change.announced_at).total_seconds()
        if config.json:
            print(json.dumps(as_dict(self._facts(), announced, []), indent=2))  # noqa: T201
        else:
            say(standard_output(), f"{to} is announced and takes effect in {wait_s:.0f} s")
        return EXIT_OK

    def _closed(self, state: State, to: str) -> list[Gate]:
        """The gates that do not hold. The way back has none, but for what Cosmos DB may lack."""
        if NAMES.index(to) > NAMES.index(state.phase):
            return failing(gates(self._facts(), self._config.max_lag_s))
        if state.phase != FIRESTORE_PRIMARY:
            return []
        clock = self._document.retry.clock
        since, ends_s = self._document.now(), clock.monotonic() + self._config.drain_s
        while True:
            facts = self._facts()
            closed = failing(caught_up(facts, since)) if facts.pairs else failing(gates(facts, 0))
            if not closed or clock.monotonic() >= ends_s:
                return closed
            clock.sleep(_DRAIN_POLL_S)

    def _refuse(self, to: str, closed: list[Gate]) -> None:
        if self._config.json:
            print(json.dumps(as_dict(self._facts(), self._state, closed), indent=2))  # noqa: T201
            return
        say(standard_output(), f"the phase stays {self._state.phase}: it may not go to {to} yet")
        show(standard_output(), gates_table(closed))

    def _finish_if_over(self) -> None:
        state = self._state
        if state.change is None:
            return
        old = phase_of(state.phase).primary
        read = [pair.read_to.get(old) for pair in read_pairs(self._document)]
        known = [time for time in read if time is not None]
        read_to = min(known) if known and len(known) == len(read) else None
        if state.may_finish(self._document.now(), read_to):
            self._save(state.finished(), state.phase, state.change.to, is_finish=True)

    def _save(self, state: State, was: str, to: str, *, is_finish: bool = False) -> None:
        saved = saved_as(state, self._saved)
        if not is_finish:
            saved = _recorded(saved, self._document.now(), was, to, self._config)
        save_migration(self._document, saved, self._saved)
        self._saved = read_migration(self._document)

    def _facts(self) -> Facts:
        now = self._document.now()
        return Facts(
            self._document.id,
            self._state.phase_at(now),
            read_pairs(self._document),
            writes_since(self._document, now - VERIFIED_WITHIN),
            now,
            self._copies(now),
        )

    def _copies(self, now: datetime.datetime) -> list[str]:
        """Ids of the migration's copies that run."""
        jobs = recent_jobs(self._document.client, _RECENT_JOBS, self._document.retry).jobs
        ours = {"migration": self._document.id, "mode": COPY}
        return [
            job.job_id
            for job in jobs
            if job.job == MIGRATE and ours.items() <= job.parameters.items() and job.state_at(now) == RUNNING
        ]


def _recorded(saved: SavedMigration, now: datetime.datetime, was: str, to: str, config: Config) -> SavedMigration:
    entry = {"at": now, "from": was, "to": to, "reason": config.reason or "", "forced": config.force}
    return replace(saved, history=[*saved.history, entry])
