"""A folder of dead letters while they are replayed: where each letter is, before, between and after.

    DIR/retryable/X.jsonl ┐                      ┌──▶ DIR/replayed/X.jsonl    landed
    DIR/permanent/X.jsonl ┴─ batch X ── settle ──┼──▶ DIR/parked/X.jsonl      failed too often
             ▲    ▲                     │        └──▶ in place                failed again: new reason, one more attempt
             │    └─────────────────────┘
             └── clear: what is in replayed/ or parked/ leaves its own folder

Guarantee: a letter is written to its new place before it is removed from its old one, and files are replaced as a
whole, so whatever is interrupted loses none. Both steps can be done again: a letter is known by its source, position
and content, and a run that has already counted its attempt does not count it twice.

Every letter that was replayed says so: `replay` has `job_id`, `run` (when it began) and `time`; `first_time` is when
the record failed first.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.batch import DeadLetter
from transforms.dead_letters.kinds import KINDS
from transforms.dead_letters.lines import Letter, read_letter
from transforms.dead_letters.steps import list_letters, write_privately
from transforms.errors import JobError, RecordError, UsageError

REPLAYED, PARKED = "replayed", "parked"
# Earlier versions stored rows that BigQuery refused after their batch was completed in a file of their own.
_STEMS = ("", "-rows")


class LetterBatch(NamedTuple):
    """The dead letters of one batch: the batch's id, the job that gave them up, and how many they are."""

    batch_id: str
    job_id: str
    letters: int


class ReplayRun(NamedTuple):
    """One run of a replay.

    Attributes:
      job_id: of the replay.
      run: tells it from all other runs of the job.
      max_attempts: a letter that has failed so often is parked.
    """

    job_id: str
    run: str
    max_attempts: int


class LetterFolder:
    """The dead letters below a folder.

    Args:
      path: local, or a gs:// prefix.
      kinds: which of `retryable` and `permanent` are looked at; the others are left alone.
    """

    def __init__(self, path: str, kinds: Sequence[str] = tuple(KINDS)):
        self.path, self._kinds = path, tuple(kinds)

    def batches(self) -> list[LetterBatch]:
        """What there is to be replayed, by batch id. Reads every file once, so that nothing begins if one is broken.

        Raises:
          UsageError: a line is no dead letter; names file and line.
        """
        names = {
            _batch_id(_stem(path)) for kind in self._kinds for path in list_letters(FileSystems.join(self.path, kind))
        }
        batches = []
        for batch_id in sorted(names):
            letters = self.letters(batch_id)
            if letters:
                batches.append(LetterBatch(batch_id, letters[0].job_id, len(letters)))
        return batches

    def letters(self, batch_id: str) -> list[Letter]:
        """The dead letters of a batch, in the order of their source.

        Raises:
          UsageError: as `batches`.
        """
        first: Letter | None = None
        found: list[Letter] = []
        for stem in _STEMS:
            for path in self._own(batch_id + stem):
                for number, letter in _read(path):
                    first = first or letter
                    _check_place(letter, first, batch_id + stem, f"{path}, line {number}")
                    found.append(letter)
        return sorted(found, key=lambda letter: letter.position)

    def settle(self, batch_id: str, replayed: int, failures: Iterable[DeadLetter], run: ReplayRun, moment: str) -> None:
        """Puts every letter of a batch where it belongs; those that leave their own folder are still there as well.

        Args:
          batch_id: of the batch.
          replayed: how many letters were put through the job.
          failures: those of them that did not land.
          run: this one.
          moment: now, as ISO 8601.

        Raises:
          JobError: the files have changed since the letters were read.
        """
        if (found := len(self.letters(batch_id))) != replayed:
            raise JobError(
                f"the dead letters of batch {batch_id} in {self.path} changed while they were replayed: {replayed} "
                f"were read, {found} are there; run the same command again when nothing else writes there"
            )
        mark = {"job_id": run.job_id, "run": run.run, "time": moment}
        by_position = {failure.position: failure for failure in failures}
        for stem in _STEMS:
            self._settle_files(batch_id + stem, by_position, run, mark)

    def clear(self, batch_id: str, run: str) -> None:
        """Removes from their own folder the letters that a run has put into another one."""
        for stem in _STEMS:
            name = batch_id + stem
            moved = {
                letter.key
                for folder in (REPLAYED, PARKED)
                for _, letter in self._moved(folder, name)
                if letter.fields["replay"]["run"] == run
            }
            for path in self._own(name):
                letters = [letter for _, letter in _read(path)]
                staying = [letter for letter in letters if letter.key not in moved]
                if len(staying) < len(letters):
                    _write(path, [letter.fields for letter in staying])

    def _settle_files(
        self, name: str, failures: Mapping[int | None, DeadLetter], run: ReplayRun, mark: Mapping[str, Any]
    ) -> None:
        own = {path: [letter for _, letter in _read(path)] for path in self._own(name)}
        keys = {letter.key for letters in own.values() for letter in letters}
        landed, parked = [], []
        again: dict[str, Mapping[str, Any]] = {}
        for letter in (letter for letters in own.values() for letter in letters):
            failure = failures.get(letter.position)
            if failure is None:
                landed.append({**letter.fields, "replay": mark})
            elif (failed := failed_again(letter, failure, mark))["attempts"] >= run.max_attempts:
                parked.append(failed)
            else:
                again[letter.key] = failed
        self._move(REPLAYED, name, landed, keys)
        self._move(PARKED, name, parked, keys)
        for path, letters in own.items():
            if any(letter.key in again for letter in letters):
                _write(path, [again.get(letter.key, letter.fields) for letter in letters])

    def _move(self, folder: str, name: str, lines: Sequence[Mapping[str, Any]], keys: set[str]) -> None:
        """Makes a file hold these lines, and of these keys no others. What it holds beside them stays."""
        before = [letter for _, letter in self._moved(folder, name)]
        others = [letter.fields for letter in before if letter.key not in keys]
        if lines or len(others) < len(before):
            _write(self._path(folder, name), [*others, *lines])

    def _own(self, name: str) -> list[str]:
        paths = (self._path(kind, name) for kind in self._kinds)
        return [path for path in paths if FileSystems.exists(path)]

    def _moved(self, folder: str, name: str) -> list[tuple[int, Letter]]:
        path = self._path(folder, name)
        return list(_read(path)) if FileSystems.exists(path) else []

    def _path(self, folder: str, name: str) -> str:
        path: str = FileSystems.join(self.path, folder, f"{name}.jsonl")
        return path


def failed_again(letter: Letter, failure: DeadLetter, mark: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a letter that did not land: what it was, for what reason it failed now, and one attempt more."""
    counted = letter.fields.get("replay", {}).get("run") == mark["run"]
    return {
        **letter.fields,
        "step": failure.step,
        "record_id": failure.record_id or letter.fields.get("record_id"),
        "code": failure.code,
        "message": failure.message,
        "attempts": letter.attempts + (0 if counted else 1),
        "first_time": letter.fields.get("first_time", letter.fields["time"]),
        "time": mark["time"],
        "replay": mark,
    }


def check_folder(path: str) -> None:
    """Raises UsageError if there is no such local folder. A prefix of a bucket exists as soon as it is named."""
    if FileSystems.get_scheme(path) is None and not Path(path).is_dir():
        raise UsageError(f"there is no folder {path}; pass --dead_letters=DIR, where a job has stored its dead letters")


def _check_place(letter: Letter, first: Letter, name: str, where: str) -> None:
    """Each file holds the letters of the one batch that it is named after."""
    if letter.batch_id != name:
        raise UsageError(f"{where} is of batch {letter.batch_id}, but the file is named after {name}; move it back")
    if (letter.job_id, letter.source) != (first.job_id, first.source):
        raise UsageError(
            f"{where} is of job {letter.job_id} and source {letter.source}, but others of batch {name} are of job "
            f"{first.job_id} and source {first.source}; remove those that are not of this folder"
        )


def _read(path: str) -> Iterator[tuple[int, Letter]]:
    """The letters of a file with their line numbers. Raises UsageError."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        lines = file.read().split(b"\n")
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, read_letter(line)
            except RecordError as error:
                raise UsageError(
                    f"{path}, line {number} is no dead letter: {error.message}; put it right, or remove the line"
                ) from error


def _write(path: str, lines: Sequence[Mapping[str, Any]]) -> None:
    if lines:
        write_privately(path, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
    else:
        FileSystems.delete([path])


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".jsonl")


def _batch_id(stem: str) -> str:
    """
    >>> _batch_id("0123456789ab-00000-00001-rows"), _batch_id("0123456789ab-00000-00001")
    ('0123456789ab-00000-00001', '0123456789ab-00000-00001')
    """
    return stem.removesuffix(_STEMS[1])
