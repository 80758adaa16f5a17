"""What was announced is kept until a position covers it, in a bounded number of documents written in turn."""

import datetime
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import JobError
from transforms.firestore.changes.journal import JournalEntry, MemoryJournal, ProcessJournal, announced
from transforms.firestore.changes.journal_ring import RingJournal

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)


def at(seconds):
    return NOON + datetime.timedelta(seconds=seconds)


class Store:
    """Slots in memory."""

    def __init__(self):
        self.slots, self.written = {}, Counter()

    def write(self, stream_id, slot, entries):
        self.slots.setdefault(stream_id, {})[slot] = tuple(entries)
        self.written[slot] += 1

    def read(self, stream_id):
        return self.slots.get(stream_id, {})


STEPS = st.lists(st.sampled_from(["add", "add", "add", "save", "restart"]), max_size=80)


@given(STEPS)
def test_an_entry_stays_until_a_position_covers_it_however_often_the_ring_goes_round(steps):
    store = Store()
    journal, expected, saved = RingJournal(store, n_slots=4), [], None
    for second, step in enumerate(steps):
        if step == "add":
            entry = JournalEntry(at(second), (f"users/{second}",))
            journal.add("s", entry)
            expected.append(entry)
        elif step == "save":
            saved = at(second)
            journal.saved("s", saved)
            expected = []
        else:
            journal = RingJournal(store, n_slots=4)
            if saved:
                journal.saved("s", saved)
        assert sorted(journal.entries("s")) == expected
        assert journal.entries("another") == []


def test_slots_are_written_in_turn():
    store = Store()
    journal = RingJournal(store)
    for second in range(64):
        journal.add("s", JournalEntry(at(second), ("users/a",)))
        journal.saved("s", at(second))
    assert store.written == dict.fromkeys(range(16), 4)
    assert max(len(entries) for entries in store.slots["s"].values()) == 1


def test_a_full_journal_says_so_and_has_room_again_when_a_position_is_saved():
    journal = RingJournal(Store(), n_slots=2, max_slot_bytes=60)
    for second in range(4):
        journal.add("s", JournalEntry(at(second), ("users/ada",)))
    with pytest.raises(JobError, match="stream s: the journal of 2 × 60 bytes is full of names"):
        journal.add("s", JournalEntry(at(9), ("users/ada",)))
    journal.forget("s", at(9))  # the runner's word does not count
    with pytest.raises(JobError, match="is full"):
        journal.add("s", JournalEntry(at(9), ("users/ada",)))
    journal.saved("s", at(0))
    journal.add("s", JournalEntry(at(9), ("users/ada",)))


@pytest.mark.parametrize("journal", [MemoryJournal(), ProcessJournal()])
def test_a_journal_in_memory_forgets_what_the_runner_has_committed(journal):
    for second in (1, 2, 3):
        journal.add("in memory", JournalEntry(at(second), (f"users/{second}",)))
    journal.forget("in memory", at(2))
    assert journal.entries("in memory") == (JournalEntry(at(3), ("users/3",)),)


def test_names_are_announced_between_two_read_times():
    entries = [JournalEntry(at(second), (f"users/{second}",)) for second in (1, 2, 3)]
    assert announced(entries, at(1), at(2)) == {"users/2"}
    assert announced(entries, None) == {"users/1", "users/2", "users/3"}
