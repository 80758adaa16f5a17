"""The steps of an audit: those of a copy, with the writes switched off.

Batch[Record] ──CheckRecords──▶ Batch[Audited], nothing written
                      │
                      ▼ 16 bytes per item, grouped by id
                FindSharedIds ─▶ Batch[Audited]: the items that share an id
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.batch import Batch, DeadLetter, Record
from transforms.cosmos.target import CosmosTarget
from transforms.errors import RecordError
from transforms.migrate.audit import STEP, Audited, check, fingerprints, key_digest, shared_keys
from transforms.migrate.feed import FeedPart, FeedSource, input_id
from transforms.migrate.items import ItemForm, MigratedLayout
from transforms.records.spec import RecordSpec
from transforms.runtime.batch_coder import register_batches
from transforms.runtime.stopping import is_asked_to_stop
from transforms.upsert.records import key_of
from transforms.upsert.source_versions import another_has_its_id

register_batches(Record, Audited)


@dataclass
class CheckRecords(beam.PTransform[PCollection[Batch[Record]], PCollection[Batch[Audited]]]):
    """Does what a copy does, up to its requests.

    In: batches of records. Out: the same batches; entries are what a copy would write, dead letters what it would
    refuse. Calls nothing.

    Attributes:
      spec, form, layout: as the copy has them.
      job_id: of this run.
    """

    spec: RecordSpec
    form: ItemForm
    layout: MigratedLayout
    job_id: str

    def expand(self, batches: PCollection[Batch[Record]]) -> PCollection[Batch[Audited]]:
        return batches | "Check" >> beam.Map(_checked, self.spec, self.form, self.layout, self.job_id)


def _checked(
    batch: Batch[Record], spec: RecordSpec, form: ItemForm, layout: MigratedLayout, job_id: str
) -> Batch[Audited]:
    return check(batch, spec, form, layout, job_id)


@dataclass
class FindSharedIds(beam.PTransform[PCollection[Batch[Audited]], PCollection[Batch[Audited]]]):
    """Finds items that become documents of one id, which a copy would refuse but for one.

    In: what `CheckRecords` gives. Out: batches of nothing but dead letters, one for each item that shares an id but the
    first. Reads the container again if there are any, because only digests were kept. Memory: 16 bytes per item.

    Attributes:
      target, parts, max_items: as in `ReadFeed`, from the beginning.
      spec, form: as the copy has them.
    """

    target: CosmosTarget
    parts: Sequence[FeedPart]
    max_items: int
    spec: RecordSpec
    form: ItemForm

    def expand(self, batches: PCollection[Batch[Audited]]) -> PCollection[Batch[Audited]]:
        digests = batches | "Digests" >> beam.FlatMap(fingerprints)
        grouped = digests | "ById" >> beam.GroupByKey()
        return grouped | "Find" >> beam.ParDo(_FindFn(self.target, self.parts, self.max_items, self.spec, self.form))


@dataclass
class _FindFn(beam.DoFn):
    target: CosmosTarget
    parts: Sequence[FeedPart]
    max_items: int
    spec: RecordSpec
    form: ItemForm

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[Batch[Audited]]:
        shard, digests = element
        shared = shared_keys(digests)
        refused = list(self._refused(shared)) if shared else []
        if refused:
            # They were counted when their own batches were checked.
            counts = {"read": 0, "audited": -len(refused)}
            batch_id = f"{input_id(self.target.label)}-shared-{shard:05d}"
            yield Batch(batch_id, self.target.label, len(refused), (), tuple(refused), counts=counts)

    def _refused(self, shared: frozenset[bytes]) -> Iterator[DeadLetter]:
        seen: dict[str, set[str]] = {}
        source = FeedSource(self.target, self.max_items, is_asked_to_stop)
        for part in self.parts:
            for batch in source.batches(part):
                for record in batch.entries:
                    found = self._found(record, shared)
                    if found is not None:
                        key, item = found
                        others = seen.setdefault(key, set())
                        if others and item not in others:
                            yield DeadLetter.of(STEP, record, another_has_its_id(), key)
                        others.add(item)

    def _found(self, record: Record, shared: frozenset[bytes]) -> tuple[str, str] | None:
        try:
            key = key_of(record, self.spec)
            if key_digest(key) not in shared:
                return None
            version = self.form.read(record).version
        except RecordError:  # refused for another reason, and counted with it
            return None
        return (key, version.record) if version else None
