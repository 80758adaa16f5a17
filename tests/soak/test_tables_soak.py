"""Tables exported while somebody writes to them: `kill -9` at ten moments, and again at another one, and resumed."""

import threading
from contextlib import closing

import pytest

from tests.support.killed_export import kill_export

pytestmark = [pytest.mark.emulator, pytest.mark.soak]


@pytest.mark.parametrize("ordinal", range(1, 21, 2))
def test_rows_that_are_there_all_the_time_are_exported_whenever_the_run_is_killed(desk, database, ordinal):
    database.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, filler text, updated_at timestamptz NOT NULL DEFAULT now())",
        "INSERT INTO orders SELECT n, 'x' FROM generate_series(1, 400) n",
    )
    flags = ("--batch_size=20", f"--consistency={'ranges' if ordinal % 4 == 1 else 'snapshot'}")
    if ordinal % 4 == 3:
        flags = flags[:1]
    stop = threading.Event()

    def write() -> None:
        with closing(database.connect()) as connection:
            for number in range(100_000):
                if stop.wait(0.01):
                    return
                connection.execute("UPDATE orders SET filler = filler || 'y', updated_at = now() WHERE id % 7 = 0")
                connection.execute("DELETE FROM orders WHERE id %% 10 = 3 AND id <= %s", (number,))
                connection.execute("INSERT INTO orders VALUES (%s)", (1000 + number,))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        kill_export(desk, database.location("orders"), ordinal, *flags)
        kill_export(desk, database.location("orders"), 4, *flags, "--take_over")
        assert desk.export(f"--source={database.location('orders')}", "--take_over", *flags) == 0
    finally:
        stop.set()
        writer.join()
    found = {int(row["_key"]) for row in desk.rows("", order="_key")}
    assert {n for n in range(1, 401) if n % 10 != 3} <= found
    read, written, dead = desk.counts()
    assert (read, dead) == (written, 0)
    assert read == len(found)
