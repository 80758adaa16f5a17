"""A folder of dead letters: where each one is, from the run that stores it to the replay that resolves it.

    DIR/retryable/{batch_id}.jsonl    the record is fine; the same command may store it later
    DIR/permanent/{batch_id}.jsonl    the record, the spec or a limit has to change first

    DIR/retryable ┐                        ┌──▶ DIR/replayed    landed
    DIR/permanent ┴─ batch ── resolve ─────┼──▶ DIR/parked      failed too often
          ▲   ▲                  │         └──▶ in place        failed again: new reason, one more attempt
          │   └──────────────────┘
          └── clear: what is in replayed/ or parked/ leaves its own file

There is one file per batch and kind, replaced as a whole. A batch that is done again replaces its files, and removes
those that no longer apply. A folder may be shared by jobs, but not for the same input: the launcher refuses that before
anything starts. Local files can be read by their owner only: they hold personal data.

Guarantee: a dead letter is written to its new place before it is removed from its old one, so whatever is interrupted
loses none. Both steps can be done again: a dead letter is known by its source, position and content, and a run that has
already counted its attempt does not count it twice.
"""

import json
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from transforms import files
from transforms.batch import DeadLetter, input_id_of
from transforms.dead_letters.kinds import KINDS, PERMANENT, RETRYABLE
from transforms.dead_letters.lines import (
    Fields,
    Origin,
    Replay,
    StoredDeadLetter,
    content_of,
    failed_again,
    fields_of,
    landed,
    read_line,
)
from transforms.errors import JobError, RecordError, UsageError

_REPLAYED, _PARKED = "replayed", "parked"
# Earlier versions stored rows that BigQuery refused after their batch was completed in a file of their own.
_STEMS = ("", "-rows")


class DeadBatch(NamedTuple):
    """The dead letters of one batch.

    Attributes:
      batch_id: of the batch.
      job_id: of the job that gave them up.
      dead_letters: how many they are.
      source: where their records were read.
      not_kept: how many of them keep no record.
      job: name of the job, such as `ingest`.
    """

    batch_id: str
    job_id: str
    dead_letters: int
    source: str = ""
    not_kept: int = 0
    job: str = ""

    @classmethod
    def of(cls, batch_id: str, stored: Sequence[StoredDeadLetter]) -> "DeadBatch":
        """Of all dead letters of a batch."""
        first, not_kept = stored[0], sum(not each.keeps_record for each in stored)
        return cls(batch_id, first.job_id, len(stored), first.source, not_kept, first.job)


class ReplayRun(NamedTuple):
    """One run of a replay.

    Attributes:
      job_id: of the replay.
      run: tells it from all other runs of the job.
      max_attempts: a record that has failed so often is parked.
    """

    job_id: str
    run: str
    max_attempts: int


@dataclass(frozen=True)
class DeadLetterFolder:
    """The dead letters below a folder.

    Attributes:
      path: local, or a gs:// prefix.
      kinds: which of `retryable` and `permanent` a replay looks at; it leaves the others alone.
    """

    path: str
    kinds: tuple[str, ...] = KINDS

    def check_exists(self) -> None:
        """Raises UsageError if it is not a local folder. A prefix of a bucket exists as soon as it is named."""
        try:
            is_there = not files.is_local(self.path) or stat.S_ISDIR(Path(self.path).stat().st_mode)
        except (OSError, ValueError):  # also of a name that is too long to be one
            is_there = False
        if not is_there:
            raise UsageError(
                f"there is no folder {files.shown(self.path)}; pass --dead_letters=DIR, where a job has stored its "
                "dead letters"
            )

    def check_writable(self) -> None:
        """Raises UsageError if nothing can be stored here. Writes an object and removes it again."""
        try:
            probe = files.join(self.path, PERMANENT, ".writable")
            _write(probe, b"")
            files.delete([probe])
        except (OSError, ValueError) as error:
            raise UsageError(
                f"cannot write dead letters to {files.shown(self.path)}: {files.reason(error)}; pass "
                "--dead_letters=DIR, a folder or gs:// prefix that this account may write to"
            ) from error

    def store(self, origin: Origin, dead_letters: Sequence[DeadLetter]) -> None:
        """Makes the files of a batch hold exactly these dead letters."""
        for kind in KINDS:
            is_there = files.exists(self._path(kind, origin.batch_id))
            self._store(kind, origin, dead_letters, is_there)

    def store_several(self, batches: Sequence[tuple[Origin, Sequence[DeadLetter]]]) -> None:
        """As `store` for many small batches: lists the files that are there instead of looking for each."""
        for kind in KINDS:
            there = set(map(_stem, self._list(kind)))
            for origin, dead_letters in batches:
                self._store(kind, origin, dead_letters, origin.batch_id in there)

    def _store(self, kind: str, origin: Origin, dead_letters: Sequence[DeadLetter], is_there: bool) -> None:
        kept = [dead_letter for dead_letter in dead_letters if dead_letter.retryable is (kind == RETRYABLE)]
        if kept or is_there:
            _replace(self._path(kind, origin.batch_id), [fields_of(dead_letter, origin) for dead_letter in kept])

    def foreign_file(self, job_id: str, input_ids: Collection[str]) -> str | None:
        """A file that a run would replace although it belongs to another job; None if there is none.

        Args:
          job_id: of the run's job.
          input_ids: with what the ids of the run's batches begin.
        """
        replaced = (file for file in self._files() if input_id_of(file.batch_id) in input_ids)
        return next((file.path for file in replaced if file.first.get("job_id") != job_id), None)

    def remove(self, job_id: str, input_ids: Collection[str] | None = None, sources: Collection[str] = ()) -> None:
        """Removes what an earlier run of this job left about the same input, all of which is going to be done again.

        Args:
          job_id: of the job.
          input_ids: with what the ids of the run's batches begin; None for a job that does all of its input again.
          sources: of batches that have other ids each time: collections, which are read at another time.
        """

        def is_about_this_input(file: _File) -> bool:
            if input_ids is None or input_id_of(file.batch_id) in input_ids:
                return True
            return bool(sources) and file.first.get("source") in sources

        about = [file for file in self._files() if is_about_this_input(file)]
        files.delete(file.path for file in about if file.first.get("job_id") == job_id)

    def batches(self) -> list[DeadBatch]:
        """What there is to be replayed, by batch id. Reads every file once, so that nothing begins if one is broken.

        Raises:
          UsageError: a line is not a dead letter; names file and line.
        """
        return [DeadBatch.of(batch_id, stored) for batch_id, stored in self.stored()]

    def stored(self) -> Iterator[tuple[str, list[StoredDeadLetter]]]:
        """The dead letters of every batch that has some, with its id.

        Raises:
          UsageError: as `batches`.
        """
        names = {_without_suffix(_stem(path)) for kind in self.kinds for path in self._list(kind)}
        for batch_id in sorted(names):
            if found := self.read(batch_id):
                yield batch_id, found

    def read(self, batch_id: str) -> list[StoredDeadLetter]:
        """The dead letters of a batch, in the order of their source.

        Raises:
          UsageError: as `batches`.
        """
        first: StoredDeadLetter | None = None
        found: list[StoredDeadLetter] = []
        for stem in _STEMS:
            for path in self._own(batch_id + stem):
                for number, stored in _read(path):
                    first = first or stored
                    _check_place(stored, first, batch_id + stem, f"{path}, line {number}")
                    found.append(stored)
        return sorted(found, key=lambda stored: (stored.position, stored.part))

    def resolve(
        self,
        batch_id: str,
        n_replayed: int,
        failures: Iterable[DeadLetter],
        run: ReplayRun,
        time: str,
        n_records: Callable[[StoredDeadLetter], int] = lambda stored: 1,
        *,
        may_be_resolved: bool = False,
    ) -> None:
        """Puts every dead letter of a batch where it belongs; those that leave their own file are still there as well.

        Args:
          batch_id: of the batch.
          n_replayed: how many records were put through the job.
          failures: those of them that failed again.
          run: this one.
          time: now, as ISO 8601.
          n_records: says how many of them a dead letter holds.
          may_be_resolved: whether somebody else may have resolved some of them meanwhile, which are then theirs.

        Raises:
          JobError: the files have changed since they were read.
        """
        found = sum(map(n_records, self.read(batch_id)))
        if found > n_replayed or (found < n_replayed and not may_be_resolved):
            raise JobError(
                f"the dead letters of batch {batch_id} in {self.path} changed while they were replayed: {n_replayed} "
                f"were read, {found} are there; run the same command again when nothing else writes there"
            )
        replay = Replay(run.job_id, run.run, time)
        by_position: dict[int | None, list[DeadLetter]] = defaultdict(list)
        for failure in failures:
            by_position[failure.position].append(failure)
        for stem in _STEMS:
            self._resolve_files(batch_id + stem, by_position, replay, run.max_attempts)

    def clear(self, batch_id: str, run: str) -> None:
        """Removes from their own files the dead letters that a run has put into another folder."""
        for stem in _STEMS:
            name = batch_id + stem
            moved = {
                stored.key
                for folder in (_REPLAYED, _PARKED)
                for stored in self._moved(folder, name)
                if stored.last_run == run
            }
            for path in self._own(name):
                all_stored = [stored for _, stored in _read(path)]
                staying = [stored for stored in all_stored if stored.key not in moved]
                if len(staying) < len(all_stored):
                    _replace(path, [stored.fields for stored in staying])

    def _resolve_files(
        self, name: str, failures: Mapping[int | None, Sequence[DeadLetter]], replay: Replay, max_attempts: int
    ) -> None:
        own = {path: [stored for _, stored in _read(path)] for path in self._own(name)}
        replayed = [stored for all_stored in own.values() for stored in all_stored]
        places = Counter((stored.position, stored.part) for stored in replayed)
        landing, parking = [], []
        again: dict[str, Fields] = {}
        for stored in replayed:
            shares_place = places[stored.position, stored.part] > 1
            here = reversed(failures.get(stored.position, ()))
            failure = next((each for each in here if _is_of(each, stored, by_id=shares_place)), None)
            if failure is None:
                landing.append(landed(stored, replay))
            elif (failed := failed_again(stored, failure, replay))["attempts"] >= max_attempts:
                parking.append(failed)
            else:
                again[stored.key] = failed
        keys = {stored.key for stored in replayed}
        self._move(_REPLAYED, name, landing, keys)
        self._move(_PARKED, name, parking, keys)
        for path, all_stored in own.items():
            if any(stored.key in again for stored in all_stored):
                _replace(path, [again.get(stored.key, stored.fields) for stored in all_stored])

    def _move(self, folder: str, name: str, lines: Sequence[Fields], keys: set[str]) -> None:
        """Makes a file hold these lines, and of these keys no others. What it holds beside them stays."""
        before = self._moved(folder, name)
        others = [stored.fields for stored in before if stored.key not in keys]
        if lines or len(others) < len(before):
            _replace(self._path(folder, name), [*others, *lines])

    def _own(self, name: str) -> list[str]:
        paths = (self._path(kind, name) for kind in self.kinds)
        return [path for path in paths if files.exists(path)]

    def _moved(self, folder: str, name: str) -> list[StoredDeadLetter]:
        path = self._path(folder, name)
        return [stored for _, stored in _read(path)] if files.exists(path) else []

    def _path(self, folder: str, name: str) -> str:
        return files.join(self.path, folder, f"{name}.jsonl")

    def _files(self) -> Iterator["_File"]:
        return (_File(path) for kind in KINDS for path in self._list(kind))

    def _list(self, kind: str) -> list[str]:
        """The files of a kind, sorted. Raises UsageError if they cannot be listed."""
        folder = files.join(self.path, kind)
        try:
            return files.list_folder(folder, ".jsonl")
        except OSError as error:
            raise UsageError(f"cannot list the dead letters in {folder}: {error}") from error


@dataclass(frozen=True)
class _File:
    """A file of dead letters; read only when it is asked what it holds."""

    path: str

    @property
    def batch_id(self) -> str:
        return _stem(self.path)

    @cached_property
    def first(self) -> dict[str, Any]:
        """All dead letters of a file say the same of their job, their batch and its source."""
        with files.open_file(self.path) as file:
            fields: dict[str, Any] = json.loads(file.readline() or b"{}")
            return fields


def _is_of(failure: DeadLetter, stored: StoredDeadLetter, *, by_id: bool) -> bool:
    """Whether what failed in one place is what a dead letter there holds: one part of an answer, or all of it.

    Changes of documents that one commit wrote have one place, and are told apart by id.
    """
    if by_id and failure.record_id != stored.fields.get("record_id"):
        return False
    return not stored.part or (failure.answer is not None and failure.answer.part == stored.part)


def _check_place(stored: StoredDeadLetter, first: StoredDeadLetter, name: str, where: str) -> None:
    """Each file holds the dead letters of the one batch that it is named after."""
    if stored.batch_id != name:
        raise UsageError(f"{where} is of batch {stored.batch_id}, but the file is named after {name}; move it back")
    if (stored.job_id, stored.source) != (first.job_id, first.source):
        raise UsageError(
            f"{where} is of job {stored.job_id} and source {stored.source}, but others of batch {name} are of job "
            f"{first.job_id} and source {first.source}; remove those that are not of this folder"
        )


def _read(path: str) -> Iterator[tuple[int, StoredDeadLetter]]:
    """The dead letters of a file with their line numbers. Raises UsageError."""
    try:
        with files.open_file(path) as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return  # it was listed, and resolved by somebody else before it was read
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, read_line(line)
            except RecordError as error:
                raise UsageError(
                    f"{path}, line {number} is not a dead letter: {error.message}; correct it, or remove the line"
                ) from error


def _replace(path: str, lines: Sequence[Fields]) -> None:
    """Makes a file hold these lines; no file, where there are none."""
    if lines:
        _write(path, content_of(lines))
    else:
        files.delete([path])


def _write(path: str, content: bytes) -> None:
    with files.replaced_file(path, "application/json") as file:
        file.write(content)


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".jsonl")


def _without_suffix(stem: str) -> str:
    """
    >>> _without_suffix("0123456789ab-00000-00001-rows"), _without_suffix("0123456789ab-00000-00001")
    ('0123456789ab-00000-00001', '0123456789ab-00000-00001')
    """
    return stem.removesuffix(_STEMS[1])
