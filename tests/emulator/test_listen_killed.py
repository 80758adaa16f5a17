"""firebeam listen, killed at any moment while somebody writes and deletes: nothing is missing, nothing stays."""

import collections
import os
import random
import signal
import threading

import pytest

from tests.support.listen import ListenDesk, Writer, wait_until

pytestmark = pytest.mark.emulator

KILLS = int(os.environ.get("FIREBEAM_TEST_KILLS", "2"))


def test_after_any_number_of_kills_the_latest_views_equal_the_database(desk):
    listen, chance = ListenDesk(desk), random.Random(7)
    writer = Writer(desk, random.Random(8))
    writer.write(20)
    for kill in range(KILLS):
        seen = len(desk.rows("")) if kill else 0
        with listen.running("--layout=both", f"--save_interval_s={chance.choice([0, 1, 5])}") as process:
            with Writer(desk, chance):
                wait_until(lambda seen=seen: bool(listen.streams()) and len(desk.rows("")) > seen)
                threading.Event().wait(chance.uniform(0, 3))  # at any moment, and none of ours
                assert listen.end(process, signal.SIGKILL) == -signal.SIGKILL
        writer.write(10)
    assert listen.once("--layout=both") == 0
    assert listen.is_equal()
    assert listen.is_equal("_changelog_latest")
    (stream,) = listen.streams().values()
    assert 0 < stream.fields["restarts"] <= KILLS  # one that is killed early has not begun
    counted = ("written", "unchanged", "superseded", "dead_letter_count")
    assert stream.counts["read"] == sum(stream.counts[name] for name in counted)
    events = collections.defaultdict(set)
    for row in desk.rows("_changelog", "timestamp"):
        events[row["event_id"]].add((row["document_name"], row["operation"] == "DELETE", row["data"]))
    assert {event: states for event, states in events.items() if len(states) > 1} == {}
