"""A difference: which document, on which side, in which fields. Plain Python.

    {"key": "ada", "difference": "DIFFERENT", "fields": ["address.city"], "left_copies": 1, "right_copies": 1,
     "left_update_time": "…", "right_update_time": "…"}     with values: "left": {"address.city": "London"}, "right": …

Values are shown only when asked for; then as tagged JSON, from which they can be restored.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transforms.firestore.tagged_json import iso, to_tagged_json
from transforms.firestore.values import field_path
from transforms.verify.entries import Entry, comparable

MISSING_LEFT, MISSING_RIGHT, DIFFERENT = "MISSING_LEFT", "MISSING_RIGHT", "DIFFERENT"
KINDS = (MISSING_LEFT, MISSING_RIGHT, DIFFERENT)

# Beyond so many fields the report says that there are more: a document has up to 40,000.
_MAX_FIELDS = 100
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One document that the two stores do not hold alike.

    Attributes:
      key: of the document.
      kind: MISSING_LEFT, MISSING_RIGHT or DIFFERENT.
      left, right: the copies that each side holds: none where it is missing, several where it is there more than once.
      fields: paths in which the first copies differ.
    """

    key: str
    kind: str
    left: tuple[Entry, ...]
    right: tuple[Entry, ...]
    fields: tuple[str, ...] = ()

    @classmethod
    def of(cls, key: str, left: Sequence[Entry], right: Sequence[Entry]) -> Difference:
        """What two sides that do not hold a document alike differ in."""
        kind = DIFFERENT if left and right else MISSING_RIGHT if left else MISSING_LEFT
        fields = changed_fields(left[0].content, right[0].content) if kind == DIFFERENT else ()
        return cls(key, kind, tuple(left), tuple(right), tuple(fields))

    def as_json(self, show_values: bool) -> dict[str, Any]:
        """As the report has it."""
        document: dict[str, Any] = {
            "key": self.key,
            "difference": self.kind,
            "fields": list(self.fields[:_MAX_FIELDS]),
            "more_fields": max(0, len(self.fields) - _MAX_FIELDS),
            "left_copies": len(self.left),
            "right_copies": len(self.right),
            "left_update_time": _newest(self.left),
            "right_update_time": _newest(self.right),
        }
        if show_values:
            document["left"] = self._shown(self.left)
            document["right"] = self._shown(self.right)
        return document

    def _shown(self, copies: tuple[Entry, ...]) -> dict[str, Any] | None:
        """The values that differ; of a document that the other side lacks, all."""
        if not copies:
            return None
        leaves = dict(_leaves((), copies[0].content))
        by_path = {field_path(steps): value for steps, value in leaves.items()}
        shown = by_path if self.kind != DIFFERENT else {path: by_path[path] for path in self.fields if path in by_path}
        return {path: to_tagged_json(value) for path, value in shown.items()}


def changed_fields(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[str]:
    """The paths of the fields that differ, sorted; of arrays the array's own.

    >>> changed_fields({"a": 1, "b": {"c": 1, "d": 2}}, {"a": 1.0, "b": {"d": 2}})
    ['a', 'b.c']
    """
    ours, theirs = dict(_leaves((), left)), dict(_leaves((), right))
    changed = [
        steps
        for steps in ours.keys() | theirs.keys()
        if not _same(ours.get(steps, _ABSENT), theirs.get(steps, _ABSENT))
    ]
    return sorted(field_path(steps) for steps in changed)


def _leaves(steps: tuple[str, ...], value: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, member in value.items():
        if isinstance(member, Mapping) and member:
            yield from _leaves((*steps, name), member)
        else:
            yield (*steps, name), member


def _same(left: Any, right: Any) -> bool:
    if left is _ABSENT or right is _ABSENT:
        return False
    return comparable({"value": left}) == comparable({"value": right})


def _newest(copies: tuple[Entry, ...]) -> str | None:
    times: list[datetime.datetime] = [copy.update_time for copy in copies if copy.update_time is not None]
    return iso(max(times)) if times else None
