"""Whether a container can be read, asked before a job begins: one line with the fix if not.

account ──▶ one region accepts writes? ──▶ database ──▶ container ──▶ Properties
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from transforms.cosmos.connection import Connection, Properties
from transforms.cosmos.failures import failures, status_error
from transforms.cosmos.target import ENDPOINT_VARIABLE, CosmosTarget
from transforms.errors import JobError, TransientError, UsageError

_SHOWN_NAMES = 3
_FORBIDDEN = 403


def check_container(target: CosmosTarget) -> Properties:
    """The container's properties.

    Raises:
      UsageError: there is no such account, database or container; names those that are like it.
      JobError: the key, the identity or the firewall keeps it closed, or several regions accept writes.
    """
    connection = target.connect()
    _check_name("database", target.database, connection, check_account(target))
    database = connection.client.get_database_client(target.database)
    _check_name("container", target.container, connection, _names(connection, database.list_containers))
    return connection.properties


def check_account(target: CosmosTarget) -> list[str] | None:
    """The names of the account's databases; None if this identity may not list them.

    Raises:
      JobError: as `check_container`.
    """
    connection = target.connect()
    try:
        regions = _write_regions(connection)
    except TransientError as error:
        raise JobError(f"{error}. Nobody answers as this account: is {ENDPOINT_VARIABLE} its address?") from None
    if len(regions) > 1:
        raise JobError(
            f"{target.label}: several regions of the account accept writes ({', '.join(regions)}), so versions have no "
            "order: turn multi-region writes off while the migration runs"
        )
    return _names(connection, connection.client.list_databases)


def _write_regions(connection: Connection) -> list[str]:
    account = connection.ask(lambda hook: connection.client.get_database_account()).value
    return [region["name"] for region in account.WritableLocations]


def _names(connection: Connection, listed: Callable[[], Iterable[Any]]) -> list[str] | None:
    def request(hook: object) -> list[str] | None:
        try:
            return [each["id"] for each in listed()]
        except failures() as error:
            refused = status_error(error)
            if refused is not None and refused.status == _FORBIDDEN:
                return None  # identities of Entra ID may read items, not names
            raise

    return connection.ask(request).value


def _check_name(kind: str, name: str, connection: Connection, names: list[str] | None) -> None:
    """Raises UsageError unless there is one of that name, as far as this identity may list them."""
    if names is None or name in names:
        return
    close = difflib.get_close_matches(name, names, _SHOWN_NAMES, 0.5) or sorted(names)[:_SHOWN_NAMES]
    there = f"; there is {', '.join(close)}" if close else ""
    raise UsageError(f"{connection.label}: the account has no {kind} {name!r}{there}")
