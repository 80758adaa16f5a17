"""Columns of a BigQuery table, the layout of a new one, and what an existing one lacks or contradicts. No Beam."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from transforms.errors import UsageError

UPDATE_TIME = "update_time"
OVERFLOW = "_overflow"

# https://cloud.google.com/bigquery/docs/schemas#column_names
_LEGAL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
RESERVED_PREFIXES = (
    "_TABLE_",
    "_FILE_",
    "_PARTITION",
    "_ROW_TIMESTAMP",
    "__ROOT__",
    "_COLIDENTIFIER",
    "_CHANGE_SEQUENCE_NUMBER",
    "_CHANGE_TYPE",
    "_CHANGE_TIMESTAMP",
)

# https://cloud.google.com/bigquery/docs/clustered-tables
_MAX_CLUSTER_COLUMNS = 4
_CLUSTERABLE = frozenset({"STRING", "INT64", "BOOL", "TIMESTAMP"})
_PARTITION_UNITS = ("HOUR", "DAY", "MONTH", "YEAR")

# The REST interface still answers with legacy SQL's names.
_SQL_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
_LEGACY_TYPES = {sql: legacy for legacy, sql in _SQL_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
      type: GoogleSQL name: STRING, INT64, NUMERIC, BIGNUMERIC, FLOAT64, BOOL, TIMESTAMP, DATETIME, DATE, TIME, BYTES,
        GEOGRAPHY, JSON or STRUCT.
      mode: NULLABLE or REPEATED; a table of somebody else's may also have REQUIRED columns.
      fields: of a STRUCT.
    """

    name: str
    type: str
    mode: str = "NULLABLE"
    description: str = ""
    fields: tuple[Column, ...] = ()

    @property
    def form(self) -> str:
        """Type and mode as one reads them in SQL.

        >>> Column("tags", "STRING", "REPEATED").form, Column("id", "STRING", "REQUIRED").form
        ('ARRAY<STRING>', 'STRING NOT NULL')
        """
        members = ", ".join(f"{member.name} {member.form}" for member in self.fields)
        sql = f"{self.type}<{members}>" if members else self.type
        if self.mode == "REPEATED":
            return f"ARRAY<{sql}>"
        return f"{sql} NOT NULL" if self.mode == "REQUIRED" else sql

    @property
    def legacy_type(self) -> str:
        """The name of the type that load jobs and Beam expect, such as INTEGER for INT64."""
        return _LEGACY_TYPES.get(self.type, self.type)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How a new table is laid out; an existing table keeps the layout it has.

    Attributes:
      partition_by: a TIMESTAMP column; None for a table without partitions.
      partition_unit: HOUR, DAY, MONTH or YEAR.
      cluster_by: at most four columns, the most selective first.
    """

    partition_by: str | None = UPDATE_TIME
    partition_unit: str = "DAY"
    cluster_by: tuple[str, ...] = ()


class SchemaDifference(NamedTuple):
    """What lies between an existing table and the wanted one.

    Attributes:
      added: columns that the table lacks; adding them loses nothing.
      conflicts: one sentence for each column that cannot hold what is wanted.
      widened: STRUCT columns that lack fields, as they will be.
    """

    added: tuple[Column, ...]
    conflicts: tuple[str, ...]
    widened: tuple[Column, ...] = ()


def check_names(columns: Iterable[Column]) -> None:
    """Refuses names that BigQuery does not allow and names that it takes for the same.

    >>> check_names([Column("skills", "STRING"), Column("Skills", "STRING")])
    Traceback (most recent call last):
    transforms.errors.UsageError: columns skills and Skills are one for BigQuery, which ignores case; rename a field
    """
    seen: dict[str, str] = {}
    for column in columns:
        name = column.name
        if not _LEGAL_NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot be a BigQuery column: use letters, digits and _, not starting with a digit, "
                "at most 300; rename the field"
            )
        if prefix := next((prefix for prefix in RESERVED_PREFIXES if name.upper().startswith(prefix)), None):
            raise UsageError(f"column {name} starts with {prefix}, which BigQuery keeps for itself; rename the field")
        if (other := seen.get(name.lower())) is not None:
            raise UsageError(f"columns {other} and {name} are one for BigQuery, which ignores case; rename a field")
        seen[name.lower()] = name


def check_options(options: TableOptions, columns: Iterable[Column]) -> None:
    """Refuses a layout that BigQuery cannot make.

    >>> check_options(TableOptions(cluster_by=("it",)), [Column("update_time", "TIMESTAMP"), Column("it", "JSON")])
    Traceback (most recent call last):
    transforms.errors.UsageError: bigquery.cluster_by: it is JSON; choose from columns of BOOL, INT64, STRING, TIMESTAMP
    """
    by_name = {column.name: column for column in columns}
    partitions = (options.partition_by,) if options.partition_by else ()
    for key, names in (("partition_by", partitions), ("cluster_by", options.cluster_by)):
        for name in names:
            if name not in by_name:
                raise UsageError(f"bigquery.{key}: there is no column {name}; choose one of {', '.join(by_name)}")
    if options.partition_by and (form := by_name[options.partition_by].form) != "TIMESTAMP":
        raise UsageError(f"bigquery.partition_by: {options.partition_by} is {form}; choose a TIMESTAMP column")
    if options.partition_unit not in _PARTITION_UNITS:
        units = ", ".join(_PARTITION_UNITS)
        raise UsageError(f"bigquery.partition_type must be one of {units}, got {options.partition_unit}")
    if len(options.cluster_by) > _MAX_CLUSTER_COLUMNS:
        raise UsageError(
            f"bigquery.cluster_by must name at most {_MAX_CLUSTER_COLUMNS} columns, got {len(options.cluster_by)}"
        )
    for name in options.cluster_by:
        if (form := by_name[name].form) not in _CLUSTERABLE:
            choice = ", ".join(sorted(_CLUSTERABLE))
            raise UsageError(f"bigquery.cluster_by: {name} is {form}; choose from columns of {choice}")


def schema_difference(existing: Iterable[Column], wanted: Iterable[Column]) -> SchemaDifference:
    """Compares a table with the wanted columns; columns of the table that nobody asks for are left alone.

    >>> schema_difference([Column("id", "STRING")], [Column("id", "INT64"), Column("name", "STRING")])
    ... # doctest: +ELLIPSIS
    SchemaDifference(added=(Column(name='name', ...),), conflicts=('id is STRING, wanted INT64',), widened=())
    """
    by_name = {column.name.lower(): column for column in existing}
    added: list[Column] = []
    conflicts: list[str] = []
    widened: list[Column] = []
    for column in wanted:
        present = by_name.pop(column.name.lower(), None)
        if present is None:
            added.append(column)
        elif present.form == column.form:
            continue
        elif present.type == column.type == "STRUCT" and present.mode == column.mode:
            within = schema_difference(present.fields, column.fields)
            conflicts += (f"{present.name}.{conflict}" for conflict in within.conflicts)
            fields = {field.name: field for field in (*present.fields, *within.widened, *within.added)}
            widened.append(replace(present, fields=tuple(fields.values())))
        else:
            conflicts.append(f"{present.name} is {present.form}, wanted {column.form}")
    conflicts += [
        f"{column.name} is {column.form}, but no row will have it"
        for column in by_name.values()
        if column.mode == "REQUIRED"
    ]
    return SchemaDifference(tuple(added), tuple(conflicts), tuple(widened))


def sql_type(name: str) -> str:
    """GoogleSQL's name of a type.

    >>> sql_type("INTEGER"), sql_type("JSON")
    ('INT64', 'JSON')
    """
    return _SQL_TYPES.get(name, name)
