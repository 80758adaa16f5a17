"""How far a batch is, by the clock and the script alone."""

import pytest

from tests.support.clocks import Clock
from transforms.testing.providers.batches import CANCEL_S, Batches, Fate
from transforms.testing.providers.request_files import requests_of
from transforms.testing.providers.script import OUTCOMES, parse_script


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def batches(clock):
    return Batches(clock, ("waiting", "running"), "cancelling")


def create(batches, n_requests=4, **settings):
    batches.script = parse_script({"batches": [settings]})
    requests = requests_of({"custom_id": f"r{n}", "body": {}} for n in range(n_requests))
    return batches.create("id-{}".format, requests, None, {})


def fates(batches, batch):
    return "".join(fate.name[0] for _, fate in batches.fates(batch))


def test_states_take_equal_parts_of_the_time_until_a_batch_is_over(batches, clock):
    batch = create(batches, ready_s=10, states=["a", "b", "c", "d"])
    seen = []
    for clock.seconds in (0, 2.4, 2.5, 7.4, 7.5, 9.9, 10):
        seen.append(batches.phase(batch).state)
    assert seen == ["a", "a", "b", "c", "d", "d", None]
    assert batches.phase(batch).ended_at == batch.created_at + 10


def test_a_batch_without_a_time_stays_until_the_script_says_otherwise(batches, clock):
    batch = create(batches, ready_s=None)
    clock.seconds = 10**6
    assert batches.phase(batch).state == "waiting"
    batches.script = parse_script({"batches": [{"ready_s": 0, "outcome": "expired"}]})
    assert batches.phase(batch).outcome == "expired"


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_is_reached(batches, outcome):
    assert batches.phase(create(batches, ready_s=0, outcome=outcome)).outcome == outcome


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "AAAA"),
        ({"errors": 2}, "EEAA"),
        ({"errors": ["r1", "r3"]}, "AEAE"),
        ({"missing": 1}, "AAAM"),
        ({"missing": ["r0"], "errors": ["r0", "r1"]}, "MEAA"),
        ({"outcome": "expired"}, "AAUU"),
        ({"outcome": "cancelled", "unanswered": 0.25}, "AAAU"),
        ({"outcome": "partial", "unanswered": 0.75, "errors": 1}, "EUUU"),
        ({"outcome": "expired", "missing": 1}, "AMUU"),
        ({"outcome": "expired", "unanswered": 1}, "UUUU"),
        ({"outcome": "failed"}, "UUUU"),
    ],
)
def test_a_script_says_what_becomes_of_each_request(batches, settings, expected):
    assert fates(batches, create(batches, ready_s=0, **settings)) == expected


def test_a_provider_may_keep_what_a_failed_batch_has(clock):
    batches = Batches(clock, ("running",), "cancelling", keeps_failed=True)
    assert fates(batches, create(batches, ready_s=0, outcome="failed")) == "AAUU"


def test_counts_grow_with_time_and_are_exact_at_the_end(batches, clock):
    batch = create(batches, 8, ready_s=8, errors=1, missing=2)
    seen = []
    for clock.seconds in (0, 4, 7, 8):
        seen.append(tuple(batches.counts(batch)))
    assert seen == [(8, 0, 0, 8), (8, 4, 0, 4), (8, 7, 0, 1), (8, 7, 1, 0)]


def test_a_batch_that_is_cancelled_is_over_soon_after(batches, clock):
    batch = create(batches, ready_s=None)
    assert batches.cancel(batch)
    assert batches.phase(batch).state == "cancelling"
    clock.seconds = CANCEL_S
    assert batches.phase(batch).outcome == "cancelled"
    assert fates(batches, batch) == "AAUU"
    assert not batches.cancel(batch)


def test_requests_that_are_wrong_make_a_batch_fail_whatever_the_script_says(batches):
    batches.script = parse_script({"batches": [{"ready_s": 0}]})
    batch = batches.create(str, [], None, {}, ("empty_file", "the file is empty"))
    assert batches.phase(batch).outcome == "failed"


def test_the_list_shows_a_batch_late_and_the_newest_first(batches, clock):
    first = create(batches)
    clock.seconds = 1
    second = create(batches)
    assert batches.listed() == [second, first]
    batches.script = parse_script({"batches": [{"nth": 1, "listed_after_s": 5}]})
    assert batches.listed() == [first]
    clock.seconds = 6
    assert batches.listed() == [second, first]


def test_entries_are_for_all_batches_for_ordinals_and_for_batches_with_a_request(batches):
    first, second = create(batches), create(batches, 9)
    batches.script = parse_script(
        {"batches": [{"ready_s": 3}, {"nth": [0, 5], "outcome": "failed"}, {"custom_id": "r8", "outcome": "expired"}]}
    )
    assert [batches.scripted(each).outcome for each in (first, second)] == ["failed", "expired"]
    assert [batches.scripted(each).ready_s for each in (first, second)] == [3, 3]
    batches.script = parse_script({"batches": [{"custom_id": ["r7", "r8"], "nth": 0, "outcome": "failed"}]})
    assert batches.scripted(second).outcome == "complete"
    batches.script = parse_script({"batches": [{"custom_id": ["r7", "x"], "outcome": "failed"}]})
    assert [batches.scripted(each).outcome for each in (first, second)] == ["complete", "failed"]


def test_nothing_is_said_of_a_request_but_one_of_four_things():
    assert {fate.name[0] for fate in Fate} == set("AEUM")
