"""The rows of an answer, one packet each, as they come from the server. Imports PyMySQL.

    packet: 3 octets of length, 1 of order, payload          a row's payload: see `row_text.py`

PyMySQL's own cursor takes three times as long for a row, and reads an answer to its end before it lets go of it.
Source: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Protocol, cast

from pymysql.constants import CR
from pymysql.cursors import SSCursor
from pymysql.err import OperationalError, raise_mysql_exception

if TYPE_CHECKING:
    from pymysql.connections import Connection

_LONGEST = 2**24 - 1  # a payload of this length goes on in the next packet
_END, _ERROR = 0xFE, 0xFF
_LONGEST_END = 8


class _Answer(Protocol):
    unbuffered_active: bool


class _Inside(Protocol):
    """What PyMySQL keeps to itself of a cursor and its connection."""

    _result: _Answer | None
    _rfile: IO[bytes]

    def _force_close(self) -> None: ...


class Rows:
    """The rows of an answer, each as its payload; what is left of them can be read by another loop.

    Attributes:
      n_warnings: of the statement, once all rows were read.

    Raises:
      pymysql.Error: the server refuses the statement, or ends it later, or the connection broke.
    """

    def __init__(self, connection: Connection, statement: str):
        self.n_warnings = 0
        self._connection = connection
        cursor = connection.cursor(SSCursor)
        try:
            cursor.execute(statement)
        finally:
            # From here on it is not the cursor who reads.
            if (answer := cast(_Inside, cursor)._result) is not None:
                answer.unbuffered_active = False

    def __iter__(self) -> Iterator[bytes]:
        while True:
            payload = part = self._payload()
            while len(part) == _LONGEST:
                part = self._payload()
                payload += part
            if payload[0] == _ERROR:
                raise_mysql_exception(payload)
            if payload[0] == _END and len(payload) <= _LONGEST_END:
                self.n_warnings = int.from_bytes(payload[1:3], "little")
                return
            yield payload

    def _payload(self) -> bytes:
        read = cast(_Inside, self._connection)._rfile.read
        try:
            header = read(4)
            length = int.from_bytes(header[:3], "little")
            payload = read(length)
        except OSError as error:
            raise self._lost(str(error)) from None
        if len(header) < 4 or len(payload) < length:
            raise self._lost("the server ended it")
        return payload

    def _lost(self, reason: str) -> OperationalError:
        drop(self._connection)
        return OperationalError(CR.CR_SERVER_LOST, f"the connection broke: {reason}")


def drop(connection: Connection) -> None:
    """Ends a connection that cannot be used any more; it may still be closed."""
    cast(_Inside, connection)._force_close()
