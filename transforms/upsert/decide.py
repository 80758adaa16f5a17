"""What is to be done with the records of a batch: from entries and what is stored to writes and verdicts.

    Batch[Keyed] ──compare──▶ Batch[Compared]   without those whose documents hold their content
                                  │
                                  ▼
                             Batch[Flat] ──decide──▶ Decision ─┬─ writes: records with their `_meta`
                                             ▲                 ├─ resolved: records that need no write, and why
                      entries of a conflict ─┘                 ├─ unfit: records that cannot be written, and why
                                                               └─ in_doubt: records that only their source can judge

Pure functions: they read no service and no clock. Every record is judged once for each time that the database was read.
A record counts as superseded only if it could be written, so that a run finds the dead letters of the run before it,
whatever has been stored meanwhile.
"""

import datetime
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from transforms.batch import Batch, DeadLetter, input_id_of
from transforms.errors import RecordError
from transforms.firestore.committer import AtomicGroup
from transforms.unexpected import FAILURES
from transforms.upsert.doubts import Resolve
from transforms.upsert.entries import Compared, Flat, Keyed
from transforms.upsert.failures import unexpected_of
from transforms.upsert.groups import group_of, meta_of
from transforms.upsert.layout import Layout
from transforms.upsert.source_versions import another_has_its_id
from transforms.upsert.stored import NOTHING, Stored, StoredDocument
from transforms.upsert.versions import Candidate, RunIdentity, Verdict, judge

_COMPARE = "CompareVersions"

# Other content is stored, and stays. Nobody knows yet whether the record itself could be written.
_PASSED_OVER = frozenset({Verdict.SUPERSEDED, Verdict.UNCHANGED})


class RecordWrite(NamedTuple):
    """A record that is to be written, and its `_meta`.

    Attributes:
      group: its writes, where they are encoded already.
    """

    entry: Flat
    meta: dict[str, Any]
    group: AtomicGroup | None = None

    def encoded(self, layout: Layout) -> AtomicGroup:
        """Its writes. Raises RecordError as `group_of`."""
        return self.group or group_of(self.entry, self.meta, layout)


class Decision(NamedTuple):
    """What is to be done with some records, each part in their order."""

    writes: list[RecordWrite]
    resolved: list[tuple[Flat, Verdict]]
    unfit: list[tuple[Flat, Exception]]
    in_doubt: list[Flat]

    @classmethod
    def nothing(cls) -> "Decision":
        """Of no record, to be filled."""
        return cls([], [], [], [])


def compare(batch: Batch[Keyed], stored: Mapping[str, Stored], mode: str, run: RunIdentity) -> Batch[Compared]:
    """The batch without the records whose documents hold their content; every other one is judged.

    Args:
      batch: the last record of an id is the one that counts.
      stored: what exists of each record, by id.
      mode: of `modes.MODES`.
      run: who writes.
    """
    entries: list[Compared] = []
    unfit: list[DeadLetter] = []
    unexpected = unexpected_of([entry.record for entry in batch.entries], "comparing the record")
    unchanged: Counter[str] = Counter()  # by id
    for entry in reversed(batch.entries):
        found = stored.get(entry.key, NOTHING)
        try:
            verdict = judge(_candidate(entry, batch), found, mode, run)
        except FAILURES as error:
            unfit.append(DeadLetter.of(_COMPARE, entry.record, unexpected.as_record_error(error), entry.key))
            continue
        if verdict is Verdict.UNCHANGED and found.holds(entry.content_hash):
            unchanged[entry.key] += 1
            continue
        if verdict is Verdict.WRITE and entry.key in unchanged:
            verdict = Verdict.SUPERSEDED  # the last record of its id is stored already
        entries.append(Compared(entry.key, entry.record, entry.content_hash, found, verdict))
    unexpected.check_not_alike()
    return batch.then(entries[::-1], unfit[::-1], unchanged=unchanged.total())


def set_aside_older(
    batch: Batch[Compared], input_ids: Collection[str], finished_at: Mapping[str, datetime.datetime]
) -> Batch[Compared]:
    """The batch without records that failed before somebody else wrote what is stored under their ids.

    Args:
      batch: of records out of dead letters.
      input_ids: fingerprints of all sources of the job that the records came from. Within them the place of a record
        decides, which `compare` has looked at; against all others the time does.
      finished_at: when each job finished last. A document that a replay wrote names the job its record came from, and
        is no newer than that.
    """

    def is_newer(document: StoredDocument, failed_at: datetime.datetime) -> bool:
        if input_id_of(document.batch_id) in input_ids:
            return False
        return min(document.update_time, finished_at.get(document.job_id, document.update_time)) > failed_at

    def is_older(entry: Compared) -> bool:
        failed_at = entry.record.failed_at
        return failed_at is not None and any(is_newer(document, failed_at) for document in entry.stored.present)

    current = [entry for entry in batch.entries if not is_older(entry)]
    return batch.then(current, superseded=len(batch.entries) - len(current))


def decide(batch: Batch[Flat], layout: Layout, run: RunIdentity, now: datetime.datetime) -> Decision:
    """What is to be done with a batch: of each id only the last record that fits is written.

    Args:
      batch: of judged records.
      layout: where they go.
      run: who writes.
      now: `updated_at` of what is written.
    """
    count = Counter(entry.key for entry in batch.entries)
    decision = Decision.nothing()
    decided: dict[str, Flat] = {}
    for entry in reversed(batch.entries):
        passed_over = entry.verdict in _PASSED_OVER
        try:
            write = _write(entry, batch, layout, run, now)
            # A record that cannot be written replaces none, and is a dead letter whatever replaces it.
            if passed_over or (entry.verdict is Verdict.WRITE and count[entry.key] > 1):
                write = write._replace(group=group_of(entry, write.meta, layout))
        except FAILURES as error:
            decision.unfit.append((entry, error))
            continue
        if passed_over:
            decision.resolved.append((entry, entry.verdict))
        elif entry.key in decided and _is_another(entry, decided[entry.key]):
            decision.unfit.append((entry, another_has_its_id()))
        elif entry.key in decided:
            decision.resolved.append((entry, Verdict.SUPERSEDED))
        elif entry.verdict is Verdict.WRITE:
            decision.writes.append(write)
        elif entry.verdict is Verdict.IN_DOUBT:
            decision.in_doubt.append(entry)
        else:
            decision.resolved.append((entry, entry.verdict))
        if not passed_over:
            decided[entry.key] = entry
    for part in decision:
        part.reverse()
    return decision


def decide_again(
    entries: Sequence[Flat],
    stored: Mapping[str, Stored],
    batch: Batch[Flat],
    layout: Layout,
    run: RunIdentity,
    now: datetime.datetime,
) -> Decision:
    """What is to be done with records of a batch that met a conflict.

    Args:
      entries: with what was stored when they were judged before; of each id one.
      stored: what exists of each record now, by id.
      batch, layout, run, now: as in `decide`.
    """
    decision = Decision.nothing()
    for entry in entries:
        found = stored.get(entry.key, NOTHING)
        verdict = judge(_candidate(entry, batch), found, layout.mode, run)
        if verdict is Verdict.WRITE and run.never_overwrites_newer and found.is_newer_than(entry.stored):
            verdict = Verdict.SUPERSEDED
        judged = entry._replace(stored=found, verdict=verdict)
        _add_judged(decision, judged, batch, layout, run, now)
    return decision


def decide_in_doubt(
    decision: Decision,
    resolve: Resolve,
    batch: Batch[Flat],
    layout: Layout,
    run: RunIdentity,
    now: datetime.datetime,
) -> Decision:
    """The decision without records in doubt, once their source was asked about each.

    Args:
      resolve: asks the source.
      batch, layout, run, now: as in `decide`.
    """
    resolved = decision._replace(in_doubt=[])
    for entry in decision.in_doubt:
        try:
            _add_judged(resolved, resolve(entry), batch, layout, run, now)
        except RecordError as error:
            resolved.unfit.append((entry, error))
    return resolved


def _add_judged(
    decision: Decision, entry: Flat, batch: Batch[Flat], layout: Layout, run: RunIdentity, now: datetime.datetime
) -> None:
    if entry.verdict is Verdict.WRITE:
        decision.writes.append(_write(entry, batch, layout, run, now))
    elif entry.verdict is Verdict.IN_DOUBT:
        decision.in_doubt.append(entry)
    else:
        decision.resolved.append((entry, entry.verdict))


def _is_another(entry: Flat, other: Flat) -> bool:
    """Whether two entries of one id are different records of their source, by what that says."""
    own, others = entry.record.version, other.record.version
    return own is not None and others is not None and own.record != others.record


def _write(entry: Flat, batch: Batch[Flat], layout: Layout, run: RunIdentity, now: datetime.datetime) -> RecordWrite:
    return RecordWrite(entry, meta_of(entry, _candidate(entry, batch), layout, run, now))


def _candidate(entry: Keyed | Flat, batch: Batch[Any]) -> Candidate:
    record, home = entry.record, batch.home_of(entry.record)
    part = record.answer.part if record.answer else 0
    return Candidate(entry.content_hash, home.source, record.position, home.batch_id, part, record.version)
