"""What flows through every job: batches of records, and dead letters. Plain, frozen, picklable.

A job's element is a batch, not a record. It is born with everything it read, and every step hands on the same batch
with each record moved to where it belongs:

    Batch[Record] ─▶ Batch[…] ─▶ Batch[…] ─▶ BatchOutcome
         └── dead_letters, superseded, unchanged ──┘

`Batch.then` refuses a step whose records do not add up, so no record gets lost between two steps unnoticed. The entries
between the first step and the last are each job's own: `upsert/entries.py`, `export/entries.py`. What became of a batch
in the end is counted in `outcomes.py`.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from transforms.errors import AccountingError, RecordError

T = TypeVar("T")
U = TypeVar("U")

# The units of Unix times: field, number of its source counted from 0, unit.
Units = tuple[tuple[str, int, str], ...]

# Of what a batch was read from, unless a single record has more. It is in memory as a whole, and so is the next one.
MAX_BATCH_BYTES = 16 * 1024 * 1024

# How many fields a batch names, those that overflowed most: with a field for every id of something, the ledger's
# document of the batch would be too large for Firestore.
_MOST_FIELDS = 50


class Home(NamedTuple):
    """Where a record of a batch belongs that several small files share: its file, and the batch that would be its own.

    Documents and dead letters name these, not the shared batch, so they are the same whichever files share one.
    """

    source: str
    batch_id: str


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What is known of a record that a model gave, beside the record.

    Attributes:
      part: which of several records of one answer it is, counted from 1; 0 for the only one.
      is_named_by_request: whether the request's id comes before what the record says, where there is one record.
      repairs: what was repaired so that the answer could be read, sorted.
      source_fields: what the line around the answer had of its own.
      n_fields_dropped: how many more it had, which are not fit to be kept there.
    """

    part: int = 0
    is_named_by_request: bool = True
    repairs: tuple[str, ...] = ()
    source_fields: Mapping[str, str | int | float] = field(default_factory=dict)
    n_fields_dropped: int = 0


class SourceVersion(NamedTuple):
    """Which version of a record its source gave; of two versions the one of the greater time is the later one.

    Attributes:
      time: in the source's unit, such as seconds.
      tag: tells versions of one time apart, without an order.
      record: what tells the record from all others of the source.
    """

    time: int
    tag: str
    record: str = ""


class Record(NamedTuple):
    """One record as an input gave it.

    Attributes:
      position: where it starts in its source: byte offset in plain JSONL, ordinal counted from 0 elsewhere. Orders the
        records of a source.
      value: the record itself, as Python values (for model batch results: what the model said).
      line: line or row in the source, counted from 1; None where finding it would mean reading the file again.
      raw: the source's own bytes, when there are any; what a dead letter shows instead of `value`.
      fallback_id: an id the source carries outside the record, such as a model batch's `custom_id`.
      home: where it belongs in a batch that several files share; None in any other.
      answer: of a record that a model gave; None for all others.
      failed_at: of a record out of a dead letter, when it failed first; None for all others.
      version: of a record whose source counts versions; None for all others.
    """

    position: int
    value: Mapping[str, Any]
    line: int | None = None
    raw: bytes | None = None
    fallback_id: str | None = None
    home: Home | None = None
    answer: ModelAnswer | None = None
    failed_at: datetime.datetime | None = None
    version: SourceVersion | None = None

    @property
    def original(self) -> bytes | Mapping[str, Any]:
        """What to keep so that the record can be processed again."""
        return self.value if self.raw is None else self.raw


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be stored, and why.

    Attributes:
      step: label of the step that gave it up.
      code: UPPER_SNAKE reason, fit for grouping.
      message: one sentence that names the field; never the value.
      original: the record, complete enough to be replayed; None only if there were no bytes at all to keep.
      record_id: document id, once it is known.
      position, line: as in `Record`.
      retryable: the record itself is fine; the same record may land later.
      attempts: how often it was tried, replays included.
      unread_bytes: of records behind it that nobody has seen, where it is the file that cannot be read on.
      home: as in `Record`.
      fallback_id: as in `Record`, where the original does not say it: of a document, of one of several records of an
        answer.
      answer: as in `Record`, of one of several records of an answer.
    """

    step: str
    code: str
    message: str
    original: bytes | Mapping[str, Any] | None
    record_id: str | None = None
    position: int | None = None
    line: int | None = None
    retryable: bool = False
    attempts: int = 1
    unread_bytes: int = 0
    home: Home | None = None
    fallback_id: str | None = None
    answer: ModelAnswer | None = None

    @classmethod
    def of(
        cls, step: str, record: Record, error: RecordError, record_id: str | None = None, *, retryable: bool = False
    ) -> DeadLetter:
        """The dead letter of a record that `error` is about."""
        is_part = record.answer is not None and record.answer.part > 0
        return cls(
            step,
            error.code,
            error.message,
            record.original,
            record_id,
            record.position,
            record.line,
            retryable,
            home=record.home,
            fallback_id=record.fallback_id if is_part or record.raw is None else None,
            answer=record.answer if is_part else None,
        )


class FieldCount(NamedTuple):
    """In how many records of a batch a field had a value, and in how many something that no cleaner could place."""

    with_value: int = 0
    uncleaned: int = 0


class EmptyField(NamedTuple):
    """A field that had no value in any record of a batch.

    Attributes:
      paths: where the spec looks for it.
      closest: paths of the records that look most like these.
    """

    name: str
    paths: tuple[str, ...]
    closest: tuple[str, ...] = ()


class FieldReport(NamedTuple):
    """What a spec found in the records of a batch.

    Attributes:
      records: how many were flattened.
      counts: by field of the spec, those without any value included.
      empty: of the fields without any value, where that was looked into.
    """

    records: int
    counts: Mapping[str, FieldCount]
    empty: tuple[EmptyField, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Up to `batch_size` records of one source on their way through a job.

    Attributes:
      batch_id: deterministic: the same input read with the same settings has the same batches.
      source: path of the file or collection the records come from.
      read: how many records the batch was born with.
      entries: the records still on their way.
      dead_letters: the records given up so far.
      superseded: records that a later one of the same id in the same batch replaces.
      unchanged: records whose documents already hold the same content.
      retries: requests sent again so far.
      overflowed: values that did not fit their BigQuery column and went to `_overflow`.
      repaired: records whose two documents were not of one content before; they are among the entries.
      bytes_read: of the source, as its reader counts them; 0 where it does not.
      overflowed_by: how many of the `overflowed` values were of which field, where that is counted.
      units: of Unix times, as its first records have them: see `RecordSpec.units_of`.
      fields: what a spec found in its records, where one flattened them.
      homes: of a batch that several files share: where its records belong, in their order; empty for any other.
      counts: what else is counted, by the names that the job's counters have.
      behind: where its source stands behind it, as the reader says to the job's last step, or text to the ledger, for
        whoever reads on there; None where nobody asks.
      provider_batch: key of the batch at a provider that it was made of; empty for any other.
      flush: whether steps that are one batch behind hand it on at once, because the next one may come much later.
    """

    batch_id: str
    source: str
    read: int
    entries: tuple[T, ...]
    dead_letters: tuple[DeadLetter, ...] = ()
    superseded: int = 0
    unchanged: int = 0
    retries: int = 0
    overflowed: int = 0
    repaired: int = 0
    bytes_read: int = 0
    overflowed_by: Mapping[str, int] = field(default_factory=dict)
    units: Units = ()
    fields: FieldReport | None = None
    homes: tuple[Home, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    behind: object | None = None
    provider_batch: str = ""
    flush: bool = False

    def __post_init__(self) -> None:
        accounted = len(self.entries) + len(self.dead_letters) + self.superseded + self.unchanged
        if accounted != self.read:
            raise AccountingError(
                f"batch {self.batch_id} read {self.read} records but accounts for {accounted}: "
                f"{len(self.entries)} on their way, {len(self.dead_letters)} dead letters, "
                f"{self.superseded} superseded, {self.unchanged} unchanged"
            )

    def then(
        self,
        entries: Sequence[U],
        dead_letters: Sequence[DeadLetter] = (),
        *,
        superseded: int = 0,
        unchanged: int = 0,
        retries: int = 0,
        overflowed: int = 0,
        repaired: int = 0,
        overflowed_by: Mapping[str, int] | None = None,
        units: Units | None = None,
        fields: FieldReport | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> Batch[U]:
        """The batch after a step: `entries` continue, the others are added to those that left the batch before.

        Raises:
          AccountingError: the step lost a record or counted one twice.
        """
        return Batch(
            self.batch_id,
            self.source,
            self.read,
            tuple(entries),
            self.dead_letters + tuple(dead_letters),
            self.superseded + superseded,
            self.unchanged + unchanged,
            self.retries + retries,
            self.overflowed + overflowed,
            self.repaired + repaired,
            self.bytes_read,
            {**self.overflowed_by, **overflowed_by} if overflowed_by else self.overflowed_by,
            self.units if units is None else units,
            self.fields if fields is None else fields,
            self.homes,
            {**self.counts, **counts} if counts else self.counts,
            self.behind,
            self.provider_batch,
            self.flush,
        )

    def home_of(self, record: Record) -> Home:
        """Where one of its records belongs."""
        return record.home or Home(self.source, self.batch_id)


@dataclass
class BatchResult(Generic[T]):
    """Collects what becomes of the entries of a batch in one step, until `closed` hands the batch on.

    Attributes:
      entries: those that continue.
      dead_letters, superseded, unchanged, retries, overflowed, repaired, overflowed_by: as in `Batch`, of this step.
    """

    batch: Batch[Any]
    entries: list[T] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    superseded: int = 0
    unchanged: int = 0
    retries: int = 0
    overflowed: int = 0
    repaired: int = 0
    overflowed_by: Counter[str] = field(default_factory=Counter)

    def closed(self) -> Batch[T]:
        """The batch after the step. Raises AccountingError as `Batch.then`."""
        return self.batch.then(
            self.entries,
            self.dead_letters,
            superseded=self.superseded,
            unchanged=self.unchanged,
            retries=self.retries,
            overflowed=self.overflowed,
            repaired=self.repaired,
            overflowed_by=dict(self.overflowed_by.most_common(_MOST_FIELDS)),
        )


def input_id_of(batch_id: str) -> str:
    """What the ids of all batches of one source begin with.

    >>> input_id_of("0123456789ab-00000-00007")
    '0123456789ab'
    """
    return batch_id.partition("-")[0]


def part_of(batch_id: str) -> str:
    """What the ids of all batches of one part of a source begin with.

    >>> part_of("0123456789ab-00002-00007")
    '0123456789ab-00002'
    """
    return batch_id.rpartition("-")[0]


def is_first_of_slice(batch_id: str) -> bool:
    """Whether a batch is the first one of a slice of its source.

    >>> is_first_of_slice("0123456789ab-00007-00000"), is_first_of_slice("0123456789ab-00000-00007")
    (True, False)
    """
    return not batch_id.rpartition("-")[2].strip("0")
