"""The steps that only a replay has: dead letters in, and every letter to where it belongs.

    batch ids ──ReadLetters──▶ Batch[Record] ─ … ─▶ Batch[Compared] ──SetAsideOlder──▶ … Batch[Written]
                                                                                              │
                   own folder cleared ◀──ClearLetters── batch ids ◀── CompleteBatch ◀── SettleLetters

The files are in `batches/dead_letter_files.py`. Letters are put into their new places before their batch is completed
in the ledger, and removed from their old ones only then: a batch that is done again finds what it found before.
"""

import datetime
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints.decorators import no_annotations

from transforms.batch import Batch, BatchOutcome, DeadLetter, Record
from transforms.dead_letters.folder import LetterFolder, ReplayRun
from transforms.dead_letters.lines import Letter, ReplayedRecord, record_of, still_dead
from transforms.errors import RecordError
from transforms.firestore.tagged_json import iso
from transforms.runtime.batch_coder import register_batches
from transforms.runtime.stopping import is_asked_to_stop
from transforms.upsert.entries import Compared, Written
from transforms.upsert.versions import StoredDocument, input_id_of

register_batches(Record)


class ReadLetters(beam.PTransform[PCollection[str], PCollection[Batch[Record]]]):
    """Reads the dead letters of batches.

    In: batch ids. Out: a batch for each, of the same id and source; a record that is still none is a dead letter.
    Fails: a file that cannot be read as dead letters fails the job.
    """

    def __init__(self, folder: LetterFolder):
        super().__init__()
        self._folder = folder

    def expand(self, batch_ids: PCollection[str]) -> PCollection[Batch[Record]]:
        batches: PCollection[Batch[Record]] = batch_ids | "Read" >> beam.FlatMap(_read, self._folder)
        return batches


def _read(batch_id: str, folder: LetterFolder) -> Iterator[Batch[Record]]:
    if not is_asked_to_stop() and (letters := folder.letters(batch_id)):
        yield batch_of(batch_id, letters)


def batch_of(batch_id: str, letters: list[Letter]) -> Batch[Record]:
    """The records of dead letters, in their order."""
    records: list[Record] = []
    dead: list[DeadLetter] = []
    for letter in letters:
        try:
            records.append(record_of(letter))
        except RecordError as error:
            dead.append(still_dead(letter, error))
    return Batch(batch_id, letters[0].source, len(letters), tuple(records), tuple(dead))


class SetAsideOlder(beam.PTransform[PCollection[Batch[Compared]], PCollection[Batch[Compared]]]):
    """Sets aside the records whose documents somebody has written since the records failed.

    In: batches of compared records. Out: the same batches; what is set aside counts as superseded. Within the input
    that a record came from its place decides, which `CompareVersions` has looked at; against all others the time does.

    Args:
      input_ids: fingerprints of all sources of the job that the records came from.
      finished_at: when each job finished last. A document that a replay wrote names the job its record came from, and
        is no newer than that.
    """

    def __init__(self, input_ids: Collection[str], finished_at: Mapping[str, datetime.datetime]):
        super().__init__()
        self._input_ids, self._finished_at = frozenset(input_ids), dict(finished_at)

    def expand(self, batches: PCollection[Batch[Compared]]) -> PCollection[Batch[Compared]]:
        current: PCollection[Batch[Compared]] = batches | "SetAside" >> beam.Map(
            set_aside_older, self._input_ids, self._finished_at
        )
        return current


def set_aside_older(
    batch: Batch[Compared], input_ids: Collection[str], finished_at: Mapping[str, datetime.datetime]
) -> Batch[Compared]:
    """The batch without records that are older than what is stored under their ids."""

    def is_newer(document: StoredDocument, failed_at: datetime.datetime) -> bool:
        if input_id_of(document.batch_id) in input_ids:
            return False
        return min(document.update_time, finished_at.get(document.job_id, document.update_time)) > failed_at

    def is_older(entry: Compared) -> bool:
        record = entry.record
        return isinstance(record, ReplayedRecord) and any(
            is_newer(document, record.failed_at) for document in entry.stored.present
        )

    current = [entry for entry in batch.entries if not is_older(entry)]
    return batch.then(current, superseded=len(batch.entries) - len(current))


class SettleLetters(beam.PTransform[PCollection[Batch[Written]], PCollection[Batch[Written]]]):
    """Puts the letters of every batch where they belong and hands the batch on.

    In and out: batches whose every record is accounted for. Delivery: at least once, harmlessly. Fails: a folder that
    cannot be written fails the bundle.

    Args:
      folder: where the letters are.
      run: this one.
      now: seconds since the epoch; injected by tests.
    """

    def __init__(self, folder: LetterFolder, run: ReplayRun, now: Callable[[], float] = time.time):
        super().__init__()
        self._folder, self._run, self._now = folder, run, now

    def expand(self, batches: PCollection[Batch[Written]]) -> PCollection[Batch[Written]]:
        settled: PCollection[Batch[Written]] = batches | "Settle" >> beam.Map(
            settled_batch, self._folder, self._run, self._now
        )
        return settled


@no_annotations  # type: ignore[untyped-decorator]  # as in dead_letters.py
def settled_batch(
    batch: Batch[Any], folder: LetterFolder, run: ReplayRun, now: Callable[[], float] = time.time
) -> Batch[Any]:
    """The same batch, its letters settled."""
    moment = datetime.datetime.fromtimestamp(now(), datetime.timezone.utc)
    folder.settle(batch.batch_id, batch.read, batch.dead_letters, run, iso(moment))
    return batch


class ClearLetters(beam.PTransform[PCollection[BatchOutcome], PCollection[str]]):
    """Removes the letters that have moved from where they were.

    In: outcomes that the ledger has. Out: their batch ids. Behind a shuffle, so that a bundle which is done again
    finds its letters.
    """

    def __init__(self, folder: LetterFolder, run: str):
        super().__init__()
        self._folder, self._run = folder, run

    def expand(self, outcomes: PCollection[BatchOutcome]) -> PCollection[str]:
        batch_ids = outcomes | "TakeId" >> beam.Map(_batch_id_of) | "Reshuffle" >> beam.Reshuffle()
        cleared: PCollection[str] = batch_ids | "Clear" >> beam.Map(_clear, self._folder, self._run)
        return cleared


def _batch_id_of(outcome: BatchOutcome) -> str:
    return outcome.batch_id


def _clear(batch_id: str, folder: LetterFolder, run: str) -> str:
    folder.clear(batch_id, run)
    return batch_id
