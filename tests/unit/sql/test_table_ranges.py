"""A table read in ranges of its key, on a real PostgreSQL: interrupted, with a writer, while the server restarts."""

import itertools
import random
from contextlib import closing
from pathlib import Path

from tests.support.postgresql import Database, restarted, running_server
from transforms.inputs.tables import TableSource, lanes, position_of_text
from transforms.retry import Clock, Retry
from transforms.sql.database import Part, Selection

PATIENT = Retry(max_attempts=50, initial_s=0.1, max_s=0.1, clock=Clock(random=lambda: 1.0))


class Progress:
    """What a ledger knows of the parts: ids given, and the position behind the batches that are done."""

    def __init__(self):
        self.parts: dict[str, tuple[int, str]] = {}

    def __call__(self, part: str) -> tuple[int, str]:
        return self.parts.get(part, (0, ""))

    def begin(self, batch) -> None:
        part, _, ordinal = batch.batch_id.rpartition("-")
        self.parts[part] = int(ordinal) + 1, self(part)[1]

    def complete(self, batch) -> None:
        part = batch.batch_id.rpartition("-")[0]
        self.parts[part] = self(part)[0], batch.behind


def source_of(database: Database, read_before=lambda part: (0, ""), condition: str = "") -> TableSource:
    """The table `t`, without a snapshot."""
    table, described = database.table("t"), database.described("t")
    selection = Selection(described, described.key, condition, in_order=True)
    return TableSource(table, selection, None, 50, 1 << 20, read_before, lambda: False, PATIENT)


def parts_of(database: Database, *cuts: int) -> list[Part]:
    """Ranges of the table `t`."""
    described = database.described("t")
    return database.table("t").ranges(described, described.key, [(str(cut),) for cut in cuts])


def test_rows_that_are_there_all_the_time_are_read_once_however_often_the_run_is_interrupted(database):
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, filler text)",
        "INSERT INTO t SELECT n, 'x' FROM generate_series(1, 3000) n",
    )
    chance, progress, rows, tried = random.Random(7), Progress(), [], 0
    with closing(database.connect()) as writer:
        while True:
            tried += 1
            batches = (
                batch
                for lane in lanes(parts_of(database, 1000, 2000), 2)
                for batch in source_of(database, progress).batches(lane)
            )
            is_over = True
            for number, batch in enumerate(batches):
                progress.begin(batch)
                writer.execute("UPDATE t SET filler = filler || 'y' WHERE id % 7 = 0")
                writer.execute("DELETE FROM t WHERE id %% 10 = 3 AND id > %s", (chance.randrange(3000),))
                writer.execute("INSERT INTO t VALUES (%s, 'new')", (4000 + len(rows) + tried * 10_000,))
                if number == chance.randrange(1, 9):  # nobody learns that it is done
                    is_over = False
                    break
                progress.complete(batch)
                rows += [int(entry.key) for entry in batch.entries]
            batches.close()
            if is_over:
                break
    assert tried > 3
    assert len(rows) == len(set(rows))
    assert {n for n in range(1, 3001) if n % 10 != 3} <= set(rows)


def test_a_batch_that_was_not_done_never_gets_its_id_back(database):
    database.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 120)")
    progress = Progress()
    first, second = itertools.islice(source_of(database, progress).batches((Part(0),)), 2)
    progress.begin(first)
    progress.complete(first)
    progress.begin(second)
    again, last = source_of(database, progress).batches((Part(0),))
    assert [batch.batch_id[-5:] for batch in (first, second, again, last)] == ["00000", "00001", "00002", "00003"]
    assert [entry.key for entry in again.entries] == [entry.key for entry in second.entries]
    assert position_of_text(again.behind) == ("100",)
    assert again.entries[0].position > second.entries[-1].position


def test_a_server_that_restarts_is_waited_for_and_read_on_behind_the_last_batch():
    with running_server() as folder:
        database = Database(Path(folder), "postgres")
        database.execute(
            "CREATE TABLE t (id int PRIMARY KEY, filler text)",
            "INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n",
        )
        batches = source_of(database).batches((Part(0),))
        found = [next(batches)]
        with restarted(folder):
            found += batches
    assert [int(entry.key) for batch in found for entry in batch.entries] == list(range(1, 20001))
