"""One stream of changes, for ever: follow while that is possible, else compare, then follow again. No threads, no Beam.

                    ┌────────────────────── reconnect: transient ends, each after a wait ──────────────────────┐
    position ─▶ compare ─▶ follow ─▶ Listen ─▶ snapshots ─▶ changes ─▶ batches, each with the position behind it ─┘
                   ▲          └── the position cannot be followed ──┐
                   └────────────────────────────────────────────────┘

Guarantee: at every position that is handed out the changes up to it make the database as of its read time, deletes
included, wherever the stream is interrupted and resumed, if the journal has what was announced. Where a state can no
longer be read, so that deletes cannot be known, the stream is degraded and says so.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

from transforms.errors import JobError, OutageError, TransientError
from transforms.firestore import messages
from transforms.firestore.changes.change import ADDED
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState, cut
from transforms.firestore.changes.compare import compare
from transforms.firestore.changes.ends import End, end_of_call, end_of_target
from transforms.firestore.changes.journal import Journal, JournalEntry, announced
from transforms.firestore.changes.name_cache import NameCache, NamePool
from transforms.firestore.changes.options import ListenedQuery, ListenOptions
from transforms.firestore.changes.positions import After, Compare, Follow, Position
from transforms.firestore.changes.reads import Reads
from transforms.firestore.changes.resolve import CannotFollowError, resolve
from transforms.firestore.changes.times import from_micros, micros
from transforms.firestore.changes.watch import TARGET_ID, Snapshot, TargetRemovedError, TooManyChangesError, Watch
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.query_messages import parent_name, structured_query
from transforms.firestore.ranges import EVERY_NAME
from transforms.firestore.reader import read_error
from transforms.retry import SYSTEM_CLOCK, Clock, Retry

Batches = Generator[ChangeBatch, None, None]

# The service ends every stream after about an hour; we end it before, at no particular minute.
_MIN_STREAM_S, _MAX_STREAM_S = 50 * 60.0, 58 * 60.0
_INITIAL_WAIT_S, _MAX_WAIT_S = 1.0, 60.0
# A target that never catches up is not compared again and again: each comparison is billed.
_MIN_BETWEEN_COMPARISONS_S = 600.0

HOW_TO_FIND_DELETES = (
    "documents deleted since then may still be in the sinks; `firebeam verify` or `firebeam export --deletes=mark` "
    "finds them, and point-in-time recovery prevents this"
)


class Source:
    """A stream of changes.

    Args:
      client: of the database.
      listened: the query, and the stream's id.
      options: complete, as `ListenOptions.of` makes them.
      journal: of announced names.
      clock: waits and measures; its sleep may end early.
      pool: of the names that are kept; default: its own.

    Attributes:
      heard_at: when the last message came, by the clock's monotonic time.
      waiting_since: since when the source waits for a message; infinity while it does something else.
    """

    def __init__(
        self,
        client: FirestoreClient,
        listened: ListenedQuery,
        options: ListenOptions,
        journal: Journal,
        clock: Clock = SYSTEM_CLOCK,
        pool: NamePool | None = None,
    ):
        self._client, self._listened, self._options, self._journal = client, listened, options, journal
        self._clock = clock
        self._retry = Retry(initial_s=_INITIAL_WAIT_S, max_s=_MAX_WAIT_S, clock=clock)
        query = listened.query
        self._reads = Reads(client, query, Retry(clock=clock), self._now)
        self._names = NameCache(options.max_names, pool)  # of the state that the position describes
        self._announced: frozenset[str] = frozenset()
        self._failures = self._removals = 0
        self._was_current = False
        self._compared_at: float | None = None
        self._call: Any = None
        self._is_closed = False
        self.heard_at = clock.monotonic()
        self.waiting_since = math.inf

    def batches(self, position: Position | None) -> Batches:
        """Batches from a position on; None for the beginning, a snapshot of everything. It never ends by itself.

        Raises:
          JobError: nothing can be received before somebody corrects something.
        """
        self._entries: tuple[JournalEntry, ...] = ()
        self._position = position
        has_begun = False
        try:
            while True:
                try:
                    if not has_begun:
                        self._entries = tuple(self._journal.entries(self._listened.stream_id))
                        has_begun = True
                    if self._position is None:
                        self._position = Compare(None, self._reads.server_time())
                    if isinstance(self._position, Compare):
                        yield from self._compare(self._position)
                    else:
                        yield from self._follow(self._position)
                except (TransientError, OutageError) as error:
                    yield from self._pause(str(error))
        finally:
            self._names.replace(None)  # other streams may need the room

    def interrupt(self) -> bool:
        """Ends the RPC under way, so that the stream begins again at its position; from any thread. False for none."""
        call = self._call
        if call is None:
            return False
        self.waiting_since = math.inf
        call.cancel()
        return True

    def close(self) -> None:
        """Ends the RPC under way and every later one; from any thread."""
        self._is_closed = True
        self.interrupt()

    # Compare.

    def _compare(self, position: Compare) -> Batches:
        position = self._position = self._readable(position)
        yield self._batch(position, position.to, StreamState.COMPARING, save_now=True)
        names = announced(self._entries, position.since, position.to)
        for changes, behind in compare(self._reads, position, names, self._options.limits, self._names):
            self._position = behind
            self._failures = 0
            yield replace(self._batch(behind, position.to, StreamState.COMPARING), changes=tuple(changes))
        self._compared_at = self._clock.monotonic()

    def _readable(self, position: Compare) -> Compare:
        """The comparison itself, or one that can still be made."""
        since = position.since
        if self._reads.readable(position.to) != position.to:
            # Some of it may be in the sinks already, and nobody knows which part of that is gone again.
            return self._degraded(since, since or position.to, position.deletes_lost_since)
        if since is None or position.by_version or self._names.versions is not None:
            return position
        readable = self._reads.readable(since)
        if readable is None:
            return self._degraded(since, since, position.deletes_lost_since)
        return replace(position, since=readable)

    def _comparison(self, position: Follow) -> Compare:
        """From a position that cannot be followed to now."""
        since, lost_since = position.read_time, position.deletes_lost_since
        readable = since if self._names.versions is not None else self._reads.readable(since)
        if readable is None:
            return self._degraded(since, since, lost_since)
        return Compare(readable, self._reads.server_time(), deletes_lost_since=lost_since)

    def _degraded(
        self,
        since: datetime.datetime | None,
        lost_since: datetime.datetime,
        lost_before: datetime.datetime | None,
    ) -> Compare:
        """A comparison that misses deletes since `lost_since`."""
        if self._options.stop_on_lost_deletes:
            raise JobError(
                f"stream {self._listened.stream_id}: the state at {lost_since.isoformat()} can no longer be read, so "
                f"deletes since then are not known; {HOW_TO_FIND_DELETES}"
            )
        lost_since = lost_since if lost_before is None else min(lost_since, lost_before)
        now = self._reads.server_time()
        return Compare(since, now, by_version=since is not None, deletes_lost_since=lost_since)

    # Follow.

    def _follow(self, position: Follow) -> Batches:
        self._announced = announced(self._entries, position.read_time)
        known, read_time_us = self._names.versions, micros(position.read_time)
        watch = Watch(read_time_us, self._reads.prefix, known, max_replayed=self._options.max_names)
        try:
            yield from self._listen(watch, position)
        except (CannotFollowError, TooManyChangesError) as cannot:
            yield from self._give_up_following(str(cannot))
        except TargetRemovedError as removed:
            self._removals = 0 if removed.was_current else self._removals + 1
            end = end_of_target(
                removed.code, removed.message, was_current=removed.was_current, n_removed=self._removals
            )
            yield from self._ended(end, removed.code, removed.message)
        except RpcError as error:
            yield from self._ended(
                end_of_call(error.code, error.message, was_current=self._was_current), error.code, error.message
            )

    def _listen(self, watch: Watch, position: Follow) -> Batches:
        planned_s = _MIN_STREAM_S + self._clock.random() * (_MAX_STREAM_S - _MIN_STREAM_S)
        began_at = self._clock.monotonic()
        call = self._call = self._client.listen(self._request(position), planned_s)
        if self._is_closed:
            call.cancel()
        try:
            for response in self._messages(call):
                snapshot = watch.take(response)
                if snapshot is not None and not self._options.exact_snapshots:
                    snapshot = self._read_again(watch, snapshot)
                if snapshot is not None:
                    yield from self._hand_out(snapshot)
                    watch.accept(micros(self._follow_position.read_time), self._names.versions)
        except RpcError as error:
            if error.code != "DEADLINE_EXCEEDED" or self._clock.monotonic() - began_at < planned_s:
                raise
        else:
            yield from self._pause("OK: the service ended the stream")
        finally:
            self._call, self.waiting_since = None, math.inf
            call.cancel()

    def _messages(self, call: Any) -> Iterator[Any]:
        self.waiting_since = self._clock.monotonic()
        for response in call:
            self.heard_at, self.waiting_since = self._clock.monotonic(), math.inf
            yield response
            self.waiting_since = self._clock.monotonic()

    def _read_again(self, watch: Watch, received: Snapshot) -> Snapshot | None:
        """The state now, in place of an inexact one; None if the position is newer than all that was received."""
        newest_us = max((each.version_us for each in received.latest.values()), default=0)
        if max(newest_us, received.read_time_us) <= micros(self._follow_position.read_time):
            return None
        read_time = max(self._reads.server_time(), self._follow_position.read_time)
        return watch.read_again(self._reads.documents(read_time), micros(read_time))

    def _hand_out(self, snapshot: Snapshot) -> Batches:
        position = self._follow_position
        resolved = resolve(snapshot, position, self._names, self._announced, self._reads)
        self._failures = self._removals = 0
        self._was_current, self._announced, self._compared_at = True, frozenset(), None
        behind = self._behind(snapshot, resolved.n_documents)
        read_time = from_micros(snapshot.read_time_us)
        if not resolved.changes and behind == position:
            return
        state, reason = StreamState.LIVE, ""
        if behind.deletes_lost_since is not None:
            state = StreamState.DEGRADED
            reason = f"the state at {behind.deletes_lost_since.isoformat()} could not be read: {HOW_TO_FIND_DELETES}"
        batches = list(cut(resolved.changes, self._options.limits))
        for number, changes in enumerate(batches, 1):
            documents = [change for change in changes if change.document is not None]
            if number == len(batches):
                self._position = behind
            elif documents and documents[-1].update_time:
                after = After(documents[-1].update_time, documents[-1].path)
                self._position = replace(self._follow_position, after=after)
            added = tuple(change.path for change in changes if change.kind == ADDED)
            batch = self._batch(self._follow_position, read_time, state, reason)
            yield replace(batch, changes=changes, announced=added)

    @property
    def _follow_position(self) -> Follow:
        assert isinstance(self._position, Follow)
        return self._position

    def _behind(self, snapshot: Snapshot, n_documents: int | None) -> Follow:
        lost = self._follow_position.deletes_lost_since
        return Follow(from_micros(snapshot.read_time_us), snapshot.token, n_documents, None, lost)

    def _ended(self, end: End, code: str, message: str) -> Batches:
        if end is End.FAIL:
            raise read_error(self._client, RpcError(code, message))
        if end is End.COMPARE and self._follow_position.token:
            self._position = replace(self._follow_position, token=b"")  # perhaps only the token is of no use any more
            if code != "DEADLINE_EXCEEDED":
                yield from self._pause(f"{code}: {message}")
                return
        if end is End.COMPARE:
            yield from self._give_up_following(f"{code}: {message}")
        else:
            yield from self._pause(f"{code}: {message}")

    def _give_up_following(self, why: str) -> Batches:
        compared_at = self._compared_at
        if compared_at is not None and self._clock.monotonic() - compared_at < _MIN_BETWEEN_COMPARISONS_S:
            yield from self._pause(why)
        else:
            self._position = self._comparison(self._follow_position)

    def _pause(self, why: str) -> Batches:
        """Says why nothing comes, and waits."""
        self._failures += 1
        if self._position is not None:
            position = self._position
            read_time = position.to if isinstance(position, Compare) else position.read_time
            yield self._batch(position, read_time, StreamState.RECONNECTING, why)
        self._clock.sleep(self._retry.delay_s(self._failures))

    def _batch(
        self,
        position: Position,
        read_time: datetime.datetime,
        state: StreamState,
        reason: str = "",
        *,
        save_now: bool = False,
    ) -> ChangeBatch:
        return ChangeBatch(self._listened.stream_id, (), position, read_time, state, reason, save_now=save_now)

    def _request(self, position: Follow) -> Any:
        query = self._listened.query
        request = messages.ListenRequest(database=self._client.target.name)
        target = request.add_target
        target.target_id = TARGET_ID
        target.query.parent = parent_name(query, self._client.target)
        target.query.structured_query.CopyFrom(structured_query(query, self._client.target, EVERY_NAME))
        if position.token:
            target.resume_token = position.token
        else:
            target.read_time.FromMicroseconds(micros(position.read_time))
        if position.documents is not None:
            target.expected_count.value = position.documents
        return request

    def _now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._clock.now(), datetime.timezone.utc)
