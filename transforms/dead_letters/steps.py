"""The steps of a pipeline that store dead letters, and those that replay them.

    Batch ──StoreDeadLetters──▶ the same Batch

    batch ids ──ReadDeadLetters──▶ Batch[Record] ─ … ─▶ Batch ──ResolveDeadLetters──▶ CompleteBatch
                                                                                         │
                                            own files cleared ◀──ClearDeadLetters── BatchOutcome

A replayed dead letter is put into its new place before its batch is completed in the ledger, and removed from its old
one only then: a batch that is done again finds what it found before.
"""

import datetime
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints.decorators import no_annotations

from transforms.batch import Batch, DeadLetter, Home, Record
from transforms.dead_letters.folder import DeadLetterFolder, ReplayRun
from transforms.dead_letters.lines import Origin, StoredDeadLetter, count_records, records_of, still_dead
from transforms.firestore.tagged_json import iso
from transforms.inputs.files import line_numbers
from transforms.inputs.options import DEFAULT, ReadOptions
from transforms.inputs.shapes import shaped
from transforms.outcomes import NOT_REPLAYABLE, BatchOutcome
from transforms.retry import SYSTEM_CLOCK, Clock
from transforms.runtime.batch_coder import register_batches
from transforms.runtime.stopping import is_asked_to_stop
from transforms.unexpected import FAILURES, Unexpected

T = TypeVar("T")

register_batches(Record)

_LOG = logging.getLogger(__name__)

_MOST_LOGGED = 20  # of a batch; all of them are in its files


@dataclass
class StoreDeadLetters(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """Stores the dead letters of every batch and hands the batch on.

    In and out: the same batches. Delivery: a batch's files are written before it is handed on, under deterministic
    names. Parallel: batches. Fails: a folder that cannot be written fails the bundle.

    Attributes:
      folder: local path or gs:// prefix.
      job: name of the job, such as `ingest`.
      job_id: of this run.
      clock: injected by tests.
      looks_for_earlier: whether a batch without dead letters removes those that it had before. Not worth its requests
        where batches are small and many, and are seldom done again.
    """

    folder: str
    job: str
    job_id: str
    clock: Clock = SYSTEM_CLOCK
    looks_for_earlier: bool = True

    @no_annotations  # type: ignore[untyped-decorator]  # Beam takes Batch[T] for a class of its own, which no Batch[Written] is
    def expand(self, batches: PCollection[Batch[T]]) -> PCollection[Batch[T]]:
        store = DeadLetterStore(
            DeadLetterFolder(self.folder), self.job, self.job_id, self.clock, self.looks_for_earlier
        )
        return batches | "Store" >> beam.Map(_stored, store).with_output_types(batches.element_type)


@no_annotations  # type: ignore[untyped-decorator]
def _stored(batch: Batch[T], store: "DeadLetterStore") -> Batch[T]:
    store.store(batch)
    return batch


@dataclass(frozen=True)
class DeadLetterStore:
    """Where the dead letters of a job's batches go; its attributes are those of `StoreDeadLetters`."""

    folder: DeadLetterFolder
    job: str
    job_id: str
    clock: Clock = SYSTEM_CLOCK
    looks_for_earlier: bool = True

    def store(self, batch: Batch[Any]) -> None:
        """Writes the files of a batch."""
        if not (batch.dead_letters or self.looks_for_earlier):
            return
        if batch.homes:
            self.folder.store_several(
                [(self._origin(home), located(of_home, home.source)) for home, of_home in by_home(batch)]
            )
        else:
            own = located(batch.dead_letters, batch.source)
            self.folder.store(self._origin(Home(batch.source, batch.batch_id)), own)
        for dead_letter in batch.dead_letters[:_MOST_LOGGED]:
            where = (self.job_id, batch.batch_id, dead_letter.record_id or f"at {dead_letter.position}")
            _LOG.info("job %s, batch %s, record %s: %s %s", *where, dead_letter.step, dead_letter.code)
        if (further := len(batch.dead_letters) - _MOST_LOGGED) > 0:
            _LOG.info("job %s, batch %s: %d further dead letters", self.job_id, batch.batch_id, further)

    def _origin(self, home: Home) -> Origin:
        return Origin(self.job, self.job_id, home.batch_id, _now(self.clock), home.source)


def by_home(batch: Batch[Any]) -> list[tuple[Home, list[DeadLetter]]]:
    """Where the dead letters of a batch belong that several files share; also the files that have none."""
    found: dict[Home | None, list[DeadLetter]] = {home: [] for home in batch.homes}
    for dead_letter in batch.dead_letters:
        found[dead_letter.home].append(dead_letter)
    return [(home, found[home]) for home in batch.homes]


def located(dead_letters: Sequence[DeadLetter], source: str) -> list[DeadLetter]:
    """The dead letters with their line numbers, as far as counting them is affordable.

    A reader that began in the middle of a file of lines knows the byte, not the line.
    """
    unknown = {
        dead_letter.position
        for dead_letter in dead_letters
        if dead_letter.line is None and dead_letter.position is not None and _is_of_a_line(dead_letter)
    }
    lines = line_numbers(source, unknown) if unknown else {}
    return [
        replace(dead_letter, line=lines[dead_letter.position])
        if dead_letter.line is None and dead_letter.position in lines
        else dead_letter
        for dead_letter in dead_letters
    ]


def _is_of_a_line(dead_letter: DeadLetter) -> bool:
    """Whether its position may be that of a byte: of a line, or of one of several records in one."""
    return isinstance(dead_letter.original, bytes) or dead_letter.answer is not None


@dataclass
class ReadDeadLetters(beam.PTransform[PCollection[str], PCollection[Batch[Record]]]):
    """Reads the dead letters of batches.

    In: batch ids. Out: a batch for each, of the same id and source; what still is not a record is a dead letter.
    Fails: a file that cannot be read as dead letters fails the job.

    Attributes:
      folder: where the dead letters are.
      reading: how the input is read that they came from.
    """

    folder: DeadLetterFolder
    reading: ReadOptions = DEFAULT

    def expand(self, batch_ids: PCollection[str]) -> PCollection[Batch[Record]]:
        return batch_ids | "Read" >> beam.FlatMap(_read, self.folder, self.reading)


def _read(batch_id: str, folder: DeadLetterFolder, reading: ReadOptions) -> Iterator[Batch[Record]]:
    if not is_asked_to_stop() and (stored := folder.read(batch_id)):
        yield shaped(batch_of(batch_id, stored, reading), reading, is_replay=True)


def batch_of(batch_id: str, stored: Sequence[StoredDeadLetter], reading: ReadOptions = DEFAULT) -> Batch[Record]:
    """The records of dead letters, in their order."""
    records: list[Record] = []
    dead_letters: list[DeadLetter] = []
    unexpected = Unexpected("reading the record", len(stored), may_be_alike=True)
    for each in stored:
        try:
            records += records_of(each, reading)
        except FAILURES as error:
            dead_letters.append(still_dead(each, unexpected.as_record_error(error)))
    read = len(records) + len(dead_letters)
    not_kept = sum(not each.keeps_record for each in stored)
    counts = {NOT_REPLAYABLE: not_kept} if not_kept else {}
    return Batch(batch_id, stored[0].source, read, tuple(records), tuple(dead_letters), counts=counts)


@dataclass
class ResolveDeadLetters(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """Puts the dead letters of every batch where they belong and hands the batch on.

    In and out: batches whose every record is accounted for. Delivery: at least once, harmlessly. Fails: a folder that
    cannot be written fails the bundle.

    Attributes:
      folder: where the dead letters are.
      run: this one.
      reading: as `ReadDeadLetters` has it.
      clock: injected by tests.
      may_be_resolved: whether somebody else may resolve some of them meanwhile.
    """

    folder: DeadLetterFolder
    run: ReplayRun
    reading: ReadOptions = DEFAULT
    clock: Clock = SYSTEM_CLOCK
    may_be_resolved: bool = False

    @no_annotations  # type: ignore[untyped-decorator]
    def expand(self, batches: PCollection[Batch[T]]) -> PCollection[Batch[T]]:
        resolve = beam.Map(_resolved, self.folder, self.run, self.reading, self.clock, self.may_be_resolved)
        return batches | "Settle" >> resolve.with_output_types(batches.element_type)


@no_annotations  # type: ignore[untyped-decorator]
def _resolved(
    batch: Batch[T],
    folder: DeadLetterFolder,
    run: ReplayRun,
    reading: ReadOptions,
    clock: Clock,
    may_be_resolved: bool,
) -> Batch[T]:
    """The same batch, its dead letters resolved."""
    n_records = partial(count_records, reading=reading)
    folder.resolve(
        batch.batch_id,
        batch.read,
        batch.dead_letters,
        run,
        _now(clock),
        n_records,
        may_be_resolved=may_be_resolved,
    )
    return batch


@dataclass
class ClearDeadLetters(beam.PTransform[PCollection[BatchOutcome], PCollection[str]]):
    """Removes the dead letters that have moved from where they were.

    In: outcomes that the ledger has. Out: their batch ids. Behind a shuffle, so that a bundle which is done again
    finds its dead letters.
    """

    folder: DeadLetterFolder
    run: str

    def expand(self, outcomes: PCollection[BatchOutcome]) -> PCollection[str]:
        batch_ids = outcomes | "TakeId" >> beam.Map(_batch_id_of) | "Reshuffle" >> beam.Reshuffle()
        return batch_ids | "Clear" >> beam.Map(_clear, self.folder, self.run)


def _batch_id_of(outcome: BatchOutcome) -> str:
    return outcome.batch_id


def _clear(batch_id: str, folder: DeadLetterFolder, run: str) -> str:
    folder.clear(batch_id, run)
    return batch_id


def _now(clock: Clock) -> str:
    return iso(datetime.datetime.fromtimestamp(clock.now(), datetime.timezone.utc))
