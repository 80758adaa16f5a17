"""Writes documents: each on its own merits, or in groups that are atomic.

    Set, Merge, Update, Create, Delete ──▶ WriteToFirestore ───┬──▶ written:       WrittenDocument(path, update_time, …)
    (Set(…), Delete(…)), (…), … ─────────▶ CommitToFirestore ──┴──▶ dead_letters:  FailedWrite(path, code, write, …)

    result = users | beam.Map(lambda u: Set(f"users/{u['id']}", u)) | WriteToFirestore(project="my-project")
    result.dead_letters | beam.Map(print)

Every write comes out exactly once, in the window and with the timestamp it came in with. The operations are described
in `operations.py`, the pace in `qos.py`, what is sent again in `outbox.py`.

The metrics, under the namespace WriteToFirestore (also below DeleteFromFirestore) or CommitToFirestore:

    documents_written             documents   acknowledged by Firestore
    documents_superseded          documents   not sent, because a later write in the bundle replaces them
    dead_letters                  elements    that did not land
    requests_sent                 requests    those sent again included
    requests_retried              requests    sent again
    cumulativeThrottlingSeconds   seconds     waited for the budget or an overloaded Firestore; Dataflow's autoscaler
                                              reads it

Beam's counters show attempts: a bundle that is done again counts again.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.typehints.decorators import no_annotations
from apache_beam.utils.windowed_value import WindowedValue

from transforms.firestore.arguments import LAST, DatabaseArguments, WriteArguments
from transforms.firestore.operations import adds_again
from transforms.firestore.outbox import Outbox
from transforms.firestore.qos import OFF, QosSettings
from transforms.firestore.senders import BatchWriteSender, CommitSender
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.writer import Writer
from transforms.firestore.written import Element, FailedWrite, WriteOutcome, WrittenDocument
from transforms.runtime.parallelism import declared_parallelism
from transforms.runtime.services import services_of

_LOG = logging.getLogger(__name__)


class WriteResult(NamedTuple):
    """What became of every write; see the module's diagram."""

    written: PCollection[WrittenDocument]
    dead_letters: PCollection[FailedWrite]


@dataclass
class _Write(WriteArguments, DatabaseArguments, beam.PTransform[PCollection[Any], WriteResult]):
    """What both transforms do, by one RPC or the other."""

    atomic: ClassVar[bool]

    def __post_init__(self) -> None:
        self.check()

    @no_annotations  # type: ignore[untyped-decorator]  # Beam warns of every output that is a NamedTuple
    def expand(self, elements: PCollection[Any]) -> WriteResult:
        options = elements.pipeline.options
        target = self.target_of(services_of(options))
        qos = OFF if target.emulator_host else self.qos(self.parallelism or declared_parallelism(options))
        write = beam.ParDo(_WriteFn(target, self.write_arguments(), qos, atomic=self.atomic))
        outputs = elements | "Send" >> write.with_outputs("dead_letters", main="written")
        return WriteResult(outputs.written, outputs.dead_letters)


@dataclass
class WriteToFirestore(_Write):
    """Writes every document for itself; one that is refused does not hold back another.

    In: Set, Merge, Update, Create, Delete. Out: `written` and `dead_letters`, every write in exactly one of them.
    Delivery: at least once, as a runner may do a bundle again: harmless for what is idempotent, see operations.py. Two
    writes of one document in a bundle are done in their order; nothing orders bundles. RPC: BatchWrite, up to 500
    writes and the service's request limit. Parallel: bundles, and `max_in_flight` requests in each. Fails: what no
    write can survive (credentials, permission, database) raises JobError, an outage that outlasts the retries
    TransientError.

    Args: those of `DatabaseArguments` and `WriteArguments`, see arguments.py.
    """

    atomic = False


@dataclass
class CommitToFirestore(_Write):
    """Writes groups of documents, each as a whole or not at all.

    In: tuples or lists of operations. Out: `written`, one for every operation; `dead_letters`, one for every group,
    with the whole group as its `write`. RPC: Commit, in which small groups travel together; one that is refused is
    divided until the group at fault stands alone. Everything else is as in WriteToFirestore, arguments included.
    """

    atomic = True


class _WriteFn(beam.DoFn):
    """Sends while elements come in; what is resolved meanwhile comes out, the rest when the bundle ends."""

    def __init__(self, target: FirestoreTarget, arguments: WriteArguments, qos: QosSettings, *, atomic: bool):
        super().__init__()
        self._target, self._arguments, self._qos_settings, self._atomic = target, arguments, qos, atomic
        self._namespace = "CommitToFirestore" if atomic else "WriteToFirestore"

    def setup(self) -> None:
        self._client = self._target.connect()
        self._qos = self._qos_settings.shared(self._target.name)
        self._metrics = _WriteMetrics(self._namespace)
        self._warned = False
        self._writer: Writer[WindowedValue] | None = None

    def start_bundle(self) -> None:
        if self._writer is not None:  # the last bundle failed
            self._writer.outbox.wait_out()
        arguments = self._arguments
        outbox = Outbox[tuple[WindowedValue, Element]](
            CommitSender(self._client) if self._atomic else BatchWriteSender(self._client),
            arguments.limits(self._target.max_request_bytes),
            arguments.retry,
            self._qos,
            collapse=arguments.on_duplicate == LAST,
        )
        self._writer = Writer(self._client, outbox, atomic=self._atomic, id_from=arguments.id_from)

    # The element comes with all its windows at once, so that it is written once and not once per window.
    def process(
        self, element: Any, windowed: Any = beam.DoFn.WindowedValueParam
    ) -> Iterator[WrittenDocument | TaggedOutput[Literal["dead_letters"], FailedWrite]]:
        writer = self._writer_of_bundle()
        writer.put(windowed, element)
        self._warn_of_increments(element)
        # While an element of several windows is processed Beam multiplies the windows of every output: so not now.
        if len(windowed.windows) == 1:
            yield from self._resolved(writer)

    def finish_bundle(self) -> Iterator[Any]:
        writer = self._writer_of_bundle()
        writer.flush()
        yield from self._resolved(writer)
        self._metrics.count_requests(writer.outbox)
        self._writer = None

    def _writer_of_bundle(self) -> Writer[WindowedValue]:
        assert self._writer is not None, "Beam starts a bundle before it processes elements"
        return self._writer

    def _resolved(self, writer: Writer[WindowedValue]) -> Iterator[Any]:
        resolved = writer.take()
        if resolved:
            self._metrics.count_outcomes(resolved)
        for windowed, outcome in resolved:
            value = windowed.with_value(outcome)
            yield value if isinstance(outcome, WrittenDocument) else TaggedOutput("dead_letters", value)

    def _warn_of_increments(self, element: Any) -> None:
        if self._warned:
            return
        if any(map(adds_again, element if self._atomic else (element,))):
            self._warned = True
            _LOG.warning(
                "%s increments fields. A write that is sent again, or a bundle that is done again, adds again: "
                "compute the value in the pipeline and Set it, or give the write an update_time",
                self._namespace,
            )


class _WriteMetrics:
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
