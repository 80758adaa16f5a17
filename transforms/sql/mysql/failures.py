"""What a failed request to MySQL or MariaDB means, in the words of `transforms.errors`: one line, with what to fix.

Source of the numbers: https://dev.mysql.com/doc/mysql-errors/8.0/en/ and https://mariadb.com/kb/en/mariadb-error-codes/
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from transforms.errors import FirebeamError, JobError, TransientError

if TYPE_CHECKING:
    import pymysql

LOCK_WAIT_TIMEOUT = 1205
INTERRUPTED = 1317
NO_RIGHT = frozenset({1044, 1142, 1143, 1227})

_MAX_TEXT = 300
# Too many connections, shutting down, aborted connections, deadlocks, lock waits; killed; a connection that is lost.
_FULL_OR_ENDING = {
    1040,
    1053,
    1077,
    1078,
    1079,
    1152,
    1158,
    1159,
    1160,
    1161,
    1184,
    1203,
    LOCK_WAIT_TIMEOUT,
    1213,
    1226,
}
_TRANSIENT = frozenset({*_FULL_OR_ENDING, INTERRUPTED, 1927, 1969, 2006, 2013, 2055, 3024})
_OF_THE_CLIENT = range(2000, 3000)
_CHANGED = "the table has changed; run the command again"
_BY_NUMBER = {
    1044: "check the name of the database, and grant it: GRANT SELECT ON the table TO the user",
    1045: "check user and password (MYSQL_PWD, --source_password)",
    1049: "check the name of the database",
    1054: _CHANGED,
    1130: "allow this computer in the user's account: CREATE USER 'user'@'host'",
    1142: "grant it: GRANT SELECT ON the table TO the user",
    1143: "columns are hidden from the user; grant all of them: GRANT SELECT ON the table TO the user",
    1146: "the table is gone; run the command again",
    1412: _CHANGED,
    1698: "check user and password (MYSQL_PWD, --source_password)",
    3159: "the server wants TLS: leave ssl_disabled=true out",
    2059: "the account's way to sign in is not supported; choose caching_sha2_password or mysql_native_password",
}
# Of the connection there is one number; the words are Python's and OpenSSL's.
_BY_WORDS = (
    ("name or service not known", "check the host"),
    ("nodename nor servname", "check the host"),
    ("name resolution", "check the host"),
    ("connection refused", "check host and port, and that the server runs"),
    ("no such file or directory", "check the path of the socket, and that the server runs"),
    ("timed out", "check host, port and firewall"),
    ("certificate", "check ssl_ca, and that the host is the one that the certificate names"),
    ("doesn't support", "leave the ssl options out, or switch TLS on in the server"),
    ("ssl", "check the server's TLS, and ssl_ca"),
)
_AWAY = ("connection refused", "no such file or directory", "timed out", "connection reset")


@contextlib.contextmanager
def explained(label: str) -> Iterator[None]:
    """Raises what went wrong in a block with the table's location before it.

    Raises:
      JobError: somebody has to fix something.
      TransientError: the server was restarted, is full, or the connection broke.
    """
    import pymysql  # only who reads a table needs it to be installed

    try:
        yield
    except pymysql.Error as error:
        raise meaning(label, error) from None


def number_of(error: pymysql.Error) -> int:
    """The server's or the client's number; 0 for none."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def meaning(label: str, error: pymysql.Error, *, may_be_away: bool = True) -> FirebeamError:
    """What to raise for an error.

    Args:
      may_be_away: whether a server that is not there was there before.
    """
    from pymysql import InterfaceError, OperationalError

    number = number_of(error)
    text = " ".join(str(error.args[-1] if error.args else error).split())[:_MAX_TEXT].rstrip(".")
    lower = text.lower()
    if number in _TRANSIENT or (may_be_away and any(words in lower for words in _AWAY)):
        return TransientError(f"{label}: {text}")
    hint = _BY_NUMBER.get(number) or next((hint for words, hint in _BY_WORDS if words in lower), "")
    if number in _OF_THE_CLIENT and isinstance(error, (OperationalError, InterfaceError)) and not hint:
        return TransientError(f"{label}: {text}")
    return JobError(f"{label}: {text}; {hint}" if hint else f"{label}: {text}")
