"""Accounts for rows that BigQuery refused after their batch was already completed.

    RejectedRow ──by batch──▶ Batch of dead letters ──StoreDeadLetters──▶ ──▶ correction in the ledger

Only Beam's STREAMING_INSERTS answers so late. The batch said *written*; its correction takes back as many and adds them
to the dead letters, so the totals still add up. Both have names derived from the batch, so doing it again is harmless.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from transforms.batch import Batch, BatchOutcome, DeadLetter
from transforms.bigquery.load import RejectedRow
from transforms.bigquery.schema import PROFILE
from transforms.dead_letters.steps import LATE_ROWS

_STEP = "LoadRows"


class GroupRejectedRows(beam.PTransform[PCollection[RejectedRow], PCollection[Batch[Any]]]):
    """Makes one batch of dead letters of all rows of a batch that were refused.

    In: refused rows, with the `_meta_…` cells of ingest. Out: batches without entries, named `{batch_id}-rows`.

    Args:
      key: name of the column that holds the document id.
    """

    def __init__(self, key: str):
        super().__init__()
        self._key = key

    def expand(self, rows: PCollection[RejectedRow]) -> PCollection[Batch[Any]]:
        by_batch = rows | "KeyByBatch" >> beam.Map(_keyed) | "GroupByBatch" >> beam.GroupByKey()
        batches: PCollection[Batch[Any]] = by_batch | "MakeBatch" >> beam.MapTuple(_batch_maker(self._key))
        return batches


def correction(batch: Batch[Any]) -> BatchOutcome:
    """What the ledger has to add to the outcome of the batch that these rows were part of."""
    reasons = Counter((letter.step, letter.code) for letter in batch.dead_letters)
    return BatchOutcome(batch.batch_id, batch.source, read=0, written=-batch.read, dead_letters=dict(reasons))


def _keyed(rejected: RejectedRow) -> tuple[tuple[str, str], RejectedRow]:
    return (rejected.row["_meta_batch_id"], rejected.row["_meta_source"]), rejected


def _batch_maker(key: str) -> Callable[[tuple[str, str], Iterable[RejectedRow]], Batch[Any]]:
    def make(batch: tuple[str, str], rejected: Iterable[RejectedRow]) -> Batch[Any]:
        batch_id, source = batch
        letters = sorted((_dead_letter(row, key) for row in rejected), key=lambda letter: letter.position or 0)
        return Batch(f"{batch_id}{LATE_ROWS}", source, len(letters), (), tuple(letters))

    return make


def _dead_letter(rejected: RejectedRow, key: str) -> DeadLetter:
    row = rejected.row
    return DeadLetter(
        _STEP,
        rejected.code,
        f"{rejected.message}; both documents are in Firestore, the row is missing",
        json.loads(row[PROFILE]),
        row.get(key),
        int(row["_meta_position"]),
    )
