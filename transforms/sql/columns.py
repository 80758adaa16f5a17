"""What a table of a database declares, and which column of BigQuery each of its columns becomes. Plain data.

declared type ──▶ Declared(column, expression, …) ──▶ text of the server ──▶ cell
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from transforms.bigquery.schema import Column
from transforms.errors import UsageError
from transforms.sql.names import check_columns

# https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#decimal_types
_NUMERIC_DIGITS, _NUMERIC_SCALE, _BIGNUMERIC_DIGITS, _BIGNUMERIC_SCALE = 29, 9, 38, 38

_WORDS_OF_CHANGE = ("updat", "modif", "chang")


@dataclass(frozen=True)
class SourceColumn:
    """One column of a table of a database.

    Attributes:
      name: its own.
      declared: its type, as the server writes it.
      type: of the column of BigQuery.
      expression: what is selected, so that the text is the value.
      is_array: whether it is REPEATED.
      is_single: whether its numbers are of 32 bits but written as short as can be, as in pgvector's text.
      can_order: whether values of the type are times, by which an incremental run can go.
      is_canonical: whether the server has read its JSON, and writes each name of an object once.
      is_never_null: whether it is declared so, as columns of views never are. It changes no row, so it is not compared.
    """

    name: str
    declared: str
    type: str
    expression: str
    is_array: bool = False
    is_single: bool = False
    can_order: bool = False
    is_canonical: bool = False
    is_never_null: bool = field(default=False, compare=False)

    def column(self, name: str) -> Column:
        """The column of BigQuery, under a name that may have had to change."""
        mode = "REPEATED" if self.is_array else "NULLABLE"
        return Column(name, self.type, mode, f"source column `{self.name}`, {self.declared}")


@dataclass(frozen=True)
class SourceTable:
    """A table of a database, as it is declared.

    Attributes:
      label: as a location, without a password.
      relation: quoted, as statements name it.
      columns: in their order.
      key: names of the columns that identify a row; empty if the table says nothing of it.
      kind: of relation, as the server's catalogue has it.
      n_rows: about as many, as the server estimates them.
      is_unicode: whether all text is Unicode, so that none has to be looked at.
      is_ordered: whether an index has the rows in the order of `key`, so that ranges of it can be read.
    """

    label: str
    relation: str
    columns: tuple[SourceColumn, ...]
    key: tuple[str, ...]
    kind: str
    n_rows: int = 0
    is_ordered: bool = False
    is_unicode: bool = False

    def column(self, name: str) -> SourceColumn | None:
        """A column by its name."""
        return next((column for column in self.columns if column.name == name), None)

    def columns_of(self, key: Iterable[str]) -> tuple[SourceColumn, ...]:
        """The columns of a key, in its order."""
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in key)

    @property
    def names(self) -> list[str]:
        """Of the columns, in their order."""
        return [column.name for column in self.columns]


def likely_cursors(table: SourceTable, *, may_be_null: bool) -> list[str]:
    """The columns of times that look as if every change set them, the likeliest first.

    Args:
      may_be_null: whether a column that may be NULL is one, too.

    >>> columns = [SourceColumn(name, "timestamp", "DATETIME", name, can_order=True) for name in ("born", "updated_at")]
    >>> table = SourceTable("", "t", tuple(columns), (), "r")
    >>> likely_cursors(table, may_be_null=True), likely_cursors(table, may_be_null=False)
    (['updated_at'], [])
    """
    times = [each.name for each in table.columns if each.can_order and (may_be_null or each.is_never_null)]
    return [name for word in _WORDS_OF_CHANGE for name in times if word in name.lower()]


def cursor_column(table: SourceTable, name: str, wanted: str) -> SourceColumn:
    """The column that `--cursor_field` names.

    Args:
      wanted: what it must be, where it is not a column of times.

    Raises:
      UsageError: there is none, or no incremental run can go by it.
    """
    check_columns("--cursor_field", table.relation, [name], table.names)
    (column,) = table.columns_of([name])
    if not column.can_order:
        raise UsageError(
            f"--cursor_field={name} is {column.declared}; it must be {wanted}: a transaction that commits late may "
            "have a smaller number than rows that were read, and would be missed"
        )
    return column


def decimal_type(precision: int | None, scale: int) -> str:
    """The column of numbers with so many digits, of which `scale` stand behind the point.

    >>> decimal_type(38, 9), decimal_type(39, 9), decimal_type(76, 38), decimal_type(60, 0), decimal_type(None, 0)
    ('NUMERIC', 'BIGNUMERIC', 'BIGNUMERIC', 'STRING', 'BIGNUMERIC')

    Args:
      precision: None where it is not declared.
    """
    if precision is None:
        return "BIGNUMERIC"
    whole = precision - scale
    if whole <= _NUMERIC_DIGITS and scale <= _NUMERIC_SCALE:
        return "NUMERIC"
    return "BIGNUMERIC" if whole <= _BIGNUMERIC_DIGITS and scale <= _BIGNUMERIC_SCALE else "STRING"
