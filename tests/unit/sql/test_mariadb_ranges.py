"""Ranges of keys on a real MariaDB: which tables have some, and that they have every row once."""

from dataclasses import replace

import pytest

from tests.support.mariadb import MariaDatabase
from transforms.sql.database import Selection

KEYS = [
    ("id int", "cast(seq as signed) * 7 - 70000"),
    ("id bigint unsigned", "18446744073709551615 - seq"),
    ("id decimal(20,4)", "seq / 7"),
    ("id varchar(20)", "concat(elt(seq % 5 + 1, 'a', 'B', 'ß', 'x''', '日'), seq)"),
    ("id varchar(20) CHARACTER SET latin1 COLLATE latin1_german2_ci", "concat(elt(seq % 3 + 1, 'a', 'Ä', 'B'), seq)"),
    ("id varbinary(20)", "unhex(md5(seq))"),
    ("id uuid", "uuid()"),
    ("id datetime(6)", "'2026-01-01' + interval seq * 1000 microsecond"),
    ("id timestamp(6)", "'2026-01-01' + interval seq * 1000 microsecond"),
    ("id date", "'1000-01-01' + interval seq day"),
]


@pytest.mark.parametrize(
    ("statement", "key", "kind", "is_ordered"),
    [
        ("CREATE TABLE t (b int, a int, PRIMARY KEY (a, b))", ("a", "b"), "innodb", True),
        ("CREATE TABLE t (a int UNIQUE, b int NOT NULL UNIQUE)", ("b",), "innodb", True),
        (
            "CREATE TABLE t (a int NOT NULL, b int NOT NULL, UNIQUE (a, b), c int NOT NULL UNIQUE)",
            ("c",),
            "innodb",
            True,
        ),
        ("CREATE TABLE t (a int UNIQUE)", (), "innodb", False),
        ("CREATE TABLE t (a text NOT NULL, UNIQUE (a(5)))", (), "innodb", False),
        ("CREATE TABLE t (a int PRIMARY KEY) PARTITION BY HASH (a) PARTITIONS 3", ("a",), "innodb", True),
        ("CREATE TABLE t (a enum('y','x') PRIMARY KEY)", ("a",), "innodb", False),
        ("CREATE TABLE t (a int PRIMARY KEY) ENGINE=Aria", ("a",), "aria", True),
        ("CREATE VIEW t AS SELECT 1 AS a", (), "view", False),
        ("CREATE TABLE t (a int PRIMARY KEY) WITH SYSTEM VERSIONING", ("a",), "innodb", True),
    ],
)
def test_the_key_is_the_primary_key_or_a_unique_one_without_null(mariadb, statement, key, kind, is_ordered):
    mariadb.execute(statement)
    described = mariadb.described("t")
    assert (described.key, described.kind, described.is_ordered) == (key, kind, is_ordered)


@pytest.mark.parametrize(("declared", "value"), KEYS, ids=[declared for declared, _ in KEYS])
def test_ranges_of_any_key_have_every_row_once_and_go_on_behind_any_row(mariadb, declared, value):
    mariadb.execute(
        f"CREATE TABLE t ({declared} PRIMARY KEY, n int) CHARSET utf8mb4",
        f"INSERT INTO t SELECT {value}, seq FROM seq_1_to_50000",
        "ANALYZE TABLE t",
    )
    check_ranges(mariadb, 50_000)


def test_ranges_of_a_key_of_several_columns_have_every_row_once_and_go_on_behind_any_row(mariadb):
    mariadb.execute(
        "CREATE TABLE t (n int, a varchar(9), b int, c date, PRIMARY KEY (a, c, b))",
        "INSERT INTO t SELECT seq, seq % 3, seq, '2026-01-01' + INTERVAL seq % 7 DAY FROM seq_1_to_50000",
        "ANALYZE TABLE t",
    )
    check_ranges(mariadb, 50_000)


def check_ranges(database: MariaDatabase, n_rows: int) -> None:
    # The server's own estimate of a table's rows is one of a few pages, and may be far off.
    table, source = database.table("t"), replace(database.described("t"), n_rows=n_rows)
    assert source.is_ordered
    cuts = table.boundaries(source, source.key, 2)
    assert len(cuts) == 1
    parts = table.ranges(source, source.key, cuts)
    selection = Selection(source, source.key, in_order=True)
    read = [[tuple(row) for chunk in table.read(selection, part, None) for row in chunk.rows] for part in parts]
    assert [len(rows) > n_rows / 5 for rows in read] == [True, True]
    every = [row for rows in read for row in rows]
    assert len(set(every)) == len(every) == n_rows
    position = tuple(every[n_rows // 3][at] for at in selection.key_places)
    rest = [tuple(row) for chunk in table.read(selection, parts[0], None, position) for row in chunk.rows]
    assert rest == read[0][n_rows // 3 + 1 :]


def test_even_cuts_of_sparse_keys_leave_no_row_out(mariadb):
    mariadb.execute(
        "CREATE TABLE t (id bigint PRIMARY KEY)",
        "INSERT INTO t SELECT seq FROM seq_1_to_100000",
        "INSERT INTO t VALUES (-9223372036854775808), (9223372036854775807)",
        "ANALYZE TABLE t",
    )
    table, source = mariadb.table("t"), replace(mariadb.described("t"), n_rows=100_002)
    parts = table.blocks(source, 4)
    assert len(parts) == 4
    chunks = (chunk for part in parts for chunk in table.read(Selection(source, source.key), part, None))
    found = [int(fields[0]) for chunk in chunks for fields in chunk.rows]
    assert len(found) == len(set(found)) == 100_002
