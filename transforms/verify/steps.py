"""The steps of a pipeline that compares two stores.

    plan ─▶ PlanRanges ─▶ Reshuffle ─▶ CompareRanges ─▶ BatchOutcome ─▶ RecordOutcomes ─▶ CompleteJob
            ranges, kept               one range        ledger's words   ledger            report of all ranges

A range is a batch of the ledger, with counters of its own: `counters.py`.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from transforms.counters import BYTES_READ
from transforms.firestore.read_time import JOB_START, fix_read_time
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.batches import Batches
from transforms.ledger.entry import LedgerEntry
from transforms.outcomes import BatchOutcome
from transforms.runtime.stopping import PassedOver, is_asked_to_stop
from transforms.verify.comparison import Comparison, StoppedError
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
    """

    left: Store
    right: Store
    clock: FirestoreTarget
    max_ranges: int
    max_keys: int
    plans_right: bool = False
    show_values: bool = False


class PlanRanges(beam.PTransform[PBegin, PCollection[RangePiece]]):
    """Cuts the keys into ranges, once a run, and spreads those that are not done over the workers.

    In: nothing. Out: `RangePiece`. Delivery: a run that is resumed has the ranges it had before, from `parts`.
    Parallel: no. Fails: as `Store.ranges`.
    """

    def __init__(self, sides: Sides, parts: Parts, completed: Collection[str]):
        super().__init__()
        self._plan = _PlanFn(sides, parts, frozenset(completed))

    def expand(self, begin: PBegin) -> PCollection[RangePiece]:
        once = begin | "Once" >> beam.Create([None], reshuffle=False)
        planned = once | "Plan" >> beam.ParDo(self._plan)
        pieces: PCollection[RangePiece] = planned | "Reshuffle" >> beam.Reshuffle()
        return pieces


class CompareRanges(beam.PTransform[PCollection[RangePiece], PCollection[BatchOutcome]]):
    """Compares ranges; what differs is in the range's own file before its outcome is handed on.

    In: `RangePiece`. Out: `BatchOutcome`. Delivery: a range that is compared again replaces its file. Parallel: ranges.
    Fails: TransientError fails the bundle, JobError the job.
    """

    def __init__(self, sides: Sides, parts: Parts, entry: LedgerEntry):
        super().__init__()
        self._compare = _CompareFn(sides, parts, entry)

    def expand(self, pieces: PCollection[RangePiece]) -> PCollection[BatchOutcome]:
        outcomes: PCollection[BatchOutcome] = pieces | "Compare" >> beam.ParDo(self._compare)
        return outcomes


class _PlanFn(beam.DoFn):
    def __init__(self, sides: Sides, parts: Parts, completed: frozenset[str]):
        super().__init__()
        self._sides, self._parts, self._completed = sides, parts, completed

    def process(self, element: None) -> Iterator[RangePiece]:
        pieces = self._parts.read_plan()
        if pieces is None:
            sides = self._sides
            read_time = fix_read_time(sides.clock.connect(), JOB_START)
            if read_time is None:
                raise ValueError("the database answered without a read time")
            planner = (sides.right if sides.plans_right else sides.left).as_of(read_time)
            self._parts.write_plan(read_time, planner.ranges(sides.max_ranges))
            pieces = self._parts.read_plan() or []
        yield from (piece for piece in pieces if piece.batch_id not in self._completed)


class _CompareFn(beam.DoFn):
    def __init__(self, sides: Sides, parts: Parts, entry: LedgerEntry):
        super().__init__()
        self._sides, self._parts, self._entry = sides, parts, entry

    def setup(self) -> None:
        self._batches = Batches(self._entry.connect(), self._entry.counters)

    def process(self, element: RangePiece) -> Iterator[BatchOutcome]:
        batch_id = element.batch_id
        if PassedOver()(batch_id):
            return
        source = span_text(element)
        self._batches.begin(batch_id, self._entry.attempt, {"source": source})
        sides = self._sides
        left, right = sides.left.as_of(element.read_time), sides.right.as_of(element.read_time)
        before = left.bytes_scanned + right.bytes_scanned
        comparison = Comparison(left, right, element.read_time, sides.max_keys, is_asked_to_stop)
        keys: list[str] = []
        try:
            with self._parts.written(batch_id) as write:
                for difference in comparison.differences(element.span):
                    if len(keys) < _SHOWN_KEYS:
                        keys.append(difference.key)
                    write(json.dumps(difference.as_json(sides.show_values)))
        except StoppedError:
            return
        found = comparison.found
        found.bytes_scanned = left.bytes_scanned + right.bytes_scanned - before
        self._parts.write_found(batch_id, found)
        yield BatchOutcome(
            batch_id,
            source,
            {
                "documents": found.documents,
                "equal": found.equal,
                "differences": sum(found.differing.values()),
                "changed": found.changed,
                BYTES_READ: found.bytes_scanned,
            },
            {"differences_by": {(kind,): n for kind, n in found.differing.items()}},
            tuple(keys),
        )


def span_text(piece: RangePiece) -> str:
    """A range as people read it.

    >>> import datetime
    >>> from transforms.firestore.ranges import NameRange
    >>> span_text(RangePiece("range-00000", NameRange(), datetime.datetime.min))
    'keys from the first to the last'
    """
    start, end = piece.span.start, piece.span.end
    return f"keys from {start.path if start else 'the first'} to {end.path if end else 'the last'}"
