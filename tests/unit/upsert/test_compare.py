"""Which records of a batch are not written, by what is stored under their ids."""

import datetime

import pytest

from tests.support.stored import stored_document
from transforms.batch import Batch
from transforms.dead_letters.lines import ReplayedRecord
from transforms.upsert.compare import set_aside_older
from transforms.upsert.entries import Compared
from transforms.upsert.versions import StoredPair

FAILED_AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def document(job_id="other", batch_id="other-0-0", seconds=0):
    moment = FAILED_AT + datetime.timedelta(seconds=seconds)
    return stored_document(moment, moment, 1, "hash", moment, moment, "other.jsonl", 0, job_id, batch_id)


@pytest.mark.parametrize(
    ("stored", "survives"),
    [
        (None, True),
        (document(seconds=-1), True),
        (document(seconds=1), False),
        (document(batch_id="mine-0-0", seconds=1), True),
        (document(job_id="", batch_id="", seconds=1), False),
        (document(job_id="yesterday", seconds=1), True),
        (document(job_id="tomorrow", seconds=1), False),
    ],
    ids=["nothing", "before", "since", "the same input", "somebody else", "an earlier job's replay", "a later job"],
)
def test_a_record_is_set_aside_if_another_input_has_written_its_documents_since(stored, survives):
    record = ReplayedRecord(7, {"id": "a"}, failed_at=FAILED_AT)
    entry = Compared("a", record, "mine", StoredPair(stored, stored))
    day = datetime.timedelta(days=1)
    finished_at = {"yesterday": FAILED_AT - day, "tomorrow": FAILED_AT + day}
    batch = set_aside_older(Batch("b-0", "in.jsonl", 1, (entry,)), {"mine"}, finished_at)
    assert (len(batch.entries), batch.superseded) == ((1, 0) if survives else (0, 1))
