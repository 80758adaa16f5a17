"""Dead letters of a listen job that are due: handed out once more, if what they say is still true.

    DIR/retryable ──due after retry_s──▶ the document as it is now ─┬─ same version ─▶ once more, through all sinks
         ▲                                                          └─ another one ─▶ superseded: its own change came
         ├── failed again: one attempt more, due again later
         └── out: replayed/ if it landed or was superseded, parked/ after max_attempts

Guarantee: a dead letter never overwrites a newer document. Streams and dead letters are handed out by one loop, and the
document is read when its turn has come: a newer version that was handed out before is seen then, and one that is handed
out later comes later. Each dead letter counts once: it leaves the count when it lands.

Only dead letters that are `retryable` come again by themselves. The others need another spec, another document or
another limit first; then `firebeam replay` takes them. A stream with `max_dead_letters` of either kind waits.
"""

from __future__ import annotations

import datetime
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from transforms.batch import DeadLetter
from transforms.dead_letters.folder import DeadLetterFolder, ReplayRun
from transforms.dead_letters.kinds import KINDS, RETRYABLE
from transforms.dead_letters.lines import StoredDeadLetter
from transforms.errors import TransientError
from transforms.firestore.changes.change import ADDED, REMOVED, Change
from transforms.firestore.changes.change_batch import Again, ChangeBatch, StreamState
from transforms.firestore.changes.options import ListenedQuery
from transforms.firestore.changes.pace import Offer
from transforms.firestore.changes.positions import Follow, Position
from transforms.firestore.changes.times import from_micros
from transforms.firestore.client import FirestoreClient
from transforms.firestore.documents import Document
from transforms.firestore.fetch import fetch_all
from transforms.firestore.query import NAME, Query
from transforms.firestore.reader import MAX_PATHS_PER_REQUEST, REQUEST_TIMEOUT_S, count
from transforms.firestore.tagged_json import iso
from transforms.firestore.target import FirestoreTarget
from transforms.listen.schedule import DEAD_LETTERS, PaceSettings, schedule_of
from transforms.retry import SYSTEM_CLOCK, Clock, Retry

# The folder is looked through this often at least, and not much more often than dead letters fall due.
_LOOK_S, _LOOKS_PER_RETRY = 5.0, 5
# A read of a few documents; while it is waited for, no stream is served.
_MAX_ATTEMPTS = 2


@dataclass(frozen=True)
class RetrySettings:
    """When dead letters come again.

    Attributes:
      folder: where they are.
      job_id: of the job; those of other jobs are left alone.
      streams: of the job.
      pace: of the job; streams with too many dead letters are held there.
      retry_s: seconds after which one that failed is due.
      max_attempts: one that was tried so often is parked.
      max_dead_letters: a stream that has so many waits.
      clock: injected by tests.
    """

    folder: str
    job_id: str
    streams: tuple[ListenedQuery, ...]
    pace: PaceSettings
    retry_s: float = 300.0
    max_attempts: int = 5
    max_dead_letters: int = 1000
    clock: Clock = SYSTEM_CLOCK


@dataclass(frozen=True)
class _DueBatch:
    """Dead letters of one batch of one stream."""

    batch_id: str
    stream_id: str
    n: int


@dataclass
class _Found:
    """What the folder had when it was looked through."""

    due: list[_DueBatch] = field(default_factory=list)
    n_by_stream: Counter[str] = field(default_factory=Counter)


def _at_once(look: Callable[[], None]) -> None:
    look()


def _in_a_thread(look: Callable[[], None]) -> None:
    threading.Thread(target=look, name="dead letters", daemon=True).start()


class Retries:
    """The `Feed` of a listen job in this process; get it from `retries_of`. Thread-safe.

    Args:
      settings: of the job.
      aside: runs what looks through the folder, after the first time, so that no stream waits for a slow one.
    """

    name = DEAD_LETTERS

    def __init__(self, settings: RetrySettings, aside: Callable[[Callable[[], None]], None] = _at_once):
        self.settings, self._aside = settings, aside
        self._folder = DeadLetterFolder(settings.folder, (RETRYABLE,))
        self._queries = {stream.stream_id: stream.query for stream in settings.streams}
        self._lock = threading.Lock()
        self._found = _Found()
        self._look_at: float | None = None
        self._is_looking = False
        self._failure: Exception | None = None
        self._taken: set[str] = set()  # since the look began that is under way

    def __reduce__(self) -> tuple[object, tuple[RetrySettings]]:
        return retries_of, (self.settings,)

    # The feed.

    def offer(self) -> Offer | None:
        """The first batch that is due. Raises what went wrong when the folder was looked through."""
        with self._lock:
            is_first, now_s = self._look_at is None, self.settings.clock.monotonic()
            is_due = not self._is_looking and (self._look_at is None or now_s >= self._look_at)
            if is_due:
                self._is_looking = True
                self._taken.clear()
        if is_due:
            (_at_once if is_first else self._aside)(self._look)
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if not self._found.due:
                return None
            return Offer(DEAD_LETTERS, self._found.due[0].n, sum(due.n for due in self._found.due))

    def take(self, target: FirestoreTarget, positions: Mapping[str, Position | None]) -> ChangeBatch | None:
        """The changes of a batch that are still true.

        None if the database did not answer, or the stream is elsewhere or in the middle of a snapshot; then the batch
        is found again later.
        """
        with self._lock:
            due = self._found.due.pop(0)
            self._taken.add(due.batch_id)
        stored = self._folder.read(due.batch_id)  # `firebeam replay` may have resolved some since they were found
        position = positions.get(due.stream_id)
        if not stored or not isinstance(position, Follow) or position.after is not None:
            return None
        client = target.connect()
        retry = Retry(max_attempts=_MAX_ATTEMPTS, clock=self.settings.clock)
        try:
            query = self._queries[due.stream_id]
            changes = tuple(still_true(client, query, stored, position.read_time, retry))
        except TransientError:
            return None  # it stays where it is, and is due when the folder is looked through next
        again = again_of(stored, self._now())
        state = StreamState.LIVE
        return ChangeBatch(due.stream_id, changes, position, position.read_time, state, save_now=True, again=again)

    def put_back(self, batch: ChangeBatch) -> None:
        """Nothing has happened to its dead letters; they are found again."""
        with self._lock:
            self._look_at = 0.0

    # The step behind the sinks.

    def resolve(self, stream_id: str, again: Again, dead_letters: Sequence[DeadLetter]) -> None:
        """Puts the dead letters of a batch where they belong, once every sink has answered.

        Those that `firebeam replay` has resolved meanwhile stay where it has put them.

        Args:
          dead_letters: of the changes that failed again.
        """
        run = ReplayRun(self.settings.job_id, again.run, self.settings.max_attempts)
        self._folder.resolve(again.batch_id, again.n_changes, dead_letters, run, again.run, may_be_resolved=True)
        self._folder.clear(again.batch_id, again.run)
        self.stored(stream_id, len(dead_letters) - again.n_changes)

    def stored(self, stream_id: str, n_dead_letters: int) -> None:
        """A stream has so many dead letters more, or less."""
        if not n_dead_letters:
            return
        with self._lock:
            self._found.n_by_stream[stream_id] += n_dead_letters
            self._hold()

    # Inside.

    def _look(self) -> None:
        """Looks through the folder."""
        try:
            found = self._look_through()
        except Exception as failure:  # raised to whoever asks next: this may be a thread of its own
            with self._lock:
                self._failure = failure
            return
        with self._lock:
            found.due = [each for each in found.due if each.batch_id not in self._taken]
            self._found, self._is_looking = found, False
            every_s = max(_LOOK_S, self.settings.retry_s / _LOOKS_PER_RETRY)
            self._look_at = self.settings.clock.monotonic() + every_s
            self._hold()

    def _look_through(self) -> _Found:
        found, due_until = _Found(), self._time() - datetime.timedelta(seconds=self.settings.retry_s)
        for kind in KINDS:
            for batch_id, stored in DeadLetterFolder(self.settings.folder, (kind,)).stored():
                stream_id = stored[0].source
                if stored[0].job_id != self.settings.job_id or stream_id not in self._queries:
                    continue
                found.n_by_stream[stream_id] += len(stored)
                if kind == RETRYABLE and any(self._is_due(each, due_until) for each in stored):
                    found.due.append(_DueBatch(batch_id, stream_id, len(stored)))
        return found

    def _is_due(self, stored: StoredDeadLetter, until: datetime.datetime) -> bool:
        return stored.last_failed_at <= until and stored.attempts < self.settings.max_attempts

    def _hold(self) -> None:
        most = self.settings.max_dead_letters
        held = {
            stream_id: f"{n:,} dead letters wait in {self.settings.folder}, at most {most:,} may; "
            "correct their cause, then run `firebeam replay`, or raise --max_dead_letters"
            for stream_id, n in self._found.n_by_stream.items()
            if n >= most
        }
        schedule_of(self.settings.pace).hold(held)

    def _time(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.settings.clock.now(), datetime.timezone.utc)

    def _now(self) -> str:
        return iso(self._time())


def still_true(
    client: FirestoreClient,
    query: Query,
    stored: Sequence[StoredDeadLetter],
    read_time: datetime.datetime,
    retry: Retry,
) -> list[Change]:
    """The changes that dead letters keep, without those that a newer state of their document replaces.

    Args:
      client: of the database.
      query: of the stream.
      stored: dead letters of one batch.
      read_time: up to which the stream has handed out everything. A document that is gone ends as of then: if it was
        created and deleted once more since, the stream has yet to say so.
      retry: of the reads.

    Raises:
      TransientError, JobError: of the reads.
    """
    current = _current(client, query, [path_of(each) for each in stored], retry)
    changes = []
    for each in stored:
        path, version = path_of(each), from_micros(each.position)
        document = current[path]
        if document is not None and document.update_time == version:
            changes.append(Change(ADDED, path, document, version, max(read_time, version)))
        elif is_removal(each) and (document is None or not _matches(client, query, path, retry)):
            changes.append(Change(REMOVED, path, None, version, read_time, deleted=document is None))
    return changes


def again_of(stored: Sequence[StoredDeadLetter], run: str) -> Again:
    """What a batch says that hands out dead letters of one batch once more."""
    return Again(stored[0].batch_id, len(stored), {path_of(each): each.attempts for each in stored}, run)


def path_of(stored: StoredDeadLetter) -> str:
    """Of the document."""
    return str(stored.fields["record_id"])


def is_removal(stored: StoredDeadLetter) -> bool:
    """Whether it keeps only a name: of a document that is gone, or that has no fields."""
    return isinstance(stored.original, Mapping) and stored.original.keys() <= {NAME}


def _current(client: FirestoreClient, query: Query, paths: Sequence[str], retry: Retry) -> dict[str, Document | None]:
    """Documents as they are now, by path; None for one that is not there."""
    names = list(dict.fromkeys(client.target.document_name(path) for path in paths))
    mask = () if query.selected is None else query.selected or (NAME,)
    found: dict[str, Document | None] = dict.fromkeys(paths)
    for first in range(0, len(names), MAX_PATHS_PER_REQUEST):
        part = names[first : first + MAX_PATHS_PER_REQUEST]
        answers = fetch_all(client, lambda part=part: client.batch_get(part, mask, REQUEST_TIMEOUT_S), retry)  # type: ignore[misc]
        documents = (Document(answer.found) for answer in answers if answer.HasField("found"))
        found.update((document.path, document) for document in documents)
    return found


def _matches(client: FirestoreClient, query: Query, path: str, retry: Retry) -> bool:
    """Whether the document is in the query now."""
    if not query.conditions:
        return True
    return count(client, replace(query, selected=None).where(NAME, "==", path), None, retry) > 0


_retries: dict[tuple[str, str], Retries] = {}
_lock = threading.Lock()


def retries_of(settings: RetrySettings) -> Retries:
    """The retries of a job in this process; the same ones for the same settings."""
    key = settings.folder, settings.job_id
    with _lock:
        if key not in _retries or _retries[key].settings != settings:
            _retries[key] = Retries(settings, _in_a_thread)
        return _retries[key]
