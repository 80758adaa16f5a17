"""The transform that reads a container's change feed.

Create(parts) ─▶ Reshuffle ─▶ ReadFeed ─▶ PCollection[Batch[Record]]
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from transforms.batch import Batch, Record
from transforms.cosmos.target import CosmosTarget
from transforms.migrate.feed import FeedPart, FeedSource
from transforms.runtime.garbage import tune_garbage_collector
from transforms.runtime.stopping import is_asked_to_stop


@dataclass
class ReadFeed(beam.PTransform[PBegin, PCollection[Batch[Record]]]):
    """Reads the items of a container, each in its newest version, up to the points of its parts.

    In: nothing. Out: `Batch[Record]`, one per page, named `{container}-{part}-{page}`, those of a part in order; a
    record's value is the item, with what Cosmos DB says about it. Delivery: each item that is live at least once.
    Parallel: parts. Fails: JobError and TransientError as `page`.

    Attributes:
      target: the container.
      parts: of its feed.
      max_items: of a page.
      read_before: as in `FeedSource`.
    """

    target: CosmosTarget
    parts: Sequence[FeedPart]
    max_items: int
    read_before: Callable[[str], tuple[int, str]]

    def expand(self, begin: PBegin) -> PCollection[Batch[Record]]:
        parts = begin | "Parts" >> beam.Create(self.parts, reshuffle=False)
        spread = parts | "Reshuffle" >> beam.Reshuffle()
        source = FeedSource(self.target, self.max_items, is_asked_to_stop, self.read_before)
        return spread | "ReadFeed" >> beam.ParDo(_ReadFn(source))


@dataclass
class _ReadFn(beam.DoFn):
    source: FeedSource

    def setup(self) -> None:
        tune_garbage_collector()

    def process(self, element: FeedPart) -> Iterator[Batch[Record]]:
        yield from self.source.batches(element)
