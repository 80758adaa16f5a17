"""Tables of MariaDB exported while somebody writes to them: `kill -9` at ten moments, and again, and resumed."""

import threading
from contextlib import closing

import pytest

from tests.support.killed_export import kill_export

pytestmark = [pytest.mark.emulator, pytest.mark.soak]


@pytest.mark.parametrize("ordinal", range(1, 21, 2))
def test_rows_that_are_there_all_the_time_are_exported_whenever_the_run_is_killed(desk, mariadb, ordinal):
    mariadb.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, filler longtext, updated_at timestamp(6) NOT NULL DEFAULT now(6))",
        "INSERT INTO orders (id, filler) SELECT seq, 'x' FROM seq_1_to_400",
    )
    flags = ("--batch_size=20", f"--consistency={'ranges' if ordinal % 4 == 1 else 'snapshot'}")
    if ordinal % 4 == 3:
        flags = flags[:1]
    source = mariadb.location("orders")
    stop = threading.Event()

    def write() -> None:
        with closing(mariadb.connect()) as connection, connection.cursor() as cursor:
            for number in range(100_000):
                if stop.wait(0.01):
                    return
                cursor.execute("UPDATE orders SET filler = CONCAT(filler, 'y'), updated_at = now(6) WHERE id % 7 = 0")
                cursor.execute(f"DELETE FROM orders WHERE MOD(id, 10) = 3 AND id <= {number}")
                cursor.execute(f"INSERT INTO orders (id) VALUES ({1000 + number})")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        kill_export(desk, source, ordinal, *flags)
        kill_export(desk, source, 4, *flags, "--take_over")
        assert desk.export(f"--source={source}", "--take_over", *flags) == 0
    finally:
        stop.set()
        writer.join()
    found = {int(row["_key"]) for row in desk.rows("", order="_key")}
    assert {n for n in range(1, 401) if n % 10 != 3} <= found
    read, written, dead = desk.counts()
    assert (read, dead) == (written, 0)
    assert read == len(found)
