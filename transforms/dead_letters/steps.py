"""Stores what could not be stored: one JSON object a line, one file a batch and kind, complete enough to be replayed.

    DIR/retryable/{batch_id}.jsonl    the record is fine; the same command may land it later
    DIR/permanent/{batch_id}.jsonl    the record, the spec or a limit has to change first

A line has job, job_id, batch_id, step, record_id, source, line, position, code, message, attempts, time, and the
original record in one of three forms, the first that is exact:

    record_text      the source's own line
    record           a value that never was a line (CSV, Parquet, a JSON array), as tagged JSON
    record_base64    bytes that are not text

A batch that is done again replaces its files, and removes those that no longer apply. A folder may be shared by jobs,
but not for the same input: the launcher refuses that before anything starts. Local files can be read by their owner
only: they hold personal data.
"""

import base64
import datetime
import json
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import PCollection
from apache_beam.typehints.decorators import no_annotations

from transforms.batch import Batch, DeadLetter
from transforms.dead_letters.kinds import KINDS
from transforms.errors import UsageError
from transforms.firestore.tagged_json import iso, to_tagged_json
from transforms.inputs.files import line_numbers
from transforms.runtime.private_files import replaced_file
from transforms.upsert.versions import input_id_of

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_MOST_LOGGED = 20  # of a batch; all of them are in its files


class StoreDeadLetters(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """Stores the dead letters of every batch and hands the batch on.

    In and out: the same batches. Delivery: a batch's files are written before it is handed on, under deterministic
    names. Parallel: batches. Fails: a folder that cannot be written fails the bundle.

    Args:
      folder: local path or gs:// prefix.
      job: name of the job, such as `ingest`.
      job_id: of this run.
      now: seconds since the epoch; injected by tests.
    """

    def __init__(self, folder: str, job: str, job_id: str, now: Callable[[], float] = time.time):
        super().__init__()
        self._folder, self._job, self._job_id, self._now = folder, job, job_id, now

    @no_annotations  # type: ignore[untyped-decorator]  # Beam takes Batch[T] for a class of its own, which no Batch[Written] is
    def expand(self, batches: PCollection[Batch[T]]) -> PCollection[Batch[T]]:
        stored: PCollection[Batch[T]] = batches | "Store" >> beam.ParDo(
            _StoreFn(self._folder, self._job, self._job_id, self._now)
        )
        return stored


class _StoreFn(beam.DoFn):
    def __init__(self, folder: str, job: str, job_id: str, now: Callable[[], float]):
        super().__init__()
        self._folder, self._job, self._job_id, self._now = folder, job, job_id, now

    @no_annotations  # type: ignore[untyped-decorator]
    def process(self, element: Batch[T]) -> Iterator[Batch[T]]:
        moment = datetime.datetime.fromtimestamp(self._now(), datetime.timezone.utc)
        header = {"job": self._job, "job_id": self._job_id, "batch_id": element.batch_id, "time": iso(moment)}
        letters = located(element.dead_letters, element.source)
        store(self._folder, element.batch_id, element.source, letters, header)
        for letter in letters[:_MOST_LOGGED]:
            where = (self._job_id, element.batch_id, letter.record_id or f"at {letter.position}")
            _LOG.info("job %s, batch %s, record %s: %s %s", *where, letter.step, letter.code)
        if len(letters) > _MOST_LOGGED:
            further = len(letters) - _MOST_LOGGED
            _LOG.info("job %s, batch %s: %d further dead letters", self._job_id, element.batch_id, further)
        yield element


def store(folder: str, batch_id: str, source: str, letters: Sequence[DeadLetter], header: dict[str, Any]) -> None:
    """Makes the files of a batch hold exactly these dead letters."""
    for kind, retryable in KINDS.items():
        path = FileSystems.join(folder, kind, f"{batch_id}.jsonl")
        lines = [as_json(letter, source, header) for letter in letters if letter.retryable is retryable]
        if lines:
            write_privately(path, "".join(f"{line}\n" for line in lines).encode())
        elif FileSystems.exists(path):
            FileSystems.delete([path])


def foreign_letters(folder: str, job_id: str, batch_prefixes: Collection[str]) -> str | None:
    """A file that a run of these batches would replace although it belongs to another job; None if there is none.

    Args:
      batch_prefixes: with what the ids of the run's batches begin.
    """
    replaced = (letters for letters in _letters_of(folder) if input_id_of(letters.batch_id) in batch_prefixes)
    return next((letters.path for letters in replaced if letters.first.get("job_id") != job_id), None)


def remove_letters(
    folder: str, job_id: str, batch_prefixes: Collection[str] | None = None, sources: Collection[str] = ()
) -> None:
    """Removes what an earlier run of this job left about the same input, all of which is going to be done again.

    Args:
      batch_prefixes: with what the ids of the run's batches begin; None for a job that does all of its input again.
      sources: of batches that have other ids each time: collections, which are read as of another moment.
    """

    def is_about_this_input(letters: _LetterFile) -> bool:
        if batch_prefixes is None or input_id_of(letters.batch_id) in batch_prefixes:
            return True
        return bool(sources) and letters.first.get("source") in sources

    files = [letters for letters in _letters_of(folder) if is_about_this_input(letters)]
    paths = [letters.path for letters in files if letters.first.get("job_id") == job_id]
    if paths:
        FileSystems.delete(paths)


@dataclass(frozen=True)
class _LetterFile:
    """A file of dead letters; read only when it is asked what it holds."""

    path: str

    @property
    def batch_id(self) -> str:
        return self.path.rpartition("/")[2].removesuffix(".jsonl")

    @cached_property
    def first(self) -> dict[str, Any]:
        """All letters of a file say the same of their job, their batch and its source."""
        with FileSystems.open(self.path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            letter: dict[str, Any] = json.loads(file.readline() or b"{}")
            return letter


def _letters_of(folder: str) -> Iterator[_LetterFile]:
    for kind in KINDS:
        for path in list_letters(FileSystems.join(folder, kind)):
            yield _LetterFile(path)


def list_letters(folder: str) -> list[str]:
    """The dead-letter files directly in a folder, sorted. Raises UsageError if it cannot be listed."""
    if FileSystems.get_scheme(folder) is None:  # not by Beam, which takes brackets in the folder's name for a pattern
        return sorted(str(path) for path in Path(folder).glob("*.jsonl"))
    try:
        (found,) = FileSystems.match([FileSystems.join(folder, "*.jsonl")])
    except BeamIOError as error:
        raise UsageError(f"cannot list the dead letters in {folder}: {error}") from error
    return sorted(match.path for match in found.metadata_list)


def located(letters: Sequence[DeadLetter], source: str) -> list[DeadLetter]:
    """The letters with their line numbers, as far as counting them is affordable.

    A reader that began in the middle of a file of lines knows the byte, not the line.
    """
    unknown = {
        letter.position
        for letter in letters
        if letter.line is None and letter.position is not None and isinstance(letter.original, bytes)
    }
    lines = line_numbers(source, unknown) if unknown else {}
    return [
        replace(letter, line=lines[letter.position]) if letter.line is None and letter.position in lines else letter
        for letter in letters
    ]


def as_json(letter: DeadLetter, source: str, header: dict[str, Any]) -> str:
    """One line of a dead-letter file."""
    return json.dumps(
        {
            **header,
            "step": letter.step,
            "record_id": letter.record_id,
            "source": source,
            "line": letter.line,
            "position": letter.position,
            "code": letter.code,
            "message": letter.message,
            "attempts": letter.attempts,
            **_original(letter.original),
        }
    )


def _original(original: Any) -> dict[str, Any]:
    if not isinstance(original, bytes):
        return {"record": to_tagged_json(original)}
    try:
        return {"record_text": original.decode()}
    except UnicodeDecodeError:
        return {"record_base64": base64.b64encode(original).decode()}


def check_writable(folder: str) -> None:
    """Raises UsageError if dead letters cannot be stored in `folder`. Writes an object there and removes it again."""
    try:
        probe = FileSystems.join(folder, "permanent", ".writable")
        write_privately(probe, b"")
        FileSystems.delete([probe])
    except (OSError, BeamIOError, ValueError) as error:
        raise UsageError(
            f"cannot write dead letters to {folder}: {error}; pass --dead_letters=DIR, a folder or gs:// prefix that "
            "this account may write to"
        ) from error


def write_privately(path: str, content: bytes) -> None:
    """Replaces a file as a whole; see `private_files.py`."""
    with replaced_file(path, "application/json") as file:
        file.write(content)
