"""The one step that writes the rows of batches to BigQuery, whatever the job and the method.

                       ┌─ insertAll, Storage Write: within the step, an answer per row ──▶ ┐
Batch[E] ──RowWriter───┤                                                                   ├─▶ Batch[E]
                       └─ load jobs ─▶ rows ──LoadRows──▶ ids of load jobs                 ┘

written = batches | "WriteRows" >> WriteRows(plan)
… written.batches …, CompleteJob(after=written.loaded)
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import AsSingleton, PCollection, TaggedOutput
from apache_beam.typehints.decorators import no_annotations

from transforms.batch import Batch
from transforms.bigquery.load import LoadRows
from transforms.bigquery.methods import FILE_LOADS
from transforms.bigquery.row_writer import RowsPlan, RowWriter
from transforms.runtime.background import Background


class WrittenRows(NamedTuple):
    """What `WriteRows` gives.

    Attributes:
      batches: whose rows have their answers or, with load jobs, are on their way.
      loaded: complete when all rows are in their tables.
    """

    batches: PCollection[Any]
    loaded: tuple[PCollection[Any], ...] = ()


class WriteRows(beam.PTransform[PCollection[Any], WrittenRows]):
    """Makes the rows of every batch and writes them.

    In: batches. Out: the same batches; an entry whose row was refused is a dead letter, with BigQuery's own message.
    Delivery: as the method, see `senders.py`. Parallel: batches; while the rows of one are sent, the next is made
    ready, unless `is_one_behind` is false. Fails: TransientError fails the bundle, JobError the job; one row that a
    load job refuses fails the job.

    Args:
      plan: how rows are made and sent.
      columns: of the tables whose columns the plan does not know; one element, and the tables are there once it is.
      step: label of the step that sends rows.
      is_one_behind: whether the rows of a batch are sent while the next one is made ready, so that a batch is handed on
        when the next one comes, or the bundle ends. False where a batch must have its answers before the next comes.
    """

    def __init__(
        self,
        plan: RowsPlan[Any],
        columns: PCollection[Any] | None = None,
        step: str = "Write",
        *,
        is_one_behind: bool = True,
    ):
        super().__init__()
        unknown = [table.purpose for table in plan.tables if table.columns is None]
        if unknown and columns is None:
            raise ValueError(f"columns must be given, as the plan does not have those of {', '.join(unknown)}")
        self._plan, self._columns, self._step, self._is_one_behind = plan, columns, step, is_one_behind

    @no_annotations  # type: ignore[untyped-decorator]  # Beam warns of every output that is several collections
    def expand(self, batches: PCollection[Any]) -> WrittenRows:
        plan = self._plan
        side_inputs: dict[str, Any] = {} if self._columns is None else {"columns": AsSingleton(self._columns)}
        if plan.method != FILE_LOADS:
            fn = _WriteRowsFn(plan) if self._is_one_behind else _WriteRowsAtOnceFn(plan)
            write = beam.ParDo(fn, **side_inputs).with_output_types(batches.element_type)
            return WrittenRows(batches | self._step >> write)
        purposes = [table.purpose for table in plan.tables]
        encode = beam.ParDo(_CollectRowsFn(plan), **side_inputs).with_output_types(batches.element_type)
        encoded = batches | "Encode" >> encode.with_outputs(*purposes, main="batches")
        loads = [
            encoded[table.purpose]
            | f"Load[{table.purpose}]" >> LoadRows(table.target, table.columns or side_inputs["columns"])
            for table in plan.tables
        ]
        return WrittenRows(encoded["batches"], tuple(loads))


class _WriteRowsFn(beam.DoFn):
    def __init__(self, plan: RowsPlan[Any]):
        self._plan = plan

    def setup(self) -> None:
        self._writer: RowWriter[Any] | None = None
        self._background = Background(self._write)

    def start_bundle(self) -> None:
        self._background.forget()

    @no_annotations  # type: ignore[untyped-decorator]  # Beam takes Batch[T] for a class of its own
    def process(
        self, element: Batch[Any], windowed: Any = beam.DoFn.WindowedValueParam, columns: Any = ()
    ) -> Iterator[Any]:
        if self._writer is None:
            self._writer = RowWriter(self._plan, columns)
        yield from self._background.next(windowed)

    def finish_bundle(self) -> Iterator[Any]:
        yield from self._background.wait()

    def teardown(self) -> None:
        self._background.close()

    def _write(self, batch: Batch[Any]) -> Batch[Any]:
        assert self._writer is not None, "a batch is processed before it is written"
        return self._writer.write(batch)


class _WriteRowsAtOnceFn(beam.DoFn):
    def __init__(self, plan: RowsPlan[Any]):
        self._plan = plan

    def setup(self) -> None:
        self._writer: RowWriter[Any] | None = None

    @no_annotations  # type: ignore[untyped-decorator]
    def process(self, element: Batch[Any], columns: Any = ()) -> Iterator[Any]:
        yield self._writer_of(columns).write(element)

    def _writer_of(self, columns: Any) -> RowWriter[Any]:
        if self._writer is None:
            self._writer = RowWriter(self._plan, columns)
        return self._writer


class _CollectRowsFn(_WriteRowsAtOnceFn):
    @no_annotations  # type: ignore[untyped-decorator]
    def process(self, element: Batch[Any], columns: Any = ()) -> Iterator[Any]:
        writer = self._writer_of(columns)
        yield writer.write(element)
        for purpose, rows in writer.collected().items():
            for row in rows:
                yield TaggedOutput(purpose, row)
