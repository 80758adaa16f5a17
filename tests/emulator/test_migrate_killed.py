"""A copy that is killed with `kill -9` while an application writes and deletes: at the end both stores are equal."""

import pytest

from tests.support.killed_migration import check_killed_copy

pytestmark = pytest.mark.emulator


@pytest.mark.parametrize(("seed", "deletes"), [(0, "scan"), (1, "feed")])
def test_a_killed_copy_is_resumed_and_both_stores_are_equal(
    seed, deletes, cosmos, firestore_host, firestore_project, tmp_path
):
    check_killed_copy(seed, deletes, cosmos, firestore_host, firestore_project, tmp_path)
