"""A table of MariaDB: read and made rows of beside PyMySQL's bare loop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import closing

import pymysql
from pymysql.cursors import SSCursor

from benchmarks.measure import Meter, Sample
from benchmarks.source_cases import check_count, rows_made
from pipeline.emulators.mariadb import mariadb_server
from pipeline.emulators.processes import LOOPBACK
from transforms.runtime.garbage import tune_garbage_collector
from transforms.sql.database import Selection
from transforms.sql.mysql.database import MysqlTable

_DATABASE = "bench"
_CREATE = """
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer int NOT NULL, email varchar(100), amount decimal(12,2), rate double, paid bit(1),
    day date, created_at datetime, updated_at timestamp(6) NOT NULL, kind enum('a','b'), payload json, note text
)
"""
_FILL = """
INSERT INTO orders
SELECT seq, seq % 1000, CONCAT('user', seq, '@example.com'), seq % 10000 / 100, seq / 7, seq % 2,
    '2026-01-01' + INTERVAL seq % 365 DAY, '2026-01-01' + INTERVAL seq SECOND,
    '2026-01-01' + INTERVAL seq * 1000 MICROSECOND, IF(seq % 2, 'a', 'b'), JSON_OBJECT('n', seq, 's', 'x'),
    IF(seq % 3 = 0, NULL, CONCAT('note ', seq))
FROM seq_1_to_{rows}
"""


@contextlib.contextmanager
def _orders(rows: int) -> Iterator[int]:
    """A server with a table of 12 columns; gives its port."""
    with mariadb_server() as port:
        with closing(_connected(port, None)) as connection, connection.cursor() as cursor:
            for statement in (f"CREATE DATABASE {_DATABASE}", f"USE {_DATABASE}", _CREATE, _FILL.format(rows=rows)):
                cursor.execute(statement)
        yield port


def _connected(port: int, database: str | None = _DATABASE) -> pymysql.connections.Connection:
    return pymysql.connect(
        host=LOOPBACK, port=port, user="root", database=database, autocommit=True, ssl_disabled=True, conv={}
    )


def select_bare(rows: int) -> Sample:
    """PyMySQL's own loop over rows as they come, without decoders: the fields as text, and nothing of them."""
    with (
        _orders(rows) as port,
        closing(_connected(port)) as connection,
        connection.cursor(SSCursor) as cursor,
        Meter(rows) as meter,
    ):
        cursor.execute("SELECT * FROM orders")
        found = sum(1 for _ in cursor)
    check_count(found, rows)
    return meter.sample()


def make_rows(rows: int) -> Sample:
    """What an export does before it sends anything: rows of typed columns, in batches."""
    tune_garbage_collector()
    with _orders(rows) as port:
        location = f"mysql://root@{LOOPBACK}:{port}/{_DATABASE}/orders?ssl_disabled=true"
        table = MysqlTable.parse(location, "--source", None, 0)
        declared = table.describe("--source")
        return rows_made(table, Selection(declared, declared.key, in_order=True), rows)
