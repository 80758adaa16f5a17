"""Two jobs write the same ids at once: no update is lost, none is half applied, and both account for every record."""

import pytest

from tests.support.disturbed_run import lines
from tests.support.documents import read_collection
from tests.support.end_state import assert_accounts_add_up, assert_pairs_are_whole
from tests.support.faulty_firestore import never, seeded
from tests.support.ingest import profile
from tests.support.two_jobs import ingest_both, together

pytestmark = pytest.mark.emulator

N_IDS, N_ROUNDS = 10, 5


@pytest.mark.parametrize("schedule", [never, seeded(11, rate=0.2)], ids=["healthy", "with faults"])
def test_of_different_contents_every_one_is_a_version_of_its_own(target, tmp_path, schedule):
    for job in ("left", "right"):
        records = (profile(n, name=f"{job} {turn}") for turn in range(N_ROUNDS) for n in range(N_IDS))
        (tmp_path / f"{job}.jsonl").write_text(lines(*records))
    with together(target.emulator_host, schedule) as server:
        runs = ingest_both(tmp_path, target, [f"--batch_size={N_IDS}", "--keep_versions=100"])
    assert bool(server.injected) == (schedule is not never)
    for run in runs:
        assert run.exit_code == 0, run.summary
        assert (run.summary["written"], run.summary["dead_letters"]) == (N_IDS * N_ROUNDS, 0)
        assert_accounts_add_up(run)
    assert_pairs_are_whole(target)
    for key, document in read_collection(target, "enriched_profiles").items():
        states = read_collection(target, f"enriched_profiles/{key}/versions")
        n_states = len(states)
        assert sorted(map(int, states)) == list(range(1, n_states + 1))
        assert {state["name"] for state in states.values()} == {
            f"{job} {turn}" for job in ("left", "right") for turn in range(N_ROUNDS)
        }
        assert states[str(n_states)] == document
        # Nobody can tell that a Commit was applied whose acknowledgement was lost if the other job has already written
        # over it: it is written again then, as a version of its own.
        assert n_states == 2 * N_ROUNDS or schedule is not never


def test_of_the_same_content_one_is_written_and_the_other_unchanged(target, tmp_path):
    (tmp_path / "left.jsonl").write_text(lines(*(profile(n) for n in range(40))))
    (tmp_path / "right.jsonl").write_text(lines(*(profile(n) for n in range(20, 60))))
    with together(target.emulator_host):
        runs = ingest_both(tmp_path, target, ["--batch_size=15"])
    for run in runs:
        assert run.exit_code == 0, run.summary
        assert_accounts_add_up(run)
    totals = {name: sum(run.summary[name] for run in runs) for name in ("written", "unchanged", "dead_letters")}
    assert totals == {"written": 60, "unchanged": 20, "dead_letters": 0}
    assert_pairs_are_whole(target)
    documents = read_collection(target, "candidates")
    assert len(documents) == 60
    assert {document["_meta"]["version"] for document in documents.values()} == {1}


def test_a_conflict_did_happen_and_was_resolved_by_reading_again(target, tmp_path):
    for job in ("left", "right"):
        (tmp_path / f"{job}.jsonl").write_text(lines(*(profile(n, name=job) for n in range(5))))
    with together(target.emulator_host) as server:
        runs = ingest_both(tmp_path, target, [])
    assert [run.summary["written"] for run in runs] == [5, 5]
    commits = [body for rpc, body in server.seen if rpc == "Commit" and b"/enriched_profiles/" in body]
    assert len(commits) == 3  # both at once, and then whoever came second once more
    assert {document["_meta"]["version"] for document in read_collection(target, "candidates").values()} == {2}
