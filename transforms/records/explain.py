"""What a spec made of one record, step by step: which path gave each value, and what was changed or left out.

For `firebeam preview`; it reads a record as `RecordSpec.flatten` does, and remembers what that forgets.

    original_data.experience   "- 2021 -\\nVela : Head"  ─▶  Head
    years_experience           "many"                   ─▶  could not be placed
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from transforms.errors import RecordError
from transforms.records.fields import Field, Source, says_something
from transforms.records.model import RecordSpec
from transforms.records.paths import AnyPath


class Look(NamedTuple):
    """One source that held something.

    Attributes:
      path: where in the record.
      found: what was there.
      value: what the cleaner made of it; None: it could not be placed.
    """

    path: str
    found: Any
    value: Any


class Explanation(NamedTuple):
    """What became of one field.

    Attributes:
      looks: the sources that held something, up to the one that gave the value.
      value: in the flat document; None: absent.
      problem: why a value was refused by a check; empty: it was not.
    """

    field: Field
    looks: tuple[Look, ...]
    value: Any
    problem: str

    @property
    def is_uncleaned(self) -> bool:
        """There was something, and no cleaner could place it."""
        return bool(self.looks) and self.looks[-1].value is None


def explain(spec: RecordSpec, record: Mapping[str, Any]) -> list[Explanation]:
    """Every field that has sources, in the order of the spec."""
    whole = spec.unwrapped(record)
    return [_explained(spec, field, record, whole) for field in spec.fields if field.sources]


def _explained(spec: RecordSpec, field: Field, record: Mapping[str, Any], whole: Mapping[str, Any]) -> Explanation:
    looks: list[Look] = []
    value = None
    for source in field.sources:
        found = source.find(whole)
        if found is None or not says_something(found):
            continue
        value = source.clean(found)
        looks.append(Look(_place(spec, source, record, whole), source.raw(whole), value))
        if value is not None:
            break
    try:
        checked = field.checked(value)
    except RecordError as error:
        return Explanation(field, tuple(looks), None, error.message)
    problem = "" if value is None or checked is not None else f"{field.name} fails its check and is absent"
    return Explanation(field, tuple(looks), checked, problem)


def _place(spec: RecordSpec, source: Source, record: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """The paths of a source that hold something, as they are in the record itself."""
    return " + ".join(_own_path(spec, path, record) for path in source.paths if path.read(whole) is not None)


def _own_path(spec: RecordSpec, path: AnyPath, record: Mapping[str, Any]) -> str:
    if not says_something(path.read(record)):
        for outer in spec.unwrap:
            inner = outer.read(record)
            if isinstance(inner, dict) and path.read(inner) is not None:
                return f"{outer.text}.{path.text}"
    return path.text
