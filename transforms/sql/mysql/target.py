"""Which table of MySQL or MariaDB a job means, and how its workers reach it. Plain data; no password is part of it.

    mysql://USER@HOST:PORT/DATABASE/TABLE?ssl_ca=FILE&ssl_verify_identity=true

Without a user it is that of the operating system, without a host localhost, without a port 3306. A host that is a
socket is written with %2F: mysql://app@%2Frun%2Fmysqld%2Fmysqld.sock/shop/orders.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from transforms.errors import JobError, UsageError
from transforms.retry import Retry
from transforms.secrets import SecretSource
from transforms.sql.connecting import connected
from transforms.sql.location import Location, written

if TYPE_CHECKING:
    from pymysql.connections import Connection

MYSQL = "mysql://"
USAGE = f"{MYSQL}USER@HOST:PORT/DATABASE/TABLE"
INSTALL = "pip install 'firebeam[mysql]'"
PASSWORD_VARIABLE = "MYSQL_PWD"  # noqa: S105  # as the server's own clients call it

_PASSWORDS = f"set {PASSWORD_VARIABLE}"
# As PyMySQL names them; ssl_key_password is a secret and not among them.
_FILES = ("ssl_ca", "ssl_cert", "ssl_key")
_SWITCHES = ("ssl_verify_cert", "ssl_verify_identity", "ssl_disabled")
_VERSION = re.compile(r"(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)")
_MARIADB = "mariadb"
_OLDEST = {True: (10, 6), False: (8, 0)}
_CONNECT_TIMEOUT_S = 10
_PAUSE_OF_READER_S = 86_400  # how long the server waits for a reader whose rows BigQuery has not yet taken

# One form of text for every value, whatever the server is set to; and nothing is ever written.
_SETTINGS = (
    "SET SESSION sql_mode = ''",
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET SESSION TRANSACTION READ ONLY",
    f"SET SESSION net_write_timeout = {_PAUSE_OF_READER_S}, SESSION wait_timeout = {_PAUSE_OF_READER_S}",
)
_SETTINGS_OF_MARIADB = ("SET SESSION max_statement_time = 0, SESSION idle_transaction_timeout = 0",)
_SETTINGS_OF_MYSQL = ("SET SESSION max_execution_time = 0",)


@dataclass(frozen=True)
class MysqlTarget:
    """A table, and how to connect to its server. Picklable.

    Attributes:
      user, host, port: None for the defaults.
      options: of TLS, as PyMySQL names them.
      password: where the password is; None for MYSQL_PWD.
      max_outage_s: how long a server that was reached before may be away.
      retry: of connecting.
    """

    user: str | None
    host: str | None
    port: int | None
    database: str
    table: str
    options: tuple[tuple[str, str], ...] = ()
    password: SecretSource | None = None
    max_outage_s: float = 0
    retry: Retry = Retry()  # noqa: RUF009  # frozen

    @classmethod
    def parse(cls, text: str, flag: str, password: SecretSource | None = None) -> MysqlTarget:
        """The table that a flag names.

        >>> MysqlTarget.parse("mysql://app@db:3307/shop/orders?ssl_verify_identity=true", "--source").label
        'mysql://app@db:3307/shop/orders'
        >>> MysqlTarget.parse("mysql://app:hunter2@db/shop/orders", "--source")
        Traceback (most recent call last):
        transforms.errors.UsageError: --source must not hold a password, which would end up in logs and in the ledger; set MYSQL_PWD, or pass --source_password=env:NAME

        Raises:
          UsageError: it names none; a text that may hold a password is not shown.
        """  # noqa: E501  # the message is one line
        found = Location.parse(text, flag, MYSQL, USAGE, _PASSWORDS, (*_FILES, *_SWITCHES))
        for name, value in found.options:
            if name in _SWITCHES and value not in ("true", "false"):
                raise UsageError(f"{flag}: {name} must be true or false, got {value!r}")
        return cls(found.user, found.host, found.port, found.database, unquote(found.table), found.options, password)

    @property
    def label(self) -> str:
        """As a location, without options."""
        names = (quote(self.database, safe=""), quote(self.table, safe=""))
        return written(MYSQL, self.user, self.host, self.port, *names)

    def connect(self, *, is_known: bool = True) -> Connection:
        """A new connection, read-only, that speaks one form of text, as bytes.

        Args:
          is_known: whether the server was reached before, so that one that is not there is being restarted.

        Raises:
          JobError: the server, the database or the user is not there, or PyMySQL is not installed; says what to fix.
          TransientError: the server does not take connections just now.
        """
        try:
            import pymysql
        except ImportError:
            raise JobError(f"MySQL needs a client that is not installed: {INSTALL}") from None
        from transforms.sql.mysql.failures import meaning

        return connected(
            self._connect,
            self.retry,
            self.max_outage_s if is_known else 0,
            catch=pymysql.Error,
            meaning=partial(meaning, self.label, may_be_away=is_known),
        )

    def _connect(self) -> Connection:
        from pymysql.connections import Connection
        from pymysql.converters import conversions

        password = self.password.read() if self.password else os.environ.get(PASSWORD_VARIABLE, "")
        where = {"unix_socket": self.host} if (self.host or "").startswith("/") else {"host": self.host}
        parameters: dict[str, Any] = {
            **where,
            "port": self.port or 0,
            "user": self.user,
            "password": password.encode(),
            "database": self.database,
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "program_name": "firebeam",
            "charset": "utf8mb4",
            "autocommit": True,
            # Of values that are sent, but none of those that are read: they stay as the server writes them.
            "conv": {key: convert for key, convert in conversions.items() if not isinstance(key, int)},
            "use_unicode": False,
            **{name: value == "true" if name in _SWITCHES else value for name, value in self.options},
        }
        try:
            connection = Connection(**parameters)
        except OSError as error:  # of a file; what the network says is an error of PyMySQL
            raise JobError(f"{self.label}: {error.strerror or error}; check {', '.join(_FILES)}") from None
        except RuntimeError as error:  # for this way to sign in PyMySQL needs one more package
            raise JobError(f"{self.label}: {error}; {INSTALL}") from None
        version = connection.get_server_info()
        match, of_mariadb = _VERSION.match(version), is_mariadb(connection)
        if match is None or (int(match[1]), int(match[2])) < _OLDEST[of_mariadb]:
            connection.close()
            raise JobError(
                f"{self.label}: the server is {version}; MySQL 8.0 and MariaDB 10.6 are the oldest that can be read"
            )
        with connection.cursor() as cursor:
            for statement in (*_SETTINGS, *(_SETTINGS_OF_MARIADB if of_mariadb else _SETTINGS_OF_MYSQL)):
                cursor.execute(statement)
        return connection


def is_mariadb(connection: Connection) -> bool:
    """Whether the server is MariaDB, of which some things are said in another way."""
    return _MARIADB in connection.get_server_info().lower()
