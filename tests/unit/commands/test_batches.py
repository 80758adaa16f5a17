"""`firebeam batches`: one row per batch, and what people say of those that nobody can tell apart."""

import datetime
import json

import pytest
from rich.console import Console

from pipeline.commands.batches import main
from transforms.errors import UsageError
from transforms.ledger.jobs import job_document
from transforms.ledger.owners import Owner
from transforms.ledger.provider_batches import ProviderBatch, ProviderBatches, Try
from transforms.ledger.runs import JobDescription, JobLedger
from transforms.outcomes import RECORDS
from transforms.testing import ScriptedFirestore
from transforms.testing.providers import scripted_provider

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
CONSOLE = Console(stderr=True)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test")
    with ScriptedFirestore() as scripted:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", scripted.target.emulator_host)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", scripted.target.project)
        yield scripted


def open_job(server, state="interrupted", **parameters):
    document = job_document(server.target.connect(), "ingest-1")
    ledger = JobLedger(document, RECORDS)
    ledger.open(JobDescription("ingest", "ingest-1", parameters, "input", "spec"), Owner())
    if state != "running":
        ledger.finish(state, None, {})
    return ProviderBatches(document)


def test_it_shows_one_row_per_batch(server, capsys):
    batches = open_job(server)
    times = {"triggered_at": NOON, "ready_at": NOON + datetime.timedelta(minutes=7)}
    batches.write(
        ProviderBatch("fb-1", "openai", 0, "completed", tries=(Try("fb-1", "batch_1"),), outcome="partial", **times)
    )
    batches.write(ProviderBatch("fb-2", "openai", 1, "failed", error_code="invalid_file", error_text="no model"))
    assert main(["ingest-1"], CONSOLE) == 0
    shown = capsys.readouterr().out
    assert "completed, partial" in shown
    assert "0:07:00" in shown
    assert "invalid_file" in shown
    assert main(["ingest-1", "--json"], CONSOLE) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(each["key"], each["remote_id"], each["state"]) for each in found] == [
        ("fb-1", "batch_1", "completed"),
        ("fb-2", "", "failed"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "shows those of one job"),
        (["a", "b"], "shows those of one job"),
        (["nowhere"], "there is no job nowhere"),
        (["ingest-1"], "has no batches at a provider"),
    ],
)
def test_what_cannot_be_shown_is_said(server, arguments, message):
    open_job(server)
    with pytest.raises(UsageError, match=message):
        main(arguments, CONSOLE)


def test_an_undecided_batch_is_adopted_by_its_id(server):
    existing = [
        {"id": "batch_old", "requests": [{"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {}}]}
    ]
    with scripted_provider("openai", {"existing": existing}) as provider:
        batches = open_job(server, provider_var=[f"base_url={provider.base_url}"])
        batches.write(ProviderBatch("fb-1", "openai", 0, "undecided", tries=(Try("fb-1", intended_at=NOON),)))
        for text, message in [
            ("fb-9=batch_old", "must be KEY=ID, with a key that"),
            ("fb-1", "must be KEY=ID"),
            ("fb-1=batch_none", "openai has no batch batch_none"),
        ]:
            with pytest.raises(UsageError, match=message):
                main(["ingest-1", f"--adopt={text}"], CONSOLE)
        assert main(["ingest-1", "--adopt=fb-1=batch_old"], CONSOLE) == 0
    (adopted,) = batches.all().values()
    assert (adopted.state, adopted.remote_id, adopted.triggered_at) == ("running", "batch_old", NOON)


def test_an_undecided_batch_that_does_not_exist_is_triggered_by_the_next_run(server):
    batches = open_job(server)
    batches.write(ProviderBatch("fb-1", "openai", 0, "undecided", tries=(Try("fb-1", intended_at=NOON),)))
    batches.write(ProviderBatch("fb-2", "openai", 1, "running", tries=(Try("fb-2", "batch_2"),)))
    with pytest.raises(UsageError, match="batch fb-2 is running; none is an answer for undecided ones"):
        main(["ingest-1", "--adopt=fb-2=none"], CONSOLE)
    assert main(["ingest-1", "--adopt=fb-1=none"], CONSOLE) == 0
    assert [(each.state, len(each.tries)) for each in batches.all().values()] == [("planned", 0), ("running", 1)]


def test_nothing_is_adopted_while_somebody_runs_the_job(server):
    batches = open_job(server, state="running")
    batches.write(ProviderBatch("fb-1", "openai", 0, "undecided", tries=(Try("fb-1"),)))
    with pytest.raises(UsageError, match="is being run by process"):
        main(["ingest-1", "--adopt=fb-1=batch_1"], CONSOLE)
