"""What `firebeam doctor --source` looks at: a table of a database, or files. Each probe says what it found, or raises.

source ─┬─ table: server and size ─▶ columns, key, rows may be read, snapshot, what an incremental run can go by
        └─ files: how many, how large
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import cached_property

from pipeline.locations import is_table, table_source
from transforms.errors import JobError, UsageError
from transforms.secrets import parse_secret
from transforms.sql.columns import SourceTable
from transforms.sql.database import Database, Part, Selection

_FLAG = "--source"
_NONE = "FALSE"
_XMIN = "xmin"
_MOST_COLUMNS = 20  # that a line names


class Source:
    """One location.

    Args:
      location: as a flag names it.
      password: where that of a database is; None for what its client takes.
    """

    def __init__(self, location: str, password: str | None):
        self._location, self._password = location, password

    def reach(self) -> str:
        """The server and the table, or the files."""
        if not is_table(self._location):
            return self._match()
        version, table = self._database.version(), self._table
        return f"{table.label}: {version}, about {table.n_rows:,} rows, {len(table.columns)} columns"

    def probes(self) -> list[tuple[str, Callable[[], str], bool]]:
        """What is looked at once it is reached: names, probes, and whether no run does without."""
        if not is_table(self._location):
            return []
        return [
            ("source columns", self._columns, True),
            ("source key", self._key, True),
            ("source rows", self._read, True),
            ("source snapshot", self._look, False),
            ("source cursor", self._cursors, False),
        ]

    @cached_property
    def _database(self) -> Database:
        where = parse_secret(self._password, "--source_password") if self._password else None
        return table_source(_FLAG, self._location, where, 0.0)

    @cached_property
    def _table(self) -> SourceTable:
        return self._database.describe(_FLAG)

    def _match(self) -> str:
        from transforms.inputs.files import match_inputs, total_bytes

        try:
            files = match_inputs([self._location])
        except UsageError as error:
            raise UsageError(str(error).replace("--input", _FLAG)) from None
        return f"{len(files):,} files, {total_bytes(files):,} bytes"

    def _columns(self) -> str:
        columns = [column.column(column.name) for column in self._table.columns]
        named = ", ".join(f"{column.name} {column.form}" for column in columns[:_MOST_COLUMNS])
        more = len(columns) - _MOST_COLUMNS
        return f"{named} and {more} more" if more > 0 else named

    def _key(self) -> str:
        if not self._table.key:
            raise JobError(f"{self._table.relation} has no primary key; pass --key=COLUMN,… to export")
        ranges = "" if self._table.is_ordered else "; not in ranges, so an interrupted run starts over"
        return f"{', '.join(self._table.key)}{ranges}"

    def _read(self) -> str:
        selection = Selection(self._table, self._table.key, condition=_NONE)
        with closing(self._database.read(selection, Part(0), None)) as chunks:
            for _ in chunks:
                break
        return "can be read, and none is hidden"

    def _look(self) -> str:
        state = self._database.look(self._table, None)
        if state.is_blind:
            raise JobError(
                "one snapshot is possible, but transactions of other users are hidden: --cursor_field by time may miss "
                "what commits late; grant pg_read_all_stats (PostgreSQL) or PROCESS (MySQL), and read the primary"
            )
        return f"one snapshot is possible, by the server's clock {state.read_time.isoformat(timespec='seconds')}"

    def _cursors(self) -> str:
        found = []
        for name in [*(column.name for column in self._table.columns if column.can_order), _XMIN]:
            try:
                cursor = self._database.cursor(self._table, name)
            except UsageError:
                continue
            found.append(name if cursor.is_indexed else f"{name} (a scan)")
        if not found:
            return "none: an incremental run needs a column of times that every change sets"
        return f"--cursor_field={' or '.join(found)}, if every change sets it"
