"""migrate --mode=follow: repairs the other store from the primary's change feed, for as long as the migration lasts.

    Config ─▶ container, collection, spec ─▶ the copy's ledger: where it ended ─▶ Following, in this process

It is a loop and not a pipeline: each change needs a conversation with both stores, and its direction changes with the
phase. A signal ends it cleanly; what is killed goes on where its positions were saved.
"""

from __future__ import annotations

import os
from types import FrameType
from typing import TYPE_CHECKING

from pipeline.exit_codes import EXIT_INTERRUPTED, EXIT_OK
from pipeline.jobs.migrate_deletes import deletes_behind_copy
from pipeline.jobs.migrate_destination import Migrated
from pipeline.jobs.migrate_flags import FEED, IGNORE, NAME, Config
from pipeline.present.following import follow_line
from pipeline.present.terminal import Console, say
from pipeline.run.listening import signals_call
from transforms.cosmos.feed import FeedRange
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dual.kinds import Kind
from transforms.errors import UsageError
from transforms.follow.cosmos_feed import Part
from transforms.follow.follower import Settings
from transforms.follow.following import Following, FollowTarget
from transforms.ledger.document import LedgerDocument
from transforms.ledger.jobs import COMPLETED, read_job
from transforms.migrate.rows import rows_of_held
from transforms.upsert.destination import Destination, provide_table

if TYPE_CHECKING:
    from transforms.firestore.target import FirestoreTarget

_LINE_S, _LOOK_S = 15.0, 1.0


def following_of(
    config: Config, found: Migrated, firestore: FirestoreTarget, copy: LedgerDocument, feed: str
) -> FollowTarget:
    """What is followed.

    Args:
      copy: the job of the copy.
      feed: the field of its document that has the feed's parts.

    Raises:
      UsageError: applications would write another collection.
    """
    spec, collection = found.to.spec, found.layout.collection
    if collection != spec.full_collection:
        raise UsageError(
            f"--to: applications write {spec.full_collection}, the collection of the spec {spec.name}; name the same "
            "one, or change the spec"
        )
    paths = found.container.connect().properties.key_paths

    def begin() -> list[Part]:
        return _where_the_copy_ended(copy, feed, found.container.label)

    def begin_deletes() -> tuple[list[Part], bool]:
        begins = deletes_behind_copy(read_job(copy), found)
        return [Part(*point) for point in begins.points], begins.compares

    return FollowTarget(
        config.migration,
        found.container,
        firestore,
        collection,
        Kind.of(spec, paths),
        begin,
        DeadLetterFolder(config.dead_letters),
        NAME,
        copy.id,
        config.nested_arrays,
        config.page_items,
        Settings(max_outage_s=config.max_outage_s),
        config.retry,
        config.take_over,
        config.scan_every_s if config.deletes != IGNORE else None,
        rows_of_held(found.to.rows, spec) if found.to.rows else None,
        begin_deletes if config.deletes == FEED else None,
    )


def follow(target: FollowTarget, to: Destination, console: Console) -> int:
    """Makes the table of rows, if there is one, and follows until a signal ends it; returns the exit code.

    Raises:
      UsageError: another process follows the pair, or there is no copy.
      JobError: a store did not answer for too long, or refuses; says what to do.
    """
    provide_table(to)
    with Following(target) as running:

        def end(number: int, frame: FrameType | None) -> None:
            if running.follower.is_stopping:
                os._exit(EXIT_INTERRUPTED)  # positions are saved; what is done again changes nothing
            say(console, "finishing what is being repaired; a second signal stops at once")
            running.follower.stop()

        with signals_call(end):
            _watch(running, target, console)
    running.raise_failure()
    say(console, f"{target.pair} is no longer followed; the same command goes on where this one stopped")
    return EXIT_OK


def _watch(running: Following, target: FollowTarget, console: Console) -> None:
    """Says how it is: at once when the phase or the reason of waiting changes, and now and then."""
    clock = target.retry.clock
    said, said_s = None, 0.0
    while True:
        course, status = running.phases.course(), running.status()
        phase = course.state.phase_at(running.phases.now()).name
        what = (phase, course.state.change, status["direction"], bool(status["waits"]))
        if what != said or clock.monotonic() - said_s >= _LINE_S:
            change = course.state.change
            say(console, follow_line(phase if change is None else f"{phase} (changing to {change.to})", status))
            said, said_s = what, clock.monotonic()
        if running.wait(_LOOK_S):
            return


def _where_the_copy_ended(copy: LedgerDocument, feed: str, label: str) -> list[Part]:
    job = read_job(copy)
    if job is None or job.state != COMPLETED or not job.kept.get(feed):
        raise UsageError(
            f"there is no completed copy of {label} to go on from ({copy.path}); run the same command with --mode=copy "
            "first"
        )
    # The copy has passed these points; what it read behind them comes once more, and changes nothing.
    return [Part(FeedRange(each["low"], each["high"]), each["until"]) for each in job.kept[feed]]
