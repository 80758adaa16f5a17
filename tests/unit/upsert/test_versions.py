"""What is stored decides what is written: the verdicts, as a table."""

import datetime

import pytest

from tests.support.stored import stored_document
from transforms.upsert.modes import CREATE_ONLY, MERGE, OVERWRITE, VERSIONED
from transforms.upsert.stored import NOTHING, Stored
from transforms.upsert.versions import (
    Candidate,
    RunIdentity,
    Verdict,
    created_at,
    judge,
    next_version,
)

T0 = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
RUN = RunIdentity("job", 2, T0, frozenset({"aaa", "bbb"}))
MINE = Candidate("hash", "b.jsonl", 100, "bbb-0-0")


def document(content_hash="other", source="x.jsonl", position=0, batch_id="xxx-0-0", version=3, **more):
    fields = {
        "update_time": T0,
        "create_time": T0 - 2 * DAY,
        "created_at": T0 - DAY,
        "updated_at": T0 - DAY,
        "job_id": "earlier",
        **more,
    }
    return stored_document(
        version=version, content_hash=content_hash, source=source, position=position, batch_id=batch_id, **fields
    )


def both(**stored):
    return Stored((document(**stored), document(**stored)))


@pytest.mark.parametrize(
    ("stored", "mode", "verdict"),
    [
        (NOTHING, VERSIONED, Verdict.WRITE),
        (NOTHING, CREATE_ONLY, Verdict.WRITE),
        (both(), VERSIONED, Verdict.WRITE),
        (both(), MERGE, Verdict.WRITE),
        (both(), CREATE_ONLY, Verdict.UNCHANGED),
        (both(content_hash="hash"), VERSIONED, Verdict.UNCHANGED),
        (both(content_hash="hash"), MERGE, Verdict.UNCHANGED),
        (both(content_hash="hash"), OVERWRITE, Verdict.WRITE),
        # inconsistent pairs are written again
        (Stored((document(content_hash="hash"), None)), VERSIONED, Verdict.WRITE),
        (Stored((None, document(content_hash="hash"))), VERSIONED, Verdict.WRITE),
        (Stored((document(content_hash="hash"), document())), VERSIONED, Verdict.WRITE),
        # of several records with one id in one input the last position wins
        (both(source="b.jsonl", position=101, batch_id="bbb-0-9"), VERSIONED, Verdict.SUPERSEDED),
        (both(source="b.jsonl", position=99, batch_id="bbb-0-0"), VERSIONED, Verdict.WRITE),
        (both(source="c.jsonl", position=0, batch_id="aaa-0-0"), VERSIONED, Verdict.SUPERSEDED),
        (both(source="a.jsonl", position=999, batch_id="aaa-0-0"), VERSIONED, Verdict.WRITE),
        # … but a file of that name with another content is another input
        (both(source="b.jsonl", position=101, batch_id="ccc-0-9"), VERSIONED, Verdict.WRITE),
        # the batch is being done again
        (
            both(content_hash="hash", job_id="job", batch_id="bbb-0-0", attempt=2, updated_at=T0),
            VERSIONED,
            Verdict.LANDED,
        ),
        # … in the run after the one that wrote it, although that one's clock was ahead
        (
            both(content_hash="hash", job_id="job", batch_id="bbb-0-0", attempt=1, updated_at=T0 + DAY),
            VERSIONED,
            Verdict.UNCHANGED,
        ),
        # … and the ledger had forgotten the job, whose attempts count from 1 again
        (
            both(content_hash="hash", job_id="job", batch_id="bbb-0-0", attempt=2, updated_at=T0 - DAY),
            VERSIONED,
            Verdict.UNCHANGED,
        ),
        # … and an earlier version wrote it, which did not say in which run
        (both(content_hash="hash", job_id="job", batch_id="bbb-0-0", updated_at=T0), VERSIONED, Verdict.LANDED),
        (
            both(content_hash="hash", job_id="job", batch_id="bbb-0-0", updated_at=T0 - DAY),
            VERSIONED,
            Verdict.UNCHANGED,
        ),
        (both(content_hash="hash", job_id="job", batch_id="bbb-0-1", updated_at=T0), VERSIONED, Verdict.UNCHANGED),
        (both(content_hash="hash", job_id="other", batch_id="bbb-0-0", updated_at=T0), VERSIONED, Verdict.UNCHANGED),
    ],
)
def test_the_verdict(stored, mode, verdict):
    assert judge(MINE, stored, mode, RUN) is verdict


@pytest.mark.parametrize(
    ("position", "stored_part", "part", "verdict"),
    [
        (100, 2, 1, Verdict.SUPERSEDED),
        (100, 1, 2, Verdict.WRITE),
        (100, 2, 2, Verdict.WRITE),
        (100, 10, 9, Verdict.SUPERSEDED),
        (100, None, 1, Verdict.WRITE),
        (100, None, 0, Verdict.WRITE),
        (99, 9, 1, Verdict.WRITE),
        (101, 1, 9, Verdict.SUPERSEDED),
    ],
)
def test_of_several_records_of_one_answer_the_last_wins(position, stored_part, part, verdict):
    stored = both(source="b.jsonl", position=position, part=stored_part, batch_id="bbb-0-0")
    assert judge(MINE._replace(part=part), stored, VERSIONED, RUN) is verdict


def test_the_same_content_moves_to_the_later_place_within_an_answer():
    stored = both(content_hash="hash", source="b.jsonl", position=100, part=1, batch_id="bbb-0-0")
    assert judge(MINE._replace(part=2), stored, VERSIONED, RUN) is Verdict.WRITE
    assert judge(MINE._replace(part=1), stored, VERSIONED, RUN) is Verdict.UNCHANGED


@pytest.mark.parametrize(
    ("stored", "version"),
    [
        (NOTHING, 1),
        (both(version=3), 4),
        (Stored((document(version=3), document(version=5))), 6),
        (Stored((document(content_hash="hash", version=3), None)), 3),
        (Stored((document(content_hash="hash", version=0), None)), 1),
    ],
)
def test_the_version_grows_by_one_with_every_change_of_content(stored, version):
    assert next_version(MINE, stored) == version


def test_created_at_is_kept_and_a_stranger_s_document_has_firestore_s_own():
    assert created_at(NOTHING, T0) == T0
    assert created_at(both(), T0) == T0 - DAY
    assert created_at(both(created_at=None), T0) == T0 - 2 * DAY


@pytest.mark.parametrize(
    ("stored", "inconsistent"),
    [
        (NOTHING, False),
        (both(), False),
        (Stored((document(), None)), True),
        (Stored((None, document())), True),
        (Stored((document("a"), document("b"))), True),
    ],
)
def test_a_pair_is_inconsistent_when_one_is_missing_or_differs(stored, inconsistent):
    assert stored.is_inconsistent is inconsistent
