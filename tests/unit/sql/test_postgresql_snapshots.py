"""Snapshots, parts and cursors on a real PostgreSQL, with a writer running: no row is missed, none is read twice."""

import threading
from contextlib import closing

import pytest

from tests.support.postgresql import Database
from transforms.errors import JobError
from transforms.sql.postgresql.reader import Part, Selection, plan_parts, read_part
from transforms.sql.postgresql.snapshot import XMIN, SnapshotHolder, beyond


def rows_of(database: Database, snapshot_id: str, *parts: Part, condition: str = "", table: str = "t"):
    """The first field of every row of some parts."""
    source = database.described(table)
    selection = Selection(source.relation, tuple(column.expression for column in source.columns), condition)
    return [
        int(fields[0])
        for part in parts or (Part(0),)
        for fields, _ in read_part(database.target(table), selection, part, snapshot_id)
    ]


def changed_since(database: Database, field: str, cursor: str, lookback_s: int = 0) -> list[int]:
    """The rows that an incremental run reads."""
    source, target = database.described("t"), database.target("t")
    with closing(target.connect()) as connection:
        condition = beyond(connection, source, field, cursor, lookback_s)
    with closing(SnapshotHolder(target, source)) as holder:
        return sorted(rows_of(database, holder.take().id, condition=condition))


def cursor_of(database: Database, field: str, user: str = "postgres"):
    """The snapshot of a run that goes by a field."""
    with closing(SnapshotHolder(database.target("t", user), database.described("t"), field)) as holder:
        return holder.take()


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
    source = database.described("t")
    parts = plan_parts(source, most=4)
    assert len(parts) == 4
    stop = threading.Event()

    def write() -> None:
        with closing(database.connect()) as connection:
            while not stop.is_set():
                connection.execute("UPDATE t SET filler = filler || 'y' WHERE id % 97 = 0")
                connection.execute("DELETE FROM t WHERE id = (SELECT max(id) FROM t)")
                connection.execute("INSERT INTO t SELECT max(id) + 1000, 'new' FROM t")

    writer = threading.Thread(target=write)
    with closing(SnapshotHolder(database.target("t"), source)) as holder:
        snapshot = holder.take()
        writer.start()
        try:
            found = rows_of(database, snapshot.id, *parts)
        finally:
            stop.set()
            writer.join()
    assert sorted(found) == list(range(1, 40001))


def test_a_snapshot_whose_holder_is_gone_stops_the_run(timed):
    holder = SnapshotHolder(timed.target("t"), timed.described("t"))
    snapshot_id = holder.take().id
    holder.close()
    with pytest.raises(JobError, match="snapshot is gone; run the command again"):
        rows_of(timed, snapshot_id)


def test_a_table_cannot_be_truncated_under_a_snapshot(timed):
    with closing(SnapshotHolder(timed.target("t"), timed.described("t"))) as holder:
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
    source = timed.described("t")
    with closing(SnapshotHolder(timed.target("t"), source)) as holder:
        selection = Selection(source.relation, ("id",))
        with pytest.raises(JobError, match="row-level security"):
            list(read_part(timed.target("t", "hidden"), selection, Part(0), holder.take().id))
    timed.execute("DROP OWNED BY hidden", "DROP ROLE hidden")


def test_a_column_that_is_dropped_during_the_run_stops_it(database):
    database.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    source = database.described("t")
    selection = Selection(source.relation, ("id", "gone"))
    with closing(SnapshotHolder(database.target("t"), source)) as holder:
        with pytest.raises(JobError, match="the table has changed; run the command again"):
            list(read_part(database.target("t"), selection, Part(0), holder.take().id))


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
    assert database.described("t").n_blocks == 0
    with closing(SnapshotHolder(database.target("t"), database.described("t"))) as holder:
        assert sorted(rows_of(database, holder.take().id)) == [1, 2]
        assert sorted(rows_of(database, holder.take().id, table="p")) == list(range(1, 11))
