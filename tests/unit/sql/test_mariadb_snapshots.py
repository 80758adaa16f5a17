"""Snapshots, parts and cursors on a real MariaDB, with a writer running: no row is missed, none is read twice."""

import threading
from contextlib import closing
from dataclasses import replace

import pytest

from tests.support.mariadb import MariaDatabase
from transforms.errors import JobError, TransientError, UsageError
from transforms.sql.database import Cursor, Part, Selection, Snapshot
from transforms.sql.mysql.snapshot import SnapshotHolder


def selection_of(database: MariaDatabase, name: str = "t", **more) -> Selection:
    """All rows of a table."""
    source = database.described(name)
    return Selection(source, source.key, **more)


def ids(database: MariaDatabase, snapshot: Snapshot | None, *parts: Part, condition: str = "", name: str = "t"):
    """The first field of every row of some parts."""
    selection = selection_of(database, name, condition=condition)
    return [
        int(fields[0])
        for part in parts or (Part(0),)
        for chunk in database.table(name).read(selection, part, snapshot)
        for fields in chunk.rows
    ]


def changed_since(database: MariaDatabase, cursor: str, lookback_s: int = 0) -> list[int]:
    """The rows that an incremental run reads."""
    condition = database.table("t").beyond(database.described("t"), "updated_at", cursor, lookback_s)
    return sorted(ids(database, None, condition=condition))


def cursor_of(database: MariaDatabase, user: str = "root") -> Snapshot:
    """The snapshot of a run that goes by a field."""
    return database.table("t", user).look(database.described("t"), "updated_at")


def holder_of(database: MariaDatabase, max_readers: int = 1, user: str = "root", lock_wait_s: int = 1):
    """Of a snapshot of a table."""
    target = database.table("t", user).target
    return closing(SnapshotHolder(target, database.described("t"), None, max_readers, lock_wait_s))


@pytest.fixture
def timed(mariadb):
    """A table whose rows say when they were changed."""
    mariadb.execute(
        "CREATE TABLE t (id int PRIMARY KEY, updated_at timestamp(6) NULL DEFAULT now(6))",
        "INSERT INTO t VALUES (1, '2020-01-01'), (2, '2020-01-02')",
    )
    return mariadb


@pytest.fixture
def many(mariadb):
    """A table that is worth several parts."""
    mariadb.execute(
        "CREATE TABLE t (id int PRIMARY KEY, n int)",
        "INSERT INTO t SELECT seq, 0 FROM seq_1_to_100000",
        "ANALYZE TABLE t",
    )
    return mariadb


@pytest.fixture
def long(mariadb):
    """A table of 64 MB: a reader that stops reading stops the server too, whatever fits into the sockets between."""
    mariadb.execute(
        "CREATE TABLE t (id int PRIMARY KEY, n longtext)",
        "INSERT INTO t SELECT seq, REPEAT('n', 64000) FROM seq_1_to_1000",
    )
    return mariadb


def test_readers_of_one_snapshot_have_every_row_once_while_rows_are_written(many):
    # The server's own estimate of a table's rows is one of a few pages, and may be far off.
    table, source = many.table("t"), replace(many.described("t"), n_rows=100_000)
    parts = table.blocks(source, 4)
    assert [part.condition for part in parts] == [
        "`id` <= 25000",
        "`id` > 25000 AND `id` <= 50000",
        "`id` > 50000 AND `id` <= 75000",
        "`id` > 75000",
    ]
    stop, found = threading.Event(), []

    def write() -> None:
        with closing(many.connect(autocommit=False)) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("UPDATE t SET n = n + 1 WHERE id IN (1, 30000, 60000, 99999)")  # always alike
                cursor.execute("DELETE FROM t ORDER BY id DESC LIMIT 1")
                cursor.execute("INSERT INTO t SELECT -n, n FROM t WHERE id = 1")
                connection.commit()

    def read(part: Part) -> None:
        chunks = table.read(selection_of(many), part, snapshot)
        found.extend((int(row[0]), int(row[1])) for chunk in chunks for row in chunk.rows)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with holder_of(many, max_readers=4, lock_wait_s=20) as holder:
            snapshot = holder.take()
            assert (snapshot.max_readers, holder.take()) == (4, snapshot)
            readers = [threading.Thread(target=read, args=(part,)) for part in parts]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
    finally:
        stop.set()
        writer.join()
    assert len(found) == len({key for key, _ in found})
    ((n_changes),) = {n for key, n in found if key in (1, 30000, 60000)}
    negative = sorted(key for key, _ in found if key < 0)
    assert negative == list(range(-n_changes, 0))
    assert {key for key, _ in found if key > 0} == set(range(1, 100_001 - n_changes))


def test_who_may_not_lock_the_table_reads_it_alone(many):
    user = many.user(f"SELECT ON {many.name}.*")
    with holder_of(many, 4, user) as holder:
        assert holder.take().max_readers == 1
        assert len(ids(many, holder.take())) == 100_000
    many.execute(f"GRANT LOCK TABLES ON {many.name}.* TO {user}@'%'")
    with holder_of(many, 4, user) as holder:
        assert holder.take().max_readers == 4


def test_a_writer_who_goes_on_is_not_waited_for_and_others_may_write(many):
    with closing(many.connect(autocommit=False)) as writer:
        writer.cursor().execute("UPDATE t SET n = 1 WHERE id = 1")
        with holder_of(many, 4, lock_wait_s=1) as holder:
            assert holder.take().max_readers == 1
            many.execute("INSERT INTO t VALUES (-1, 0)")
            assert len(ids(many, holder.take())) == 100_000


def test_a_snapshot_whose_holder_is_gone_stops_the_run(timed):
    with holder_of(timed) as holder:
        snapshot = holder.take()
    with pytest.raises(JobError, match="snapshot is gone"):
        ids(timed, snapshot)


def test_a_table_cannot_be_truncated_under_a_snapshot(timed):
    with holder_of(timed) as holder:
        holder.take()
        with closing(timed.connect()) as connection, pytest.raises(Exception, match="Lock wait timeout"):
            connection.cursor().execute("SET STATEMENT lock_wait_timeout = 1 FOR TRUNCATE t")


def test_a_reader_that_is_left_in_the_middle_goes_on_in_the_same_snapshot(many):
    with holder_of(many) as holder:
        chunks = many.table("t").read(selection_of(many), Part(0), holder.take())
        next(chunks)
        many.execute("DELETE FROM t WHERE id > 10")
        chunks.close()
        assert len(ids(many, holder.take())) == 100_000


def test_a_reader_whose_server_is_gone_is_not_used_again(long):
    with holder_of(long, 2) as holder:
        snapshot = holder.take()
        for _ in range(2):
            chunks = long.table("t").read(selection_of(long), Part(0), snapshot)
            next(chunks)
            with closing(long.connect()) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT `id`, `n` FROM%'")
                [(number,)] = cursor.fetchall()
                cursor.execute(f"KILL CONNECTION {number}")
            with pytest.raises(TransientError, match=r"connection broke|was killed|Lost connection"):
                list(chunks)
        with pytest.raises(JobError, match="snapshot is gone; run the command again"):
            ids(long, snapshot)


def test_a_table_without_snapshots_is_locked_while_it_is_read(mariadb):
    mariadb.execute("CREATE TABLE t (id int PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO t VALUES (1), (2)")
    with holder_of(mariadb, 4) as holder:
        assert holder.take().max_readers == 1
        with closing(mariadb.connect()) as connection, pytest.raises(Exception, match="Lock wait timeout"):
            connection.cursor().execute("SET STATEMENT lock_wait_timeout = 1 FOR INSERT INTO t VALUES (3)")
        assert ids(mariadb, holder.take()) == [1, 2]
    mariadb.execute("INSERT INTO t VALUES (3)")
    assert ids(mariadb, None) == [1, 2, 3]
    user = mariadb.user(f"SELECT ON {mariadb.name}.*")
    with holder_of(mariadb, 1, user) as holder, pytest.raises(JobError, match="grant LOCK TABLES on its database"):
        holder.take()


def test_a_row_of_several_packets_is_one_row(mariadb):
    mariadb.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a longtext, b longblob)",
        "INSERT INTO t VALUES (1, repeat('a', 10000000), repeat('b', 10000000)), (2, repeat('c', 16777208), '')",
    )
    chunks = mariadb.table("t").read(selection_of(mariadb), Part(0), None)
    read = [(row[0], set(row[1]), len(row[1]), len(row[2])) for chunk in chunks for row in chunk.rows]
    assert read == [("1", {"a"}, 10_000_000, 20_000_000), ("2", {"c"}, 16_777_208, 0)]


def test_rows_that_the_server_counts_otherwise_stop_the_run(mariadb):
    mariadb.execute(
        "CREATE TABLE s (id int PRIMARY KEY)",
        "INSERT INTO s SELECT seq FROM seq_1_to_1000",
        # One row more with every statement of the session.
        "CREATE VIEW t AS SELECT id FROM s WHERE id <= (SELECT CAST(variable_value AS int) "
        "FROM information_schema.session_status WHERE variable_name = 'QUESTIONS')",
    )
    with pytest.raises(JobError, match=r"rows came of .* that the server counts; run it again"):
        ids(mariadb, None)


@pytest.mark.parametrize("has_written", [True, False])
def test_a_row_that_is_committed_after_the_snapshot_is_found_by_the_next_run(timed, has_written):
    with closing(timed.connect(autocommit=False)) as late, late.cursor() as cursor:
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        cursor.execute("SET @began = now(6)")
        if has_written:
            cursor.execute("INSERT INTO t VALUES (3, @began)")
        timed.execute("INSERT INTO t VALUES (4, now(6))")
        since = cursor_of(timed).cursor
        if not has_written:
            cursor.execute("INSERT INTO t VALUES (3, @began)")
        late.commit()
    timed.execute("INSERT INTO t VALUES (5, now(6))")
    assert changed_since(timed, since) == [3, 4, 5]


@pytest.mark.parametrize("declared", ["timestamp(6) NULL", "datetime(6)"])
def test_rows_without_a_time_are_read_every_time_and_a_wrong_clock_hides_nothing(mariadb, declared):
    far = "'2038-01-01'" if declared.startswith("timestamp") else "'9999-12-31 23:59:59'"
    mariadb.execute(
        f"CREATE TABLE t (id int PRIMARY KEY, updated_at {declared})",
        f"INSERT INTO t VALUES (1, '2020-01-01'), (2, '2020-01-02'), (3, NULL), (4, {far}), (5, '0000-00-00')",
    )
    since = cursor_of(mariadb).cursor
    assert since is not None
    assert since <= "2020-01-02"
    mariadb.execute("INSERT INTO t VALUES (6, '2020-01-02')")
    assert changed_since(mariadb, since) == [2, 3, 4, 5, 6]


def test_a_look_back_reads_what_is_that_much_older(timed):
    since = cursor_of(timed).cursor
    assert changed_since(timed, since, lookback_s=86_400 - 10) == [2]
    assert changed_since(timed, since, lookback_s=86_400) == [1, 2]


def test_times_keep_their_microseconds(mariadb):
    mariadb.execute(
        "CREATE TABLE t (id int PRIMARY KEY, updated_at datetime(6))",
        "INSERT INTO t VALUES (1, '2020-01-01 00:00:00.000001'), (2, '2020-01-01 00:00:00.000002')",
    )
    since = cursor_of(mariadb).cursor
    # Less the age of the oldest transaction, which is none but this test's, and the second that is rounded off.
    assert "2019-12-31 23:59:57" <= since <= "2020-01-01 00:00:00.000002"
    assert changed_since(mariadb, "2020-01-01 00:00:00.000002") == [2]


def test_a_table_without_rows_has_no_cursor(mariadb):
    mariadb.execute("CREATE TABLE t (id int PRIMARY KEY, updated_at timestamp)")
    assert cursor_of(mariadb).cursor is None


def test_a_user_who_cannot_see_other_transactions_is_told(timed):
    user = timed.user(f"SELECT ON {timed.name}.*")
    assert cursor_of(timed, user).is_blind
    timed.execute(f"GRANT PROCESS ON *.* TO {user}@'%'")
    assert not cursor_of(timed, user).is_blind


def test_a_cursor_by_which_no_run_can_go_is_refused(timed):
    timed.execute(
        "ALTER TABLE t ADD seen datetime NOT NULL, ADD INDEX by_time (seen), "
        "MODIFY updated_at timestamp(6) NOT NULL DEFAULT now(6), ADD born datetime"
    )
    table, source = timed.table("t"), timed.described("t")
    assert table.cursor(source, "seen") == Cursor("seen", is_indexed=True)
    assert table.cursor(source, "updated_at") == Cursor(
        "updated_at",
        is_indexed=False,
        warning="no index begins with updated_at, so the server looks at all rows for those that have changed: CREATE "
        f"INDEX `by_updated_at` ON `{timed.name}`.`t` (`updated_at`)",
    )
    refused = {
        "id": "it must be a timestamp or datetime",
        "updated": "is it updated_at?",
        "born": "may be NULL, and when",
    }
    for field, said in refused.items():
        with pytest.raises(UsageError, match=said):
            table.cursor(source, field)


def test_a_column_that_is_changed_during_the_run_stops_it(mariadb):
    mariadb.execute("CREATE TABLE t (id int PRIMARY KEY, a text, b text)")
    selection = selection_of(mariadb)
    with holder_of(mariadb) as holder:
        snapshot = holder.take()
        list(mariadb.table("t").read(selection, Part(0), snapshot))
    mariadb.execute("ALTER TABLE t DROP a, MODIFY b int")
    with pytest.raises(JobError, match="the table has changed during the run: a, b; run the command with --restart"):
        list(mariadb.table("t").read(selection, Part(0), None))


def test_columns_that_are_hidden_from_the_user_are_not_left_out(mariadb):
    mariadb.execute("CREATE TABLE t (id int PRIMARY KEY, a int, b int)")
    user = mariadb.user(f"SELECT (id, a) ON {mariadb.name}.t")
    with pytest.raises(UsageError, match=f"may not read all of .*; grant it: GRANT SELECT ON .* TO '{user}'@'%'"):
        mariadb.table("t", user).describe("--source")


def test_names_with_quotes_and_in_other_cases_are_found(mariadb):
    mariadb.execute(
        "CREATE TABLE `or``der.s` (`i``d` int PRIMARY KEY, `a%b` text)", "INSERT INTO `or``der.s` VALUES (1, 2)"
    )
    assert [column.name for column in mariadb.described("or`der.s").columns] == ["i`d", "a%b"]
    assert ids(mariadb, None, name="or`der.s") == [1]
    with pytest.raises(UsageError, match=r"there is no table .*OR`DER.S; is it .*or`der.s"):
        mariadb.described("OR`DER.S")
