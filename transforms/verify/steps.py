"""The steps of a pipeline that compares two stores.

    plan ─▶ PlanRanges ─▶ Reshuffle ─▶ CompareRanges ─▶ BatchOutcome ─▶ RecordOutcomes ─▶ CompleteJob
            ranges, kept               one range        counted          ledger            report of all ranges

A range is a batch of the ledger, with counters of its own: `counters.py`.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from transforms.counters import BYTES_READ, Kinds
from transforms.firestore.read_time import JOB_START, fix_read_time
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.batches import Batches
from transforms.ledger.entry import LedgerEntry
from transforms.outcomes import BatchOutcome
from transforms.retry import SYSTEM_CLOCK
from transforms.runtime.stopping import PassedOver, is_asked_to_stop
from transforms.verify.comparison import Compared, Comparison, StoppedError
from transforms.verify.entries import Store
from transforms.verify.parts import Parts, RangePiece

_SHOWN_KEYS = 10


@dataclass(frozen=True)
class Sides:
    """What is compared, and how.

    Attributes:
      left, right: the stores.
      clock: the database whose time says when the run began.
      max_ranges: maximum number of ranges.
      max_keys: maximum number of keys per range and side that are compared one by one.
      plans_right: whether the right store says where to cut; else the left one does.
      show_values: whether the report shows the values that differ.
      settles_s: how long before documents that differ are read again.
    """

    left: Store
    right: Store
    clock: FirestoreTarget
    max_ranges: int
    max_keys: int
    plans_right: bool = False
    show_values: bool = False
    settles_s: float = 0


@dataclass
class PlanRanges(beam.PTransform[PBegin, PCollection[RangePiece]]):
    """Cuts the keys into ranges, once per run, and spreads those that are not done over the workers.

    In: nothing. Out: `RangePiece`. Delivery: a resumed run has the ranges it had before, from `parts`. Parallel: no.
    Fails: as `Store.ranges`.
    """

    sides: Sides
    parts: Parts
    completed: Collection[str]

    def expand(self, begin: PBegin) -> PCollection[RangePiece]:
        once = begin | "Once" >> beam.Create([None], reshuffle=False)
        planned = once | "Plan" >> beam.ParDo(_PlanFn(self.sides, self.parts, frozenset(self.completed)))
        return planned | "Reshuffle" >> beam.Reshuffle()


@dataclass
class CompareRanges(beam.PTransform[PCollection[RangePiece], PCollection[BatchOutcome]]):
    """Compares ranges; what differs is in the range's own file before its outcome is passed on.

    In: `RangePiece`. Out: `BatchOutcome`. Delivery: a range that is compared again replaces its file. Parallel: ranges.
    Fails: TransientError fails the bundle, JobError the job.
    """

    sides: Sides
    parts: Parts
    entry: LedgerEntry

    def expand(self, pieces: PCollection[RangePiece]) -> PCollection[BatchOutcome]:
        return pieces | "Compare" >> beam.ParDo(_CompareFn(self.sides, self.parts, self.entry))


@dataclass
class _PlanFn(beam.DoFn):
    sides: Sides
    parts: Parts
    completed: frozenset[str]

    def process(self, element: None) -> Iterator[RangePiece]:
        pieces = self.parts.read_plan()
        if pieces is None:
            sides = self.sides
            read_time = fix_read_time(sides.clock.connect(), JOB_START)
            if read_time is None:
                raise ValueError("the database has not said what time it is")
            planner = (sides.right if sides.plans_right else sides.left).as_of(read_time)
            self.parts.write_plan(read_time, planner.ranges(sides.max_ranges))
            pieces = self.parts.read_plan() or []
        yield from (piece for piece in pieces if piece.batch_id not in self.completed)


@dataclass
class _CompareFn(beam.DoFn):
    sides: Sides
    parts: Parts
    entry: LedgerEntry

    def setup(self) -> None:
        self._batches = Batches(self.entry.connect(), self.entry.counters)

    def process(self, element: RangePiece) -> Iterator[BatchOutcome]:
        batch_id = element.batch_id
        if PassedOver()(batch_id):
            return
        source = span_text(element)
        self._batches.begin(batch_id, self.entry.attempt, {"source": source})
        sides = self.sides
        left, right = sides.left.as_of(element.read_time), sides.right.as_of(element.read_time)
        before = left.bytes_scanned + right.bytes_scanned
        comparison = Comparison(
            left,
            right,
            element.read_time,
            sides.max_keys,
            is_asked_to_stop,
            lambda: SYSTEM_CLOCK.sleep(sides.settles_s),
        )
        keys: list[str] = []
        try:
            with self.parts.written(batch_id) as write:
                for difference in comparison.differences(element.span):
                    if len(keys) < _SHOWN_KEYS:
                        keys.append(difference.key)
                    write(json.dumps(difference.as_json(sides.show_values)))
        except StoppedError:
            return
        found = comparison.found
        found.bytes_scanned = left.bytes_scanned + right.bytes_scanned - before
        self.parts.write_found(batch_id, found)
        yield outcome_of(batch_id, source, found, keys)


def outcome_of(batch_id: str, source: str, found: Compared, keys: Sequence[str]) -> BatchOutcome:
    """What became of a range.

    Args:
      keys: of the first few documents that differ.
    """
    counts = {
        "documents": found.documents,
        "equal": found.equal,
        "differences": sum(found.differing.values()),
        "changed": found.changed,
        BYTES_READ: found.bytes_scanned,
    }
    kinds: dict[str, Kinds] = {"differences_by": {(kind,): n for kind, n in found.differing.items()}}
    return BatchOutcome(batch_id, source, counts, kinds, tuple(keys))


def span_text(piece: RangePiece) -> str:
    """A range as people read it.

    >>> import datetime
    >>> from transforms.firestore.ranges import NameRange
    >>> span_text(RangePiece("range-00000", NameRange(), datetime.datetime.min))
    'keys from the first to the last'
    """
    start, end = piece.span.start, piece.span.end
    return f"keys from {start.path if start else 'the first'} to {end.path if end else 'the last'}"
