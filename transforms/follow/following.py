"""A follower of one pair with all that it needs, and what it says in the ledger while it runs. Plain Python.

with following(target) as running:      the pair is this process's; its phase is read; the loop runs in a thread
    running.status()                    what to show
    running.failure()                   what ended it
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from transforms.bigquery.row_writer import RowsPlan
from transforms.cosmos.feed import ALL_VERSIONS, LATEST
from transforms.cosmos.target import CosmosTarget
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dual.cosmos_store import CosmosStore
from transforms.dual.firestore_store import FirestoreStore
from transforms.dual.kinds import Kind
from transforms.dual.migration import LedgerMigration
from transforms.dual.stored import COSMOS, FIRESTORE
from transforms.errors import FirebeamError, TransientError, UsageError
from transforms.firestore.changes.options import ListenOptions
from transforms.firestore.target import FirestoreTarget
from transforms.follow.changes import Feed, Page, Unreadable
from transforms.follow.cosmos_feed import CosmosFeed, PageOf, Part, changes_of, fields_of, parts_of
from transforms.follow.firestore_feed import FirestoreFeed, begun_at, positions_in
from transforms.follow.follower import Follower, Parts, Settings
from transforms.follow.item_deletes import DeletesFeed, ItemDeletes, JoinedFeeds, deletes_of
from transforms.follow.item_scan import ItemScan
from transforms.follow.lag import behind_s
from transforms.follow.lost_writes import DeadLetterFiles
from transforms.follow.pairs import Pair, direction_of, read_to_of
from transforms.follow.phase import Course, PhaseReader
from transforms.follow.positions import COSMOS_DELETES, Saved, feed_document
from transforms.follow.removals import Removals
from transforms.follow.repairing import Repairing, Store
from transforms.follow.rows import ONE_ATTEMPT, RowsOfPages
from transforms.follow.scans import Scans
from transforms.follow.searches import CosmosSearch, FirestoreSearch
from transforms.ledger.migrations import migration_document
from transforms.migrate.delete_feed import delete_points
from transforms.migrate.deletes import DeleteScan
from transforms.migrate.documents import REFUSE
from transforms.migrate.rows import Held, RowsOfDeleted
from transforms.retry import Retry

_BEAT_S, _BEAT_IN_CHANGE_S = 5.0, 1.0


@dataclass(frozen=True)
class FollowTarget:
    """What is followed.

    Attributes:
      migration: its name.
      container, firestore, collection: the pair.
      kind: of its records.
      begin: where a copy has ended: called if nothing is followed yet. Raises UsageError without a copy.
      begin_deletes: where deletes are followed from, if they are not yet, and whether keys have to be compared once
        because nobody knows what was deleted before; None if no deletes are followed.
      dead_letters: folder for what loses or is refused.
      job_id: that dead letters name.
      max_items: of a page of Cosmos DB's feed.
      scan_every_s: how often keys are compared for deletes that no feed shows; None for never.
      rows: how rows of BigQuery are made and sent; None for none.
      listening: how Firestore's changes are listened to.
    """

    migration: str
    container: CosmosTarget
    firestore: FirestoreTarget
    collection: str
    kind: Kind
    begin: Callable[[], list[Part]]
    dead_letters: DeadLetterFolder
    job: str
    job_id: str
    nested_arrays: str = REFUSE
    max_items: int = 500
    settings: Settings = Settings()  # noqa: RUF009  # frozen
    retry: Retry = field(default_factory=Retry)
    take_over: bool = False
    scan_every_s: float | None = None
    rows: RowsPlan[Held] | None = None
    begin_deletes: Callable[[], tuple[list[Part], bool]] | None = None
    listening: ListenOptions = ListenOptions()  # noqa: RUF009  # frozen

    @property
    def pair(self) -> str:
        """The pair's name."""
        return self.collection.replace("/", "%2F")


class Following:
    """A follower that runs. Thread-safe.

    Args:
      target: what it follows.

    Raises:
      UsageError: another process follows the pair, or there is no copy to go on from.
      JobError, TransientError: a store cannot be reached.
    """

    def __init__(self, target: FollowTarget):
        self._target = target
        client = target.firestore.connect()
        migration = migration_document(client, target.migration, target.retry)
        self.pair = Pair(migration, target.pair, target.container.label, f"firestore://{target.collection}")
        self._stores: dict[str, Store] = {
            COSMOS: CosmosStore(target.container),
            FIRESTORE: FirestoreStore(target.firestore, target.kind, target.nested_arrays),
        }
        self.phases = PhaseReader(LedgerMigration(target.firestore, target.migration, target.pair))
        losers = DeadLetterFiles(
            target.dead_letters, target.job, target.job_id, target.container.label, self.phases.now
        )
        self._losers = losers
        self.repairing = Repairing(self._stores, losers, lambda: self.phases.repair_s)
        connection = target.container.connect()
        ends = RowsOfDeleted(target.rows, target.pair) if target.rows else None
        scan = DeleteScan(target.container, target.firestore, target.collection, target.kind.spec, target.retry, ends)
        every_s = target.scan_every_s if target.begin_deletes is None else None
        self._scans = Scans(self.pair.document, every_s, scan, self.repairing.counts.add)
        deletes = ItemDeletes(scan.copies(), self.repairing.counts.add)
        removals = Removals(target.firestore, target.kind, target.collection, self.repairing, target.retry)
        parts = Parts(
            self.repairing,
            self.phases,
            self._open_feed,
            {
                COSMOS: CosmosSearch(connection, target.kind),
                FIRESTORE: FirestoreSearch(target.firestore, target.kind, target.collection, target.retry),
            },
            removals,
            self._unreadable,
            self._finish,
            self._looks(removals),
            self._rows(),
            deletes.follow,
        )
        self.follower = Follower(parts, target.settings)
        self._failure: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)
        self._beats = threading.Thread(target=self._beat_all, name="follow-heartbeat", daemon=True)

    def __enter__(self) -> Following:
        self.pair.take(take_over=self._target.take_over)
        if self._saved(COSMOS).read() is None:
            self._begin()
        begin_deletes = self._target.begin_deletes
        if begin_deletes is not None and self._saved(COSMOS_DELETES).read() is None:
            self._save_deletes(*begin_deletes())
        self.phases.start()
        self._thread.start()
        self._beats.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.follower.stop()
        self._thread.join()
        self._ended.set()
        self._beats.join()
        self.phases.close()
        if self._failure is None:
            self.pair.beat(self.status())
            self.pair.leave()

    @property
    def is_going_on(self) -> bool:
        """Whether it has not ended by itself."""
        return not self._ended.is_set()

    def raise_failure(self) -> None:
        """Raises what ended it, if something did."""
        if self._failure is not None:
            raise self._failure

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended by itself within the time."""
        return self._ended.wait(timeout_s)

    def status(self) -> dict[str, Any]:
        """What the pair's document says beside the heartbeat."""
        course, now = self.phases.course(), self.phases.now()
        follower, now_s = self.follower, now.timestamp()
        read_to = read_to_of(course, follower.read_to())
        of_primary = read_to[course.view.primary]
        behind = behind_s(
            follower.lag.age_s(now_s), follower.waits, None if of_primary is None else of_primary.timestamp(), now_s
        )
        return {
            "direction": direction_of(course),
            "lag_s": None if behind is None else round(behind, 3),
            "read_to": read_to,
            "pending": follower.pending,
            # What is kept as a dead letter would be refused again: nothing of it may be stored by another try.
            "dead_letters": 0,
            "latency": follower.lag.percentiles(now_s),
            "counts": self.repairing.counts.all(),
            "waits": follower.waits,
        }

    def _begin(self) -> None:
        self._saved(COSMOS).save(fields_of(self._target.begin()), at_once=True)

    def _run(self) -> None:
        try:
            self.follower.run()
        except BaseException as failure:  # for whoever waits
            self._failure = failure
        finally:
            self._ended.set()

    def _beat_all(self) -> None:
        while not self._ended.is_set():
            try:
                self.pair.beat(self.status())
            except TransientError:
                pass  # the next one says it all
            except FirebeamError as failure:
                self._failure = self._failure or failure
                self.follower.stop()
                return
            in_change = self.phases.course().state.change is not None
            self._ended.wait(_BEAT_IN_CHANGE_S if in_change else _BEAT_S)

    # What the loop is made of.

    def _looks(self, removals: Removals) -> Callable[[Course], None]:
        target, scans = self._target, list[Scans]()
        if target.scan_every_s is not None or target.begin_deletes is not None:
            scans.append(self._scans)
        if target.scan_every_s is not None:
            items = ItemScan(
                target.container.connect(),
                target.firestore,
                target.kind,
                target.collection,
                removals,
                self.pair.equal_at,
                self.phases.steady_view,
                self.phases.now,
                target.retry,
            )
            scans.append(Scans(self.pair.document, target.scan_every_s, items, self.repairing.counts.add, FIRESTORE))

        def look(course: Course) -> None:
            for each in scans:
                each.look(course)

        return look

    def _rows(self) -> Callable[[Page], None]:
        target = self._target
        if target.rows is None:
            return lambda _: None
        plan = replace(target.rows, retry=ONE_ATTEMPT)
        counts = self.repairing.counts
        return RowsOfPages(plan, target.pair, target.firestore, target.collection, self._losers, counts).write

    def _saved(self, feed: str) -> Saved:
        return Saved(feed_document(self.pair.document, feed))

    def _open_feed(self, store: str, course: Course) -> Feed:
        if store == COSMOS:
            return self._open_cosmos_feeds()
        target, saved = self._target, self._saved(store)
        fields = saved.read()
        try:
            positions = positions_in(fields)
        except (KeyError, TypeError, ValueError):
            raise UsageError(f"{self.pair.document.path}/feeds/{store} is not a position of Firebeam") from None
        change = course.state.change
        announced_at = change.announced_at if change is not None and course.state.changes_primary else None
        positions = begun_at(positions, announced_at)
        return FirestoreFeed(target.firestore, target.kind, target.collection, positions, saved, target.listening)

    def _open_cosmos_feeds(self) -> Feed:
        target = self._target
        latest = self._open_cosmos_feed(COSMOS, changes_of(target.kind))
        if target.begin_deletes is None:
            return latest
        of_deletes = deletes_of(target.kind.partition_key_paths)
        deletes = DeletesFeed(
            lambda: self._open_cosmos_feed(COSMOS_DELETES, of_deletes, ALL_VERSIONS),
            self._begin_deletes_anew,
            self.phases.now,
            lambda: self.phases.course().state.put_timeout_s,
        )
        return JoinedFeeds(latest, deletes)

    def _open_cosmos_feed(self, name: str, page_of: PageOf, mode: str = LATEST) -> Feed:
        saved, connection = self._saved(name), self._target.container.connect()
        fields = saved.read()
        assert fields is not None, "it was saved before the loop began"
        return CosmosFeed(
            connection, parts_of(fields), saved, self.phases.now, page_of, mode, max_items=self._target.max_items
        )

    def _begin_deletes_anew(self) -> None:
        points = delete_points(self._target.container.connect())
        self._save_deletes([Part(*point) for point in points], compares=True)

    def _save_deletes(self, parts: list[Part], compares: bool) -> None:
        if compares:
            # Before the parts, which a job that is killed in between would take for all there is to know.
            self._scans.want()
        self._saved(COSMOS_DELETES).save(fields_of(parts), at_once=True)

    def _unreadable(self, change: Unreadable) -> None:
        self._losers.unreadable(change.record_id, change.why.code, change.why.message, change.original)

    def _finish(self, course: Course, read_to: Mapping[str, datetime.datetime | None]) -> None:
        if course.state.change is None:
            return
        self.pair.beat(self.status())
        self.pair.finish(course, self.phases.now())
