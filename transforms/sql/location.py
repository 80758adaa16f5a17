"""The location of a table of a database server, as flags name it. Plain data; a password has no place in it.

    SCHEME://USER@HOST:PORT/DATABASE/TABLE?option=value

Characters that mean something here are written with %: a host that is a socket is %2Frun%2Fmysqld%2Fmysqld.sock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from transforms.errors import UsageError

_LOCATION = re.compile(
    r"(?:(?P<user>[^@/?]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@:/?]*)(?::(?P<port>[0-9]{1,5}))?"
    r"/(?P<database>[^/?]+)/(?P<table>[^/?]+)(?:\?(?P<options>.*))?"
)


class Location(NamedTuple):
    """The parts of a location.

    Attributes:
      user, host, port: None where they are left out.
      table: still quoted: a point in it may part two names.
    """

    user: str | None
    host: str | None
    port: int | None
    database: str
    table: str
    options: tuple[tuple[str, str], ...]

    @classmethod
    def parse(
        cls, text: str, flag: str, scheme: str, usage: str, where_passwords_are: str, options: Sequence[str]
    ) -> Location:
        """The location that a flag names.

        Args:
          usage: how to write one.
          where_passwords_are: what to do instead of writing one here, but for a flag of that name.
          options: names of those that there are.

        Raises:
          UsageError: it names none; a text that may hold a password is not shown.
        """
        rest = text.removeprefix(scheme)
        before_host, has_user, _ = rest.rpartition("@")
        if (has_user and (":" in before_host or "@" in before_host)) or "password=" in rest.lower():
            raise UsageError(
                f"{flag} must not hold a password, which would end up in logs and in the ledger; "
                f"{where_passwords_are}, or pass {flag}_password=env:NAME"
            )
        match = _LOCATION.fullmatch(rest)
        if match is None:
            raise UsageError(f"{flag} must be {usage}, got {text!r}")
        given = tuple(parse_qsl(match["options"] or "", keep_blank_values=True))
        if unknown := next((name for name, _ in given if name not in options), None):
            raise UsageError(f"{flag}: there is no option {unknown}; choose from {', '.join(options)}")
        return cls(
            unquote(match["user"]) if match["user"] else None,
            unquote(match["host"]).strip("[]") or None,
            int(match["port"]) if match["port"] else None,
            unquote(match["database"]),
            match["table"],
            given,
        )


def written(scheme: str, user: str | None, host: str | None, port: int | None, *names: str) -> str:
    """A location without options.

    >>> written("mysql://", "app", "/run/db.sock", None, "shop", "orders")
    'mysql://app@%2Frun%2Fdb.sock/shop/orders'
    >>> written("mysql://", None, "::1", 3307, "shop", "orders")
    'mysql://[::1]:3307/shop/orders'

    Args:
      names: already quoted.
    """
    host = quote(host or "", safe=":")
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}{quote(user, safe='') + '@' if user else ''}{host}{f':{port}' if port else ''}/{'/'.join(names)}"
