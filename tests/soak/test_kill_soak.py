"""`kill -9` at twenty moments of a run, and none of them can be told from the end."""

import pytest

from tests.support.interrupted import check_kill_and_resume, run_undisturbed

pytestmark = [pytest.mark.emulator, pytest.mark.soak]


@pytest.fixture(scope="module")
def undisturbed(firestore_host, tmp_path_factory):
    return run_undisturbed(firestore_host, "demo-never-killed", tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("seed", range(100, 120))
def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(
    firestore_host, firestore_project, undisturbed, tmp_path, seed
):
    check_kill_and_resume(seed, firestore_host, firestore_project, undisturbed, tmp_path)
