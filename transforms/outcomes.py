"""What became of a batch, as the ledger keeps it; and what is counted of batches of records. Plain, picklable."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.batch import Batch, FieldReport
from transforms.counters import BYTES_READ, Breakdown, Counter, Counters, Kinds, Role

# How many written ids an outcome names: enough to look one up, few enough for a ledger.
_SHOWN_IDS = 10
# … and where somebody waits for the profiles of each batch at a provider.
_IDS_OF_PROVIDER_BATCH = 1_000

NOT_REPLAYABLE = "not_replayable"
RETRYABLE_COUNT = "retryable"
DEAD_LETTER_REASONS = Breakdown("dead_letters", "has_dead_letters", ("step", "code"))

# What a job counts whose element is a batch of records.
RECORDS = Counters(
    "batches",
    (
        Counter("read", "taken from the input", role=Role.TOTAL, metric="records_read"),
        Counter(
            "written",
            "stored: acknowledged by Firestore, and by BigQuery where rows are inserted batch by batch",
            role=Role.PART,
            metric="records_written",
        ),
        Counter(
            "unchanged",
            "whose documents already held the same content",
            role=Role.PART,
            metric="records_unchanged",
        ),
        Counter("audited", "that a copy would store; an audit writes nothing", role=Role.PART, is_occasional=True),
        Counter("superseded", "replaced by a later record of the same id", role=Role.PART, metric="records_superseded"),
        Counter(
            "dead_letter_count",
            "that could not be stored, kept as dead letters, by step and reason",
            role=Role.PART,
            key="dead_letters",
            metric="dead_letters",
            is_watched=True,
            breakdown=DEAD_LETTER_REASONS,
        ),
        Counter(
            "retries",
            "sent again after a transient failure",
            unit="requests",
            metric="requests_retried",
            is_watched=True,
        ),
        Counter(
            "overflowed",
            "that did not fit their column and went to `_overflow`, by field",
            unit="values",
            breakdown=Breakdown("overflowed_by", "has_overflow", ("field",), max_kinds=200),
        ),
        Counter("repaired", "written because their two documents were not of one content; a part of those written"),
        Counter(
            "answers_repaired",
            "that a model gave as near-JSON, repaired before they were read",
            is_occasional=True,
        ),
        Counter(
            "ids_differing",
            "that a model gave another id than the one they are stored under",
            is_occasional=True,
        ),
        Counter(
            "source_fields_dropped",
            "of the lines around models' answers that do not fit `_meta.source_fields`: objects, arrays, long texts",
            unit="values",
            is_occasional=True,
        ),
        Counter(
            "analyses_asked",
            "answered by a model during the run, answers of no use included",
            unit="questions",
            is_occasional=True,
            group="analysis",
        ),
        Counter("analyses_cached", "whose question had a stored answer", is_occasional=True, group="analysis"),
        Counter(
            "analyses_repaired",
            "that were near-JSON, repaired before they were checked; a part of those asked",
            unit="answers",
            is_occasional=True,
            group="analysis",
        ),
        Counter(
            "analysis_input_tokens",
            "sent to a model, cached ones included",
            unit="tokens",
            is_occasional=True,
            group="analysis",
        ),
        Counter(
            "analysis_cached_tokens",
            "of the input that the provider had in its prompt cache",
            unit="tokens",
            is_occasional=True,
            group="analysis",
        ),
        Counter("analysis_output_tokens", "that a model gave", unit="tokens", is_occasional=True, group="analysis"),
        Counter(
            "analysis_cost",
            "of the answers given during the run, by the prices of the spec",
            unit="USD",
            decimals=12,
            is_occasional=True,
            group="analysis",
        ),
        Counter(
            "request_units",
            "that reading the container took",
            unit="request units",
            decimals=2,
            is_occasional=True,
        ),
        Counter("items_with_ttl", "read that expire by a `ttl` of their own", is_occasional=True),
        Counter(
            "unread_bytes",
            "of files that could not be read to their end",
            unit="bytes",
            beside="has_dead_letters",
        ),
        Counter(
            RETRYABLE_COUNT,
            "whose record is fine, so that another try may store it; a part of the dead letters",
            beside="has_dead_letters",
        ),
        Counter(
            NOT_REPLAYABLE,
            "whose dead letters keep no record to replay, so that only ingesting their source again can store them; a "
            "part of the dead letters",
            beside="has_dead_letters",
        ),
        Counter(BYTES_READ, "of the input, where its reader counts them", unit="bytes"),
    ),
)


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of one batch, by its job's counters.

    Attributes:
      batch_id, source: as in `Batch`.
      counts: by name of the counter; 0 where there is none.
      kinds: breakdowns by `Breakdown.field`.
      ids: of the first few documents written.
      fields: what a spec found in the records, where one flattened them.
    """

    batch_id: str
    source: str
    counts: Mapping[str, int]
    kinds: Mapping[str, Kinds] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    fields: FieldReport | None = None

    @classmethod
    def of(cls, batch: Batch[Any]) -> BatchOutcome:
        """The outcome of a batch whose last step is done, by the counters of `RECORDS`."""
        new = [entry for entry in batch.entries if not entry.unchanged]
        counts = {
            "read": batch.read,
            "written": len(new),
            "unchanged": batch.unchanged + len(batch.entries) - len(new),
            "superseded": batch.superseded,
            "dead_letter_count": len(batch.dead_letters),
            "retries": batch.retries,
            "overflowed": batch.overflowed,
            "repaired": batch.repaired,
            RETRYABLE_COUNT: sum(dead_letter.retryable for dead_letter in batch.dead_letters),
            "unread_bytes": sum(dead_letter.unread_bytes for dead_letter in batch.dead_letters),
            "bytes_read": batch.bytes_read,
            **batch.counts,
        }
        kinds: dict[str, Kinds] = {
            "dead_letters": collections.Counter((each.step, each.code) for each in batch.dead_letters),
            "overflowed_by": {(name,): n for name, n in batch.overflowed_by.items()},
        }
        n_ids = _IDS_OF_PROVIDER_BATCH if batch.provider_batch else _SHOWN_IDS
        ids = tuple(entry.key for entry in new[:n_ids])
        return cls(batch.batch_id, batch.source, counts, kinds, ids, batch.fields)
