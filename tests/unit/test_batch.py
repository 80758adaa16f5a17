"""A batch that does not add up does not exist."""

import pickle

import pytest

from transforms.batch import Batch, DeadLetter, Record
from transforms.errors import AccountingError, RecordError
from transforms.outcomes import BatchOutcome
from transforms.upsert.entries import Written


def batch(n=3):
    return Batch("b", "file", n, tuple(Record(i, {"n": i}) for i in range(n)))


def letter(step="Step", code="CODE"):
    return DeadLetter(step, code, "why", b"raw")


def test_a_step_that_loses_a_record_is_stopped():
    with pytest.raises(AccountingError, match="batch b read 3 records but accounts for 2: 1 on their way, 1 dead"):
        batch().then(batch().entries[:1], [letter()])


def test_a_step_that_counts_a_record_twice_is_stopped():
    with pytest.raises(AccountingError, match="accounts for 4"):
        batch().then(batch().entries, superseded=1)


def test_each_step_adds_to_what_left_the_batch_before():
    first = batch(5).then(batch(5).entries[:4], [letter("A")], retries=1, overflowed=2)
    second = first.then(first.entries[:1], [letter("B")], superseded=1, unchanged=1, retries=2)
    assert [one.step for one in second.dead_letters] == ["A", "B"]
    assert (second.superseded, second.unchanged, second.retries, second.overflowed) == (1, 1, 3, 2)


def test_an_outcome_counts_dead_letters_by_step_and_code():
    done = batch(4).then([Written("k", Record(0, {}), {}, {}, None)], [letter("A"), letter("A"), letter("B", "X")])
    outcome = BatchOutcome.of(done)
    assert outcome.kinds["dead_letters"] == {("A", "CODE"): 2, ("B", "X"): 1}
    assert (outcome.counts["read"], outcome.counts["written"], outcome.counts["dead_letter_count"]) == (4, 1, 3)


def test_a_dead_letter_keeps_the_raw_line_where_there_is_one():
    error = RecordError("CODE", "why")
    assert DeadLetter.of("S", Record(7, {"a": 1}, line=2, raw=b"{}"), error, "id").original == b"{}"
    assert DeadLetter.of("S", Record(7, {"a": 1}), error).original == {"a": 1}


def test_batches_cross_process_borders():
    assert pickle.loads(pickle.dumps(batch())) == batch()
