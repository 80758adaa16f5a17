"""What is to be done with one record, by what is stored under its id. Plain Python.

    what is stored                                   verdict (mode versioned)
    all its documents, of the same content            UNCHANGED
    … but nobody knows of its row in the job's table ROW_MISSING: only the row is sent
    … and written by this very batch, in this run    LANDED: the batch is being done again
    a later record of this input with the same id    SUPERSEDED
    nothing                                          WRITE version 1, if absent
    anything else                                    WRITE version + 1, if nobody changes it meanwhile

A pair of which one document is missing, or is of another content than its partner, is inconsistent: it is written again
and counted as repaired, under its own version if the content is the record's. One document is never inconsistent.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from transforms.batch import SourceVersion, input_id_of
from transforms.upsert.modes import CREATE_ONLY, OVERWRITE
from transforms.upsert.source_versions import SourceOrder
from transforms.upsert.stored import Place, Stored, StoredDocument

# Which unchanged records are known to have their rows in the job's table: all of the run's input, because a run of the
# same input has sent them; those that this job wrote itself; none.
ALL_ROWS, OWN_ROWS, NO_ROWS = "all", "own", "none"


class Verdict(enum.Enum):
    """What is to be done with a record."""

    WRITE = "write it"
    UNCHANGED = "its documents already say the same"
    LANDED = "this batch has already written it"
    ROW_MISSING = "its documents already say the same, its row may be missing"
    SUPERSEDED = "a later record of this input has its id"
    IN_DOUBT = "only its source can say"


@dataclass(frozen=True)
class RunIdentity:
    """What tells the documents that a run wrote itself from all others.

    Attributes:
      job_id: of the job.
      attempt: which run of the job it is, counted from 1; 0 where nobody knows. A resumed run keeps it.
      started_at: when that run began; no document is earlier that it wrote. A ledger that has forgotten the job counts
        its attempts from 1 again.
      input_ids: the fingerprints of all sources of the run, with which their batch ids begin.
      rows_known: which unchanged records have their rows; ALL_ROWS where there is no table.
      order: where the source's own versions decide, and not the place in the input.
      never_overwrites_newer: whether a document that somebody else writes meanwhile stays as it is: the records are
        older than that.
    """

    job_id: str
    attempt: int
    started_at: datetime.datetime
    input_ids: Collection[str] = frozenset()
    rows_known: str = ALL_ROWS
    never_overwrites_newer: bool = False
    order: SourceOrder | None = None

    def may_lack_row(self, document: StoredDocument) -> bool:
        """Whether the row of an unchanged record has to be sent."""
        return self.rows_known == NO_ROWS or (self.rows_known == OWN_ROWS and document.job_id != self.job_id)


class Candidate(NamedTuple):
    """The record in question: its content, and where it stands in the input.

    Attributes:
      part: which of several records of a model's answer it is, counted from 1; 0 for any other.
      version: as in `Record`.
    """

    content_hash: str
    source: str
    position: int
    batch_id: str
    part: int = 0
    version: SourceVersion | None = None

    @property
    def place(self) -> Place:
        """As `StoredDocument.place`."""
        return self.source, self.position, self.part


def judge(candidate: Candidate, stored: Stored, mode: str, run: RunIdentity) -> Verdict:
    """What is to be done with a record, given what is stored under its id.

    >>> run = RunIdentity("job", 1, datetime.datetime.now(datetime.timezone.utc))
    >>> judge(Candidate("1f", "a.jsonl", 0, "b-0-0"), Stored(), "versioned", run).name
    'WRITE'
    """
    if mode == OVERWRITE:
        return Verdict.WRITE
    if run.order is not None and candidate.version is not None:
        return _judge_version(candidate, candidate.version, stored, run, run.order)
    if stored.first and stored.holds(candidate.content_hash):
        if _wrote(stored.first, candidate, run):
            return Verdict.LANDED
        if mode != CREATE_ONLY and _is_earlier(stored.first, candidate, run):
            return Verdict.WRITE  # again, under its version, so that a record between the two places cannot win
        return Verdict.ROW_MISSING if run.may_lack_row(stored.first) else Verdict.UNCHANGED
    if any(_is_later(document, candidate, run) for document in stored.present):
        return Verdict.SUPERSEDED
    if mode == CREATE_ONLY and stored.present:
        return Verdict.UNCHANGED
    return Verdict.WRITE


def _judge_version(
    candidate: Candidate, version: SourceVersion, stored: Stored, run: RunIdentity, order: SourceOrder
) -> Verdict:
    """As `source_versions.py` has it."""
    document = stored.first
    if document is None:
        return Verdict.WRITE
    if document.is_pending:
        return Verdict.SUPERSEDED
    found = document.version_of_source
    if found is None:
        return Verdict.WRITE
    if order.is_of_another(version, document):
        return Verdict.IN_DOUBT
    if (version.time, version.tag) == (found.time, found.tag):
        if not stored.holds(candidate.content_hash):
            return Verdict.WRITE
        if _wrote(document, candidate, run):
            return Verdict.LANDED
        # A batch that was not completed does not get its id back: what it wrote may have no row yet.
        lacks_row = run.may_lack_row(document) or _is_of_run(document, run)
        return Verdict.ROW_MISSING if lacks_row else Verdict.UNCHANGED
    if version.time == found.time:
        return Verdict.IN_DOUBT
    return Verdict.WRITE if version.time > found.time else Verdict.SUPERSEDED


def next_version(candidate: Candidate, stored: Stored) -> int:
    """The version under which the record is written: one more than stored, unless the content is the stored one."""
    known = max((document.version for document in stored.present), default=0)
    same = any(document.content_hash == candidate.content_hash for document in stored.present)
    return max(known, 1) if same else known + 1


def created_at(stored: Stored, now: datetime.datetime) -> datetime.datetime:
    """When the pair was written first: what `_meta` says, else what Firestore says, else now."""
    return min((document.created_at or document.create_time for document in stored.present), default=now)


def _wrote(document: StoredDocument, candidate: Candidate, run: RunIdentity) -> bool:
    """Whether a stored document was written by the record's own batch, in this run."""
    return document.batch_id == candidate.batch_id and _is_of_run(document, run)


def _is_of_run(document: StoredDocument, run: RunIdentity) -> bool:
    return (
        document.job_id == run.job_id
        and document.attempt in (run.attempt, 0)
        and document.updated_at is not None
        and document.updated_at >= run.started_at
    )


def _is_earlier(document: StoredDocument, candidate: Candidate, run: RunIdentity) -> bool:
    """Whether a stored document comes from an earlier place of the same input."""
    return input_id_of(document.batch_id) in run.input_ids and document.place < candidate.place


def _is_later(document: StoredDocument, candidate: Candidate, run: RunIdentity) -> bool:
    """Whether a stored document comes from a later place of the same input: a later file by path, or further on in the
    file, or in the same answer of a model."""
    return input_id_of(document.batch_id) in run.input_ids and document.place > candidate.place
