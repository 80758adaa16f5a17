"""A table of PostgreSQL: read and made rows of beside the bare loop, exported beside what one would write by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import psycopg
import sqlalchemy

from benchmarks.jobs import run_job
from benchmarks.measure import CaseError, Meter, Sample
from pipeline.emulators.postgresql import postgresql_server
from pipeline.jobs.export import JOB
from transforms.bigquery.schema import Column, TableOptions
from transforms.bigquery.tables import ensure_table
from transforms.bigquery.target import BigQueryTarget
from transforms.export.source_target import table_columns
from transforms.inputs.tables import TableSource
from transforms.retry import Retry
from transforms.runtime.garbage import tune_garbage_collector
from transforms.services import Services
from transforms.sql.database import Database, Part, Selection
from transforms.sql.postgresql.database import PostgresqlTable
from transforms.sql.rows import TableRows

_ROWS = 500
_MAX_BATCH_BYTES = 16 * 1024 * 1024

_CREATE = """
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer int NOT NULL, email text, amount numeric(12,2), rate float8, paid bool, day date,
    created_at timestamp, updated_at timestamptz NOT NULL, tags text[], payload jsonb, note text
)
"""
_FILL = """
INSERT INTO orders
SELECT n, n % 1000, 'user' || n || '@example.com', n % 10000 / 100.0, n / 7.0, n % 2 = 0, date '2026-01-01' + n % 365,
    timestamp '2026-01-01' + n * interval '1 s', timestamptz '2026-01-01' + n * interval '1 ms', ARRAY['a', 'b ' || n],
    jsonb_build_object('n', n, 's', 'x'), CASE WHEN n % 3 = 0 THEN NULL ELSE 'note ' || n END
FROM generate_series(1, {rows}) n
"""


@contextlib.contextmanager
def _orders(rows: int) -> Iterator[Path]:
    """A server with a table of 12 columns; gives the folder of its socket."""
    with postgresql_server() as folder:
        with closing(_connected(folder)) as connection:
            settings = "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"
            indexes = "CREATE INDEX ON orders (updated_at)", "ANALYZE orders"
            for statement in (*settings, _CREATE, _FILL.format(rows=rows), *indexes):
                connection.execute(statement.encode())
        yield folder


def _connected(folder: Path, *, autocommit: bool = True) -> psycopg.Connection:
    return psycopg.connect(host=str(folder), dbname="postgres", user="postgres", autocommit=autocommit)


def _location(folder: Path) -> str:
    return f"postgresql://postgres@{quote(str(folder), safe='')}/postgres/orders"


def copy_bare(rows: int) -> Sample:
    """psycopg's own loop over COPY: the fields of every row as text, and nothing of them."""
    copy = "COPY (SELECT * FROM orders) TO STDOUT"
    with (
        _orders(rows) as folder,
        closing(_connected(folder)) as connection,
        Meter(rows) as meter,
        connection.cursor().copy(copy) as copied,
    ):
        found = sum(1 for _ in copied.rows())
    check_count(found, rows)
    return meter.sample()


def make_rows(rows: int) -> Sample:
    """What an export does before it sends anything: rows of typed columns, in batches."""
    tune_garbage_collector()
    with _orders(rows) as folder:
        table = PostgresqlTable.parse(_location(folder), "--source")
        declared = table.describe("--source")
        selection = Selection(declared, declared.key, in_order=True)
        return rows_made(table, selection, rows)


def rows_made(table: Database, selection: Selection, rows: int) -> Sample:
    """Reads a table in batches, and makes their rows."""
    declared = selection.table
    source = TableSource(table, selection, None, _ROWS, _MAX_BATCH_BYTES, lambda part: (0, ""), lambda: False, Retry())
    maker = TableRows(declared, table_columns(declared.columns), table.items, typed=False)
    with Meter(rows) as meter:
        pages = (batch.entries[0].page for batch in source.batches((Part(0),)))
        found = sum(len(maker.rows(page.keys, page.rows, {"_batch": page.batch_id})) for page in pages)
    check_count(found, rows)
    return meter.sample()


def export(rows: int, project: str, bigquery_table: str) -> Sample:
    """Exports the table, and checks that both sides have as many rows."""
    with _orders(rows) as folder:
        return _export(folder, rows, rows, project, bigquery_table)


def export_unchanged(rows: int, project: str, bigquery_table: str) -> Sample:
    """An incremental run of a table in which nothing has changed since the run before, whose time is beside it."""
    cursor = ["--mode=incremental", "--cursor_field=updated_at", "--lookback_s=0"]
    with _orders(rows) as folder:
        full = _export(folder, rows, rows, project, bigquery_table, *cursor)
        sample = _export(folder, rows, None, project, bigquery_table, *cursor)
    sample.extra["of_full_wall"] = round(sample.wall_s / full.wall_s, 3)
    return sample


def _export(folder: Path, rows: int, expected: int | None, project: str, bigquery_table: str, *flags: str) -> Sample:
    named = [f"--source={_location(folder)}", f"--project={project}", f"--bigquery_table={bigquery_table}"]
    meter, summary = run_job(JOB, rows, [*named, "--bigquery_method=INSERT_ROWS", *flags])
    if summary["results"].get("rows_latest") != rows or (expected is not None and summary["read"] != expected):
        raise CaseError(f"export should have {rows} rows on both sides: {summary}")
    return meter.sample(first_result_s=summary["first_result_s"])


def export_by_hand(rows: int, project: str, bigquery_table: str) -> Sample:
    """SQLAlchemy's rows and insert_rows_json; types as they come, no snapshot, no check."""
    target = BigQueryTarget.parse(bigquery_table, Services.of())
    with _orders(rows) as folder:
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://", creator=partial(_connected, folder, autocommit=False)
        )
        with engine.connect() as connection:
            names = connection.execute(sqlalchemy.text("SELECT * FROM orders LIMIT 0")).keys()
        bigquery = target.client()
        ensure_table(target, [Column(name, "STRING") for name in names], TableOptions(), client=bigquery)
        sent = 0
        with Meter(rows) as meter, engine.connect() as connection:
            found = connection.execution_options(stream_results=True).execute(sqlalchemy.text("SELECT * FROM orders"))
            while block := list(islice(found.mappings(), _ROWS)):
                texts = [{name: None if value is None else str(value) for name, value in row.items()} for row in block]
                if errors := bigquery.insert_rows_json(target.id, texts):
                    raise CaseError(f"insert_rows_json: {errors[0]}")
                sent += len(block)
    check_count(sent, rows)
    return meter.sample()


def check_count(found: int, rows: int) -> None:
    """Raises CaseError unless all rows came through."""
    if found != rows:
        raise CaseError(f"{found} of {rows} rows came through")
