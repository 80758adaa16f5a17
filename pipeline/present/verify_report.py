"""What verify shows at its end: how many documents are what, and the first ones that differ."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from transforms.verify.comparison import Compared
from transforms.verify.differences import KINDS

SHOWN = 20
_SHOWN_FIELDS = 5
_SHOWN_VALUE = 60  # characters


def counts_table(title: str, found: Compared, elapsed_s: float) -> Table:
    """How many documents are what, and what it took to know."""
    table = Table(title=title, title_justify="left", show_header=False, min_width=len(title))
    table.add_column()
    table.add_column(justify="right")
    table.add_row("equal", f"{found.equal:,}")
    for kind in KINDS:
        table.add_row(kind.lower().replace("_", " "), f"{found.differing.get(kind, 0):,}")
    table.add_row("changed during the run", f"{found.changed:,}")
    table.add_section()
    table.add_row("documents read, left", f"{found.read_left:,}")
    table.add_row("documents read, right", f"{found.read_right:,}")
    table.add_row("MiB scanned by BigQuery", f"{found.bytes_scanned / 2**20:,.1f}")
    table.add_row("elapsed_s", f"{elapsed_s:.1f}")
    return table


def differences_table(lines: Iterable[str], show_values: bool) -> Table:
    """The first differences of a report, one a row; with values one a field."""
    table = Table(title="differences", title_justify="left")
    for heading in ("key", "difference", "field" if show_values else "fields", *(["left", "right"] * show_values)):
        table.add_column(heading, overflow="fold")
    for line in itertools.islice(lines, SHOWN):
        difference = json.loads(line)
        key, kind = escape(difference["key"]), difference["difference"]
        if show_values:
            for path in _value_paths(difference)[:_SHOWN_FIELDS] or [""]:
                values = (_value(difference[side], path) for side in ("left", "right"))
                table.add_row(key, kind, escape(path), *values)
        else:
            table.add_row(key, kind, escape(_fields(difference)))
    return table


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


def _value(values: Mapping[str, Any] | None, path: str) -> str:
    if values is None or path not in values:
        return "[dim]absent[/]"
    text = json.dumps(values[path], ensure_ascii=False)
    return escape(text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}…")
