"""More seeds, more records, more workers: a disturbed run still ends as an undisturbed one."""

import pytest

from tests.support.disturbed_run import faulty, lines, prepare, refuse_one, run_elsewhere, run_over, write_inputs
from tests.support.documents import read_collection
from tests.support.end_state import assert_accounts_add_up, assert_pairs_are_whole, differences, end_state
from tests.support.faulty_firestore import Fault, How, in_turn, seeded
from tests.support.ingest import profile
from tests.support.two_jobs import ingest_both, together
from transforms.firestore.client import RpcError
from transforms.firestore.target import FirestoreTarget

pytestmark = [pytest.mark.emulator, pytest.mark.soak, pytest.mark.timeout(600)]

N_IDS, N_ROUNDS = 20, 10


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def undisturbed(firestore_host, inputs, tmp_path_factory):
    """The end that every run of this module has to come to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    target = prepare(firestore_host, "demo-undisturbed-soak", inputs[0], folder)
    with faulty(firestore_host) as server:
        run = run_over(server, target, inputs[1], folder)
    assert run.exit_code == 0, run.summary
    return end_state(run)


@pytest.fixture
def target(firestore_host, firestore_project, inputs, tmp_path):
    return prepare(firestore_host, firestore_project, inputs[0], tmp_path)


@pytest.mark.parametrize("seed", range(100, 120))
def test_a_disturbed_run_ends_as_an_undisturbed_one(firestore_host, target, inputs, undisturbed, tmp_path, seed):
    with faulty(firestore_host, seeded(seed, rate=0.4)) as server:
        run = run_over(server, target, inputs[1], tmp_path)
    assert server.injected
    assert run.exit_code == 0, run.summary
    assert differences(end_state(run), undisturbed) == []
    assert_accounts_add_up(run)


@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_several_workers_over_a_faulty_service_end_as_one_over_a_sound_one(
    firestore_host, firestore_project, tmp_path, mode
):
    target = FirestoreTarget(firestore_project, emulator_host=firestore_host)
    for part in range(8):
        records = (profile(part * 100 + n) for n in range(100))
        (tmp_path / f"part-{part}.jsonl").write_text(lines(*records, "{not JSON\n"))
    flags = ["--direct_num_workers=2", f"--direct_running_mode={mode}"]
    with faulty(firestore_host, seeded(7), refuse=None) as server:
        run = run_over(server, target, tmp_path / "part-*.jsonl", tmp_path, *flags)
    assert server.injected
    assert run.exit_code == 0, run.summary
    assert [run.summary[name] for name in ("read", "written", "dead_letters")] == [808, 800, 8]
    assert_accounts_add_up(run)
    assert_pairs_are_whole(target)
    assert {fields["_meta"]["version"] for fields in read_collection(target, "candidates").values()} == {1}


@pytest.mark.parametrize("seed", range(5))
def test_two_jobs_over_a_faulty_service_lose_nothing_of_each_other(firestore_host, firestore_project, tmp_path, seed):
    target = FirestoreTarget(firestore_project, emulator_host=firestore_host)
    for job in ("left", "right"):
        records = (profile(n, name=f"{job} {turn}") for turn in range(N_ROUNDS) for n in range(N_IDS))
        (tmp_path / f"{job}.jsonl").write_text(lines(*records))
    with together(firestore_host, seeded(seed)) as server:
        runs = ingest_both(tmp_path, target, ["--batch_size=15", "--keep_versions=1000"])
    assert server.injected
    for run in runs:
        assert run.exit_code == 0, run.summary
        assert run.summary["dead_letters"] == 0
        assert_accounts_add_up(run)
    assert_pairs_are_whole(target)
    for key in read_collection(target, "candidates"):
        states = read_collection(target, f"enriched_profiles/{key}/versions")
        assert sorted(map(int, states)) == list(range(1, len(states) + 1))
        assert {state["name"] for state in states.values()} == {
            f"{job} {turn}" for job in ("left", "right") for turn in range(N_ROUNDS)
        }


def test_a_job_that_is_cut_off_again_and_again_gets_a_little_further_each_time(
    firestore_host, target, inputs, undisturbed, tmp_path
):
    """The service dies after ten Commits, comes back for the next attempt, and so on."""
    for _ in range(20):
        with faulty(firestore_host, refuse=_dead_after(10)) as server:
            exit_code, text = run_elsewhere(target, inputs[1], tmp_path, "--max_outage_s=1", "--max_request_attempts=2")
        if exit_code == 0:
            break
        assert exit_code == 1, text
        assert server.arrived["Commit"] > 0
    with faulty(firestore_host, in_turn(Fault(How.SLOW))) as server:
        run = run_over(server, target, inputs[1], tmp_path)
    assert run.exit_code == 0, run.summary
    assert end_state(run)[:3] == undisturbed[:3]


def _dead_after(n_commits):
    def refuse(request):
        if request.rpc == "Commit" and request.ordinal >= n_commits:
            return RpcError("UNAVAILABLE", "the service is down")
        return refuse_one(request)

    return refuse
