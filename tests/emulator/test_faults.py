"""A service that fails now and then changes only the time that a run takes; one that stays away loses nothing."""

import time

import pytest

from tests.support.disturbed_run import faulty, prepare, refuse_one, run_elsewhere, run_over, write_inputs
from tests.support.end_state import assert_accounts_add_up, differences, documents, end_state
from tests.support.faulty_firestore import AMBIGUOUS, RETRYABLE, Fault, How, in_turn, seeded
from transforms.firestore.client import RpcError
from transforms.firestore.target import FirestoreTarget

pytestmark = pytest.mark.emulator

MISSING_DATABASE = "The database (default) does not exist for project demo-x Please visit the console to add one"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def undisturbed(firestore_host, inputs, tmp_path_factory):
    """The end that every run of this module has to come to."""
    before, records = inputs
    folder = tmp_path_factory.mktemp("undisturbed")
    target = prepare(firestore_host, "demo-undisturbed", before, folder)
    with faulty(firestore_host) as server:
        run = run_over(server, target, records, folder)
    assert run.exit_code == 0, run.summary
    return end_state(run)


@pytest.fixture
def target(firestore_host, firestore_project, inputs, tmp_path):
    return prepare(firestore_host, firestore_project, inputs[0], tmp_path)


def test_the_undisturbed_run_has_records_of_every_fate(undisturbed):
    assert undisturbed.counts == {
        "read": 105,
        "written": 83,
        "unchanged": 18,
        "superseded": 1,
        "dead_letters": 3,
        "batches": 5,
        "repaired": 2,
    }
    assert [letter[:2] for letter in undisturbed.dead_letters] == [
        ("IdentifyRecords", "INVALID_ID"),
        ("ReadBatches", "INVALID_JSON"),
        ("UpsertPairs", "INVALID_ARGUMENT"),
    ]
    assert undisturbed.full["cand-00005"]["name"] == undisturbed.full["cand-00090"]["name"] == "at last"


def test_a_run_that_meets_every_retryable_code_ends_as_an_undisturbed_one(
    firestore_host, target, inputs, undisturbed, tmp_path
):
    schedule = in_turn(*(Fault(How.REFUSED, code) for code in RETRYABLE))
    with faulty(firestore_host, schedule) as server:
        run = run_over(server, target, inputs[1], tmp_path)
    assert run.exit_code == 0, run.summary
    assert {code for rpc, _, code in server.injected if rpc == "Commit"} == set(RETRYABLE)
    assert differences(end_state(run), undisturbed) == []
    assert_accounts_add_up(run)


def test_a_run_whose_commits_are_applied_but_answered_with_errors_ends_as_an_undisturbed_one(
    firestore_host, target, inputs, undisturbed, tmp_path
):
    schedule = in_turn(*(Fault(How.UNACKNOWLEDGED, code) for code in AMBIGUOUS))
    with faulty(firestore_host, schedule) as server:
        run = run_over(server, target, inputs[1], tmp_path)
    assert run.exit_code == 0, run.summary
    assert {code for rpc, _, code in server.injected if rpc == "Commit"} == set(AMBIGUOUS)
    assert differences(end_state(run), undisturbed) == []
    assert_accounts_add_up(run)


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(in_turn(Fault(How.CUT), Fault(How.CUT_LATE)), id="a cut connection"),
        pytest.param(seeded(1), id="seed 1"),
        pytest.param(seeded(2), id="seed 2"),
    ],
)
def test_a_disturbed_run_ends_as_an_undisturbed_one(firestore_host, target, inputs, undisturbed, tmp_path, schedule):
    with faulty(firestore_host, schedule) as server:
        run = run_over(server, target, inputs[1], tmp_path)
    assert run.exit_code == 0, run.summary
    assert {"Commit", "BatchGetDocuments"} <= {rpc for rpc, _, _ in server.injected}
    assert run.summary["retries"] > 0
    assert differences(end_state(run), undisturbed) == []
    assert_accounts_add_up(run)


def test_a_request_that_is_too_large_for_the_service_goes_in_halves(
    firestore_host, target, inputs, undisturbed, tmp_path
):
    refused = []

    def refuse_large(request):
        if request.rpc == "Commit" and len(request.body) > 20_000:
            refused.append(len(request.body))
            return RpcError("RESOURCE_EXHAUSTED", f"Received message larger than max ({len(request.body)} vs. 20000)")
        return refuse_one(request)

    with faulty(firestore_host, refuse=refuse_large) as server:
        run = run_over(server, target, inputs[1], tmp_path)
    assert refused
    assert run.exit_code == 0, run.summary
    assert differences(end_state(run), undisturbed) == []
    assert_accounts_add_up(run)


def for_good(code, message, after):
    """Every request is refused like this, from the Commit with this ordinal on."""
    begun = []

    def refuse(request):
        if request.rpc == "Commit" and request.ordinal >= after:
            begun.append(request)
        return RpcError(code, message) if begun else refuse_one(request)

    return refuse


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("PERMISSION_DENIED", "Missing or insufficient permissions.", "Grant the job's account roles/datastore.user"),
        ("UNAUTHENTICATED", "Request had invalid credentials.", "Sign in: gcloud auth application-default login"),
        ("NOT_FOUND", MISSING_DATABASE, "gcloud firestore databases create"),
    ],
)
@pytest.mark.parametrize("after", [0, 6], ids=["from the start", "mid-run"])
def test_what_no_record_can_survive_stops_the_job_and_says_what_to_fix(
    firestore_host, firestore_project, inputs, tmp_path, capsys, code, message, advice, after
):
    target = FirestoreTarget(firestore_project, emulator_host=firestore_host)
    began = time.monotonic()
    with faulty(firestore_host, refuse=for_good(code, message, after)) as server:
        run = run_over(server, target, inputs[1], tmp_path)
    assert time.monotonic() - began < 30
    assert run.exit_code == 1
    assert run.summary.get("state", "failed") == "failed"
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert f"with {code}: {message}" in said
    assert advice in said
    assert_nothing_was_given_up(run)
    assert server.arrived["Commit"] > after


def test_an_outage_stops_the_job_and_the_same_command_ends_as_if_there_had_been_none(
    firestore_host, target, inputs, undisturbed, tmp_path
):
    flags = ["--max_outage_s=1", "--max_request_attempts=2"]
    with faulty(firestore_host, refuse=for_good("UNAVAILABLE", "the service is down", after=6)):
        exit_code, text = run_elsewhere(target, inputs[1], tmp_path, *flags)
    assert exit_code == 1, text
    (said,) = [line for line in text.splitlines() if line.startswith("error: ")]
    assert "UNAVAILABLE: the service is down" in said
    assert "Traceback" not in text
    assert documents(target)[0] != undisturbed.full

    with faulty(firestore_host) as server:
        again = run_over(server, target, inputs[1], tmp_path, *flags)
    assert again.exit_code == 0, again.summary
    assert differences(end_state(again), undisturbed, was_resumed=True) == []
    assert_accounts_add_up(again)


def assert_nothing_was_given_up(run):
    """Records that are wrong in themselves may be dead letters; none is for the service's failure."""
    assert {letter["code"] for letter in run.dead_letters} <= {"INVALID_JSON", "INVALID_ID", "INVALID_ARGUMENT"}
