"""Tables of MariaDB as the input of ingest: a real server and the emulator."""

import datetime

import pytest

from tests.support.documents import read_collection
from tests.support.ingest import ingest
from tests.support.orders import ingest_of

pytestmark = pytest.mark.emulator

UTC = datetime.timezone.utc


@pytest.fixture
def flags(tmp_path, mariadb):
    """Of an ingest of a table with three batches."""
    mariadb.execute(
        "CREATE TABLE orders (id bigint unsigned PRIMARY KEY, amount decimal(40,2))",
        "INSERT INTO orders SELECT seq, seq * 1.5 FROM seq_1_to_25",
    )
    return ingest_of(mariadb.location("orders"), tmp_path)


def test_every_value_is_in_its_document_as_the_rules_say(target, mariadb, tmp_path, flags):
    mariadb.execute(
        "ALTER TABLE orders ADD at timestamp(6) NULL, ADD local datetime(6), ADD day date, ADD c time(1), ADD b blob, "
        "ADD j json, ADD f float, ADD ok bit(1), ADD flag tinyint(1), ADD e enum('x','y'), ADD t text",
        """INSERT INTO orders VALUES
            (18446744073709551615, '12345678901234567890123456789012345678.5', '2026-01-01',
                '2026-01-02 03:04:05.000006', '2026-01-31', '23:59:59.5', X'00ff',
                '{"a": [1.5, {"b": null}]}', 0.1, b'1', 7, 'y', 'Zoë'),
            (0, 0, NULL, '2022-11-00', '0000-00-00', '-838:59:59', '', '{"a": 1, "a": 2}', NULL, b'0', 0, NULL, '')""",
    )
    assert ingest(tmp_path, target, *flags).exit_code == 0
    stored = read_collection(target, "orders")
    assert len(stored) == 27
    first, second = stored["18446744073709551615"], stored["0"]
    assert {name: value for name, value in first.items() if name != "_meta"} == {
        "id": "18446744073709551615",
        "amount": "12345678901234567890123456789012345678.50",
        "at": datetime.datetime(2026, 1, 1, tzinfo=UTC),
        "local": datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        "day": "2026-01-31",
        "c": "23:59:59.5",
        "b": b"\x00\xff",
        "j": {"a": [1.5, {"b": None}]},
        "f": 0.10000000149011612,
        "ok": True,
        "flag": 7,
        "e": "y",
        "t": "Zoë",
    }
    assert (second["local"], second["day"], second["c"]) == ("2022-11-00 00:00:00.000000", "0000-00-00", "-838:59:59.0")
    assert (second["at"], second["b"], second["j"], second["ok"], second["t"]) == (
        None,
        b"",
        '{"a": 1, "a": 2}',
        False,
        "",
    )


def test_the_same_command_again_writes_what_has_changed(target, mariadb, tmp_path, flags):
    assert ingest(tmp_path, target, *flags).summary["written"] == 25
    mariadb.execute("DELETE FROM orders WHERE id <= 20", "UPDATE orders SET amount = 0 WHERE id = 25")
    again = ingest(tmp_path, target, *flags)
    assert (again.exit_code, again.summary["written"], again.summary["unchanged"]) == (0, 1, 4)
    assert read_collection(target, "orders")["25"]["amount"] == "0.00"


def test_what_cannot_be_read_is_refused_in_one_line(target, mariadb, tmp_path, flags, capsys):
    assert ingest(tmp_path, target, f"--input={mariadb.location('orderz')}", *flags[1:]).exit_code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"--input: there is no table {mariadb.name}.orderz; is it {mariadb.name}.orders" in said
