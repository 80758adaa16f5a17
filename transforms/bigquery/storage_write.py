"""Appends rows to one BigQuery table with the Storage Write API and gives every row its answer. No Beam, no Java.

    cells ─▶ protobuf ─▶ packed (≤ 500 rows, ≤ 9 MiB) ─▶ AppendRows ─┬─ accepted
                                          ▲          (4 on their way) ├─ row_errors ─────────▶ Rejected
                                          │                           ├─ refused as a whole ─▶ in halves
                                          └──── later, full jitter ◀──┴─ transient, or the connection ended

One connection stays open from call to call. BigQuery takes a request as a whole or not at all; the rows that it does
not blame are sent again without the others.

Guarantee: `insert` returns only when each row is either acknowledged by BigQuery or in `rejected`. When it raises,
nothing is known about the rows, and the batch is to be done again:

- on the table's default stream, the fast way, a request without an answer is sent again and may then be there twice;
- in a stream of the batch's own every row is there once, however often the batch is done. Rows stand at offsets that
  BigQuery checks. Whenever the end of the stream is in doubt (an answer lost, an offset taken, a row rejected) the
  stream is ended permanently, which says how many rows it has and shuts out every other worker; the rest goes to a
  new one. For that, the caller keeps the batch's stream in its ledger:

    stream = ledger.stream_of(batch) or writer.begin_stream()
    ledger.keep(batch, stream)
    result = writer.insert(rows, ids, stream=stream, keep=lambda now: ledger.keep(batch, now))

  `keep` is called before anything is written that only the new text explains. It must be durable when it returns, and
  raise if the ledger holds another text than the last one this worker read or kept: then somebody else does the batch.
  Rejected rows are part of the text, so that a batch done again has the same rows at the same offsets and gives the
  same answers. Rows must come in the same order each time. How many streams a project may have made is limited:
  https://cloud.google.com/bigquery/quotas#write-api-limits
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from transforms.bigquery.inserter import InsertResult, Rejected, check_that_rows_are_at_fault
from transforms.bigquery.messages import of_row
from transforms.bigquery.schema import Column
from transforms.bigquery.storage_call import AppendCall
from transforms.bigquery.storage_failures import Meaning, Refusal, refusal_of, refusal_of_status, unknown_column
from transforms.bigquery.storage_messages import RowError
from transforms.bigquery.storage_rows import RowMessage
from transforms.bigquery.storage_streams import BatchStream
from transforms.bigquery.storage_target import AppendRows, StorageClient, StorageTarget
from transforms.errors import JobError, Kind, RecordError, TransientError
from transforms.retry import Retry

T = TypeVar("T")

MAX_ROWS = 500
MAX_IN_FLIGHT = 4
_ROW_OVERHEAD_BYTES = 6  # tag and length

# So many lone rows refused without a word about rows, all alike and nothing accepted, are not the rows' fault.
_ALIKE_REQUESTS = 8


class StorageWriter:
    """Appends rows to one table; for one thread.

    Args:
      target: an existing table.
      columns: those the rows may have; not necessarily all of the table's.
      max_rows: of one request.
      max_request_bytes: in [1,024, what the target takes], which is also the default.
      max_in_flight: requests sent before the first one's answer.
      timeout_s: of one request.
      retry: of requests that failed transiently, one after the other.
      lag_retry: of a table or column that the back end does not know: it learns of new ones with some delay.
    """

    def __init__(
        self,
        target: StorageTarget,
        columns: Sequence[Column],
        *,
        max_rows: int = MAX_ROWS,
        max_request_bytes: int | None = None,
        max_in_flight: int = MAX_IN_FLIGHT,
        timeout_s: float = 60.0,
        retry: Retry = Retry(),  # noqa: B008  # frozen
        lag_retry: Retry = Retry(max_attempts=10, initial_s=2.0, max_s=60.0),  # noqa: B008
    ):
        if not 1 <= max_rows <= 50_000:
            raise ValueError(f"max_rows must be in [1, 50000], got {max_rows}")
        if max_request_bytes is not None and not 1024 <= max_request_bytes <= target.max_request_bytes:
            raise ValueError(
                f"max_request_bytes must be in [1024, {target.max_request_bytes}], got {max_request_bytes}"
            )
        if not 1 <= max_in_flight <= 100:
            raise ValueError(f"max_in_flight must be in [1, 100], got {max_in_flight}")
        self._target = target
        self._message = RowMessage(columns)
        self._max_rows = max_rows
        self._max_request_bytes = max_request_bytes or target.max_request_bytes
        self._max_in_flight = max_in_flight
        self._timeout_s = timeout_s
        self._policies = dict.fromkeys(Meaning, retry)
        self._policies |= dict.fromkeys((Meaning.NO_TABLE, Meaning.NO_COLUMN), replace(lag_retry, clock=retry.clock))
        self._sleep = retry.clock.sleep
        self._breaker = target.breaker
        self._client: StorageClient | None = None
        self._connection: AppendRows | None = None
        self._connected_to = ""
        self._table_seen = False

    def begin_stream(self) -> str:
        """Makes a stream for one batch; what to keep of it until the batch is done.

        Raises:
          TransientError: the service did not answer well in the attempts allowed.
          OutageError: it had no answer for the target's `max_outage_s`.
          JobError: somebody has to fix what the message says.
        """
        return self._ask(lambda client: client.create_stream(self._timeout_s))

    def insert(
        self,
        rows: Sequence[Mapping[str, Any]],
        insert_ids: Sequence[str],
        *,
        stream: str | None = None,
        keep: Callable[[str], None] | None = None,
    ) -> InsertResult:
        """Appends rows, in as many requests as it takes.

        Args:
          rows: typed cells by column, see `storage_rows`.
          insert_ids: one per row, as `RowInserter` has them; this API has offsets instead and does not send them.
          stream: what `begin_stream` returned or `keep` was given last for these rows; None: the default stream.
          keep: needed with `stream`; see the module.

        Raises:
          TransientError: the service did not answer well in the attempts allowed.
          OutageError: it had no answer for the target's `max_outage_s`.
          JobError: no row can succeed before somebody fixes what the message says.
        """
        if len(rows) != len(insert_ids):
            raise ValueError(f"one insert id per row is needed, got {len(insert_ids)} for {len(rows)} rows")
        if (stream is None) != (keep is None):
            raise ValueError("stream and keep are needed together: without keep nobody can do the batch again")
        call = AppendCall(rows, BatchStream(stream, keep) if stream is not None and keep is not None else None)
        self._prepare(call)
        try:
            self._run(call)
        except BaseException:
            self._disconnect()  # answers still to come would be taken for those of the next call
            raise
        if call.exact:
            call.exact.keep_changes()
        check_that_rows_are_at_fault(self._target.table.id, len(rows), list(call.rejected.values()))
        return call.result()

    def close(self) -> None:
        """Ends the connection; the next `insert` opens another."""
        self._disconnect()
        if self._client is not None:
            self._client.close()
            self._client = None

    def _prepare(self, call: AppendCall) -> None:
        """Makes requests of the rows that are still to be written."""
        for index, cells in enumerate(call.rows):
            if index in call.rejected:
                continue
            try:
                row = self._message.serialised(cells)
            except RecordError as error:
                call.reject(Rejected(index, error.code, error.message))
                continue
            if len(row) + _ROW_OVERHEAD_BYTES > self._max_request_bytes:
                call.reject(Rejected(index, "ROW_TOO_LARGE", self._too_large(cells, len(row))))
            else:
                call.serialised[index] = row
        remaining = list(call.serialised)
        if call.exact:
            call.exact.keep_changes()
            written = call.exact.position.written
            call.accepted, remaining = min(written, len(remaining)), remaining[written:]
        call.queue.extend(self._packed(call, remaining))

    def _too_large(self, cells: Mapping[str, Any], size: int) -> str:
        return (
            f"the row takes {size:,} bytes in a request, BigQuery takes {self._max_request_bytes:,}: "
            f"leave out or shorten column {self._message.largest(cells)}"
        )

    def _packed(self, call: AppendCall, indices: Iterable[int]) -> list[list[int]]:
        requests: list[list[int]] = []
        room = 0
        for index in indices:
            size = len(call.serialised[index]) + _ROW_OVERHEAD_BYTES
            if not requests or size > room or len(requests[-1]) == self._max_rows:
                requests.append([])
                room = self._max_request_bytes
            requests[-1].append(index)
            room -= size
        return requests

    def _run(self, call: AppendCall) -> None:
        """Sends the queue until every row has its answer."""
        while call.queue or call.in_flight:
            if call.trouble is None and not call.in_doubt:
                self._send_some(call)
            elif not call.in_flight:
                trouble, call.trouble = call.trouble, None
                if trouble:
                    self._wait_out(trouble, call.troubles)
                if call.exact and call.in_doubt:
                    self._move_on(call, call.exact)
                continue
            self._receive(call)

    def _send_some(self, call: AppendCall) -> None:
        """Sends requests until as many as allowed are on their way."""
        stream = call.exact.position.name if call.exact else self._target.default_stream
        if self._connection and not call.in_flight and (self._connection.ended or self._connected_to != stream):
            self._disconnect()
        if self._connection is None:
            self._connection = self._connected().append_rows(stream, self._message.descriptor)
            self._connected_to = stream
        while call.queue and len(call.in_flight) < self._max_in_flight:
            request = call.queue.popleft()
            self._connection.send([call.serialised[index] for index in request], call.next_offset())
            call.in_flight.append(request)
            call.requests += 1

    def _receive(self, call: AppendCall) -> None:
        """Takes the next answer."""
        assert self._connection is not None
        try:
            answer = self._connection.receive(self._timeout_s)
        except Refusal as refusal:
            self._disconnect()
            request, *unanswered = call.in_flight
            call.in_flight.clear()
            call.queue.extendleft(reversed(unanswered))
            call.retries += len(unanswered)
            self._refused(call, request, refusal)
            return
        self._breaker.succeeded()
        request = call.in_flight.popleft()
        unknown = next((error for error in answer.row_errors if unknown_column(error.message)), None)
        if not answer.HasField("error") and not answer.row_errors:
            # An answer may also bring an `updated_schema`: rows without the new columns stay right.
            self._table_seen = True
            call.accept(request)
        elif unknown:
            self._refused(call, request, refusal_of(unknown.message))
        elif not self._sorted_out(call, request, answer.row_errors):
            self._refused(call, request, refusal_of_status(answer.error))

    def _sorted_out(self, call: AppendCall, request: list[int], row_errors: Sequence[Any]) -> bool:
        """Rejects the rows that BigQuery blames and queues the others; False if it blames none."""
        blamed: dict[int, Rejected] = {}
        for error in row_errors:
            if 0 <= error.index < len(request):
                code = RowError.RowErrorCode.Name(error.code) if error.code else "INVALID"
                blamed[request[error.index]] = Rejected(request[error.index], code, str(of_row(error.message)))
        if blamed:
            self._again(call, call.blame(request, blamed))
        return bool(blamed)

    def _refused(self, call: AppendCall, request: list[int], refusal: Refusal) -> None:
        """Decides what becomes of a request that was refused as a whole, or got no answer."""
        failure, meaning = refusal.failure, refusal.meaning
        if meaning in (Meaning.JOB, Meaning.STREAM_GONE) or (meaning is Meaning.OFFSET and not call.exact):
            raise self._job_error(refusal)
        if meaning is not Meaning.CONTENT:
            call.trouble = refusal
            self._again(call, request)
        elif len(request) > 1:
            middle = len(request) // 2
            self._again(call, request[:middle], request[middle:])
        else:
            too_large = failure.kind is Kind.TOO_LARGE
            if not too_large:
                call.refused_requests[failure.text] += 1
            if call.refused_requests[failure.text] >= _ALIKE_REQUESTS and call.accepted == 0:
                raise JobError(
                    f"BigQuery table {self._target.table.id}: every request is refused alike: "
                    f"{failure.text}. Compare the table's schema with the columns of the rows"
                )
            code = "ROW_TOO_LARGE" if too_large else failure.code
            row = Rejected(request[0], code, failure.text)
            self._again(call, call.blame(request, {row.index: row}))

    def _again(self, call: AppendCall, *requests: list[int]) -> None:
        """Puts requests before the queue. Behind a request that failed no offset is right any more."""
        again = [request for request in requests if request]
        call.retries += len(again)
        if call.exact:
            again += call.in_flight
            call.in_flight.clear()
            call.in_doubt = True
            self._disconnect()
        call.queue.extendleft(reversed(again))

    def _move_on(self, call: AppendCall, exact: BatchStream) -> None:
        """Ends the stream, records the rows that it turns out to have, and continues in a new one."""
        name = exact.position.name
        count = self._ask(lambda client: client.finalize_stream(name, self._timeout_s))
        waiting = sum(map(len, call.queue))
        unheard = count - exact.acknowledged
        if not 0 <= unheard <= waiting:
            raise JobError(
                f"BigQuery stream {name} holds {count:,} rows, this batch has written between {exact.acknowledged:,} "
                f"and {exact.acknowledged + waiting:,} to it: the stream is another batch's, or the batch's rows "
                "are not the same or not in the same order as before. Delete the batch's rows from the table and its "
                "stream from the ledger, then start again"
            )
        call.resolve(unheard)
        exact.acknowledged = 0
        exact.position.written += count
        if call.queue:
            exact.position.name = self.begin_stream()
        exact.keep_changes()

    def _ask(self, request: Callable[[StorageClient], T]) -> T:
        troubles: Counter[Meaning] = Counter()
        while True:
            try:
                return request(self._connected())
            except Refusal as refusal:
                if refusal.meaning not in (Meaning.LATER, Meaning.NO_TABLE):
                    raise self._job_error(refusal) from None
                self._wait_out(refusal, troubles)

    def _wait_out(self, refusal: Refusal, troubles: Counter[Meaning]) -> None:
        """Sleeps before the next attempt, or gives up."""
        failure, meaning, policy = refusal.failure, refusal.meaning, self._policies[refusal.meaning]
        if meaning is Meaning.LATER:
            self._breaker.failed(str(refusal))
        troubles[meaning] += 1
        attempt = troubles[meaning]
        if meaning is Meaning.NO_TABLE and (self._table_seen or "dataset" in failure.text.lower()):
            raise self._job_error(refusal)
        if attempt >= policy.max_attempts and not (meaning is Meaning.LATER and self._breaker.is_down()):
            if meaning is Meaning.NO_TABLE:
                raise self._job_error(refusal)
            if meaning is Meaning.NO_COLUMN:
                raise JobError(
                    f"BigQuery table {self._target.table.id} lacks a column of the rows: "
                    f"{failure.text}. Add it; if it was just added, start again in a few minutes"
                )
            raise TransientError(
                f"BigQuery table {self._target.table.id}: {failure.text}; gave up after {attempt} attempts"
            )
        if meaning is Meaning.NO_COLUMN:
            self._disconnect()  # a connection knows the table as it was when it was opened
        if meaning is not Meaning.OFFSET or attempt > 1:
            self._sleep(policy.delay_s(attempt))

    def _job_error(self, refusal: Refusal) -> JobError:
        failure = refusal.failure
        if refusal.meaning is Meaning.STREAM_GONE:
            return JobError(
                f"BigQuery no longer has the stream in which this batch was begun ({failure.text}), so nobody can tell "
                f"which of its rows are in table {self._target.table.id}. Delete them from the table and the stream "
                "from the ledger, then start again"
            )
        said = failure.advice if failure.kind is Kind.JOB else f"{failure.code}: {failure.text}"
        return JobError(f"BigQuery table {self._target.table.id}: {said}")

    def _connected(self) -> StorageClient:
        if self._client is None:
            self._client = self._target.connect()
        return self._client

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
