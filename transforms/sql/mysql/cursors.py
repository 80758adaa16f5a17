"""From where the next incremental run of a table of MySQL or MariaDB is to begin, such that it skips nothing.

    other transactions ─ looked at, before the snapshot ─▶ how long the oldest has run ─▶ greatest value less that

A row that is committed after the snapshot may carry a time from before it. So the next run begins where the oldest
transaction that was open at the snapshot began. `information_schema.innodb_trx` shows them, in whole seconds, to users
with PROCESS; it is hidden from others, and a replica does not know those of its primary. Then only `--lookback_s`
bounds what may be missed, and `is_blind` says so.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, NamedTuple

from transforms.sql.columns import SourceTable
from transforms.sql.mysql.catalogue import rows
from transforms.sql.mysql.failures import NO_RIGHT, number_of
from transforms.sql.mysql.types import quoted

if TYPE_CHECKING:
    from pymysql.connections import Connection

# The times are those of the server's own clock, whatever time zone the session has.
_OLDEST = """
SELECT COALESCE(TIMESTAMPDIFF(SECOND, MIN(trx_started), CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')), 0)
FROM information_schema.innodb_trx WHERE trx_mysql_thread_id <> CONNECTION_ID()
"""
_ROUNDED = datetime.timedelta(seconds=1)
# No clock of a person is further ahead of UTC than this: a later DATETIME is not one at which a row was written.
_AHEAD_S = {"DATETIME": 14 * 3600, "TIMESTAMP": 0}
_FIRST_DATE = "1000-01-01"  # what is before it, 0000-00-00 above all, is not a time at which something was written


class Open(NamedTuple):
    """The transactions of others at a moment.

    Attributes:
      oldest: when the oldest began, in UTC; the moment itself if there is none.
      is_blind: whether some may be hidden.
    """

    oldest: datetime.datetime
    is_blind: bool


def look_at_transactions(connection: Connection) -> Open:
    """The transactions of others. Raises pymysql.Error."""
    import pymysql

    now, is_replica = moment(connection), rows(connection, "SELECT @@global.read_only")[0][0] != "0"
    try:
        ((age_s,),) = rows(connection, _OLDEST)
    except pymysql.Error as error:
        if number_of(error) not in NO_RIGHT:
            raise
        return Open(now, is_blind=True)
    age = datetime.timedelta(seconds=max(0, int(age_s or 0)))
    return Open(now - age - _ROUNDED, is_replica)


def moment(connection: Connection) -> datetime.datetime:
    """The server's clock, in UTC. Raises pymysql.Error."""
    text = str(rows(connection, "SELECT UTC_TIMESTAMP(6)")[0][0])
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)


def greatest(connection: Connection, table: SourceTable, field: str, lag: datetime.timedelta) -> str | None:
    """The greatest value of a field, less a lag; None where no row has one.

    A time of a wrong clock, such as 9999-12-31, is passed over: else it would hide all that is written until then.

    Raises:
      pymysql.Error: the server refuses, or does not answer.
    """
    column = table.column(field)
    assert column is not None, "the cursor was checked"
    name = quoted(field)
    ahead_s, lag_us = _AHEAD_S[column.type], lag // datetime.timedelta(microseconds=1)
    statement = (
        f"SELECT MAX({name}) - INTERVAL {lag_us} MICROSECOND FROM {table.relation} "  # noqa: S608  # quoted
        f"WHERE {name} >= '{_FIRST_DATE}' AND {name} <= UTC_TIMESTAMP(6) + INTERVAL {ahead_s} SECOND"
    )
    return rows(connection, statement)[0][0]


def beyond(field: str, cursor: str, lookback_s: int) -> str:
    """The condition on rows that may have changed since the run that left a cursor; rows without a time are among them.

    >>> beyond("at", "2026-01-31 00:00:00.500000", 60)
    "(`at` >= '2026-01-30 23:59:00.500000' OR `at` < '1000-01-01' OR `at` IS NULL)"
    """
    since = datetime.datetime.fromisoformat(cursor) - datetime.timedelta(seconds=lookback_s)
    name = quoted(field)
    return f"({name} >= '{since.isoformat(' ', 'microseconds')}' OR {name} < '{_FIRST_DATE}' OR {name} IS NULL)"
