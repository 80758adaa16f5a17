"""What follow could not or must not bring to the other store, as dead letters in files.

    LOST_WRITE   an acknowledged write that one store alone had, and that a later one of the other store replaced
    else         the code with which a store refuses a record, or with which a record cannot be read; of the step
                 InsertRows: with which BigQuery refuses its row, or none can be made

A dead letter is a file of its own, named after record and version, and is written before the store is: a job that is
killed in between does it again, and the file is the same.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from transforms.batch import DeadLetter
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dead_letters.lines import Origin
from transforms.dual.kinds import Key
from transforms.dual.stored import Failed, Stored

STEP, LOST = "Follow", "LOST_WRITE"
_DIGITS = 16
_LOG = logging.getLogger("firebeam.follow")


class DeadLetterFiles:
    """See `repairing.LostWrites`. Thread-safe: every record has files of its own.

    Args:
      folder: of the dead letters.
      job, job_id: of the run.
      source: what is followed, as a location.
      clock: the time.
    """

    def __init__(
        self, folder: DeadLetterFolder, job: str, job_id: str, source: str, clock: Callable[[], datetime.datetime]
    ):
        self._folder, self._job, self._job_id, self._source, self._clock = folder, job, job_id, source, clock

    def lost(self, key: Key, stored: Stored) -> None:
        """As `LostWrites.lost`."""
        what = "delete" if stored.is_tombstone else "write"
        message = f"one store alone had accepted this {what}, and a later one of the other store has replaced it"
        content = dict(key.naming) if stored.content is None else dict(stored.content)
        self._keep(key.document_id, str(stored.stamp), LOST, message, content)

    def refused(self, key: Key, failed: Failed, stored: Stored | None) -> None:
        """As `LostWrites.refused`."""
        content = dict(key.naming) if stored is None or stored.content is None else dict(stored.content)
        version = str(stored.version) if stored is not None else ""
        self._keep(key.document_id, version, failed.refused, failed.reason, content)

    def unreadable(self, record_id: str, code: str, message: str, original: Mapping[str, Any]) -> None:
        """A change that is not one of a record of ours."""
        self._keep(record_id, "", code, message, original)

    def row(self, version: str, dead_letter: DeadLetter) -> None:
        """As `RefusedRows.row`."""
        self._store(version, dead_letter)

    def _keep(self, record_id: str, version: str, code: str, message: str, original: Mapping[str, Any]) -> None:
        self._store(version, DeadLetter(STEP, code, message, original, record_id))

    def _store(self, version: str, dead_letter: DeadLetter) -> None:
        record_id, code = str(dead_letter.record_id), dead_letter.code
        digest = hashlib.sha256("\n".join((self._source, record_id, version, code)).encode()).hexdigest()[:_DIGITS]
        batch_id = f"follow-{digest}"
        origin = Origin(self._job, self._job_id, batch_id, self._clock().isoformat(), self._source)
        self._folder.store(origin, [dead_letter])
        _LOG.info("job %s, record %s: %s %s", self._job_id, record_id, dead_letter.step, code)
