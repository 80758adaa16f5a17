"""What a BigQuery table is, by the types and descriptions of its columns; their names alone may be a user's fields'.

    kind         columns, none of which says that it is of a field of Firestore
    EXPORT       all that every flat table of export has
    ROWS         all that every table of `export --source` has
    INGEST       _meta_content_hash STRING, profile JSON
    CHANGELOG    document_name, operation and data STRING, timestamp TIMESTAMP: of export, or of Firebase's extension
    EXPORT       update_time TIMESTAMP, and document_id or document_name STRING: some columns of such a table
    OTHER        none of these: every column is a field, but for the key and _overflow JSON

The first that fits. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from transforms.bigquery.schema import OVERFLOW, UPDATE_TIME, Column
from transforms.export.columns import DOCUMENT_ID, DOCUMENT_NAME, field_of, fixed_columns
from transforms.records.table import META_PREFIX, PROFILE
from transforms.sql.rows import FIXED_COLUMNS

_PARAMETER = "path parameter {"

_EXPORT = frozenset((column.name, column.type) for column in fixed_columns())
_ROWS = frozenset((column.name, column.type) for column in FIXED_COLUMNS)
_INGEST = frozenset({(f"{META_PREFIX}content_hash", "STRING"), (PROFILE, "JSON")})
_CHANGELOG = frozenset({(DOCUMENT_NAME, "STRING"), ("operation", "STRING"), ("timestamp", "TIMESTAMP")})
_DATA = frozenset({("data", "STRING"), ("data", "JSON")})
_VERSION = (UPDATE_TIME, "TIMESTAMP")
_NAMES = frozenset({(DOCUMENT_ID, "STRING"), (DOCUMENT_NAME, "STRING")})


class TableKind(enum.Enum):
    """Who made a table, and so what its rows are."""

    EXPORT = "a flat table of export"
    ROWS = "rows of a table of a database"
    CHANGELOG = "a changelog"
    INGEST = "a table of ingest"
    OTHER = "one column per field"


_OWN = {
    TableKind.EXPORT: _EXPORT,
    TableKind.ROWS: _ROWS,
    TableKind.CHANGELOG: _NAMES | {_VERSION},
    TableKind.INGEST: frozenset({_VERSION}),
    TableKind.OTHER: _NAMES | {(OVERFLOW, "JSON")},
}


@dataclass(frozen=True)
class KnownTable:
    """A table's columns, and what they are.

    Attributes:
      columns: all of them.
      kind: of the table.
      own: the columns that are about the row and its document rather than of a field.
      parameters: those of them that are path parameters.
    """

    columns: tuple[Column, ...]
    kind: TableKind
    own: frozenset[str]
    parameters: tuple[str, ...] = ()

    @classmethod
    def of(cls, columns: Sequence[Column], key: str | None = None) -> KnownTable:
        """The table that has these columns.

        Args:
          key: the column that is said to name the documents; default: the one that names them in tables of export.

        >>> KnownTable.of([Column("deleted_at", "TIMESTAMP"), Column("email", "STRING")]).kind.name
        'OTHER'
        """
        unclaimed = {
            (column.name, column.type) for column in columns if column.mode != "REPEATED" and field_of(column) is None
        }
        kind = _kind(unclaimed)
        own = {name for name, _ in unclaimed & _OWN[kind]}
        if kind is TableKind.OTHER and key is not None:
            own &= {key, OVERFLOW}
        parameters: tuple[str, ...] = ()
        if kind is TableKind.EXPORT:
            parameters = tuple(column.name for column in columns if column.description.startswith(_PARAMETER))
        return cls(tuple(columns), kind, frozenset(own.union(parameters)), parameters)

    @property
    def names_paths(self) -> bool:
        """Whether a column has the paths of documents."""
        return DOCUMENT_NAME in self.own


def _kind(unclaimed: set[tuple[str, str]]) -> TableKind:
    if unclaimed >= _EXPORT:
        return TableKind.EXPORT
    if unclaimed >= _ROWS:
        return TableKind.ROWS
    if unclaimed >= _INGEST:
        return TableKind.INGEST
    if unclaimed >= _CHANGELOG and unclaimed & _DATA:
        return TableKind.CHANGELOG
    return TableKind.EXPORT if _VERSION in unclaimed and unclaimed & _NAMES else TableKind.OTHER
