"""Writes the rows of a batch to its tables and records what became of every entry. No Beam.

                    ┌─ table 1: RowMaker ─▶ rows ─▶ Sender ─┬─ accepted
    Batch[E] ───────┤                                       └─ refused: dead letter ─┐
                    └─ table 2: RowMaker ─▶ rows of those that are left ─▶ …         ├─▶ Batch[E]
                                                                                     │
                       no row can be made: dead letter ──────────────────────────────┘

A job says in a `RowsPlan` which rows it has and what it says of a refused one; everything else is here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from transforms.batch import Batch, BatchResult, DeadLetter
from transforms.bigquery.methods import FILE_LOADS, INSERT_ROWS, TYPED_METHODS
from transforms.bigquery.rows import Row, insert_id, json_columns, loadable
from transforms.bigquery.schema import Column
from transforms.bigquery.senders import Collector, InsertAllSender, Sender, StorageWriteSender, Streams
from transforms.bigquery.storage_rows import appendable
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.target import BigQueryTarget
from transforms.retry import Retry
from transforms.unexpected import FAILURES, Unexpected

E = TypeVar("E")
E_contra = TypeVar("E_contra", contravariant=True)
Columns = Sequence[Column]


class RowMaker(Protocol[E_contra]):
    """Makes the rows of one table; built once per worker."""

    def takes(self, entry: E_contra, is_dead: bool) -> bool:
        """Whether an entry has a row there; `is_dead` if it has become a dead letter by now."""

    def row(self, entry: E_contra) -> Row:
        """The row of an entry. Raises RecordError if there can be none."""

    def identity(self, entry: E_contra) -> tuple[str, ...]:
        """What tells the row from all others of its batch; its insert id is made of it."""


@dataclass(frozen=True)
class RowTable(Generic[E]):
    """One table of a job, and its rows; picklable.

    Attributes:
      purpose: tells the tables of a job apart.
      maker: of columns, and of whether cells are typed; see `cells.py`.
      columns: that rows may have; None for those that only the job finds out.
    """

    purpose: str
    target: BigQueryTarget
    maker: Callable[[Columns, bool], RowMaker[E]]
    columns: tuple[Column, ...] | None = None


@dataclass(frozen=True)
class RowsPlan(Generic[E]):
    """How the rows of a job are made and sent; picklable.

    Attributes:
      tables: in the order in which they are written.
      method: of `methods.METHODS`.
      dead_letter: of an entry, a code, a message and whether it is retryable.
      consequence: what is wrong once a row was refused; ends the message.
      names_overflow: whether overflowing values are counted by field.
      may_all_be_bad: as in `RowInserter`.
      storage_host: of an emulator's Storage Write API, for the methods that use it.
      streams: of a purpose; for STORAGE_WRITE_EXACTLY_ONCE.
      retry: of requests that fail transiently.
    """

    tables: tuple[RowTable[E], ...]
    method: str
    dead_letter: Callable[[E, str, str, bool], DeadLetter]
    consequence: str = "the row is missing"
    names_overflow: bool = True
    may_all_be_bad: bool = False
    storage_host: str | None = None
    streams: Callable[[str], Streams] | None = None
    retry: Retry = Retry()  # noqa: RUF009  # frozen


class RowWriter(Generic[E]):
    """Writes the rows of batches; for one thread. Connects when it is first used.

    Args:
      found: the columns of tables whose columns the job found out.
    """

    def __init__(self, plan: RowsPlan[E], found: Columns = ()):
        self._plan = plan
        typed = plan.method in TYPED_METHODS
        self._tables: list[tuple[RowMaker[E], Sender]] = []
        self._collected: dict[str, tuple[Collector, Columns]] = {}
        for table in plan.tables:
            columns = found if table.columns is None else table.columns
            sender = _sender(plan, table, columns)
            self._tables.append((table.maker(columns, typed), sender))
            if isinstance(sender, Collector):
                self._collected[table.purpose] = sender, json_columns(columns)

    def write(self, batch: Batch[E]) -> Batch[E]:
        """Writes a batch; every entry is afterwards still an entry or a dead letter."""
        result = BatchResult[E](batch)
        dead: dict[int, DeadLetter] = {}
        for maker, sender in self._tables:
            self._write_table(batch, maker, sender, result, dead)
        result.entries = [entry for index, entry in enumerate(batch.entries) if index not in dead]
        result.dead_letters = [dead_letter for _, dead_letter in sorted(dead.items())]
        return result.closed()

    def collected(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of the last batch by purpose, as load jobs want them; with FILE_LOADS."""
        return {
            purpose: [loadable(cells, columns) for cells in collector.take()]
            for purpose, (collector, columns) in self._collected.items()
        }

    def _write_table(
        self,
        batch: Batch[E],
        maker: RowMaker[E],
        sender: Sender,
        result: BatchResult[E],
        dead: dict[int, DeadLetter],
    ) -> None:
        plan, rows, ids, indices = self._plan, [], [], []
        unexpected = Unexpected("making the row", len(batch.entries), may_be_alike=plan.may_all_be_bad)
        for index, entry in enumerate(batch.entries):
            if not maker.takes(entry, index in dead):
                continue
            try:
                row = maker.row(entry)
            except FAILURES as failure:
                error = unexpected.as_record_error(failure)
                dead[index] = plan.dead_letter(entry, error.code, error.message, False)
                continue
            rows.append(row.cells)
            ids.append(insert_id(*maker.identity(entry), batch.batch_id))
            indices.append(index)
            if row.overflowed:
                result.overflowed += len(row.overflowed)
                if plan.names_overflow:
                    result.overflowed_by.update(row.overflowed)
        unexpected.check_not_alike()
        answer = sender.send(batch.batch_id, rows, ids)
        result.retries += answer.retries
        for refused in answer.rejected:
            index, message = indices[refused.index], f"{refused.message}; {plan.consequence}"
            dead.setdefault(index, plan.dead_letter(batch.entries[index], refused.code, message, refused.retryable))


def _sender(plan: RowsPlan[Any], table: RowTable[Any], columns: Columns) -> Sender:
    if plan.method == FILE_LOADS:
        return Collector()
    if plan.method == INSERT_ROWS:
        return InsertAllSender(table.target, may_all_be_bad=plan.may_all_be_bad, retry=plan.retry)
    streams = plan.streams(table.purpose) if plan.streams else None
    target = StorageTarget(table.target, plan.storage_host)
    return StorageWriteSender(target, appendable(columns), streams, retry=plan.retry)
