"""Documents of other applications among the jobs: never shown as jobs, never replaced, named in one sentence."""

import datetime
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.__main__ import main
from tests.support import any_documents
from tests.support.clocks import no_waiting
from transforms.batch import DeadLetter
from transforms.dead_letters.lines import Origin, fields_of
from transforms.errors import UsageError
from transforms.ledger.jobs import NotAJobError, finish_times, job_document, read_job, recent_jobs
from transforms.ledger.owners import Owner
from transforms.ledger.runs import JobDescription, JobLedger
from transforms.outcomes import RECORDS
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
JOB = JobDescription("ingest", "ingest-1", {}, "input", "spec")
PATH = "pipeline_jobs/ingest-1"
NOT_A_JOB = r"pipeline_jobs/ingest-1 is not a job of Firebeam: it[^\n]*\. Firebeam leaves such a document alone; "


def ours(**changed):
    """The fields of a job whose owner is dead, but for some."""
    fields = {
        "job": "ingest",
        "state": "running",
        "attempt": 1,
        "parameters": {"spec": "profiles"},
        "input_fingerprint": "input",
        "spec_fingerprint": "spec",
        "bytes_total": 10,
        "owner": {"host": "another-host", "pid": 1, "since": NOON},
        "heartbeat_at": NOON,
        "started_at": NOON,
        "finished_at": None,
        "error": None,
        "batches_total": None,
        "totals": {},
        "expire_at": NOON,
    }
    return {**fields, **changed}


def without(name):
    return {key: value for key, value in ours().items() if key != name}


FOREIGN = [
    {},
    {"name": "somebody else's"},
    {"started_at": NOON},
    {"state": "running", "attempt": 1},
    *(without(name) for name in ours() if name not in ("batches_total", "expire_at")),
    *(ours(**{name: {"a": 1}}) for name in ("job", "state", "attempt", "bytes_total", "started_at", "error")),
    *(ours(**{name: "text"}) for name in ("attempt", "parameters", "owner", "heartbeat_at", "totals", "finished_at")),
    *(ours(attempt=value) for value in (True, 1.0, 0, -1, None)),
    ours(started_at=None),
    ours(state="done"),
    ours(owner={}),
    ours(owner={"host": "h", "pid": -1, "since": NOON}),
    ours(owner={"host": "h", "pid": "1", "since": NOON}),
    ours(owner={"host": 1, "pid": 1, "since": NOON}),
    ours(owner={"host": "h", "pid": 1, "since": "2026"}),
]

# Any document; and a job of which one field, or one of its owner's, is anything at all, a list of any or gone.
anything = st.one_of(any_documents.values, st.lists(any_documents.leaves, max_size=2))
mutated = st.one_of(
    st.builds(lambda name, value: ours(**{name: value}), st.sampled_from(sorted(ours())), anything),
    st.builds(
        lambda name, value: ours(owner={**ours()["owner"], name: value}),
        st.sampled_from(["host", "pid", "since"]),
        anything,
    ),
    st.builds(lambda name, value: ours(totals={name: value}), st.sampled_from(["batches", "dead_letters"]), anything),
    st.builds(without, st.sampled_from(sorted(ours()))),
)
shapes = st.one_of(any_documents.records, mutated)

without_end = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@pytest.fixture
def server(monkeypatch):
    with ScriptedFirestore() as scripted:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", scripted.target.emulator_host)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", scripted.target.project)
        yield scripted


def opened(server, **how):
    document = job_document(
        server.target.connect(), "ingest-1", Retry(clock=no_waiting(lambda: NOON.timestamp() + 120))
    )
    return JobLedger(document, RECORDS).open(JOB, Owner(), **how)


def stored(server):
    return server.documents[PATH].fields


def test_what_a_dead_run_has_left_is_a_job_and_is_resumed(server):
    server.put({PATH: ours()})
    assert read_job(job_document(server.target.connect(), "ingest-1")).attempt == 1
    assert opened(server).resumed


@pytest.mark.parametrize("fields", FOREIGN)
def test_it_is_named_as_not_a_job_and_says_what_it_lacks(server, fields):
    server.put({PATH: fields})
    with pytest.raises(UsageError, match=f"^{NOT_A_JOB}choose another id$"):
        read_job(job_document(server.target.connect(), "ingest-1"))


@pytest.mark.parametrize("how", [{}, {"restart": True}, {"take_over": True}, {"restart": True, "take_over": True}])
def test_a_job_of_its_id_is_not_started_over_it_by_any_flag(server, how):
    for fields in FOREIGN:
        server.put({PATH: fields})
        with pytest.raises(UsageError, match=NOT_A_JOB):
            opened(server, **how)
        assert stored(server) == fields
    assert not server.requests("Commit")


@pytest.mark.parametrize("fields", FOREIGN)
def test_status_says_so_in_one_line(server, capsys, fields):
    server.put({PATH: fields})
    for arguments in (["ingest-1"], ["ingest-1", "--json"], ["ingest-1", "--follow"]):
        assert main(["status", *arguments]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert re.search(f"^error: {NOT_A_JOB}choose another id\n$", printed.err)


def test_a_list_leaves_out_what_is_not_a_job_and_names_it_even_if_there_are_many(server, capsys):
    foreign = {f"pipeline_jobs/other-{n}": {"started_at": f"at {n}"} for n in range(70)}
    server.put({**foreign, PATH: ours(), "pipeline_jobs/timeless": {"a": 1}})
    assert main(["status", "--json"]) == 0
    printed = capsys.readouterr()
    assert [job["job_id"] for job in json.loads(printed.out)] == ["ingest-1"]
    assert printed.err.startswith("not jobs of Firebeam, and not shown: pipeline_jobs/other-")
    assert " ".join(printed.err.split()).endswith(" and 50 more")


def test_a_time_of_an_end_that_is_no_time_is_passed_over(server):
    server.put({PATH: ours(finished_at=NOON), "pipeline_jobs/other": {"finished_at": "2026"}})
    assert finish_times(server.target.connect()) == {"ingest-1": NOON}


def test_a_run_whose_document_somebody_has_replaced_is_not_adopted(server):
    for fields in FOREIGN[:4]:
        server.put({PATH: fields})
        document = job_document(server.target.connect(), "ingest-1")
        assert not JobLedger(document, RECORDS).adopt(2)


def test_a_run_with_the_id_of_a_foreign_document_is_wrong_usage(server, capsys, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": "a"}\n')
    server.put({PATH: {"name": "somebody else's"}})
    folder = f"--dead_letters={tmp_path / 'dead_letters'}"
    arguments = ["ingest", f"--input={source}", "--job_id=ingest-1", "--take_over", folder]
    assert main(arguments) == 2
    assert re.search(f"^error: {NOT_A_JOB}", capsys.readouterr().err)
    assert stored(server) == {"name": "somebody else's"}


def replayed(server, tmp_path, fields):
    server.put({PATH: fields})
    kind = tmp_path / "dead_letters" / "permanent"
    kind.mkdir(parents=True, exist_ok=True)
    origin = Origin("ingest", "ingest-1", "b-0", "2026-01-01T00:00:00Z", "in.jsonl")
    line = fields_of(DeadLetter("FlattenRecords", "X", "why", b"{}", position=0), origin)
    (kind / "b-0.jsonl").write_text(json.dumps(line) + "\n")
    return main(["replay", f"--dead_letters={kind.parent}"])


@pytest.mark.parametrize("fields", [FOREIGN[1], without("parameters"), ours(parameters={"spec": 7})])
def test_dead_letters_of_a_foreign_document_are_not_replayed(server, capsys, tmp_path, fields):
    assert replayed(server, tmp_path, fields) == 2
    assert "pipeline_jobs/ingest-1 is not a job of Firebeam: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "parameters",
    [{"spec": ["a"]}, {"upsert": "sideways"}, {"keep_versions": "1"}, {"drop_columns": "a"}, {"rename_columns": [1]}],
)
def test_parameters_that_no_flag_can_have_are_named(server, capsys, tmp_path, parameters):
    assert replayed(server, tmp_path, ours(parameters=parameters)) == 2
    assert f"of its parameters, --{next(iter(parameters))} " in capsys.readouterr().err


@without_end
@given(shapes)
def test_whatever_is_there_nothing_fails_but_in_a_sentence(server, capsys, fields):
    server.put({PATH: fields})
    client = server.target.connect()
    is_job = not refused(lambda: read_job(job_document(client, "ingest-1")))
    recent = recent_jobs(client, 20)
    has_start = "started_at" in fields
    assert [len(recent.jobs), len(recent.foreign)] == [is_job and has_start, not is_job and has_start]
    finish_times(client)
    assert main(["status", "ingest-1"]) == (0 if is_job else 2)
    assert main(["status"]) == 0
    assert main(["status", "--json"]) == 0
    before = stored(server)
    assert is_job is not refused(lambda: opened(server, restart=True, take_over=True))
    assert is_job or any_documents.same(stored(server), before)
    capsys.readouterr()


def refused(act):
    """Whether the document is found to be none of ours."""
    try:
        act()
    except NotAJobError:
        return True
    return False
