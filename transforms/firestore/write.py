"""Writes documents: each on its own merits, or in groups that are atomic.

    Set, Merge, Update, Create, Delete ──▶ WriteToFirestore ───┬──▶ written:       WrittenDocument(path, update_time, …)
    (Set(…), Delete(…)), (…), … ─────────▶ CommitToFirestore ──┴──▶ dead_letters:  FailedWrite(path, code, write, …)

    result = users | beam.Map(lambda u: Set(f"users/{u['id']}", u)) | WriteToFirestore(project="my-project")
    result.dead_letters | beam.Map(print)

Every write comes out exactly once, in the window and with the timestamp it came in with. The operations are described
in `operations.py`, how fast is written in `qos.py`, what is sent again in `outbox.py`.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.typehints.decorators import no_annotations
from apache_beam.utils.windowed_value import WindowedValue

from transforms.firestore.client import FirestoreTarget
from transforms.firestore.connection import target_of
from transforms.firestore.names import DEFAULT_DATABASE
from transforms.firestore.operations import Operation, adds_again
from transforms.firestore.outbox import Outbox
from transforms.firestore.packing import RequestLimits
from transforms.firestore.qos import OFF, QosSettings
from transforms.firestore.senders import BatchWriteSender, CommitSender
from transforms.firestore.write_metrics import WriteMetrics
from transforms.firestore.writer import Writer
from transforms.firestore.written import Element, FailedWrite, WrittenDocument
from transforms.retry import Retry
from transforms.runtime.parallelism import declared_parallelism

_LOG = logging.getLogger(__name__)

ORDER, LAST = "order", "last"

# Headroom below the service's own limit, which counts the request's envelope as well.
_SHARE_OF_REQUEST_LIMIT = 0.9


class WriteResult(NamedTuple):
    """What became of every write; see the module's diagram."""

    written: PCollection[WrittenDocument]
    dead_letters: PCollection[FailedWrite]


@dataclass(frozen=True)
class WriteSettings:
    """How to write; the arguments that WriteToFirestore and CommitToFirestore share.

    Attributes:
      id_from: field paths; an element whose path is a collection gets their hash as its id. Without, it is refused.
      on_duplicate: of several writes of one document in a bundle, `order` sends all, one after the other; `last` sends
        only the last where that leaves the same document, which a plain Set or Delete does.
      max_writes_per_s: of the whole job; None is the ramp-up 500/50/5 alone, 0 turns ramp-up and throttling off. On the
        emulator it is off.
      parallelism: processes that share this budget; max workers times SDK processes, as the pipeline's options declare
        them, when absent.
      target_latency_s: requests that take longer are made smaller; 0 leaves them alone.
      max_in_flight: requests on the wire at once, a thread.
      timeout_s: deadline of one request.
      retry: of what failed transiently.
    """

    id_from: tuple[str, ...] = ()
    on_duplicate: str = ORDER
    max_writes_per_s: float | None = None
    parallelism: int | None = None
    target_latency_s: float = 2.0
    max_in_flight: int = 3
    timeout_s: float = 60.0
    retry: Retry = field(default_factory=Retry)

    def __post_init__(self) -> None:
        if isinstance(self.id_from, str):
            raise TypeError(
                f"id_from must be a sequence of field paths, got {self.id_from!r}; write ({self.id_from!r},)"
            )
        object.__setattr__(self, "id_from", tuple(self.id_from))
        if self.on_duplicate not in (ORDER, LAST):
            raise ValueError(f"on_duplicate must be {ORDER!r} or {LAST!r}, got {self.on_duplicate!r}")
        self.qos(1)
        self.limits(RequestLimits().max_request_bytes)

    def qos(self, parallelism: int) -> QosSettings:
        """How fast, when `parallelism` is what the pipeline declares."""
        return QosSettings(self.max_writes_per_s, self.parallelism or parallelism, self.target_latency_s)

    def limits(self, max_request_bytes: int) -> RequestLimits:
        """Of one request and of those on the wire."""
        return RequestLimits(
            max_request_bytes=int(max_request_bytes * _SHARE_OF_REQUEST_LIMIT),
            max_in_flight=self.max_in_flight,
            timeout_s=self.timeout_s,
        )


class WriteToFirestore(beam.PTransform[PCollection[Operation], WriteResult]):
    """Writes every document for itself; one that is refused does not hold back another.

    In: Set, Merge, Update, Create, Delete. Out: `written` and `dead_letters`, every write in exactly one of them.
    Delivery: at least once, as a runner may do a bundle again: harmless for what is idempotent, see operations.py. Two
    writes of one document in a bundle are done in their order; nothing orders bundles. RPC: BatchWrite, up to 500
    writes and the service's request limit. Parallel: bundles, and `max_in_flight` requests in each. Fails: what no
    write can survive (credentials, permission, database) raises JobError, an outage that outlasts the retries
    TransientError.

    Args:
      project: Google Cloud project; the pipeline's own, then GOOGLE_CLOUD_PROJECT, when absent.
      database: database id.
      target: instead of project and database, for private endpoints and credentials of one's own.
      settings: the fields of `WriteSettings`, such as on_duplicate="last".
    """

    def __init__(
        self,
        *,
        project: str | None = None,
        database: str = DEFAULT_DATABASE,
        target: FirestoreTarget | None = None,
        **settings: Any,
    ):
        super().__init__()
        self._project, self._database, self._target = project, database, target
        self._settings = WriteSettings(**settings)

    @no_annotations  # type: ignore[untyped-decorator]  # Beam warns of every output that is a NamedTuple
    def expand(self, writes: PCollection[Operation]) -> WriteResult:
        target = self._target or target_of(writes.pipeline.options, self._project, self._database)
        return _written(writes, target, self._settings, atomic=False)


class CommitToFirestore(beam.PTransform[PCollection[Sequence[Operation]], WriteResult]):
    """Writes groups of documents, each as a whole or not at all.

    In: tuples or lists of operations. Out: `written`, one for every operation; `dead_letters`, one for every group,
    with the whole group as its `write`. RPC: Commit, in which small groups travel together; one that is refused is
    divided until the group at fault stands alone. Everything else is as in WriteToFirestore, arguments included.
    """

    def __init__(
        self,
        *,
        project: str | None = None,
        database: str = DEFAULT_DATABASE,
        target: FirestoreTarget | None = None,
        **settings: Any,
    ):
        super().__init__()
        self._project, self._database, self._target = project, database, target
        self._settings = WriteSettings(**settings)

    @no_annotations  # type: ignore[untyped-decorator]
    def expand(self, groups: PCollection[Sequence[Operation]]) -> WriteResult:
        target = self._target or target_of(groups.pipeline.options, self._project, self._database)
        return _written(groups, target, self._settings, atomic=True)


def _written(
    elements: PCollection[Any], target: FirestoreTarget, settings: WriteSettings, *, atomic: bool
) -> WriteResult:
    parallelism = settings.parallelism or declared_parallelism(elements.pipeline.options)
    qos = OFF if target.emulator_host else settings.qos(parallelism)
    outputs = elements | "Send" >> beam.ParDo(_WriteFn(target, settings, qos, atomic=atomic)).with_outputs(
        "dead_letters", main="written"
    )
    return WriteResult(outputs.written, outputs.dead_letters)


class _WriteFn(beam.DoFn):
    """Sends while elements come in; what was settled meanwhile comes out, the rest when the bundle ends."""

    def __init__(self, target: FirestoreTarget, settings: WriteSettings, qos: QosSettings, *, atomic: bool):
        super().__init__()
        self._target, self._settings, self._qos_settings, self._atomic = target, settings, qos, atomic
        self._namespace = "CommitToFirestore" if atomic else "WriteToFirestore"

    def setup(self) -> None:
        self._client = self._target.connect()
        self._qos = self._qos_settings.shared(self._target.name)
        self._metrics = WriteMetrics(self._namespace)
        self._warned = False
        self._writer: Writer[WindowedValue] | None = None

    def start_bundle(self) -> None:
        if self._writer is not None:  # the last bundle failed
            self._writer.outbox.wait_out()
        settings = self._settings
        outbox = Outbox[tuple[WindowedValue, Element]](
            CommitSender(self._client) if self._atomic else BatchWriteSender(self._client),
            settings.limits(self._target.max_request_bytes),
            settings.retry,
            self._qos,
            collapse=settings.on_duplicate == LAST,
        )
        self._writer = Writer(self._client, outbox, atomic=self._atomic, id_from=settings.id_from)

    # The element comes with all its windows at once, so that it is written once and not once a window.
    def process(
        self, element: Any, windowed: Any = beam.DoFn.WindowedValueParam
    ) -> Iterator[WrittenDocument | TaggedOutput[Literal["dead_letters"], FailedWrite]]:
        writer = self._bundle_s_writer()
        writer.put(windowed, element)
        self._warn_of_increments(element)
        # While an element of several windows is processed Beam multiplies the windows of every output: so not now.
        if len(windowed.windows) == 1:
            yield from self._settled(writer)

    def finish_bundle(self) -> Iterator[Any]:
        writer = self._bundle_s_writer()
        writer.flush()
        yield from self._settled(writer)
        self._metrics.count_requests(writer.outbox)
        self._writer = None

    def _bundle_s_writer(self) -> Writer[WindowedValue]:
        assert self._writer is not None, "Beam starts a bundle before it processes elements"
        return self._writer

    def _settled(self, writer: Writer[WindowedValue]) -> Iterator[Any]:
        settled = writer.take()
        if settled:
            self._metrics.count_outcomes(settled)
        for windowed, outcome in settled:
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
