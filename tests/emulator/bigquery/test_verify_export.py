"""What export has written equals what it was written from, until one of them changes."""

import pytest

from tests.support.verified import every_type, verify

pytestmark = pytest.mark.emulator


def test_both_layouts_equal_the_collection_after_every_export(desk, tmp_path):
    desk.store({f"users/user-{n:02d}": every_type(n) for n in range(30)})
    table = f"bigquery:{desk.bigquery.project}:local.{desk.table}"
    flags = ("--layout=both", "--nested=flatten")
    assert desk.export(*flags) == 0
    assert verify(tmp_path, desk.database, "firestore://users", table).counts == (30, 30, 0, 0)

    desk.store({"users/user-03": {"age": "many", "later": True}, "users/user-04": None, "users/new": {"name": "New"}})
    wrong = {"new": "MISSING_RIGHT", "user-03": "DIFFERENT", "user-04": "MISSING_LEFT"}
    assert verify(tmp_path, desk.database, "firestore://users", table).kinds == wrong

    assert desk.export(*flags, "--mode=incremental", "--deletes=mark", "--write=merge") == 0
    for suffix in ("", "_changelog", "_latest"):
        assert verify(tmp_path, desk.database, "firestore://users", table + suffix).counts == (30, 30, 0, 0)
