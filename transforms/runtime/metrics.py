"""Beam's metrics of completed batches: `batches_completed`, and those that a job's counters declare.

    CompleteBatch   batches_completed     batches whose every record is accounted for
    CompleteBatch   …                     `RECORDS` in transforms/batch.py, `DOCUMENTS` in transforms/verify/counters.py
    UpsertPairs     cumulativeThrottlingSeconds      waited for the write budget or an overloaded Firestore

Beam's counters show attempts: a bundle that is done again counts again. The ledger does not, so summaries come from it.
"""

from apache_beam.metrics.metric import Metrics

from transforms.counters import Counters
from transforms.outcomes import BatchOutcome

_NAMESPACE = "CompleteBatch"
_BATCHES_COMPLETED = Metrics.counter(_NAMESPACE, "batches_completed")


def count_batch(outcome: BatchOutcome, counters: Counters) -> None:
    """Adds a completed batch to the metrics."""
    _BATCHES_COMPLETED.inc()
    for counter in counters.all:
        if counter.metric:
            Metrics.counter(_NAMESPACE, counter.metric).inc(outcome.counts.get(counter.name, 0))
