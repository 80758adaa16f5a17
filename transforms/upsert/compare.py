"""Which records of a batch have to be written, by what is stored under their ids. Plain Python."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping

from transforms.batch import Batch, input_id_of
from transforms.dead_letters.lines import ReplayedRecord
from transforms.upsert.entries import Compared
from transforms.upsert.versions import StoredDocument


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
        record = entry.record
        return isinstance(record, ReplayedRecord) and any(
            is_newer(document, record.failed_at) for document in entry.stored.present
        )

    current = [entry for entry in batch.entries if not is_older(entry)]
    return batch.then(current, superseded=len(batch.entries) - len(current))
