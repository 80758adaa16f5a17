"""What messages leave out is found from names at the position: no delete is missed, whatever the server forgets."""

import itertools
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.listened import PREFIX, current, existence, found, gone, left, reset, snapshot
from tests.unit.firestore.changes.test_bloom import message as bloom_of
from transforms.firestore.changes.change import ADDED, MODIFIED, REMOVED
from transforms.firestore.changes.name_cache import NameCache
from transforms.firestore.changes.positions import After, Follow
from transforms.firestore.changes.resolve import CannotFollowError, resolve
from transforms.firestore.changes.times import from_micros, micros
from transforms.firestore.changes.watch import Watch

POSITION, NOW = 100, 200


class Reads:
    """Knows the versions at the position and at the snapshot; remembers what it was asked."""

    prefix = PREFIX

    def __init__(self, before, after=None, *, is_filtered=False, existing=(), is_readable=True):
        self._states = {POSITION: before, NOW: after or {}}
        self.is_filtered, self._existing, self._is_readable = is_filtered, existing, is_readable
        self.asked = []

    def readable(self, read_time):
        return read_time if self._is_readable else None

    def all_versions(self, read_time, max_names):
        self.asked.append(("names", micros(read_time)))
        return dict(self._states[micros(read_time)])

    def count(self, read_time):
        self.asked.append(("count", micros(read_time)))
        return len(self._states[micros(read_time)])

    def existing(self, paths, read_time):
        self.asked.append(("existing", micros(read_time)))
        return set(paths) & set(self._existing)


def resolved(messages, reads, known=None, announced=frozenset(), documents=None, after=None, max_names=100):
    names = NameCache(max_names)
    names.replace(None if known is None else known.items())
    watch = Watch(POSITION, PREFIX, names.versions, max_replayed=1000)
    taken = [watch.take(each) for each in [*messages, current(), snapshot(NOW)]][-1]
    position = Follow(from_micros(POSITION), documents=documents, after=after)
    result = resolve(taken, position, names, announced, reads)
    assert all(change.read_time == from_micros(NOW) for change in result.changes)
    return types.SimpleNamespace(
        kinds={change.path: change.kind for change in result.changes},
        changes=result.changes,
        n_documents=result.n_documents,
        names=names,
    )


A, B, C = "users/a", "users/b", "users/c"
BEFORE = {A: 50, B: 60}


def test_what_was_known_is_modified_and_what_was_not_is_added():
    result = resolved([found(A, 150, 50), found(C, 160, 10)], Reads(BEFORE), known=BEFORE)
    assert result.kinds == {A: MODIFIED, C: ADDED}
    assert (result.n_documents, result.names.versions) == (3, {A: 150, B: 60, C: 160})


def test_without_names_the_time_of_creation_decides():
    result = resolved([found(A, 150, 50), found(C, 160)], Reads(BEFORE), documents=2)
    assert (result.kinds, result.n_documents) == ({A: MODIFIED, C: ADDED}, None)


def test_without_names_a_document_may_have_entered_a_filter():
    assert resolved([found(A, 150, 50)], Reads(BEFORE, is_filtered=True)).kinds == {A: ADDED}


def test_the_count_is_kept_while_documents_are_only_modified():
    assert resolved([found(A, 150, 50)], Reads(BEFORE), documents=2).n_documents == 2


def test_changes_come_by_version_and_then_by_name_and_removals_last():
    messages = [found(C, 150), found(A, 150), gone("users/z", 140), found(B, 120), gone("users/y", 150)]
    result = resolved(messages, Reads({}))
    assert [change.path for change in result.changes] == [B, A, C, "users/y", "users/z"]


def test_a_removed_document_has_its_last_known_version():
    (change,) = resolved([gone(A, 150)], Reads(BEFORE), known=BEFORE).changes
    assert (change.update_time, change.deleted, change.document) == (from_micros(50), True, None)
    (change,) = resolved([gone(A, 150)], Reads(BEFORE)).changes
    assert (change.update_time, change.deleted) == (None, True)


def test_a_delete_of_a_document_that_was_never_there_is_no_change():
    assert resolved([gone(C, 150)], Reads(BEFORE), known=BEFORE).kinds == {}


@pytest.mark.parametrize(
    ("message", "existing", "deleted"),
    [
        (gone(A, 150), [], True),
        (left(A, 150), [], False),
        (gone(A, 150, "document_remove"), [A], False),
        (gone(A, 150, "document_remove"), [], True),
    ],
)
def test_a_document_that_only_left_the_filter_is_not_deleted(message, existing, deleted):
    (change,) = resolved([message], Reads(BEFORE, is_filtered=True, existing=existing)).changes
    assert (change.kind, change.deleted) == (REMOVED, deleted)


def test_what_was_handed_out_is_not_handed_out_again():
    messages = [found(A, 150), found(B, 150), found(C, 151)]
    result = resolved(messages, Reads({}), after=After(from_micros(150), A))
    assert list(result.kinds) == [B, C]


def test_a_reset_shows_deletes_by_what_is_not_sent():
    replay = [reset(), found(B, 60)]
    known = Reads(BEFORE)
    result = resolved(replay, known, known=BEFORE)
    assert (result.kinds, result.n_documents, result.names.versions) == ({A: REMOVED}, 1, {B: 60})
    assert known.asked == []
    unknown = Reads(BEFORE)
    assert resolved(replay, unknown).kinds == {A: REMOVED}
    assert unknown.asked == [("names", POSITION)]


def test_a_reset_that_sends_as_many_as_there_were_needs_no_names():
    reads = Reads(BEFORE)
    assert resolved([reset(), found(B, 60), found(A, 150, 50), found(C, 170)], reads, documents=2).kinds == {
        A: MODIFIED,
        C: ADDED,
    }
    assert reads.asked == []


def test_a_count_that_agrees_needs_no_reads():
    for known, documents in [(BEFORE, None), (None, 2)]:
        reads = Reads(BEFORE)
        assert resolved([found(C, 150), existence(3)], reads, known, documents=documents).kinds == {C: ADDED}
        assert reads.asked == []


def test_an_unknown_count_is_asked_for():
    reads = Reads(BEFORE)
    assert resolved([found(C, 150), existence(3)], reads).kinds == {C: ADDED}
    assert reads.asked == [("count", POSITION)]


def test_a_bloom_filter_finds_what_the_server_forgot_without_a_read():
    reads = Reads(BEFORE)
    message = existence(1, bloom_of([PREFIX + B], n_bits=1024, hash_count=7))
    result = resolved([message], reads, known=BEFORE)
    assert (result.kinds, reads.asked, result.n_documents) == ({A: REMOVED}, [], 1)


def test_a_bloom_filter_that_does_not_explain_the_count_gives_way_to_names():
    reads = Reads(BEFORE, {B: 60})
    everything = existence(1, bloom_of([PREFIX + A, PREFIX + B], n_bits=1024, hash_count=7))
    assert resolved([everything], reads, known=BEFORE).kinds == {A: REMOVED}
    assert reads.asked == [("names", NOW)]


def test_counts_that_agree_by_accident_hide_no_delete():
    """a was deleted and forgotten; c was created and deleted meanwhile, which only seems to explain the count."""
    reads = Reads(BEFORE, {B: 60})
    assert resolved([gone(C, 150), existence(1)], reads, documents=2).kinds == {A: REMOVED}


def test_a_count_that_stays_wrong_is_compared():
    with pytest.raises(CannotFollowError, match="the server's count of documents stays wrong"):
        resolved([existence(3)], Reads(BEFORE, {**BEFORE, C: 70}), known=BEFORE)


def test_a_state_that_cannot_be_read_exactly_is_compared():
    with pytest.raises(CannotFollowError, match="can no longer be read exactly"):
        resolved([reset()], Reads(BEFORE, is_readable=False))


def test_documents_announced_before_a_crash_are_removed_unless_they_are_sent():
    result = resolved([found(A, 150)], Reads({}), announced={A, B})
    assert result.kinds == {A: ADDED, B: REMOVED}


PATHS = [A, B, C, "users/d"]
STATES = st.dictionaries(st.sampled_from(PATHS), st.integers(0, 1))


@settings(max_examples=400)
@given(data=st.data(), before=STATES, after=STATES)
def test_whatever_the_server_forgets_the_changes_make_the_later_state(data, before, after):
    """`before` and `after` say of each document how often it was written by then; forgotten deletes are not sent."""
    numbers = itertools.count(1)
    earlier = {path: 10 + next(numbers) for path in before}
    created = {path: earlier.get(path, 150) for path in after}
    recreated = data.draw(st.sets(st.sampled_from(PATHS)), "recreated")
    created |= {path: 150 for path in after if path in recreated}
    later = {
        path: earlier[path] if created[path] < POSITION and n == 0 else 150 + next(numbers) for path, n in after.items()
    }
    sent = [found(path, later[path], created[path]) for path in later if later[path] > POSITION]
    forgotten = data.draw(st.sets(st.sampled_from(PATHS)), "forgotten") & (before.keys() - after.keys())
    deleted = before.keys() - after.keys() - forgotten
    short_lived = data.draw(st.sets(st.sampled_from(PATHS)), "short lived") - before.keys() - after.keys()
    sent += [gone(path, 180) for path in deleted | short_lived]
    if data.draw(st.booleans(), "reset"):
        sent = [reset(), *(found(path, later[path], created[path]) for path in later)]
    sent = data.draw(st.permutations(sent)) if sent[:1] != [reset()] else sent
    bloom = data.draw(st.sampled_from([None, 8, 1024]), "bits")
    names = [PREFIX + path for path in later]
    sent.append(existence(len(later), bloom and bloom_of(names, n_bits=bloom, hash_count=2)))
    known = earlier if data.draw(st.booleans(), "known") else None
    documents = len(earlier) if data.draw(st.booleans(), "counted") else None
    result = resolved(sent, Reads(earlier, later), known, documents=documents)
    mirror = dict(earlier)
    for change in result.changes:
        if change.kind == REMOVED:
            mirror.pop(change.path, None)
        else:
            mirror[change.path] = micros(change.update_time)
    assert mirror == later
    assert result.n_documents in (None, len(later))
    assert result.names.versions in (None, later)
