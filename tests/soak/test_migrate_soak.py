"""`kill -9` at twenty moments of a copy that an application disturbs."""

import pytest

from tests.support.killed_migration import check_killed_copy

pytestmark = [pytest.mark.emulator, pytest.mark.soak]


@pytest.mark.parametrize("seed", range(100, 120))
def test_a_killed_copy_is_resumed_and_both_stores_are_equal(seed, cosmos, firestore_host, firestore_project, tmp_path):
    deletes = ("scan", "feed")[seed % 2]
    check_killed_copy(seed, deletes, cosmos, firestore_host, firestore_project, tmp_path)
