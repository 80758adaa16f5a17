"""Snapshots, parts and cursors on a real PostgreSQL, with a writer running: no row is missed, none is read twice."""

import threading
from contextlib import closing

import pytest

from tests.support.postgresql import Database
from transforms.errors import JobError
from transforms.sql.database import Part, Selection, Snapshot
from transforms.sql.postgresql.snapshot import XMIN


def rows_of(database: Database, snapshot: Snapshot | None, *parts: Part, condition: str = "", table: str = "t"):
    """The first field of every row of some parts."""
    source = database.described(table)
    selection = Selection(source, source.key, condition)
    return [
        int(fields[0])
        for part in parts or (Part(0),)
        for chunk in database.table(table).read(selection, part, snapshot)
        for fields in chunk.rows
    ]


def changed_since(database: Database, field: str, cursor: str, lookback_s: int = 0) -> list[int]:
    """The rows that an incremental run reads."""
    condition = database.table("t").beyond(database.described("t"), field, cursor, lookback_s)
    with holding(database) as holder:
        return sorted(rows_of(database, holder.take(), condition=condition))


def holding(database: Database, table: str = "t"):
    """A snapshot, to be held while a block lasts."""
    return closing(database.table(table).hold(database.described(table), None, 1))


def cursor_of(database: Database, field: str, user: str = "postgres"):
    """The snapshot of a run that goes by a field."""
    return database.table("t", user).look(database.described("t"), field)


@pytest.fixture
def timed(database):
    """A table whose rows say when they were changed."""
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz DEFAULT now())",
        "INSERT INTO t VALUES (1, '2020-01-01'), (2, '2020-01-02')",
    )
    return database


def test_parts_of_one_snapshot_have_every_row_once_while_rows_move(database):
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, filler text) WITH (fillfactor = 50)",
        "INSERT INTO t SELECT n, repeat('x', 500) FROM generate_series(1, 40000) n",
    )
    parts = database.table("t").blocks(database.described("t"), max_parts=4)
    assert len(parts) == 4
    stop = threading.Event()

    def write() -> None:
        with closing(database.connect()) as connection:
            while not stop.is_set():
                connection.execute("UPDATE t SET filler = filler || 'y' WHERE id % 97 = 0")
                connection.execute("DELETE FROM t WHERE id = (SELECT max(id) FROM t)")
                connection.execute("INSERT INTO t SELECT max(id) + 1000, 'new' FROM t")

    writer = threading.Thread(target=write)
    with holding(database) as holder:
        snapshot = holder.take()
        writer.start()
        try:
            found = rows_of(database, snapshot, *parts)
        finally:
            stop.set()
            writer.join()
    assert sorted(found) == list(range(1, 40001))


KEYS = [
    ("int PRIMARY KEY", "n * 7 % 65537"),
    ("text PRIMARY KEY", r"chr(39) || '\' || md5(n::text)"),
    ("real PRIMARY KEY", "n / 10::real"),
    ("numeric(30,5) PRIMARY KEY", "n / 7.0"),
    ("bytea PRIMARY KEY", "decode(md5(n::text), 'hex')"),
    ("timestamptz PRIMARY KEY", "'2026-01-01'::timestamptz + n * interval '1 ms'"),
    ("char(40) PRIMARY KEY", "'x' || n"),
]


@pytest.mark.parametrize(("declared", "expression"), KEYS, ids=[declared for declared, _ in KEYS])
def test_ranges_of_a_key_have_every_row_once_whatever_its_type(database, declared, expression):
    database.execute(
        f"CREATE TABLE t (k {declared}, id int, filler text DEFAULT repeat('x', 1000))",
        f"INSERT INTO t SELECT {expression}, n FROM generate_series(1, 30000) n",
    )
    table, source = database.table("t"), database.described("t")
    assert source.is_ordered
    cuts = table.boundaries(source, source.key, max_parts=3)
    assert len(cuts) == 2
    assert cuts == table.boundaries(source, source.key, max_parts=3)
    selection, found = Selection(source, source.key, in_order=True), []
    for part in table.ranges(source, source.key, cuts):
        rows = [fields for chunk in table.read(selection, part, None) for fields in chunk.rows]
        assert 5000 < len(rows) < 20000
        middle = (str(rows[len(rows) // 2][0]),)
        behind = [fields for chunk in table.read(selection, part, None, middle) for fields in chunk.rows]
        assert behind == rows[len(rows) // 2 + 1 :]
        found += [int(fields[1]) for fields in rows]
    assert sorted(found) == list(range(1, 30001))


def test_ranges_of_several_columns_are_in_the_order_of_all_of_them(database):
    database.execute(
        "CREATE TABLE t (a int, b text, id int, PRIMARY KEY (b, a))",
        "INSERT INTO t SELECT n % 5, 'b' || n / 5, n FROM generate_series(1, 50) n",
    )
    table, source = database.table("t"), database.described("t")
    cuts = [("b3", "2"), ("b7", "0")]
    parts = table.ranges(source, source.key, cuts)
    selection = Selection(source, source.key, in_order=True)
    found = [[(f[1], f[0]) for chunk in table.read(selection, part, None) for f in chunk.rows] for part in parts]
    assert [rows[-1] for rows in found[:2]] == cuts
    assert [key for rows in found for key in rows] == sorted(("b" + str(n // 5), str(n % 5)) for n in range(1, 51))


def test_a_snapshot_whose_holder_is_gone_stops_the_run(timed):
    with holding(timed) as holder:
        snapshot = holder.take()
    with pytest.raises(JobError, match="snapshot is gone; run the command again"):
        rows_of(timed, snapshot)


def test_a_table_cannot_be_truncated_under_a_snapshot(timed):
    with holding(timed) as holder:
        holder.take()
        with closing(timed.connect()) as connection:
            connection.execute("SET lock_timeout = '50ms'")
            with pytest.raises(Exception, match="lock timeout"):
                connection.execute("TRUNCATE t")


@pytest.mark.parametrize("has_written", [True, False])
def test_a_row_that_is_committed_after_the_snapshot_is_found_by_the_next_run(timed, has_written):
    with closing(timed.connect(autocommit=False)) as late:
        late.execute("SELECT 1")  # its now() is before the snapshot
        if has_written:
            late.execute("INSERT INTO t VALUES (3)")
        timed.execute("INSERT INTO t VALUES (4)")
        cursor = cursor_of(timed, "updated_at").cursor
        if not has_written:
            late.execute("INSERT INTO t VALUES (3)")
        late.commit()
    timed.execute("INSERT INTO t VALUES (5)")
    assert changed_since(timed, "updated_at", cursor) == [3, 4, 5]


def test_rows_without_a_time_are_read_every_time_and_a_wrong_clock_hides_nothing(timed):
    timed.execute("INSERT INTO t VALUES (3, NULL), (4, '2999-01-01'), (5, 'infinity')")
    cursor = cursor_of(timed, "updated_at").cursor
    timed.execute("INSERT INTO t VALUES (6)")
    assert changed_since(timed, "updated_at", cursor) == [3, 4, 5, 6]


def test_a_look_back_reads_what_is_that_much_older(timed):
    cursor = cursor_of(timed, "updated_at").cursor
    assert changed_since(timed, "updated_at", cursor, lookback_s=86_400 - 1) == [2]
    assert changed_since(timed, "updated_at", cursor, lookback_s=86_400 + 1) == [1, 2]


def test_times_without_a_zone_keep_their_microseconds(database):
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamp)",
        "INSERT INTO t VALUES (1, '2020-01-01 00:00:00.000001'), (2, '2020-01-01 00:00:00.000002')",
    )
    snapshot = cursor_of(database, "at")
    # Less the age of the oldest transaction, which is none but this test's.
    assert "2019-12-31 23:59:59" <= snapshot.cursor <= "2020-01-01 00:00:00.000002"
    assert 2 in changed_since(database, "at", snapshot.cursor)


def test_a_table_without_rows_has_no_cursor(database):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, updated_at timestamptz)")
    assert cursor_of(database, "updated_at").cursor is None


def test_columns_that_may_be_null_are_known_and_looked_at(database):
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, born date, seen date, n int NOT NULL)",
        "INSERT INTO t VALUES (1, '2020-01-01', NULL, 1)",
        "ALTER TABLE t ADD CONSTRAINT c NOT NULL seen NOT VALID",
    )
    table, described = database.table("t"), database.described("t")
    assert [each.name for each in described.columns if each.is_never_null] == ["id", "n"]
    assert [table.has_null(described, names) for names in (["born"], ["born", "seen"])] == [False, True]


def test_xmin_finds_exactly_what_was_written_since_late_commits_included(timed):
    with closing(timed.connect(autocommit=False)) as late:
        late.execute("INSERT INTO t VALUES (3, '2001-01-01')")
        cursor = cursor_of(timed, XMIN).cursor
        late.commit()
    timed.execute("UPDATE t SET updated_at = '2001-01-01' WHERE id = 1", "VACUUM FREEZE t")
    assert changed_since(timed, XMIN, cursor) == [1, 3]
    after = cursor_of(timed, XMIN).cursor
    assert changed_since(timed, XMIN, after) == []


def test_a_horizon_that_the_server_has_not_reached_reads_everything(timed):
    assert changed_since(timed, XMIN, str(2**40)) == [1, 2]


def test_a_user_who_cannot_see_other_transactions_is_told(timed):
    timed.execute("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN", "GRANT SELECT ON t TO reader")
    with closing(timed.connect(autocommit=False)) as other:
        other.execute("SELECT 1")
        assert cursor_of(timed, "updated_at", "reader").is_blind
        timed.execute("GRANT pg_read_all_stats TO reader")
        assert not cursor_of(timed, "updated_at", "reader").is_blind
    timed.execute("DROP OWNED BY reader", "DROP ROLE reader")


def test_rows_that_row_level_security_hides_are_an_error(timed):
    timed.execute(
        "DROP ROLE IF EXISTS hidden",
        "CREATE ROLE hidden LOGIN",
        "GRANT SELECT ON t TO hidden",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    )
    selection = Selection(timed.described("t"), ("id",))
    with holding(timed) as holder:
        with pytest.raises(JobError, match="row-level security"):
            list(timed.table("t", "hidden").read(selection, Part(0), holder.take()))
    timed.execute("DROP OWNED BY hidden", "DROP ROLE hidden")


def test_a_column_that_is_dropped_during_the_run_stops_it(database):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, gone text)")
    selection = Selection(database.described("t"), ("id",))
    database.execute("ALTER TABLE t DROP gone")
    with holding(database) as holder:
        with pytest.raises(JobError, match="the table has changed; run the command again"):
            list(database.table("t").read(selection, Part(0), holder.take()))


@pytest.mark.parametrize("change", ["DROP a", "ALTER a TYPE varchar(9)", "ADD b int", "RENAME a TO b"])
def test_a_column_that_is_changed_between_two_ranges_stops_the_run(database, change):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    selection = Selection(database.described("t"), ("id",), in_order=True)
    assert list(database.table("t").read(selection, Part(0), None)) == []
    database.execute(f"ALTER TABLE t {change}")
    with pytest.raises(JobError, match=r"the table has changed during the run: [ab]; run the command with --restart"):
        list(database.table("t").read(selection, Part(0), None))


@pytest.mark.parametrize(
    ("statement", "key", "kind"),
    [
        ("CREATE TABLE t (b int, a int, PRIMARY KEY (a, b))", ("a", "b"), "r"),
        ("CREATE TABLE t (a int UNIQUE, b int NOT NULL UNIQUE)", ("b",), "r"),
        ("CREATE TABLE t (a int UNIQUE)", (), "r"),
        ("CREATE TABLE t (a int) PARTITION BY RANGE (a)", (), "p"),
        ("CREATE VIEW t AS SELECT 1 AS a", (), "v"),
        ("CREATE MATERIALIZED VIEW t AS SELECT 1 AS a", (), "m"),
    ],
)
def test_the_key_is_the_primary_key_or_a_unique_one_without_null(database, statement, key, kind):
    database.execute(statement)
    described = database.described("t")
    assert (described.key, described.kind) == (key, kind)


def test_rows_of_tables_that_inherit_and_of_partitions_are_read_once(database):
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE TABLE child () INHERITS (t)",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO child VALUES (2)",
        "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY HASH (id)",
        "CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "INSERT INTO p SELECT generate_series(1, 10)",
    )
    assert [database.described(name).is_ordered for name in ("t", "p")] == [False, True]
    assert database.table("t").blocks(database.described("t"), max_parts=9) == [Part(0)]
    with holding(database) as holder:
        assert sorted(rows_of(database, holder.take())) == [1, 2]
        assert sorted(rows_of(database, holder.take(), table="p")) == list(range(1, 11))
