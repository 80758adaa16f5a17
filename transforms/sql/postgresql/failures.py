"""What a failed request to PostgreSQL means, in the words of `transforms.errors`: one line, with what to fix.

Source of the codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from transforms.errors import FirebeamError, JobError, TransientError

if TYPE_CHECKING:
    import psycopg

_MAX_TEXT = 300
# Classes of codes: connection exceptions, insufficient resources, operator intervention, system errors, rollbacks.
_TRANSIENT_CLASSES = frozenset({"08", "53", "57", "58", "40"})
_BY_CODE = {
    "42501": "grant it: GRANT SELECT ON the table TO the user, and USAGE on its schema; rows that row-level security "
    "hides need a user with BYPASSRLS",
    "22023": "the run's snapshot is gone; run the command again",
    "42704": "the run's snapshot is gone; run the command again",
    "42703": "the table has changed; run the command again",
    "42P01": "the table is gone; run the command again",
}
# While connecting there is no code; the words are libpq's and the server's.
_BY_WORDS = (
    ("no password supplied", "set PGPASSWORD, write ~/.pgpass, or pass --source_password=env:NAME"),
    ("password authentication failed", "check user and password (PGPASSWORD, ~/.pgpass, --source_password)"),
    ("no pg_hba.conf entry", "allow this computer and user in the server's pg_hba.conf, or check sslmode"),
    ("database", "check the name of the database"),
    ("role", "check the name of the user"),
    ("could not translate host name", "check the host"),
    ("name or service not known", "check the host"),
    ("does not support ssl", "leave sslmode=require out, or switch TLS on in the server"),
    ("certificate", "check sslmode and sslrootcert"),
    ("connection refused", "check host and port, and that the server runs"),
    ("no such file or directory", "check the folder of the socket, and that the server runs"),
    ("timeout", "check host, port and firewall"),
)
# Of these a server says nothing that is just being restarted, or that cannot be reached for a while.
_AWAY = ("connection refused", "no such file or directory", "timeout", "server closed the connection", "translate host")


@contextlib.contextmanager
def explained(label: str) -> Iterator[None]:
    """Raises what went wrong in a block with the table's location before it.

    Raises:
      JobError: somebody has to fix something.
      TransientError: the server was restarted, is full, or the connection broke.
    """
    import psycopg  # only who reads a table needs it to be installed

    try:
        yield
    except psycopg.Error as error:
        raise meaning(label, error) from None


def meaning(label: str, error: psycopg.Error, *, may_be_away: bool = True) -> FirebeamError:
    """What to raise for an error.

    Args:
      may_be_away: whether a server that is not there was there before.
    """
    from psycopg import OperationalError

    code = error.sqlstate or ""
    text = " ".join(str(error).split())[:_MAX_TEXT].rstrip(".")
    if code:
        if code[:2] in _TRANSIENT_CLASSES:
            return TransientError(f"{label}: {text}")
        hint = _BY_CODE.get(code, "")
    else:
        lower = text.lower()
        hint = next((hint for words, hint in _BY_WORDS if words in lower), "")
        if may_be_away and any(words in lower for words in _AWAY):
            return TransientError(f"{label}: {text}")
        if isinstance(error, OperationalError) and not hint:
            return TransientError(f"{label}: {text}")
    return JobError(f"{label}: {text}; {hint}" if hint else f"{label}: {text}")
