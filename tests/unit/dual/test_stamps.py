"""Stamps are later than any that was seen, by a clock that the server corrects; each process has its own."""

import datetime
import os

from transforms.dual.counting import PENDING, Counts
from transforms.dual.stamps import Stamper
from transforms.migrate.documents import Stamp
from transforms.retry import Clock

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)


def test_a_stamp_is_later_than_all_that_was_seen_and_than_those_before():
    stamper = Stamper("a", Clock(now=lambda: 1.0))
    first = stamper.stamp()
    assert first == Stamp(1_000_000, "a", 1)
    seen = stamper.stamp([Stamp(5_000_000, "b", 9)])
    assert seen.time == 5_000_001
    assert stamper.stamp() > seen


def test_a_server_half_way_between_question_and_answer_corrects_the_clock():
    stamper = Stamper("a", Clock(now=lambda: 100.0))
    stamper.correct(NOON, asked_s=99.0, answered_s=101.0)
    assert stamper.now() == NOON


def test_a_forked_process_is_another_instance_that_has_counted_nothing():
    stamper, counts = Stamper(), Counts()
    counts.add(PENDING)
    mine = stamper.instance
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.write(write_end, f"{stamper.stamp().instance} {counts.counts()[PENDING]}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    instance, counted = os.read(read_end, 1000).decode().split()
    assert (instance != mine, counted) == (True, "0")
    assert (stamper.instance, counts.counts()[PENDING]) == (mine, 1)
    os.close(read_end)
    os.close(write_end)
