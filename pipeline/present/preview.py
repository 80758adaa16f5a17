"""What `firebeam preview` shows of records and of a spec that reads them, as plain data.

explained         one record: each field, its value, where that came from, and what was there before cleaning
counted           all records: in how many each field had a value, or something that could not be placed
never_filled      fields without a value in any record: where the spec looks, and what the records have instead
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.present.tables import Cell, Column, Row, Table, Tone
from transforms.batch import FieldReport
from transforms.records.explain import Explanation, Look
from transforms.records.spec import RecordSpec

_MAX_CHARS = 120  # of a value in a table; the documents below it are whole
_NOTHING_ALIKE = "nothing that looks like it"


def explained(title: str, explanations: Sequence[Explanation], flat: Mapping[str, Any], spec: RecordSpec) -> Table:
    """One record: a row per field that has a value or had something, and one with the names of the others."""
    rows: list[Row] = []
    for explanation in explanations:
        rows += _rows(explanation)
    derived = [
        (field.name, _short(flat[field.name]), Cell(f"derived: {field.derive.rule}", Tone.DIM), "")
        for field in spec.fields
        if field.derive is not None and field.name in flat
    ]
    without = [each.field.name for each in explanations if not each.looks]
    absent = [(Cell("(nothing)", Tone.DIM), Cell(", ".join(without), Tone.DIM), "", "")] if without else []
    columns = (Column("field"), Column("value"), Column("path"), Column("in the record"))
    return Table(title, columns, (tuple(rows), tuple(derived), tuple(absent)))


def counted(report: FieldReport) -> Table:
    """A row per field: records with a value, with something that could not be placed, and with nothing."""
    rows = []
    for name, (with_value, uncleaned) in report.counts.items():
        rows.append((
            name,
            Cell(f"{with_value:,}", None if with_value else Tone.WARNING),
            Cell(f"{uncleaned:,}", Tone.WARNING if uncleaned else None),
            f"{report.records - with_value - uncleaned:,}",
        ))  # fmt: skip
    columns = (Column("field"), *(Column(name, is_number=True) for name in ("with a value", "uncleaned", "nothing")))
    return Table(f"{report.records:,} records", columns, (tuple(rows),))


def never_filled(report: FieldReport) -> Table | None:
    """The fields without a value in any record: where the spec looks, and what the records have. None: none."""
    rows = tuple(
        (field.name, ", ".join(field.paths), ", ".join(field.closest) or _NOTHING_ALIKE) for field in report.empty
    )
    columns = (Column("never had a value"), Column("looked for in"), Column("closest in the records"))
    return Table("", columns, (rows,)) if rows else None


def document(value: Any) -> str:
    """A document as JSON over several lines; points in time are ISO 8601."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_as_text)


def _rows(explanation: Explanation) -> list[Row]:
    rows: list[Row] = []
    name = explanation.field.name
    for look in explanation.looks:
        if look.value is None:
            rows.append((name, Cell("could not be placed", Tone.WARNING), look.path, _short(look.found)))
        elif explanation.problem:
            rows.append((name, Cell(explanation.problem, Tone.WARNING), look.path, _short(look.found)))
        else:
            rows.append((name, _short(explanation.value), look.path, _before(look, explanation.value)))
    if explanation.problem and not rows:
        rows.append((name, Cell(explanation.problem, Tone.WARNING), "", ""))
    return rows


def _before(look: Look, value: Any) -> str:
    """What stood in the record, where it is not what the document holds."""
    return "" if type(look.found) is type(value) and look.found == value else _short(look.found)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=_as_text)
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}… ({len(text):,} characters)"


def _as_text(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return f"<{len(value):,} bytes>" if isinstance(value, bytes) else str(value)
