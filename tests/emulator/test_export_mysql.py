"""MariaDB into BigQuery, end to end: a real server, the emulators, and the command as a user types it."""

import datetime
import json
import os
import subprocess
import sys
import threading
from contextlib import closing
from decimal import Decimal

import pytest

from tests.support.faulty_firestore import FaultyFirestore
from tests.support.interrupted import ROOT, Moment
from tests.support.killed_export import kill_export
from tests.support.mariadb import new_mariadb, running_mariadb
from tests.support.verified import verify
from transforms.firestore.query import Query
from transforms.firestore.reader import read

pytestmark = pytest.mark.emulator

UTC = datetime.timezone.utc
BY_TIME = ("--mode=incremental", "--cursor_field=at", "--lookback_s=0")
PASSWORD = "hunter2-is-secret"


@pytest.fixture
def export(desk, mariadb):
    """Exports a table that has five orders at first."""
    mariadb.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, amount decimal(12,2), "
        "at timestamp(6) NOT NULL DEFAULT now(6), day date)",
        "INSERT INTO orders SELECT seq, seq + 0.5, '2026-01-01' + INTERVAL seq DAY, '2026-01-01' FROM seq_1_to_5",
    )

    def run(*flags: str, table: str = "orders", user: str = "root") -> int:
        return desk.export(f"--source={mariadb.location(table, user)}", *flags)

    return run


def amounts(desk, suffix="_latest"):
    """What the table says of the orders."""
    return {row["_key"]: row["amount"] for row in desk.rows(suffix, order="_key")}


@pytest.mark.parametrize("method", ["INSERT_ROWS", "STORAGE_WRITE"])
def test_every_method_ends_in_the_same_rows(desk, mariadb, export, method):
    mariadb.execute(
        "ALTER TABLE orders ADD b blob, ADD j json, ADD x decimal(65,38), ADD f float, ADD d datetime(6), "
        "ADD c time(1), ADD big bigint unsigned, ADD ok bit(1), ADD flag tinyint(1), ADD e enum('x','y'), "
        "ADD place point REF_SYSTEM_ID=4326",
        """UPDATE orders SET b = X'00ff', j = '{"a": [1.5, null]}', x = 1.00000000000000001, f = 0.1,
            d = '2026-01-02 03:04:05.000006', c = '23:59:59.5', big = 18446744073709551615, ok = b'1', flag = 7,
            e = 'y', place = ST_PointFromText('POINT(13.25 52.5)', 4326), day = '2022-11-00' WHERE id = 1""",
    )
    flags = (f"--bigquery_method={method}", f"--temp_location=gs://{desk.bigquery.bucket}/temp", "--batch_size=2")
    assert export(*flags) == 0
    assert desk.counts() == (5, 5, 0)
    counts = {"rows_read": 5, "rows_changed": 5, "rows_latest": 5}
    assert desk.summary["results"].pop("types")
    assert desk.summary["results"] == {**counts, "consistency": "snapshot"}
    assert desk.summary["overflowed_by"] == {"day": 1}
    first, second, *_ = desk.rows(order="_key")
    read_time, extracted_at = first.pop("_read_time"), first.pop("_extracted_at")
    assert extracted_at <= read_time <= datetime.datetime.now(UTC)
    place = first.pop("place")
    assert "13.25" in str(place)
    assert first == {
        "id": 1,
        "amount": Decimal("1.5"),
        "at": datetime.datetime(2026, 1, 2, tzinfo=UTC),
        "day": None,
        "b": b"\x00\xff",
        "j": {"a": [1.5, None]},
        "x": Decimal("1.00000000000000001"),
        "f": 0.10000000149011612,
        "d": datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
        "c": datetime.time(23, 59, 59, 500000),
        "big": Decimal(18446744073709551615),
        "ok": True,
        "flag": 7,
        "e": "y",
        "_key": "1",
        "_deleted_at": None,
        "_overflow": {"day": "2022-11-00"},
    }
    assert (second["day"], second["e"], second["_overflow"]) == (datetime.date(2026, 1, 1), None, None)
    assert desk.staging_tables() == []
    table = f"bigquery:{desk.bigquery.project}:local.{desk.table}"
    found = verify(desk.folder, desk.database, mariadb.location("orders"), table)
    assert (found.exit_code, found.counts) == (0, (5, 5, 0, 0))
    mariadb.execute("UPDATE orders SET day = '2022-12-00' WHERE id = 1", "UPDATE orders SET b = '' WHERE id = 2")
    found = verify(desk.folder, desk.database, mariadb.location("orders"), table)
    assert found.kinds == {"1": "DIFFERENT", "2": "DIFFERENT"}


def test_an_incremental_run_reads_what_has_changed_and_the_row_that_was_committed_late(desk, mariadb, export):
    with closing(mariadb.connect(autocommit=False)) as late:
        late.cursor().execute("INSERT INTO orders VALUES (6, 6, now(6), NULL)")
        assert export(*BY_TIME) == 0
        assert desk.counts() == (5, 5, 0)
        mariadb.execute("INSERT INTO orders VALUES (7, 7, now(6), NULL)")
        late.commit()
    mariadb.execute("UPDATE orders SET amount = 99, at = now(6) WHERE id = 2")
    assert export(*BY_TIME) == 0
    assert desk.counts() == (4, 4, 0)  # that with the greatest of the times that were read is read again
    assert amounts(desk) == {
        **{str(n): Decimal(f"{n}.5") for n in (1, 3, 4, 5)},
        "2": Decimal(99),
        "6": Decimal(6),
        "7": Decimal(7),
    }


def test_an_incremental_run_that_finds_deletes_reads_all_keys_and_only_changed_rows(desk, mariadb, export):
    mariadb.execute("UPDATE orders SET at = '2020-01-01' WHERE id < 5")
    assert export(*BY_TIME, "--deletes=mark") == 0
    mariadb.execute("DELETE FROM orders WHERE id = 1", "UPDATE orders SET amount = 99, at = now(6) WHERE id = 2")
    assert export(*BY_TIME, "--deletes=mark") == 0
    assert desk.counts() == (4, 2, 2)  # 2 has changed, 5 has the greatest time
    assert amounts(desk) == {"2": Decimal(99), **{str(n): Decimal(f"{n}.5") for n in (3, 4, 5)}}
    assert [row["_key"] for row in desk.rows("", order="_key")] == ["1", "2", "3", "4", "5"]


def test_a_run_beside_a_writer_has_one_state_of_the_table(desk, mariadb, export):
    mariadb.execute("INSERT INTO orders SELECT seq, 0, now(6), NULL FROM seq_6_to_3000", "UPDATE orders SET amount = 0")
    writes, stop = threading.Event(), threading.Event()

    def write() -> None:
        with closing(mariadb.connect(autocommit=False)) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("UPDATE orders SET amount = amount + 1 WHERE id = 1")
                cursor.execute("UPDATE orders SET amount = amount - 1 WHERE id = 3000")
                connection.commit()
                writes.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert writes.wait(60)
        assert export("--batch_size=500") == 0
    finally:
        stop.set()
        writer.join()
    found = amounts(desk)
    assert len(found) == 3000
    assert sum(found.values()) == 0
    assert found["1"] > 0


def test_after_kill_9_the_same_command_resumes_by_ranges_to_the_same_end(desk, mariadb, export):
    mariadb.execute("INSERT INTO orders SELECT seq, seq, now(6), NULL FROM seq_6_to_60")
    kill_export(desk, mariadb.location("orders"), 6, "--batch_size=10")
    mariadb.execute("DELETE FROM orders WHERE id = 60", "INSERT INTO orders VALUES (61, 61, now(6), NULL)")
    assert export("--batch_size=10", "--take_over") == 0
    assert desk.counts() == (60, 60, 0)
    assert {int(key) for key in amounts(desk, "")} == {*range(1, 60), 61}
    assert desk.summary["results"]["consistency"] == "ranges"


def test_a_server_that_is_restarted_meanwhile_is_read_on_behind_the_last_batch(desk):
    restarted = []
    with running_mariadb() as maria:
        database = new_mariadb(maria)
        database.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT seq FROM seq_1_to_60")

        def restart() -> None:
            with closing(database.connect()) as connection:
                restarted.append(connection.cursor().execute("SHUTDOWN"))

        with FaultyFirestore(desk.emulator_host, refuse=Moment(5, restart)) as server:
            process = subprocess.run(
                [
                    *(sys.executable, "-m", "pipeline", "export", f"--source={database.location('t')}"),
                    *("--consistency=ranges", "--batch_size=10", f"--project={desk.database.project}"),
                    f"--bigquery_table={desk.bigquery.project}:local.{desk.table}",
                    f"--dead_letters={desk.folder / 'dead_letters'}",
                ],
                cwd=ROOT,
                env={**os.environ, "FIRESTORE_EMULATOR_HOST": server.host},
                timeout=120,
            )
    assert restarted
    assert process.returncode == 0
    assert {row["_key"] for row in desk.rows("", order="_key")} == {str(n) for n in range(1, 61)}


def test_no_password_is_ever_written_down(desk, mariadb, export, monkeypatch, capsys):
    user = mariadb.user(f"SELECT ON {mariadb.name}.*", password=PASSWORD)
    file = desk.folder / "password"
    file.write_text("wrong-is-secret\n")
    assert export(f"--source_password=file:{file}", user=user) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "check user and password (MYSQL_PWD, --source_password)" in said
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYSQL_PWD", PASSWORD)
        assert export(user=user) == 0
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    assert export("--source_password=env:SHOP_PASSWORD", user=user) == 0
    file.unlink()
    said += "".join(capsys.readouterr())
    written = [path.read_text() for path in desk.folder.rglob("*") if path.is_file()]
    client = desk.database.connect()
    names = ("pipeline_jobs", "batches", "results", "streams")
    ledger = json.dumps(
        [(each.name, each.fields) for name in names for each in read(client, Query.group(name))], default=str
    )
    assert "env:SHOP_PASSWORD" in ledger
    assert not any("is-secret" in text for text in (said, ledger, *written))


@pytest.mark.parametrize(
    ("source", "flags", "said"),
    [
        ("mysql://app:hunter2@db/shop/orders", [], "--source must not hold a password"),
        ("mysql://app@db/shop", [], "--source must be mysql://USER@HOST:PORT/DATABASE/TABLE"),
        ("mysql://app@db/shop/orders?ssl_key_password=hunter2", [], "--source must not hold a password"),
        ("mysql://app@db/shop/orders?charset=latin1", [], "there is no option charset; choose from ssl_ca"),
        ("mysql://app@db/shop/orders?ssl_disabled=1", [], "ssl_disabled must be true or false, got '1'"),
        ("mysql://app@127.0.0.1:1/shop/orders", [], "check host and port, and that the server runs"),
    ],
)
def test_a_wrong_location_is_refused_in_one_line(desk, source, flags, said, capsys):
    assert desk.export(f"--source={source}", *flags) in (1, 2)
    answer = " ".join(capsys.readouterr().err.split())
    assert said in answer
    assert "hunter2" not in answer
    assert "Traceback" not in answer


@pytest.mark.parametrize(
    ("flags", "table", "said"),
    [
        ([], "ordrs", "; is it test_"),
        ([], "v", "has no primary key; pass --key=COLUMN,…"),
        (
            ["--mode=incremental", "--cursor_field=id"],
            "orders",
            "must be a timestamp or datetime that every change",
        ),
        (["--mode=incremental", "--cursor_field=xmin"], "orders", "has no column xmin"),
        (["--mode=incremental", "--cursor_field=born"], "sparse", "is not known; take --cursor_field=updated_at, or"),
        (["--key=born"], "sparse", "has no value in born, so the key does not identify it"),
    ],
)
def test_what_the_table_does_not_have_is_refused_in_one_line(desk, mariadb, export, flags, table, said, capsys):
    mariadb.execute(
        "CREATE VIEW v AS SELECT * FROM orders",
        "CREATE TABLE sparse (id int PRIMARY KEY, born datetime, updated_at datetime NOT NULL DEFAULT now())",
        "INSERT INTO sparse (id) VALUES (1)",
    )
    assert export(*flags, table=table) == 2
    assert said in " ".join(capsys.readouterr().err.split())
