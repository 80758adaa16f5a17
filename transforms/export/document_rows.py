"""Rows of documents: each field in its column, what does not fit in `_overflow`, nothing lost. Plain Python.

    document ──┬─ document_id, document_name, path parameters, create_time, update_time
               ├─ fields that fit their columns ──▶ their columns, members of STRUCTs and flattened maps included
               └─ fields that do not ─────────────▶ _overflow: {"address.city": value}, named in Row.overflowed
    the run ───── read_time, extracted_at

A null has the same cell as an absent field, NULL; so has an empty array in a REPEATED column: BigQuery does not tell
them apart. Everything else can be read back from the row.

    rows = DocumentRows(columns, read_time=read_time, extracted_at=now)
    cells, overflowed = rows.row(document)
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from transforms.bigquery.cells import MISFIT, Converter, converter, json_text, writable
from transforms.bigquery.rows import Row
from transforms.bigquery.schema import OVERFLOW, UPDATE_TIME, Column
from transforms.export.columns import DELETED_AT, DOCUMENT_ID, DOCUMENT_NAME, field_of, fixed_columns
from transforms.firestore import field_paths
from transforms.firestore.documents import Document


def _no_value_fits(value: Any) -> Any:
    return MISFIT


@dataclass(slots=True)
class _Place:
    """Where the values of one field go: a column, the columns of its members, or a STRUCT of theirs.

    Attributes:
      column: empty for a field of which only members have columns.
      convert: makes a cell of the column.
      is_struct: whether the members are the column's fields rather than columns of the table.
      members: places of its members by name.
    """

    column: str = ""
    convert: Converter = _no_value_fits
    is_struct: bool = False
    members: dict[str, _Place] = field(default_factory=dict)


_NOWHERE = _Place()


class DocumentRows:
    """Makes the rows of documents for one table; built once per worker.

    Args:
      columns: of the table.
      parameters: the names of path parameters; see `CollectionPattern`.
      fixed: names of the columns that are of no field; default: those of every export.
      read_time: of all documents.
      extracted_at: when.
      typed: typed cells instead of JSON cells; see `cells.py`.

    Attributes:
      time: makes a cell of a time.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        parameters: Sequence[str] = (),
        *,
        fixed: Set[str] | None = None,
        read_time: datetime.datetime | None = None,
        extracted_at: datetime.datetime | None = None,
        typed: bool = False,
    ):
        if fixed is None:
            fixed = {column.name for column in fixed_columns(parameters)}
        self._unfixed = frozenset(column.name for column in columns) - fixed
        self._places: dict[str, _Place] = {}
        for column in writable(columns):
            if column.name not in fixed:
                _add_place(self._places, field_of(column) or (column.name,), column, typed)
        self.time = converter(Column(UPDATE_TIME, "TIMESTAMP"), typed=typed)
        times = {"read_time": read_time, "extracted_at": extracted_at}
        self._of_run = {name: self.time(time) for name, time in times.items() if time is not None}

    def row(
        self,
        document: Document,
        parameters: Mapping[str, str] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Row:
        """The row of a document. Never raises for what a value is.

        Args:
          parameters: values of the path parameters.
          fields: instead of the document's own.
        """
        cells: dict[str, Any] = {
            DOCUMENT_ID: document.id,
            DOCUMENT_NAME: document.name,
            **(parameters or {}),
            "create_time": self.time(document.create_time),
            UPDATE_TIME: self.time(document.update_time),
            **self._of_run,
        }
        for name in self._unfixed & cells.keys():
            del cells[name]  # the table has a field of that name
        overflow: dict[str, Any] = {}
        _fill(cells, overflow, document.fields if fields is None else fields, self._places, ())
        if not overflow:
            return Row(cells, ())
        cells[OVERFLOW] = json_text(overflow)
        return Row(cells, tuple(sorted(overflow)))

    def removed(
        self,
        name: str,
        gone_at: datetime.datetime,
        since: datetime.datetime,
        parameters: Mapping[str, str] | None = None,
    ) -> Row:
        """The row that says that a document is gone.

        Args:
          name: full name.
          gone_at: when it was seen to be gone.
          since: the version of the row, later than all versions that the document had.
          parameters: values of the path parameters.
        """
        cells: dict[str, Any] = {
            DOCUMENT_ID: name.rpartition("/")[2],
            DOCUMENT_NAME: name,
            **(parameters or {}),
            UPDATE_TIME: self.time(since),
            **self._of_run,
            DELETED_AT: self.time(gone_at),
        }
        for column in self._unfixed & cells.keys():
            del cells[column]  # the table has a field of that name
        return Row(cells, ())


def _add_place(places: dict[str, _Place], path: Iterable[str], column: Column, typed: bool) -> None:
    *above, name = path
    for step in above:
        place = places.setdefault(step, _Place())
        if place.is_struct:
            return  # the STRUCT takes the whole map
        places = place.members
    place = places.setdefault(name, _Place())
    place.column = column.name
    place.is_struct = column.type == "STRUCT"
    if place.is_struct:
        place.members = {}
    else:
        place.convert = converter(column, typed=typed)
    for member in column.fields if place.is_struct else ():
        _add_place(place.members, (field_of(member) or (member.name,))[-1:], member, typed)


def _fill(
    cells: dict[str, Any],
    overflow: dict[str, Any],
    fields: Mapping[str, Any],
    places: Mapping[str, _Place],
    within: tuple[str, ...],
) -> None:
    for name, value in fields.items():
        if value is None:
            continue
        place = places.get(name, _NOWHERE)
        cell = place.convert(value)
        if cell is not MISFIT:
            cells[place.column] = cell
        elif place.members and value and isinstance(value, Mapping):
            target = cells
            if place.is_struct:
                target = cells[place.column] = {}
            _fill(target, overflow, value, place.members, (*within, name))
        else:
            overflow[field_paths.render((*within, name))] = value
