"""The metrics of the writing transforms: a short, published table.

    namespace: WriteToFirestore (also below DeleteFromFirestore) or CommitToFirestore

    metric                        unit
    documents_written             documents   acknowledged by Firestore
    documents_superseded          documents   not sent, because a later write in the bundle makes them moot
    dead_letters                  elements    that did not land
    requests_sent                 requests    those sent again included
    requests_retried              requests    sent again
    cumulativeThrottlingSeconds   seconds     waited for the budget or an overloaded Firestore; Dataflow's autoscaler
                                              reads it

Beam's counters show attempts: a bundle that is done again counts again.
"""

from collections.abc import Sequence
from typing import Any

from apache_beam.metrics.metric import Metrics

from transforms.firestore.outbox import Outbox
from transforms.firestore.written import WriteOutcome, WrittenDocument


class WriteMetrics:
    """The counters of one transform in one bundle.

    Args:
      namespace: the public class.
    """

    def __init__(self, namespace: str):
        self._written = Metrics.counter(namespace, "documents_written")
        self._superseded = Metrics.counter(namespace, "documents_superseded")
        self._dead_letters = Metrics.counter(namespace, "dead_letters")
        self._requests = Metrics.counter(namespace, "requests_sent")
        self._retries = Metrics.counter(namespace, "requests_retried")
        self._throttled = Metrics.counter(namespace, "cumulativeThrottlingSeconds")

    def count_outcomes(self, outcomes: Sequence[tuple[Any, WriteOutcome]]) -> None:
        """Adds what became of some writes."""
        written = [outcome for _, outcome in outcomes if isinstance(outcome, WrittenDocument)]
        superseded = sum(outcome.superseded for outcome in written)
        self._written.inc(len(written) - superseded)
        self._superseded.inc(superseded)
        self._dead_letters.inc(len(outcomes) - len(written))

    def count_requests(self, outbox: Outbox[Any]) -> None:
        """Adds what the outbox of a bundle did; once, when it is done."""
        self._requests.inc(outbox.requests)
        self._retries.inc(outbox.retries)
        self._throttled.inc(round(outbox.throttled_s))
