"""Tables of PostgreSQL as the input of ingest: a real server and the emulators."""

import datetime
import itertools
import os
import signal
import subprocess
import sys

import pytest

from pipeline.__main__ import main
from tests.support.documents import read_collection
from tests.support.faulty_firestore import FaultyFirestore
from tests.support.ingest import ingest
from tests.support.interrupted import ROOT, Moment
from tests.support.orders import ingest_of

pytestmark = pytest.mark.emulator


@pytest.fixture
def flags(tmp_path, database):
    """Of an ingest of a table with three batches."""
    database.execute(
        "CREATE TABLE orders (id bigint PRIMARY KEY, amount numeric)",
        "INSERT INTO orders SELECT n, n * 1.50 FROM generate_series(1, 25) n",
    )
    return ingest_of(database.location("orders"), tmp_path)


def amounts(target):
    return {key: document["amount"] for key, document in read_collection(target, "orders").items()}


def test_every_value_is_in_its_document_as_the_rules_say(target, database, tmp_path, flags):
    database.execute(
        "ALTER TABLE orders ADD at timestamptz, ADD local timestamp, ADD day date, ADD c time, ADD b bytea, "
        "ADD j jsonb, ADD tags text[], ADD n numeric(5,2)[], ADD f real, ADD ok bool, ADD u uuid, ADD days date[]",
        r"""INSERT INTO orders VALUES (-9223372036854775808, '12345678901234567890123456789.5000', '2026-01-01',
            '2026-01-02 03:04:05.000006', '2026-01-31', '23:59:59.5', '\x00ff', '{"a": [1.5, {"b": null}]}',
            '{a,"b c"}', '{1.50,2}', 0.1, true, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{}'),
            (0, 'NaN', 'infinity', '0044-03-15 BC', '-infinity', '24:00:00', '', '{"a": 1e400}',
            '{a,NULL}', '{{1},{2}}', 'NaN', null, null, '{infinity}')""",
    )
    assert ingest(tmp_path, target, *flags).exit_code == 0
    stored = read_collection(target, "orders")
    first, second = stored["-9223372036854775808"], stored["0"]
    utc = datetime.timezone.utc
    assert {name: value for name, value in first.items() if name != "_meta"} == {
        "id": -(2**63),
        "amount": "12345678901234567890123456789.5000",
        "at": datetime.datetime(2026, 1, 1, tzinfo=utc),
        "local": datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=utc),
        "day": "2026-01-31",
        "c": "23:59:59.5",
        "b": b"\x00\xff",
        "j": {"a": [1.5, {"b": None}]},
        "tags": ["a", "b c"],
        "n": ["1.50", "2.00"],
        "f": 0.10000000149011612,
        "ok": True,
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "days": [],
    }
    assert second["f"] != second["f"]
    assert (second["at"], second["local"], second["day"], second["c"]) == (
        "infinity",
        "0044-03-15 00:00:00 BC",
        "-infinity",
        "24:00:00",
    )
    assert (second["amount"], second["tags"], second["n"], second["days"], second["ok"]) == (
        "NaN",
        "{a,NULL}",
        "{{1.00},{2.00}}",
        ["infinity"],
        None,
    )
    assert second["j"].startswith('{"a": 1000')


def test_the_same_command_again_writes_what_has_changed_wherever_the_row_stands_now(target, database, tmp_path, flags):
    first = ingest(tmp_path, target, *flags)
    assert (first.exit_code, first.summary["written"]) == (0, 25)
    database.execute("DELETE FROM orders WHERE id <= 20", "UPDATE orders SET amount = 0 WHERE id = 25")
    again = ingest(tmp_path, target, *flags)
    assert (again.summary["written"], again.summary["unchanged"], again.summary.get("superseded", 0)) == (1, 4, 0)
    assert amounts(target)["25"] == "0"


def test_a_row_that_cannot_be_stored_is_a_dead_letter_that_can_be_replayed(target, database, tmp_path, flags):
    database.execute("ALTER TABLE orders ADD j jsonb", "UPDATE orders SET j = '[[1]]' WHERE id = 7")
    run = ingest(tmp_path, target, *flags)
    assert (run.exit_code, run.summary["written"]) == (0, 24)
    (dead,) = run.dead_letters
    assert dead["source"] == database.location("public.orders")
    assert dead["record"] == {"id": 7, "amount": "10.50", "j": [[1]]}
    for file in (tmp_path / "dead_letters").glob("*/*.jsonl"):
        file.write_text(file.read_text().replace("[[1]]", "[1]"))
    replay = ["replay", f"--project={target.project}", f"--dead_letters={tmp_path / 'dead_letters'}", "--kind=all"]
    assert main([*replay, flags[1]]) == 0
    assert read_collection(target, "orders")["7"]["j"] == [1]
    assert ingest(tmp_path, target, *flags, "--nested_arrays=json").summary["dead_letters"] == 0


def test_a_view_and_a_collection_and_a_file_are_read_in_one_run(target, database, tmp_path, flags):
    database.execute("CREATE VIEW few AS SELECT * FROM orders WHERE id <= 3")
    (tmp_path / "more.jsonl").write_text('{"id": 99, "amount": "1"}\n')
    inputs = [f"--input={database.location('few')}", f"--input={tmp_path / 'more.jsonl'}"]
    run = ingest(tmp_path, target, *inputs, *flags[1:])
    assert (run.exit_code, run.summary["written"]) == (0, 4)
    assert amounts(target) == {"1": "1.50", "2": "3.00", "3": "4.50", "99": "1"}


@pytest.mark.parametrize("ordinal", [pytest.param(2, marks=pytest.mark.soak), 4])
def test_after_kill_9_the_same_command_reads_on_behind_the_batches_that_are_done(
    target, table, database, tmp_path, flags, ordinal
):
    rows = f"--bigquery_table={table.name}"
    database.execute("INSERT INTO orders SELECT n, n FROM generate_series(26, 60) n")
    killed = []

    def kill() -> None:
        killed.append(os.killpg(process.pid, signal.SIGKILL))

    places = [f"--project={target.project}", f"--dead_letters={tmp_path / 'dead_letters'}"]
    with FaultyFirestore(target.emulator_host, refuse=Moment(ordinal, kill)) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "ingest", *places, *flags, rows],
            cwd=ROOT,
            env={**os.environ, "FIRESTORE_EMULATOR_HOST": server.host},
            start_new_session=True,
        )
        assert process.wait(timeout=120) == -signal.SIGKILL
    assert killed
    database.execute("UPDATE orders SET amount = -1 WHERE id = 60", "DELETE FROM orders WHERE id = 59")
    run = ingest(tmp_path, target, *flags, rows, "--take_over")
    assert run.exit_code == 0
    known = amounts(target)
    assert known["60"] == "-1"
    assert set(range(1, 59)) <= set(map(int, known))
    found = table.client().query_and_wait(f"SELECT order_id, amount FROM `{table.latest.id}`")
    assert {row["order_id"]: row["amount"] for row in found} == known


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--input=postgresql://app:hunter2@host/db/t"], "must not hold a password"),
        (["--input={nowhere}"], "--input: there is no table public.orderz; is it public.orders?"),
        (["--input=x.jsonl", "--input_password=env:X"], "--input_password is for tables of databases"),
        (["--input={nowhere}", "--input=batches://openai/b1"], "ingest each by a command of its own"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(target, database, tmp_path, flags, capsys, given, said):
    inputs = [text.format(nowhere=database.location("orderz")) for text in given]
    assert ingest(tmp_path, target, *inputs, *flags[1:]).exit_code == 2
    err = " ".join(capsys.readouterr().err.split())
    assert said in err
    assert "hunter2" not in err


def test_preview_shows_what_a_spec_makes_of_rows(database, flags, capsys):
    assert main(["preview", *flags[:2], "--records=1"]) == 0
    shown = capsys.readouterr().out
    assert list(itertools.chain(*(line.split() for line in shown.splitlines() if "1.50" in line)))
    assert "orders/1" in shown
