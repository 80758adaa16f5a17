"""Tallies are the same for the same documents, in any order, and remember no more than they may."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.any_documents import same, values
from transforms.firestore.document_order import sort_key
from transforms.firestore.values import decode, encode
from transforms.verify.entries import Entry, content_hash
from transforms.verify.tallies import Tally

FIELDS = st.dictionaries(st.text("xy", min_size=1, max_size=1), values, max_size=2)
ENTRIES = st.lists(st.builds(Entry, st.text("abc", min_size=1, max_size=2), FIELDS), max_size=8)


@settings(max_examples=50)
@given(ENTRIES, st.randoms(use_true_random=False), st.integers(1, 5))
def test_order_does_not_matter(entries, chance, max_keys):
    shuffled = chance.sample(entries, len(entries))
    one, other = Tally.of(entries, max_keys), Tally.of(shuffled, max_keys)
    assert one.all == other.all
    assert one.by_key == other.by_key
    assert one.cuts() == other.cuts()


@settings(max_examples=50)
@given(ENTRIES.filter(bool))
def test_a_document_that_is_there_twice_shows(entries):
    assert not Tally.of(entries, 100).all.holds_as(Tally.of([*entries, entries[0]], 100).all)


@given(values, values)
def test_two_values_hash_alike_only_if_they_are_the_same(left, right):
    left, right = decode(encode(left)), decode(encode(right))
    alike = content_hash("a", {"v": left}) == content_hash("a", {"v": right})
    assert alike == same(left, right)


def test_the_key_is_part_of_the_hash():
    assert content_hash("a", {}) != content_hash("b", {})


def test_no_more_keys_are_kept_than_allowed_and_some_of_them_say_where_to_cut():
    entries = [Entry(f"{n:04d}", {}) for n in range(1000)]
    tally = Tally.of(entries, 100)
    assert tally.by_key is None
    assert tally.all.copies == 1000
    assert len(tally.cuts()) == 63
    assert tally.cuts() == sorted(tally.cuts(), key=sort_key)
    assert len(Tally.of(entries, 1000).by_key or ()) == 1000


def test_two_keys_too_many_for_one_give_a_cut_between_them():
    tally = Tally.of([Entry(key, {}) for key in "abab"], 1)
    assert (tally.by_key, tally.cuts()) == (None, ["b"])
