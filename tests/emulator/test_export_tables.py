"""PostgreSQL into BigQuery, end to end: a real server, the emulators, and the command as a user types it."""

import datetime
import json
from contextlib import closing
from decimal import Decimal

import pytest

from tests.support.killed_export import kill_export
from transforms.firestore.query import Query
from transforms.firestore.reader import read

pytestmark = pytest.mark.emulator

UTC = datetime.timezone.utc
METHODS = ("INSERT_ROWS", "STORAGE_WRITE", "STORAGE_WRITE_EXACTLY_ONCE", "FILE_LOADS")
BY_TIME = ("--mode=incremental", "--cursor_field=at", "--lookback_s=0")
BY_XMIN = ("--mode=incremental", "--cursor_field=xmin")


@pytest.fixture
def export(desk, database):
    """Exports a table that has five orders at first."""
    database.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, amount numeric(12,2), "
        "at timestamptz NOT NULL DEFAULT now(), day date)",
        "INSERT INTO orders SELECT n, n + 0.5, make_date(2026, 1, n), '2026-01-01' FROM generate_series(1, 5) n",
    )

    def run(*flags: str, table: str = "orders", user: str = "postgres") -> int:
        return desk.export(f"--source={database.location(table, user)}", *flags)

    return run


def amounts(desk, suffix="_latest"):
    """What the table says of the orders."""
    return {row["_key"]: row["amount"] for row in desk.rows(suffix, order="_key")}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_ends_in_the_same_rows(desk, database, export, method):
    database.execute(
        "ALTER TABLE orders ADD b bytea, ADD j jsonb, ADD x numeric, ADD f float8, ADD d timestamp, ADD c time, "
        "ADD tags text[], ADD ok bool, ADD big bigint, ADD days date[]",
        r"""UPDATE orders SET b = '\x00ff', j = '{"a": [1.5, null]}', x = '1.00000000000000001', f = 'Infinity',
            d = '2026-01-02 03:04:05.000006', c = '23:59:59.5', tags = '{a,"b c"}', ok = true,
            big = 9223372036854775807, days = '{2026-01-01}', day = '0044-03-15 BC' WHERE id = 1""",
    )
    flags = (f"--bigquery_method={method}", f"--temp_location=gs://{desk.bigquery.bucket}/temp", "--batch_size=2")
    assert export(*flags) == 0
    assert desk.counts() == (5, 5, 0)
    assert desk.summary["results"] == {
        "rows_read": 5,
        "rows_changed": 5,
        "rows_latest": 5,
        "consistency": "snapshot",
        "types": desk.summary["results"]["types"],
    }
    assert desk.summary["results"]["types"]["amount"] == "numeric(12,2) → NUMERIC"
    assert desk.summary["overflowed_by"] == {"day": 1}
    first, second, *_ = desk.rows(order="_key")
    read_time, extracted_at = first.pop("_read_time"), first.pop("_extracted_at")
    assert extracted_at <= read_time <= datetime.datetime.now(UTC)
    assert first == {
        "id": 1,
        "amount": Decimal("1.5"),
        "at": datetime.datetime(2026, 1, 1, tzinfo=UTC),
        "day": None,
        "b": b"\x00\xff",
        "j": {"a": [1.5, None]},
        "x": Decimal("1.00000000000000001"),
        "f": float("inf"),
        "d": datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
        "c": datetime.time(23, 59, 59, 500000),
        "tags": ["a", "b c"],
        "ok": True,
        "big": 2**63 - 1,
        "days": [datetime.date(2026, 1, 1)],
        "_key": "1",
        "_deleted_at": None,
        "_overflow": {"day": "0044-03-15 BC"},
    }
    assert (second["day"], second["tags"], second["_overflow"]) == (datetime.date(2026, 1, 1), [], None)
    assert desk.staging_tables() == []


def test_an_incremental_run_reads_what_has_changed_and_the_row_that_was_committed_late(desk, database, export, capsys):
    with closing(database.connect(autocommit=False)) as late:
        late.execute("INSERT INTO orders VALUES (6, 6)")
        assert export(*BY_TIME) == 0
        assert desk.counts() == (5, 5, 0)
        said = " ".join("".join(capsys.readouterr()).split())
        assert "CREATE INDEX ON public.orders" in said
        assert "next, only what has changed: firebeam export" in said
        database.execute("INSERT INTO orders VALUES (7, 7)")
        late.commit()
    database.execute("UPDATE orders SET amount = 99, at = now() WHERE id = 2")
    assert export(*BY_TIME) == 0
    assert desk.counts() == (4, 4, 0)  # that with the greatest of the times that were read is read again
    assert amounts(desk) == {
        **{str(n): Decimal(f"{n}.5") for n in (1, 3, 4, 5)},
        "2": Decimal(99),
        "6": Decimal(6),
        "7": Decimal(7),
    }


@pytest.mark.parametrize("deletes", ["mark", "remove"])
def test_an_incremental_run_by_xmin_that_finds_deletes_reads_all_keys_and_only_changed_rows(
    desk, database, export, deletes
):
    assert export(*BY_XMIN, f"--deletes={deletes}") == 0
    database.execute("DELETE FROM orders WHERE id = 1", "UPDATE orders SET amount = 99 WHERE id = 2")
    assert export(*BY_XMIN, f"--deletes={deletes}") == 0
    assert desk.counts() == (4, 1, 3)
    assert amounts(desk) == {"2": Decimal(99), **{str(n): Decimal(f"{n}.5") for n in (3, 4, 5)}}
    kept = [row["_key"] for row in desk.rows("", order="_key")]
    assert kept == (["1", "2", "3", "4", "5"] if deletes == "mark" else ["2", "3", "4", "5"])
    assert export(*BY_XMIN, f"--deletes={deletes}") == 0
    assert desk.counts() == (4, 0, 4)
    database.execute("INSERT INTO orders VALUES (1, 11)")
    assert export(*BY_XMIN, f"--deletes={deletes}") == 0
    assert amounts(desk)["1"] == Decimal(11)


def test_a_full_run_takes_over_new_columns_and_finds_deleted_rows(desk, database, export):
    assert export() == 0
    database.execute(
        "DELETE FROM orders WHERE id < 4",
        """ALTER TABLE orders ADD "gift note" text DEFAULT 'x'""",
    )
    assert export("--deletes=remove") == 0
    assert [(row["_key"], row["gift_note"]) for row in desk.rows("", order="_key")] == [("4", "x"), ("5", "x")]
    assert desk.summary["results"]["renamed_fields"] == {"gift note": "gift_note"}


def test_rows_are_replaced_or_appended(desk, database, export):
    assert export("--write=append") == 0
    database.execute("DELETE FROM orders WHERE id > 1")
    assert export("--write=append") == 0
    assert [row["_key"] for row in desk.rows("", order="_key")] == ["1", "1", "2", "3", "4", "5"]
    assert len(desk.rows(order="_key")) == 5


def test_replaced_rows_are_all_gone(desk, database, export):
    assert export("--write=replace") == 0
    database.execute("DELETE FROM orders WHERE id > 1")
    assert export("--write=replace") == 0
    assert [row["_key"] for row in desk.rows("", order="_key")] == ["1"]


def test_a_view_is_read_by_the_key_that_is_passed_and_a_wrong_key_merges_nothing(desk, database, export, capsys):
    database.execute("CREATE VIEW v AS SELECT id, id % 2 AS half, amount FROM orders")
    assert export("--key=half", "--max_request_attempts=2", table="v") == 1
    assert "half does not identify rows" in " ".join(capsys.readouterr().err.split())
    assert desk.rows("", order="_key") == []
    assert export("--key=half,id", table="v") == 0
    assert [row["_key"] for row in desk.rows(order="_key")] == [f'["{n % 2}","{n}"]' for n in (2, 4, 1, 3, 5)]


def test_a_table_that_holds_something_else_is_refused(desk, database, export, capsys):
    assert export() == 0
    database.execute("ALTER TABLE orders ALTER amount TYPE text")
    assert export() == 1
    assert "column amount is NUMERIC, wanted STRING" in " ".join(capsys.readouterr().err.split())


def test_a_table_that_is_gone_is_not_filled_from_the_last_run_s_end(desk, database, export, capsys):
    assert export(*BY_TIME) == 0
    desk.clear()
    assert export(*BY_TIME) == 1
    assert "Run once with --mode=full" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("ordinal", [2, 5, 9])
def test_after_kill_9_the_same_command_resumes_by_ranges_to_the_same_end(desk, database, export, ordinal):
    database.execute("INSERT INTO orders SELECT n, n FROM generate_series(6, 60) n")
    kill_export(desk, database.location("orders"), ordinal, "--batch_size=10")
    database.execute("DELETE FROM orders WHERE id = 60", "INSERT INTO orders VALUES (61, 61)")
    assert export("--batch_size=10", "--take_over") == 0
    assert desk.counts() == (60, 60, 0)
    assert {int(key) for key in amounts(desk, "")} == {*range(1, 60), 61}
    assert desk.summary["results"]["consistency"] == "ranges"


def test_a_run_that_is_to_be_of_one_snapshot_starts_over(desk, database, export):
    database.execute("INSERT INTO orders SELECT n, n FROM generate_series(6, 60) n")
    kill_export(desk, database.location("orders"), 5, "--batch_size=10", "--consistency=snapshot")
    database.execute("DELETE FROM orders WHERE id = 1")
    assert export("--batch_size=10", "--take_over", "--consistency=snapshot") == 0
    assert {int(key) for key in amounts(desk, "")} == set(range(2, 61))
    assert desk.summary["results"]["consistency"] == "snapshot"


@pytest.fixture
def guarded(database):
    """A user whom the server asks for a password."""
    database.execute("DROP ROLE IF EXISTS guarded", "CREATE ROLE guarded LOGIN PASSWORD 'hunter2-is-secret'")
    hba = database.folder / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text(f"local all guarded scram-sha-256\n{before}")
    database.execute("SELECT pg_reload_conf()")
    yield "guarded"
    hba.write_text(before)
    database.execute("SELECT pg_reload_conf()", "DROP OWNED BY guarded", "DROP ROLE guarded")


def test_no_password_is_ever_written_down(desk, database, export, guarded, monkeypatch, capsys):
    database.execute(f"GRANT SELECT ON orders TO {guarded}")
    monkeypatch.setenv("PGPASSFILE", str(desk.folder / "none"))
    assert export(user=guarded) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "set PGPASSWORD, write ~/.pgpass, or pass --source_password=env:NAME" in said
    file = desk.folder / "password"
    file.write_text("wrong-is-secret\n")
    assert export(f"--source_password=file:{file}", user=guarded) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", "hunter2-is-secret")
        assert export(user=guarded) == 0
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2-is-secret")
    assert export("--source_password=env:SHOP_PASSWORD", user=guarded) == 0
    file.unlink()
    said += "".join(capsys.readouterr())
    written = [path.read_text() for path in desk.folder.rglob("*") if path.is_file()]
    ledger = json.dumps(everything(desk), default=str)
    assert "env:SHOP_PASSWORD" in ledger
    assert not any("is-secret" in text for text in (said, ledger, *written))


def everything(desk):
    """All documents of the database."""
    client = desk.database.connect()
    names = ("pipeline_jobs", "batches", "results", "streams")
    return [(document.name, document.fields) for name in names for document in read(client, Query.group(name))]


SOURCE = "--source=postgresql://app@localhost:1/shop/orders"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--source=postgresql://app:hunter2@db/shop/orders"], "--source must not hold a password"),
        (["--source=oracle://app@db/shop/orders"], "--source must be a table, postgresql://USER@HOST:PORT/"),
        (["--source=postgresql://app@db/shop"], "--source must be postgresql://USER@HOST:PORT/DATABASE/SCHEMA.TABLE"),
        (["--source=postgresql://app@db/shop/orders?passfile=x"], "there is no option passfile; choose from sslmode"),
        ([SOURCE], "check host and port, and that the server runs"),
        ([SOURCE, "--collection=users"], "--collection is for documents of Firestore"),
        ([SOURCE, "--max_connections=1"], "--max_connections must be at least 2"),
        ([SOURCE, "--consistency=ranges", "--consistency=row"], "--consistency must be one of snapshot, ranges"),
        ([SOURCE, "--cursor_field=at"], "--cursor_field is for --mode=incremental"),
        ([SOURCE, "--mode=incremental", "--cursor_field=at", "--write=replace"], "--write=replace leaves nothing but"),
        ([SOURCE, "--deletes=mark", "--write=append"], "--deletes=mark needs --write=merge"),
        ([SOURCE, "--source_password=hunter2"], "--source_password must say where the secret is kept"),
        ([SOURCE, "--source_password=env:NO_SUCH_VARIABLE"], "the environment variable NO_SUCH_VARIABLE is not set"),
        (["--key=a", "--collection=users"], "--key is for --source=LOCATION"),
    ],
)
def test_a_wrong_flag_is_refused_in_one_line(desk, flags, said, capsys):
    assert desk.export(*flags) in (1, 2)
    answer = " ".join(capsys.readouterr().err.split())
    assert said in answer
    assert "hunter2" not in answer
    assert "Traceback" not in answer


@pytest.mark.parametrize(
    ("flags", "table", "said"),
    [
        ([], "ordrs", "there is no table public.ordrs; is it public.orders or"),
        ([], "other.orders", "there is no table other.orders; is it public.orders?"),
        ([], "v", "public.v has no primary key; pass --key=COLUMN,…"),
        (["--key=ids"], "v", "--key: public.v has no column ids; is it id?"),
        (["--key=id", *BY_XMIN], "v", "a view has no xmin"),
        (
            ["--mode=incremental", "--cursor_field=id"],
            "orders",
            "must be a timestamp that every change sets, or xmin",
        ),
        (["--mode=incremental"], "orders", "that every change sets, --cursor_field=xmin"),
        (["--mode=incremental"], "changing", "--cursor_field=Updated_At, --cursor_field=xmin"),
        (["--mode=incremental", "--cursor_field=born"], "changing", "born may be NULL, and when such a row changed"),
        (["--mode=incremental", "--cursor_field=born"], "changing", "take --cursor_field=Updated_At or"),
        (["--mode=incremental", "--cursor_field=born"], "changing", 'ALTER COLUMN "born" SET NOT NULL'),
        (["--key=n"], "sparse", "a row of public.sparse has no value in n, so the key does not identify it"),
        (["--key=n"], "sparse_view", "a row of public.sparse_view has no value in n"),
        ([], "alike", "has the columns a and A, which BigQuery does not tell apart; rename one"),
        (["--mode=incremental", "--cursor_field=att"], "orders", "public.orders has no column att; is it at?"),
    ],
)
def test_what_the_table_does_not_have_is_refused_in_one_line(desk, database, export, flags, table, said, capsys):
    database.execute(
        "CREATE VIEW v AS SELECT * FROM orders",
        'CREATE TABLE alike (a int PRIMARY KEY, "A" int)',
        'CREATE TABLE changing (id int PRIMARY KEY, born timestamp, "Updated_At" timestamp NOT NULL)',
        "CREATE TABLE sparse (id int PRIMARY KEY, n int)",
        "INSERT INTO sparse VALUES (1, 1), (2, NULL)",
        "CREATE VIEW sparse_view AS SELECT n FROM sparse",
    )
    assert export(*flags, table=table) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_user_without_the_right_is_told_the_grant(desk, database, export, capsys):
    database.execute("DROP ROLE IF EXISTS nobody", "CREATE ROLE nobody LOGIN")
    assert export(user="nobody") == 2
    assert "GRANT SELECT ON public.orders TO nobody" in " ".join(capsys.readouterr().err.split())
    database.execute("DROP ROLE nobody")
