"""The metrics of Firebeam's transforms: a short, published table.

    namespace       metric                unit       counts
    CompleteBatch   batches_completed     batches    batches whose every record is accounted for
    CompleteBatch   records_read          records    read = written + unchanged + superseded + dead-lettered
    CompleteBatch   records_written       records    acknowledged by Firestore, and by BigQuery with INSERT_ROWS
    CompleteBatch   records_unchanged     records    whose documents already held the same content
    CompleteBatch   records_superseded    records    replaced by a later record of the same id
    CompleteBatch   dead_letters          records    stored as dead letters
    CompleteBatch   requests_retried      requests   sent again after a transient failure
    UpsertPairs     cumulativeThrottlingSeconds      waited for the write budget or an overloaded Firestore

Beam's counters show attempts: a bundle that is done again counts again. The ledger does not, so summaries come from it.
"""

from apache_beam.metrics.metric import Metrics

from transforms.batch import BatchOutcome

_NAMESPACE = "CompleteBatch"
_BATCHES_COMPLETED = Metrics.counter(_NAMESPACE, "batches_completed")
_RECORDS_READ = Metrics.counter(_NAMESPACE, "records_read")
_RECORDS_WRITTEN = Metrics.counter(_NAMESPACE, "records_written")
_RECORDS_UNCHANGED = Metrics.counter(_NAMESPACE, "records_unchanged")
_RECORDS_SUPERSEDED = Metrics.counter(_NAMESPACE, "records_superseded")
_DEAD_LETTERS = Metrics.counter(_NAMESPACE, "dead_letters")
_REQUESTS_RETRIED = Metrics.counter(_NAMESPACE, "requests_retried")


def count_batch(outcome: BatchOutcome) -> None:
    """Adds a completed batch to the counters."""
    _BATCHES_COMPLETED.inc()
    _RECORDS_READ.inc(outcome.read)
    _RECORDS_WRITTEN.inc(outcome.written)
    _RECORDS_UNCHANGED.inc(outcome.unchanged)
    _RECORDS_SUPERSEDED.inc(outcome.superseded)
    _DEAD_LETTERS.inc(sum(outcome.dead_letters.values()))
    _REQUESTS_RETRIED.inc(outcome.retries)
