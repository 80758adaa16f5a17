"""Writes every record as a pair of documents, exactly once: what is stored already is not written again.

    Batch[Keyed] ──CompareVersions──▶ Batch[Compared] ─ … ─▶ Batch[Flat] ──UpsertPairs──▶ Batch[Written]
                         │                                                     │    ▲
                         ▼                                                     ▼    │ read again, judge again
               unchanged, superseded                         refused: dead letters  conflict

`CompareVersions` reads the `_meta` of a batch's documents in one BatchGetDocuments. `UpsertPairs` writes under
preconditions made of what was read, so that of two writers of one document neither loses an update: whoever comes
second is told, reads again and decides again. How it is done is in `upserter.py`, the verdicts are in
`versions.py`, the documents in `pairs.py`.
"""

import datetime
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection

from transforms.batch import Batch
from transforms.firestore.packing import RequestLimits
from transforms.firestore.qos import OFF, QosSettings
from transforms.retry import Retry
from transforms.runtime.batch_coder import register_batches
from transforms.runtime.parallelism import declared_parallelism
from transforms.upsert.compare import set_aside_older
from transforms.upsert.entries import Compared, Flat, Keyed, Written
from transforms.upsert.pairs import PairLayout
from transforms.upsert.upserter import Upserter, compare
from transforms.upsert.versions import RunIdentity

register_batches(Keyed, Compared, Flat, Written)


class CompareVersions(beam.PTransform[PCollection[Batch[Keyed]], PCollection[Batch[Compared]]]):
    """Sets aside the records that need not be written.

    In: batches of keyed records. Out: the same batches; entries are the records to write, those that this batch has
    already written in this run, and those whose row is owed. Calls: one BatchGetDocuments a batch, `_meta` only;
    none in the mode overwrite. Fails: TransientError fails the bundle, JobError the job.
    """

    def __init__(self, layout: PairLayout, run: RunIdentity, retry: Retry | None = None):
        super().__init__()
        self._fn = _CompareFn(layout, run, retry or Retry())

    def expand(self, batches: PCollection[Batch[Keyed]]) -> PCollection[Batch[Compared]]:
        compared: PCollection[Batch[Compared]] = batches | "Compare" >> beam.ParDo(self._fn)
        return compared


class _CompareFn(beam.DoFn):
    def __init__(self, layout: PairLayout, run: RunIdentity, retry: Retry):
        super().__init__()
        self._layout, self._run, self._retry = layout, run, retry

    def setup(self) -> None:
        self._client = self._layout.target.connect()

    def process(self, element: Batch[Keyed]) -> Iterator[Batch[Compared]]:
        yield compare(element, self._layout, self._run, self._client, self._retry)


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


class UpsertPairs(beam.PTransform[PCollection[Batch[Flat]], PCollection[Batch[Written]]]):
    """Commits the pairs of a batch.

    In: batches of flat records. Out: the same batches; entries are the records that Firestore acknowledged, the others
    are dead letters of step `UpsertPairs` or counted as superseded or unchanged. Delivery: exactly one version of each
    content, however often a request or a bundle is repeated; in the mode overwrite at least once. Parallel: batches,
    and `limits.max_in_flight` Commits in each. Fails: TransientError fails the bundle, JobError the job.

    Args:
      layout: database, collections and mode.
      run: who writes.
      limits: of one Commit.
      retry: of a transient failure.
      max_writes_per_s: of the whole job: see `QosSettings`; off on the emulator.
      may_all_be_bad: as in `Upserter`.
    """

    def __init__(
        self,
        layout: PairLayout,
        run: RunIdentity,
        limits: RequestLimits,
        retry: Retry | None = None,
        max_writes_per_s: float | None = None,
        may_all_be_bad: bool = False,
    ):
        super().__init__()
        self._layout, self._run, self._limits, self._retry = layout, run, limits, retry or Retry()
        self._max_writes_per_s, self._may_all_be_bad = max_writes_per_s, may_all_be_bad

    def expand(self, batches: PCollection[Batch[Flat]]) -> PCollection[Batch[Written]]:
        qos = OFF
        if not self._layout.target.emulator_host:
            qos = QosSettings(self._max_writes_per_s, declared_parallelism(batches.pipeline.options))
        fn = _UpsertFn(self._layout, self._run, self._limits, self._retry, qos, self._may_all_be_bad)
        written: PCollection[Batch[Written]] = batches | "Commit" >> beam.ParDo(fn)
        return written


class _UpsertFn(beam.DoFn):
    def __init__(
        self,
        layout: PairLayout,
        run: RunIdentity,
        limits: RequestLimits,
        retry: Retry,
        qos: QosSettings,
        may_all_be_bad: bool,
    ):
        super().__init__()
        self._layout, self._run, self._limits, self._retry = layout, run, limits, retry
        self._qos, self._may_all_be_bad = qos, may_all_be_bad
        self._throttled = Metrics.counter("UpsertPairs", "cumulativeThrottlingSeconds")

    def setup(self) -> None:
        target = self._layout.target
        self._upserter = Upserter(
            target.connect(),
            self._layout,
            self._run,
            self._limits,
            self._retry,
            self._qos.shared(target.name),
            may_all_be_bad=self._may_all_be_bad,
        )

    def process(self, element: Batch[Flat]) -> Iterator[Batch[Written]]:
        yield self._upserter.upsert(element)
        self._throttled.inc(self._upserter.take_throttled_s())
