"""The steps that write the documents of every record, exactly once: what is stored already is not written again.

    Batch[Record] ──IdentifyRecords──▶ Batch[Keyed] ──CompareVersions──▶ Batch[Compared] ──FlattenRecords──▶ Batch[Flat]
                      ids, hashes                      what is stored                       record spec         │
                                                                                                                ▼
                                                                    Batch[Written] ◀──────────────────── UpsertPairs

`CompareVersions` reads the `_meta` of a batch's documents in one BatchGetDocuments. `UpsertPairs` writes under
preconditions made of what was read, so that of two writers of one document neither loses an update: whoever comes
second meets a conflict, reads again and decides again. How it is done is in `upserter.py`, the decisions are in
`decide.py`, the documents in `groups.py`.

While `UpsertPairs` writes a batch, the next one comes as far as `UpsertPairs`; one that has an id of the batch that is
being written is compared when that is done.
"""

import datetime
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection

from transforms.batch import Batch, Record
from transforms.firestore.packing import RequestLimits
from transforms.firestore.qos import OFF, QosSettings
from transforms.records.spec import RecordSpec
from transforms.retry import Retry
from transforms.runtime.background import Background
from transforms.runtime.batch_coder import register_batches
from transforms.runtime.parallelism import declared_parallelism
from transforms.upsert.decide import compare, set_aside_older
from transforms.upsert.doubts import AsksSource
from transforms.upsert.entries import Compared, Flat, Keyed, Written
from transforms.upsert.forms import AS_IT_CAME, RecordForm
from transforms.upsert.in_flight import in_flight_to
from transforms.upsert.layout import Layout
from transforms.upsert.records import flatten, identify
from transforms.upsert.stored import read_stored
from transforms.upsert.upserter import Upserter
from transforms.upsert.versions import RunIdentity

register_batches(Keyed, Compared, Flat, Written)

_THROTTLED = Metrics.counter("UpsertPairs", "cumulativeThrottlingSeconds")


@dataclass
class IdentifyRecords(beam.PTransform[PCollection[Batch[Record]], PCollection[Batch[Keyed]]]):
    """Gives every record its document id and the hash of its content.

    In: batches of records. Out: the same batches; a record without a usable id is a dead letter. Calls nothing.
    """

    spec: RecordSpec
    form: RecordForm = AS_IT_CAME

    def expand(self, batches: PCollection[Batch[Record]]) -> PCollection[Batch[Keyed]]:
        return batches | "Identify" >> beam.Map(identify, self.spec, self.form)


@dataclass
class CompareVersions(beam.PTransform[PCollection[Batch[Keyed]], PCollection[Batch[Compared]]]):
    """Sets aside the records whose documents already hold their content, and judges the others.

    In: batches of keyed records. Out: the same batches; entries are the records to write, those that this batch has
    already written in this run, those whose row is missing, and those that what is stored supersedes, of which
    nobody knows yet whether they could be written. Calls: one BatchGetDocuments per batch, `_meta` only, once no batch
    of its bundle that has one of its ids is being written; none in the mode overwrite. Fails: TransientError fails
    the bundle, JobError the job.
    """

    layout: Layout
    run: RunIdentity
    retry: Retry = field(default_factory=Retry)

    def expand(self, batches: PCollection[Batch[Keyed]]) -> PCollection[Batch[Compared]]:
        return batches | "Compare" >> beam.ParDo(_CompareFn(self.layout, self.run, self.retry))


@dataclass
class _CompareFn(beam.DoFn):
    layout: Layout
    run: RunIdentity
    retry: Retry

    def setup(self) -> None:
        self._client = self.layout.target.connect()

    def process(self, element: Batch[Keyed]) -> Iterator[Batch[Compared]]:
        keys = [entry.key for entry in element.entries]
        in_flight_to(self.layout).wait_for(keys)
        stored = read_stored(self._client, self.layout, keys, self.retry)
        yield compare(element, stored, self.layout.mode, self.run)


@dataclass
class SetAsideOlder(beam.PTransform[PCollection[Batch[Compared]], PCollection[Batch[Compared]]]):
    """Sets aside the records of a replay whose documents somebody has written since the records failed.

    In: batches of compared records. Out: the same batches; what is set aside counts as superseded. Calls nothing.

    Attributes:
      input_ids, finished_at: as in `set_aside_older`.
    """

    input_ids: Collection[str]
    finished_at: Mapping[str, datetime.datetime]

    def expand(self, batches: PCollection[Batch[Compared]]) -> PCollection[Batch[Compared]]:
        return batches | "SetAside" >> beam.Map(set_aside_older, frozenset(self.input_ids), dict(self.finished_at))


@dataclass
class FlattenRecords(beam.PTransform[PCollection[Batch[Compared]], PCollection[Batch[Flat]]]):
    """Gives every record its encoded content and its flat form.

    In: batches of compared records. Out: the same batches; what cannot be a Firestore document, or fails a check of the
    spec, is a dead letter. Calls nothing.
    """

    spec: RecordSpec
    form: RecordForm = AS_IT_CAME

    def expand(self, batches: PCollection[Batch[Compared]]) -> PCollection[Batch[Flat]]:
        return batches | "Flatten" >> beam.Map(flatten, self.spec, self.form)


@dataclass
class UpsertPairs(beam.PTransform[PCollection[Batch[Flat]], PCollection[Batch[Written]]]):
    """Commits the records of a batch, each as a pair of documents or as one.

    In: batches of flat records. Out: the same batches; entries are the records that Firestore acknowledged, the others
    are dead letters of step `UpsertPairs` or counted as superseded or unchanged. Delivery: exactly one version of each
    content, however often a request or a bundle is repeated; in the mode overwrite at least once. Parallel: bundles,
    and `limits.max_in_flight` Commits in each; the batches of a bundle are written one after the other, each while the
    next one is made ready. Fails: TransientError fails the bundle, JobError the job.

    Attributes:
      layout: database, collections and mode.
      run: who writes.
      limits: of one Commit.
      retry: of a transient failure.
      max_writes_per_s: of the whole job: see `QosSettings`; off on the emulator.
      source: is asked about records in doubt, where the source's own versions decide.
    """

    layout: Layout
    run: RunIdentity
    limits: RequestLimits = field(default_factory=RequestLimits)
    retry: Retry = field(default_factory=Retry)
    max_writes_per_s: float | None = None
    source: AsksSource | None = None

    def expand(self, batches: PCollection[Batch[Flat]]) -> PCollection[Batch[Written]]:
        qos = OFF
        if not self.layout.target.emulator_host:
            qos = QosSettings(self.max_writes_per_s, declared_parallelism(batches.pipeline.options))
        return batches | "Commit" >> beam.ParDo(
            _UpsertFn(self.layout, self.run, self.limits, self.retry, qos, self.source)
        )


@dataclass
class _UpsertFn(beam.DoFn):
    layout: Layout
    run: RunIdentity
    limits: RequestLimits
    retry: Retry
    qos: QosSettings
    source: AsksSource | None

    def setup(self) -> None:
        target = self.layout.target
        qos = self.qos.shared(target.name)
        resolve = self.source.connect() if self.source else None
        self._upserter = Upserter(target.connect(), self.layout, self.run, self.limits, self.retry, qos, resolve)
        self._background = Background(self._upserter.upsert)
        self._last_keys: frozenset[str] = frozenset()

    def start_bundle(self) -> None:
        self._background.forget()

    def process(self, element: Batch[Flat], windowed: Any = beam.DoFn.WindowedValueParam) -> Iterator[Batch[Written]]:
        done = self._wait()
        keys = frozenset(entry.key for entry in element.entries)
        if not keys.isdisjoint(self._last_keys):
            # What the batch replaces is accounted for first, or a run that is killed would find it superseded.
            yield from done
            done = []
        self._last_keys = keys
        in_flight_to(self.layout).begin(self._background.begin(windowed), keys)
        yield from done
        if element.flush:
            yield from self._wait()

    def finish_bundle(self) -> Iterator[Any]:
        yield from self._wait()

    def teardown(self) -> None:
        self._background.close()

    def _wait(self) -> list[Any]:
        try:
            done = self._background.wait()
        finally:
            in_flight_to(self.layout).end()
        _THROTTLED.inc(self._upserter.take_throttled_s())  # here, as Beam counts nothing in other threads
        return done
