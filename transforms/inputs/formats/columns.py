"""What the columns of a table are called in its records: some left out, some renamed, no two alike. Plain Python.

    id, name, name, (none)  ──drop #3──▶  id, name, ·, (none)  ──rename name=who──▶  id, who, ·, (none)

A column is named by its name, or by its place: `#3` is the third. A name that is empty stays empty: such a column must
hold nothing, but for the numbers of the rows that pandas writes in front of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transforms.errors import UsageError


class ColumnsError(ValueError):
    """The columns of a file cannot be told apart, or lack one that is to be left out or renamed."""


@dataclass(frozen=True, slots=True)
class ColumnOptions:
    """What is to be done with columns.

    Attributes:
      drop: columns that are left out.
      rename: `OLD=NEW`.
    """

    drop: tuple[str, ...] = ()
    rename: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for each in self.rename:
            old, _, new = each.partition("=")
            if not old or not new:
                raise UsageError(f"rename_columns must be OLD=NEW, got {each!r}")

    def names(self, columns: Sequence[str]) -> list[str | None]:
        """What each column is called; None for one that is left out.

        >>> ColumnOptions(drop=("#3",), rename=("#2=who",)).names(["id", "name", "name"])
        ['id', 'who', None]

        Raises:
          ColumnsError: what is wrong with them.
        """
        names: list[str | None] = [name if name.strip() else "" for name in columns]
        for each in self.drop:
            for at in _places(each, columns):
                names[at] = None
        for each in self.rename:
            old, _, new = each.partition("=")
            first, *others = _places(old, columns)
            if others:
                places = [str(at + 1) for at in (first, *others)]
                by_place = f"#{' or #'.join(places)}"
                raise ColumnsError(
                    f"columns {' and '.join(places)} are called {old}; rename one by its place, {by_place}"
                )
            names[first] = new
        _check_unique(names)
        return names


AS_THEY_ARE = ColumnOptions()


def _places(column: str, columns: Sequence[str]) -> list[int]:
    found = [at for at, name in enumerate(columns) if name == column]
    if not found and column.startswith("#") and column[1:].isdecimal() and 1 <= int(column[1:]) <= len(columns):
        return [int(column[1:]) - 1]
    if not found:
        raise ColumnsError(f"there is no column {column}, which is to be left out or renamed")
    return found


def _check_unique(names: Sequence[str | None]) -> None:
    first: dict[str, int] = {}
    for at, name in enumerate(names, 1):
        if name and first.setdefault(name, at) != at:
            raise ColumnsError(
                f"columns {first[name]} and {at} have the same name; rename one of them with "
                f"--rename_columns='#{at}=NAME', or leave it out with --drop_columns='#{at}'"
            )
