"""A real MariaDB server in a folder of its own, and databases that nobody else has."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.emulators.mariadb import INSTALL, mariadb_server, missing_program
from pipeline.emulators.processes import LOOPBACK
from tests.support.certificates import write_certificate
from transforms.sql.columns import SourceTable
from transforms.sql.mysql.database import MysqlTable

_NUMBERS = itertools.count()


class MariaServer(NamedTuple):
    """A server.

    Attributes:
      certificate: a file with its certificate, and its key.
    """

    port: int
    certificate: Path


class MariaDatabase:
    """An empty database.

    Attributes:
      port: of the server.
      certificate: a file with that of the server.
    """

    def __init__(self, server: MariaServer, name: str):
        self.server, self.port, self.certificate, self.name = server, server.port, server.certificate, name

    def connect(self, **more: Any) -> Any:
        """A connection that commits every statement, by default as root."""
        import pymysql

        parameters: dict[str, Any] = {"user": "root", "autocommit": True, "ssl_disabled": True, **more}
        return pymysql.connect(host=LOOPBACK, port=self.port, database=self.name, **parameters)

    def execute(self, *statements: str) -> None:
        """Executes statements, each in a transaction of its own, in UTC and whatever the values are."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = 'ALLOW_INVALID_DATES', SESSION time_zone = '+00:00'")
            for statement in statements:
                cursor.execute(statement)

    def user(self, *grants: str, password: str = "") -> str:
        """A user who has these rights on this database, or `*.*`; the name is his alone."""
        name = f"user_{next(_NUMBERS)}"
        self.execute(f"CREATE USER {name}@'%' IDENTIFIED BY '{password}'")
        self.execute(*(f"GRANT {grant} TO {name}@'%'" for grant in grants))
        return name

    def location(self, table: str, user: str = "root") -> str:
        """As a flag names a table. A context for TLS takes 30 ms, which is long where tables have a few rows."""
        return f"mysql://{user}@{LOOPBACK}:{self.port}/{self.name}/{table}?ssl_disabled=true"

    def table(self, name: str, user: str = "root") -> MysqlTable:
        """A table."""
        return MysqlTable.parse(self.location(name, user), "--source", None, 0)

    def described(self, name: str) -> SourceTable:
        """What a table declares."""
        return self.table(name).describe("--source")


@contextlib.contextmanager
def running_mariadb() -> Iterator[MariaServer]:
    """A server. Skips where there is no MariaDB, or fails where everything must be there."""
    if missing := missing_program():
        reason = f"needs {missing}: {INSTALL}"
        if os.environ.get("FIREBEAM_REQUIRE_EMULATORS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder) / "server.pem"
        write_certificate(certificate)
        with mariadb_server(certificate) as port:
            yield MariaServer(port, certificate)


def new_mariadb(server: MariaServer) -> MariaDatabase:
    """A database of a server."""
    import pymysql

    name = f"test_{next(_NUMBERS)}"
    with closing(pymysql.connect(host=LOOPBACK, port=server.port, user="root", ssl_disabled=True)) as connection:
        connection.cursor().execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    return MariaDatabase(server, name)
