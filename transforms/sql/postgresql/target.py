"""Which table of PostgreSQL a job means, and how its workers reach it. Plain data; no password is ever part of it.

    postgresql://USER@HOST:PORT/DATABASE/SCHEMA.TABLE?sslmode=verify-full&sslrootcert=FILE

Every part but the last two may be left out where libpq's own variables name it (PGUSER, PGHOST, PGPORT). A host that
is a folder with a socket is written with %2F: postgresql://app@%2Frun%2Fpostgresql/shop/public.orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from transforms.errors import JobError
from transforms.retry import Retry
from transforms.secrets import SecretSource
from transforms.sql.connecting import connected
from transforms.sql.location import Location, written

if TYPE_CHECKING:
    from psycopg import Connection

POSTGRESQL = "postgresql://"
USAGE = f"{POSTGRESQL}USER@HOST:PORT/DATABASE/SCHEMA.TABLE"
INSTALL = "pip install 'firebeam[postgresql]'"

_PASSWORDS = "set PGPASSWORD, write ~/.pgpass"
# None of these is a secret; see "Parameter Key Words" of libpq.
_OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "channel_binding", "gssencmode", "target_session_attrs")
_OLDEST = 130_000
_CONNECT_TIMEOUT_S = 10

# One form of text for every value, whatever the role or the database is set to; and nothing is ever written.
# idle_session_timeout came with 14, and is of no concern within a transaction.
_SETTINGS = """
SET default_transaction_read_only = on; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'iso_8601';
SET timezone = 'UTC'; SET bytea_output = 'hex'; SET extra_float_digits = 1; SET row_security = off;
SET standard_conforming_strings = on; SET statement_timeout = 0; SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0
"""


@dataclass(frozen=True)
class PostgresqlTarget:
    """A table, and how to connect to its server. Picklable.

    Attributes:
      user, host, port: None for what libpq's variables say.
      options: of the connection, as libpq names them.
      password: where the password is; None for PGPASSWORD or ~/.pgpass.
      max_outage_s: how long a server that was reached before may be away.
      retry: of connecting.
    """

    user: str | None
    host: str | None
    port: int | None
    database: str
    schema: str
    table: str
    options: tuple[tuple[str, str], ...] = ()
    password: SecretSource | None = None
    max_outage_s: float = 0
    retry: Retry = Retry()  # noqa: RUF009  # frozen

    @classmethod
    def parse(cls, text: str, flag: str, password: SecretSource | None = None) -> PostgresqlTarget:
        """The table that a flag names.

        >>> PostgresqlTarget.parse("postgresql://app@db:5433/shop/public.orders", "--source").label
        'postgresql://app@db:5433/shop/public.orders'
        >>> PostgresqlTarget.parse("postgresql://app:hunter2@db/shop/orders", "--source")
        Traceback (most recent call last):
        transforms.errors.UsageError: --source must not hold a password, which would end up in logs and in the ledger; set PGPASSWORD, write ~/.pgpass, or pass --source_password=env:NAME

        Raises:
          UsageError: it names none; a text that may hold a password is not shown.
        """  # noqa: E501  # the message is one line
        found = Location.parse(text, flag, POSTGRESQL, USAGE, _PASSWORDS, _OPTIONS)
        schema, has_schema, table = found.table.partition(".")
        if not has_schema:
            schema, table = "public", schema
        names = found.database, unquote(schema), unquote(table)
        return cls(found.user, found.host, found.port, *names, found.options, password)

    @property
    def label(self) -> str:
        """As a location, without options."""
        names = quote(self.database, safe=""), f"{_quoted(self.schema)}.{_quoted(self.table)}"
        return written(POSTGRESQL, self.user, self.host, self.port, *names)

    def connect(self, *, is_known: bool = True) -> Connection:
        """A new connection, read-only, that speaks one form of text.

        Args:
          is_known: whether the server was reached before, so that one that is not there is being restarted.

        Raises:
          JobError: the server, the database or the user is not there, or psycopg is not installed; says what to fix.
          TransientError: the server does not take connections just now.
        """
        try:
            import psycopg
        except ImportError:
            raise JobError(f"PostgreSQL needs a client that is not installed: {INSTALL}") from None
        from transforms.sql.postgresql.failures import meaning

        connection = connected(
            self._connect,
            self.retry,
            self.max_outage_s if is_known else 0,
            catch=psycopg.Error,
            meaning=partial(meaning, self.label, may_be_away=is_known),
        )
        if connection.info.server_version < _OLDEST:
            version = connection.info.parameter_status("server_version")
            connection.close()
            raise JobError(f"{self.label}: the server is PostgreSQL {version}; 13 is the oldest that can be read")
        return connection

    def _connect(self) -> Connection:
        import psycopg

        parameters: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": self.database,
            "application_name": "firebeam",
            "client_encoding": "utf8",
            "connect_timeout": _CONNECT_TIMEOUT_S,
            **dict(self.options),
        }
        if self.password is not None:
            parameters["password"] = self.password.read()
        connection = psycopg.connect(autocommit=True, **parameters)
        connection.execute(_SETTINGS)
        return connection


def _quoted(name: str) -> str:
    return quote(name, safe="").replace(".", "%2E")
