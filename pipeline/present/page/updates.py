"""What has changed on an open page: only the parts and rows that differ from what it has, at most 100 KB at a time.

    Rendered ─┐
              ├─changes─▶ {version, title, parts, rows, series}, and what the page has then
    Known ────┘           rows that do not fit come with the next update

A version names what a page has, so that one whose connection was lost gets what it lacks and no more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.present.page.render import Rendered

MAX_UPDATE_BYTES = 100_000
# Half of that is for rows, behind the numbers of the plots and the order of the rows.
_MAX_ROW_BYTES = MAX_UPDATE_BYTES // 2


@dataclass(frozen=True)
class Known:
    """What a page has."""

    title: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    series: str = ""

    @classmethod
    def of(cls, rendered: Rendered) -> Known:
        """What a page has that was just made."""
        return cls(rendered.title, rendered.parts, rendered.rows, as_json(rendered.series))

    @property
    def version(self) -> str:
        """The same for the same content."""
        return hashlib.blake2b(as_json([self.title, self.parts, self.rows, self.series]).encode()).hexdigest()[:16]


def changes(known: Known, rendered: Rendered) -> tuple[dict[str, Any], Known]:
    """What a page has to change, and what it has then; nothing but `version` where nothing changed."""
    after, left = Known.of(rendered), _MAX_ROW_BYTES
    update: dict[str, Any] = {}
    if after.title != known.title:
        update["title"] = after.title
    if parts := {name: html for name, html in after.parts.items() if known.parts.get(name) != html}:
        update["parts"] = parts
    rows: dict[str, Mapping[str, str]] = {}
    for table, wanted in after.rows.items():
        had = known.rows.get(table, {})
        changed = {}
        for key, html in wanted.items():
            if had.get(key) != html and (size := len(as_json(html).encode()) + len(key)) <= left:
                changed[key], left = html, left - size
        has = {key: changed.get(key, had.get(key)) for key in wanted}
        rows[table] = {key: html for key, html in has.items() if html is not None}
        if list(rows[table]) != list(had):
            update.setdefault("rows", {})[table] = {"changed": changed, "order": list(rows[table])}
        elif changed:
            update.setdefault("rows", {})[table] = {"changed": changed}
    if after.series != known.series:
        update["series"] = rendered.series
    has_now = Known(after.title, after.parts, rows, after.series)
    return {**update, "version": has_now.version}, has_now


def as_json(value: Any) -> str:
    """Short."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
