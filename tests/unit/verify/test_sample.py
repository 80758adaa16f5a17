"""A sample: as large as asked for, the same on both sides, and what it proves."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.support.cosmos import new_container
from transforms.firestore.ranges import Bound, NameRange
from transforms.verify.cosmos_form import ItemForm
from transforms.verify.cosmos_store import CosmosStore
from transforms.verify.ignored import Ignored
from transforms.verify.sample import choose, largest_share, sampled


def test_every_key_is_as_likely_as_any_other():
    chance = random.Random(7)
    counts = Counter(key for _ in range(2_000) for key in choose(map(str, range(20)), 5, chance))
    assert len(counts) == 20
    assert all(400 < n < 600 for n in counts.values())  # 500 on average, standard deviation 19


@pytest.mark.parametrize(("n_equal", "share"), [(0, 1.0), (1, 0.95), (3_000, 0.001), (30_000, 0.0001)])
def test_what_equal_documents_prove(n_equal, share):
    assert largest_share(n_equal) == pytest.approx(share, rel=0.01)


def test_both_sides_have_the_sample_and_nothing_else(cosmos):
    left, right = new_container(cosmos), new_container(cosmos)
    items = [{"id": f"i{n:03}", "student_id": f"s{n % 5}", "n": n} for n in range(300)]
    left.put(*items, {"id": "gone", "_deleted": True, "_meta": {"stamp": {"time": 1, "instance": "i", "n": 1}}})
    right.put(*items[:200])
    form = ItemForm(Ignored())
    ours, theirs = sampled(CosmosStore(left.target(), form), CosmosStore(right.target(), form), 120, random.Random(1))
    keys = {entry.key for entry in ours.entries(NameRange())}
    assert len(keys) == 120
    assert {entry.key for entry in theirs.entries(NameRange())} == {key for key in keys if key < "i200"}
    part = NameRange(Bound("i100"), Bound("i200"))
    assert {entry.key for entry in ours.entries(part)} == {key for key in keys if "i100" <= key < "i200"}
    assert [entry.key for entry in ours.refetch(sorted(keys)[:1])] == sorted(keys)[:1]
    assert len(sampled(ours.store, theirs.store, 1_000, random.Random(1))[0].keys) == 300
