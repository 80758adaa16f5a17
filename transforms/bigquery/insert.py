"""Writes a row for every record that Firestore acknowledged, with insertAll, inside the batch's own step.

Batch[Written] ──RowEncoder──▶ rows ──RowInserter──▶ Batch[Written]
                                          │
                                          ▼
                               refused rows: dead letters
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.batch import Batch, DeadLetter
from transforms.bigquery.inserter import Rejected, RowInserter
from transforms.bigquery.rows import Row, RowEncoder, insert_id
from transforms.bigquery.schema import Column
from transforms.bigquery.tables import BigQueryTarget
from transforms.runtime.background import Background
from transforms.upsert.entries import Written


class InsertRows(beam.PTransform[PCollection[Batch[Written]], PCollection[Batch[Written]]]):
    """Inserts the rows of every batch.

    In: batches whose entries are in Firestore. Out: the same batches; a record whose row BigQuery refused is a dead
    letter of step `InsertRows`, although its documents stand. Delivery: at least once, under deterministic insert ids;
    the table's `_latest` view shows one row an id. Parallel: batches; while one is sent, the next is made ready.
    Fails: TransientError fails the bundle, JobError the job.

    Args:
      target: an existing table.
      columns: of the table.
      may_all_be_bad: as in `RowInserter`.
    """

    def __init__(self, target: BigQueryTarget, columns: Sequence[Column], may_all_be_bad: bool = False):
        super().__init__()
        self._target, self._columns, self._may_all_be_bad = target, tuple(columns), may_all_be_bad

    def expand(self, batches: PCollection[Batch[Written]]) -> PCollection[Batch[Written]]:
        inserted: PCollection[Batch[Written]] = batches | "Insert" >> beam.ParDo(
            _InsertRowsFn(self._target, self._columns, self._may_all_be_bad)
        )
        return inserted


class _InsertRowsFn(beam.DoFn):
    def __init__(self, target: BigQueryTarget, columns: tuple[Column, ...], may_all_be_bad: bool):
        super().__init__()
        self._target, self._columns, self._may_all_be_bad = target, columns, may_all_be_bad

    def setup(self) -> None:
        encoder = RowEncoder(self._columns)
        inserter = RowInserter(self._target, may_all_be_bad=self._may_all_be_bad)
        self._background = Background(partial(insert, encoder=encoder, inserter=inserter))

    def start_bundle(self) -> None:
        self._background.forget()

    def process(
        self, element: Batch[Written], windowed: Any = beam.DoFn.WindowedValueParam
    ) -> Iterator[Batch[Written]]:
        yield from self._background.begin(windowed)

    def finish_bundle(self) -> Iterator[Any]:
        yield from self._background.finish()

    def teardown(self) -> None:
        self._background.close()


def insert(batch: Batch[Written], encoder: RowEncoder, inserter: RowInserter) -> Batch[Written]:
    """Inserts the rows of a batch; every entry is afterwards still an entry or a dead letter."""
    rows = [row_of(entry, encoder) for entry in batch.entries]
    ids = [insert_id(entry.key, str(entry.meta["content_hash"]), batch.batch_id) for entry in batch.entries]
    result = inserter.insert([row.cells for row in rows], ids)
    rejected = {answer.index: answer for answer in result.rejected}
    return batch.then(
        [entry for index, entry in enumerate(batch.entries) if index not in rejected],
        [dead_letter(batch.entries[index], answer) for index, answer in sorted(rejected.items())],
        retries=result.retries,
        overflowed=sum(len(row.overflowed) for row in rows),
    )


def row_of(entry: Written, encoder: RowEncoder) -> Row:
    """The row of one record."""
    return encoder.row(entry.flat, entry.meta, entry.update_time, entry.record.value)


def dead_letter(entry: Written, answer: Rejected) -> DeadLetter:
    """The dead letter of a record whose row was refused."""
    record = entry.record
    return DeadLetter(
        "InsertRows",
        answer.code,
        f"{answer.message}; both documents are in Firestore, the row is missing",
        record.original,
        entry.key,
        record.position,
        record.line,
        retryable=answer.retryable,
    )
