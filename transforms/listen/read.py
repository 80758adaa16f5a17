"""Reads dead letters of a listen job as changes, for whoever puts them through its sinks again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints.decorators import no_annotations

from transforms.batch import Batch
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.firestore.changes.change_batch import ChangeBatch, StreamState
from transforms.firestore.query import Query
from transforms.firestore.read_time import JOB_START, fix_read_time
from transforms.firestore.target import FirestoreTarget
from transforms.listen.entries import Changed, StreamSettings, entered
from transforms.listen.retries import again_of, still_true
from transforms.retry import Retry
from transforms.runtime.batch_coder import register_batches
from transforms.runtime.stopping import is_asked_to_stop

register_batches(Changed)


@dataclass(frozen=True)
class RefusedStream:
    """A stream of which changes were refused.

    Attributes:
      query: what it listens to.
      settings: of its entries.
    """

    query: Query
    settings: StreamSettings


@dataclass
class ReadRefusedChanges(beam.PTransform[PCollection[str], PCollection[Batch[Changed]]]):
    """Reads dead letters as changes that are still true.

    In: ids of batches. Out: for each a batch of the same id. A document is read as it is now: a change that another
    version of it replaces is superseded. A document that is gone ends as of a time before it was read, so if it is
    created again, that is later. Delivery: at least once. Parallel: batches. Fails: TransientError fails the bundle,
    JobError the job.

    Attributes:
      folder: where the dead letters are.
      target: the database that was listened to.
      job_id: of the job.
      streams: of the job, by id.
      run: tells this attempt from all others.
      retry: of reads.
    """

    folder: DeadLetterFolder
    target: FirestoreTarget
    job_id: str
    streams: Mapping[str, RefusedStream]
    run: str
    retry: Retry

    def expand(self, batch_ids: PCollection[str]) -> PCollection[Batch[Changed]]:
        read = _ReadFn(self.folder, self.target, self.job_id, self.streams, self.run, self.retry)
        return batch_ids | "Read" >> beam.ParDo(read).with_output_types(Batch[Changed])


@dataclass
class _ReadFn(beam.DoFn):
    folder: DeadLetterFolder
    target: FirestoreTarget
    job_id: str
    streams: Mapping[str, RefusedStream]
    run: str
    retry: Retry

    def setup(self) -> None:
        self._client = self.target.connect()

    @no_annotations  # type: ignore[untyped-decorator]
    def process(self, element: str) -> Iterator[Batch[Changed]]:
        if is_asked_to_stop() or not (stored := self.folder.read(element)):
            return
        stream = self.streams[stored[0].source]
        read_time = fix_read_time(self._client, JOB_START, self.retry)
        assert read_time is not None, "a read time that is fixed is a time"
        changes = tuple(still_true(self._client, stream.query, stored, read_time, self.retry))
        again = again_of(stored, self.run)
        batch = ChangeBatch(stored[0].source, changes, None, read_time, StreamState.LIVE, again=again)
        yield entered(batch, self.job_id, stream.settings)
