"""The step that hands changes to a sink. What a sink is, is in `sinks.py`."""

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints.decorators import no_annotations

from transforms.batch import Batch
from transforms.listen.entries import Changed
from transforms.listen.sinks import ChangeSink
from transforms.runtime.batch_coder import register_batches

register_batches(Changed)


@dataclass
class WriteChanges(beam.PTransform[PCollection[Batch[Changed]], PCollection[Batch[Changed]]]):
    """Writes batches of changes to a sink.

    In: batches of changes. Out: the same batches, each once its sink has answered for all of it; what the sink refused
    is a dead letter. Delivery: at least once, batches of a stream in order. Parallel: streams. Fails: TransientError
    fails the bundle, JobError the job.

    Attributes:
      sink: where they go.
    """

    sink: ChangeSink

    def expand(self, batches: PCollection[Batch[Changed]]) -> PCollection[Batch[Changed]]:
        return batches | "Write" >> beam.ParDo(_WriteFn(self.sink)).with_output_types(Batch[Changed])


@dataclass
class _WriteFn(beam.DoFn):
    sink: ChangeSink

    def setup(self) -> None:
        self._writer = self.sink.open()

    @no_annotations  # type: ignore[untyped-decorator]
    def process(self, element: Batch[Changed]) -> Iterator[Batch[Changed]]:
        yield self._writer.write(element) if element.entries else element

    def teardown(self) -> None:
        self._writer.close()
