"""Rows of MariaDB by the texts of their keys: every range has its own, and every row is found by its key."""

import random

import pytest

from transforms.firestore.ranges import NameRange, ranges_between
from transforms.verify.database_tables import row_store
from transforms.verify.ignored import Ignored

KEYS = {
    "bigint": "cast(seq as signed) - 500",
    "bigint unsigned": "18446744073709551615 - seq",
    "year": "1901 + seq % 255",
    "varchar(40)": "concat(char(33 + seq % 90), seq, '/', char(227, 129, 129 + seq % 60 using utf8mb4))",
    "varchar(40) CHARACTER SET latin1": "concat(elt(seq % 3 + 1, 'a', 'Ä', 'B'), seq)",
    "char(12)": "seq",
    "varbinary(20)": "unhex(md5(seq))",
    "uuid": "uuid()",
    "decimal(12,2)": "seq * 1.50",
    "date": "'2026-01-01' + interval seq day",
    "enum('b','a')": "seq % 2 + 1",
}


@pytest.mark.parametrize("declared", KEYS)
@pytest.mark.parametrize("is_composite", [False, True], ids=["alone", "composite"])
def test_every_range_of_keys_has_its_rows_and_every_row_is_found_by_its_key(mariadb, declared, is_composite):
    n_rows = 1200 if is_composite or declared not in ("year", "enum('b','a')") else 2
    mariadb.execute(
        f"CREATE TABLE t (id {declared}, b int, PRIMARY KEY (id{', b' if is_composite else ''})) CHARSET utf8mb4",
        f"INSERT INTO t SELECT {KEYS[declared]}, seq FROM seq_1_to_{n_rows}",
    )
    store = row_store(mariadb.table("t"), mariadb.described("t"), None, Ignored())
    keys = {entry.key for entry in store.entries(NameRange())}
    assert len(keys) == n_rows
    drawn = random.Random(7)
    cuts = [*drawn.sample(sorted(keys), min(8, n_rows)), "__id7__", "5/x", "5!", "", "m\0", "é"]
    parts = [[entry.key for entry in store.entries(span)] for span in ranges_between(cuts)]
    assert sum(map(len, parts)) == n_rows
    assert {key for part in parts for key in part} == keys
    some = drawn.sample(sorted(keys), min(50, n_rows))
    strangers = ["nobody", "", "7.0", '["x"]', "a\0b", "9" * 30, "日\ud800", "0f", "it's"]
    refetched = [entry.key for entry in store.refetch([*some, *strangers])]
    assert sorted(refetched) == sorted(some)
