"""What verify shows at its end: how many documents are what, and the first ones that differ."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.present.tables import Cell, Column, Row, Table, Tone
from transforms.verify.comparison import Compared
from transforms.verify.differences import KINDS
from transforms.verify.sample import CONFIDENCE, largest_share

SHOWN = 20
_SHOWN_FIELDS = 5
_SHOWN_VALUE = 60  # characters


def counts_table(title: str, found: Compared, elapsed_s: float) -> Table:
    """How many documents are what, and what it took to know."""
    documents: list[Row] = [("equal", f"{found.equal:,}")]
    documents += ((kind.lower().replace("_", " "), f"{found.differing.get(kind, 0):,}") for kind in KINDS)
    documents.append(("changed during the run", f"{found.changed:,}"))
    work: tuple[Row, ...] = (
        ("documents read, left", f"{found.read_left:,}"),
        ("documents read, right", f"{found.read_right:,}"),
        ("MiB scanned by BigQuery", f"{found.bytes_scanned / 2**20:,.1f}"),
        ("elapsed_s", f"{elapsed_s:.1f}"),
    )
    return Table(title, (Column(), Column(is_number=True)), (tuple(documents), work))


def sample_says(found: Compared, left: str) -> str:
    """What a sample proves, and what it does not.

    >>> says = sample_says(Compared(equal=3000), "db")
    >>> print(*says.split(". "), sep=".\\n")
    3,000 of 3,000 random documents of db are equal: with 95 % confidence less than 0.10 % of its documents differ.
    Documents that only the other store has are in no sample
    """
    text = f"{found.equal:,} of {found.documents:,} random documents of {left} are equal"
    if found.equal and not found.differing:
        share = math.ceil(largest_share(found.equal) * 10_000) / 100
        text += f": with {CONFIDENCE * 100:.0f} % confidence less than {share:.2f} % of its documents differ"
    return f"{text}. Documents that only the other store has are in no sample"


def differences_table(lines: Iterable[str], show_values: bool) -> Table:
    """The first differences of a report, one per row; with values one per field."""
    rows: list[Row] = []
    for line in itertools.islice(lines, SHOWN):
        difference = json.loads(line)
        key, kind = difference["key"], difference["difference"]
        if show_values:
            for path in _value_paths(difference)[:_SHOWN_FIELDS] or [""]:
                rows.append((key, kind, path, *(_value(difference[side], path) for side in ("left", "right"))))
        else:
            rows.append((key, kind, _fields(difference)))
    headings = ("key", "difference", *(("field", "left", "right") if show_values else ("fields",)))
    return Table("differences", tuple(map(Column, headings)), (tuple(rows),))


def _fields(difference: Mapping[str, Any]) -> str:
    """
    >>> _fields({"fields": ["a", "b"], "more_fields": 3, "left_copies": 1, "right_copies": 2})
    'a, b, … (5 fields); 2 copies on the right'
    """
    fields = difference["fields"]
    total = len(fields) + difference["more_fields"]
    shown = ", ".join(fields[:_SHOWN_FIELDS])
    if total > _SHOWN_FIELDS or difference["more_fields"]:
        shown += f", … ({total} fields)"
    copies = (f"{n} copies on the {side}" for side in ("left", "right") if (n := difference[f"{side}_copies"]) > 1)
    return "; ".join(filter(None, (shown, *copies)))


def _value_paths(difference: Mapping[str, Any]) -> list[str]:
    return sorted({*difference["fields"], *(difference["left"] or ()), *(difference["right"] or ())})


def _value(values: Mapping[str, Any] | None, path: str) -> str | Cell:
    if values is None or path not in values:
        return Cell("absent", Tone.DIM)
    text = json.dumps(values[path], ensure_ascii=False)
    return text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}…"
