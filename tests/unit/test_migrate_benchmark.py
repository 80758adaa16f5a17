"""The benchmark of migrate on a few items: what it reads is there, and its suites name cases that exist."""

from benchmarks.cases import CASES
from benchmarks.generated_account import CONTAINER, DATABASE, generated_account
from benchmarks.suites import migrate_suites
from transforms.cosmos.target import CosmosTarget
from transforms.migrate.feed import FeedSource, plan_feed


def test_a_generated_container_has_as_many_items_as_asked_for(monkeypatch):
    with generated_account(1_003) as environ:
        monkeypatch.setenv("COSMOS_KEY", environ["COSMOS_KEY"])
        target = CosmosTarget.of(f"cosmos://{DATABASE}/{CONTAINER}", "--from", environ)
        source = FeedSource(target, 100, lambda: False)
        batches = [batch for part in plan_feed(target.connect()) for batch in source.batches(part)]
    items = [record.value for batch in batches for record in batch.entries]
    assert len({item["id"] for item in items}) == len(items) == 1_003
    assert {item["student_id"][1:] == item["id"][1:] for item in items} == {True}


def test_the_suites_name_cases_there_are_each_beside_the_bare_loop():
    for suite in migrate_suites(1_000, 1):
        assert {step.case for step in suite.steps} <= CASES.keys()
        assert suite.baseline in {step.label for step in suite.steps}
