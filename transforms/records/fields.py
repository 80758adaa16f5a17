"""One field of a flat document: where its value may be found, what makes it clean, and what it must hold.

    record ─▶ source by source: path → match or entry → scale → cleaner     first value wins
           ─▶ checks: range, enum, required                                or RecordError

Guarantee: whatever the record holds, `read` returns a clean value or None; only `checked` raises, and only RecordError.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from transforms.errors import RecordError
from transforms.records.cleaners import FieldType
from transforms.records.derive import Derivation
from transforms.records.histories import EntryForm
from transforms.records.numerics import number
from transforms.records.paths import AnyPath, ListPath, Path
from transforms.records.patterns import Pattern
from transforms.records.settings import AUTO, DEFAULT, Settings
from transforms.records.texts import is_placeholder
from transforms.records.times import timestamp

_SCALAR = (str, int, float)


class Unplaced(enum.Enum):
    """What stands for a value that is there and cannot be made sense of; no cleaner makes anything of it."""

    UNPLACED = enum.auto()


UNPLACED = Unplaced.UNPLACED


@dataclass(frozen=True, slots=True)
class Source:
    """One place where a field's value may be.

    Attributes:
      paths: one, or several whose values are joined into one list.
      clean: what makes a clean value of what is found.
      cleaner: its name.
      match: of a text only the first group of this expression counts.
      entry: the text lists entries of this form, and of the present one only the part `take` counts.
      missing: texts (case-folded) and numbers that stand for nothing in this place.
      scale: what a number is multiplied by before it is cleaned.
      settings: how values are read, as far as that can be chosen for this cleaner.
      find: gives what a record has here, adapted but not cleaned; None: nothing.
    """

    paths: tuple[AnyPath, ...]
    clean: Callable[[Any], Any] = field(compare=False, repr=False)  # its name below stands for it
    cleaner: str
    match: Pattern | None = None
    entry: EntryForm | None = None
    take: str = ""
    missing: frozenset[str | float] = frozenset()
    scale: float | None = None
    settings: Settings = DEFAULT
    find: Callable[[Mapping[str, Any]], Any] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        adapted = self.match is not None or self.entry is not None or self.missing or self.scale is not None
        is_plain = len(self.paths) == 1 and not adapted
        object.__setattr__(self, "find", self.paths[0].read if is_plain else self._find)

    @property
    def is_undecided(self) -> bool:
        """Whether Unix times found here are in a unit that only a batch of them can tell."""
        return self.cleaner == "timestamp" and self.settings.unit == AUTO

    def in_unit(self, unit: str) -> Source:
        """The same place, where most Unix times of a batch are in this unit."""
        order = self.settings.date_order
        return replace(self, clean=partial(timestamp, unit=unit, date_order=order, is_sure=False))

    @property
    def heads(self) -> frozenset[str] | None:
        """Names of which the record must have at least one for anything to be found here; None: cannot be said."""
        heads = {path.steps[0] if isinstance(path, Path | ListPath) else None for path in self.paths}
        return frozenset(head for head in heads if isinstance(head, str)) if None not in heads else None

    def raw(self, record: Mapping[str, Any]) -> Any:
        """What a record has here, untouched; None: nothing."""
        return self.paths[0].read(record) if len(self.paths) == 1 else self._joined(record)

    def _find(self, record: Mapping[str, Any]) -> Any:
        return self._adapted(self.raw(record))

    def _joined(self, record: Mapping[str, Any]) -> list[Any] | None:
        joined: list[Any] = []
        for path in self.paths:
            value = path.read(record)
            if isinstance(value, list):
                joined += value
            elif value is not None:
                joined.append(value)
        return joined or None

    def _adapted(self, value: Any) -> Any:
        if self.missing and isinstance(value, _SCALAR) and not isinstance(value, bool):
            folded = value.strip().casefold() if isinstance(value, str) else value
            if folded in self.missing:
                return None
        if self.match is not None:
            value = self.match.first_group(value) if isinstance(value, str) else None
        if self.entry is not None and value is not None:
            part = self.entry.part(value, self.take)
            value = part if part is not None or not says_something(value) else UNPLACED
        if self.scale is not None and value is not None:
            unscaled = number(value)
            value = unscaled * self.scale if unscaled is not None else UNPLACED if says_something(value) else None
        return value


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the flat document and one column of the table.

    Attributes:
      required: a record without it is a dead letter (MISSING_FIELD).
      sources: in order; the first that yields a clean value wins. Empty for derived fields and for the key.
      derive: how it is made of other fields.
      minimum, maximum: inclusive bounds (OUT_OF_RANGE).
      enum: the allowed texts (NOT_IN_ENUM); compared without case, stored as written here.
      absent_on_fail: a value that fails range or enum is absent instead of a dead letter.
      is_checked: it can fail.
    """

    name: str
    type: FieldType
    description: str = ""
    required: bool = False
    sources: tuple[Source, ...] = ()
    derive: Derivation | None = None
    minimum: float | None = None
    maximum: float | None = None
    enum: tuple[str, ...] = ()
    absent_on_fail: bool = False
    is_checked: bool = field(default=False, init=False)
    _spelling: Mapping[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        bounded = self.minimum is not None or self.maximum is not None
        object.__setattr__(self, "is_checked", bounded or bool(self.enum) or self.required)
        object.__setattr__(self, "_spelling", {word.casefold(): word for word in self.enum})

    def read(self, record: Mapping[str, Any]) -> Any:
        """The first clean value of the sources, or None."""
        found = first_clean(self.sources, record)
        return None if found is UNPLACED else found

    def checked(self, value: Any) -> Any:
        """The value, or None where it is to be absent.

        Raises:
          RecordError: OUT_OF_RANGE, NOT_IN_ENUM or MISSING_FIELD.
        """
        if value is not None:
            failure = self._range_failure(value)
            if failure is None and self.enum:
                value, failure = self._in_enum(value)
            if failure is not None:
                if not self.absent_on_fail:
                    raise failure
                value = None
        if value is None and self.required:
            places = ", ".join(path.text for source in self.sources for path in source.paths)
            where = f"; looked in {places}" if places else ""
            raise RecordError("MISSING_FIELD", f"{self.name} is required, but the record has no usable value{where}")
        return value

    def _range_failure(self, value: Any) -> RecordError | None:
        if self.minimum is not None and value < self.minimum:
            return RecordError("OUT_OF_RANGE", f"{self.name} must be at least {self.minimum:,.15g}")
        if self.maximum is not None and value > self.maximum:
            return RecordError("OUT_OF_RANGE", f"{self.name} must be at most {self.maximum:,.15g}")
        return None

    def _in_enum(self, value: Any) -> tuple[Any, RecordError | None]:
        words = value if isinstance(value, list) else [value]
        spelled = [self._spelling.get(word.casefold()) for word in words]
        if None in spelled:
            return None, RecordError("NOT_IN_ENUM", f"{self.name} must be one of {', '.join(self.enum)}")
        return (spelled if isinstance(value, list) else spelled[0]), None


def first_clean(sources: Iterable[Source], record: Mapping[str, Any]) -> Any:
    """The first clean value of these sources; else UNPLACED if there was something, None if there was nothing."""
    result = None
    for source in sources:
        found = source.find(record)
        if found is not None:
            value = source.clean(found)
            if value is not None:
                return value
            if result is None and says_something(found):
                result = UNPLACED
    return result


def says_something(value: Any) -> bool:
    """False for blanks and placeholders, and for lists and maps of nothing else.

    >>> says_something("9,99"), says_something("n/a"), says_something(["", None]), says_something(float("nan"))
    (True, False, False, False)
    """
    if isinstance(value, str):
        return not is_placeholder(value)
    if isinstance(value, dict | list | tuple):
        members = value.values() if isinstance(value, dict) else value
        return any(bool(each) if isinstance(each, dict | list | tuple) else says_something(each) for each in members)
    return value is not None and value == value  # NaN stands for nothing
