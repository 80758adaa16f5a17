"""What the database already holds about a record, and what that means for writing it. Plain Python.

    stored pair                                      verdict (mode versioned)
    both documents, of the same content              UNCHANGED
    … but nobody knows of its row in the job's table ROW_OWED: only the row is sent
    … and written by this very batch, in this run    LANDED: the batch is being done again
    a later record of this input with the same id    SUPERSEDED
    nothing                                          WRITE version 1, if absent
    anything else                                    WRITE version + 1, if nobody changes it meanwhile

One of the two documents missing, or of another content than its partner, is a torn pair: it is written again and
counted as repaired, under its own version if the content is the record's.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from transforms.batch import input_id_of
from transforms.firestore.values import timestamp
from transforms.upsert.modes import CREATE_ONLY, OVERWRITE

META_FIELD = "_meta"

# Which unchanged records are known to have their rows in the job's table: all of the run's input, because a run of the
# same input has sent them; those that this job wrote itself; none.
ALL_ROWS, OWN_ROWS, NO_ROWS = "all", "own", "none"


class StoredDocument:
    """What is known about one document: when it was written, and its `_meta`, as far as it has one.

    It reads the message when it is asked: of the many that are found unchanged only the hash and the job are wanted,
    and to decode them all would cost five times as much.

    Args:
      document: protobuf `Document` with nothing but `_meta`; one without, written by somebody else, has version 0.
    """

    __slots__ = ("_document", "content_hash")

    def __init__(self, document: Any):
        self._document = document
        self.content_hash: str = self._member("content_hash").string_value

    @property
    def update_time(self) -> datetime.datetime:
        """When it was last changed, which is its version for Firestore."""
        return timestamp(self._document.update_time.seconds, self._document.update_time.nanos)

    @property
    def create_time(self) -> datetime.datetime:
        """When it was created."""
        return timestamp(self._document.create_time.seconds, self._document.create_time.nanos)

    @property
    def version(self) -> int:
        """Counted by Firebeam; 0 if it never wrote the document."""
        return int(self._member("version").integer_value)

    @property
    def created_at(self) -> datetime.datetime | None:
        """When Firebeam wrote the pair first."""
        return self._moment("created_at")

    @property
    def updated_at(self) -> datetime.datetime | None:
        """When Firebeam wrote the pair last."""
        return self._moment("updated_at")

    @property
    def source(self) -> str:
        """Where the record was read."""
        return str(self._member("source").string_value)

    @property
    def position(self) -> int:
        """Where in the source; -1 if nobody knows."""
        member = self._member("position")
        return int(member.integer_value) if member.HasField("integer_value") else -1

    @property
    def job_id(self) -> str:
        """Of the job that wrote it."""
        return str(self._member("job_id").string_value)

    @property
    def batch_id(self) -> str:
        """Of the batch that wrote it."""
        return str(self._member("batch_id").string_value)

    def _member(self, name: str) -> Any:
        """A member of `_meta`; protobuf gives an empty value for what is not there."""
        return self._document.fields[META_FIELD].map_value.fields[name]

    def _moment(self, name: str) -> datetime.datetime | None:
        member = self._member(name)
        if not member.HasField("timestamp_value"):
            return None
        return timestamp(member.timestamp_value.seconds, member.timestamp_value.nanos)


class StoredPair(NamedTuple):
    """The two documents of a record; None for one that does not exist."""

    full: StoredDocument | None = None
    flat: StoredDocument | None = None

    @property
    def present(self) -> list[StoredDocument]:
        """Those of the two that exist."""
        return [document for document in self if document is not None]

    @property
    def torn(self) -> bool:
        """Whether one of the two is missing, or is of another content than its partner."""
        full, flat = self
        if full is None or flat is None:
            return full is not flat
        return full.content_hash != flat.content_hash

    def is_newer_than(self, earlier: StoredPair) -> bool:
        """Whether one of the documents was written since the pair was read earlier."""
        known = {document.update_time for document in earlier.present}
        return any(document.update_time not in known for document in self.present)

    def holds(self, content_hash: str) -> bool:
        """Whether both documents are of this content."""
        full, flat = self
        return full is not None and flat is not None and full.content_hash == flat.content_hash == content_hash


NOTHING = StoredPair()


class Verdict(enum.Enum):
    """What is to be done with a record."""

    WRITE = "write it"
    UNCHANGED = "its documents already say the same"
    LANDED = "this batch has already written it"
    ROW_OWED = "its documents already say the same, its row may be missing"
    SUPERSEDED = "a later record of this input has its id"


@dataclass(frozen=True)
class RunIdentity:
    """What tells the documents that a run wrote itself from all others.

    Attributes:
      job_id: of the job.
      started_at: when this run of the job began; a resumed run keeps it.
      input_ids: the fingerprints of all sources of the run, with which their batch ids begin.
      rows_known: which unchanged records have their rows; ALL_ROWS where there is no table.
      yields: whether a document that somebody else writes meanwhile stays as it is: the records are older than that.
    """

    job_id: str
    started_at: datetime.datetime
    input_ids: Collection[str] = frozenset()
    rows_known: str = ALL_ROWS
    yields: bool = False

    def owes_row(self, document: StoredDocument) -> bool:
        """Whether the row of an unchanged record has to be sent."""
        return self.rows_known == NO_ROWS or (self.rows_known == OWN_ROWS and document.job_id != self.job_id)


class Candidate(NamedTuple):
    """The record in question: its content, and where it stands in the input."""

    content_hash: str
    source: str
    position: int
    batch_id: str


def judge(candidate: Candidate, stored: StoredPair, mode: str, run: RunIdentity) -> Verdict:
    """What is to be done with a record, given what is stored under its id.

    >>> run = RunIdentity("job", datetime.datetime.now(datetime.timezone.utc))
    >>> judge(Candidate("1f", "a.jsonl", 0, "b-0-0"), NOTHING, VERSIONED, run).name
    'WRITE'
    """
    if mode == OVERWRITE:
        return Verdict.WRITE
    if stored.full and stored.holds(candidate.content_hash):
        if _wrote(run, candidate, stored.full):
            return Verdict.LANDED
        # Written again under its version, so that a record between the two places cannot win.
        moves_on = mode != CREATE_ONLY and _is_earlier(stored.full, candidate, run)
        if moves_on:
            return Verdict.WRITE
        return Verdict.ROW_OWED if run.owes_row(stored.full) else Verdict.UNCHANGED
    if any(_is_later(document, candidate, run) for document in stored.present):
        return Verdict.SUPERSEDED
    if mode == CREATE_ONLY and stored.present:
        return Verdict.UNCHANGED
    return Verdict.WRITE


def next_version(candidate: Candidate, stored: StoredPair) -> int:
    """The version under which the record is written: one more than stored, unless the content is the stored one."""
    known = max((document.version for document in stored.present), default=0)
    same = any(document.content_hash == candidate.content_hash for document in stored.present)
    return max(known, 1) if same else known + 1


def created_at(stored: StoredPair, moment: datetime.datetime) -> datetime.datetime:
    """When the pair was written first: what `_meta` says, else what Firestore says, else now."""
    return min((document.created_at or document.create_time for document in stored.present), default=moment)


def _wrote(run: RunIdentity, candidate: Candidate, document: StoredDocument | None) -> bool:
    return (
        document is not None
        and document.job_id == run.job_id
        and document.batch_id == candidate.batch_id
        and document.updated_at is not None
        and document.updated_at >= run.started_at
    )


def _is_earlier(document: StoredDocument, candidate: Candidate, run: RunIdentity) -> bool:
    """Whether a stored document comes from an earlier place of the same input."""
    same_input = input_id_of(document.batch_id) in run.input_ids
    return same_input and (document.source, document.position) < (candidate.source, candidate.position)


def _is_later(document: StoredDocument, candidate: Candidate, run: RunIdentity) -> bool:
    """Whether a stored document comes from a later place of the same input: a later file by path, or further on."""
    same_input = input_id_of(document.batch_id) in run.input_ids
    return same_input and (document.source, document.position) > (candidate.source, candidate.position)


def stored_pairs(answers: Iterable[Any], full_prefix: str, flat_prefix: str) -> dict[str, StoredPair]:
    """The pairs that exist, by document id, from the answers of one BatchGetDocuments.

    Args:
      answers: `BatchGetDocumentsResponse`s whose documents hold nothing but `_meta`.
      full_prefix, flat_prefix: the documents' names up to the id.
    """
    full: dict[str, StoredDocument] = {}
    flat: dict[str, StoredDocument] = {}
    for document in _found(answers):
        name = document.name
        if name.startswith(full_prefix) and "/" not in (key := name[len(full_prefix) :]):
            full[key] = StoredDocument(document)
        else:
            flat[name[len(flat_prefix) :]] = StoredDocument(document)
    return {key: StoredPair(full.get(key), flat.get(key)) for key in full.keys() | flat.keys()}


def _found(answers: Iterable[Any]) -> Iterator[Any]:
    return (answer.found for answer in answers if answer.HasField("found"))
