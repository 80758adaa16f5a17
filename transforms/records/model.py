"""A loaded record spec: frozen, picklable, and all that flattening a record needs. Made by `load.load_spec`.

    record ─▶ key_of ─▶ document id
           └▶ flatten ─▶ source by source: path → match → scale → cleaner   first value wins
                      ─▶ checks: range, enum, required                       or RecordError
                      ─▶ derived fields                                      from the flat ones

Guarantee: whatever the record holds, `flatten` and `key_of` return or raise RecordError, and depend on nothing else.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.errors import RecordError
from transforms.records.cleaners import FieldType
from transforms.records.derive import Derivation
from transforms.records.keys import check_id, id_of
from transforms.records.numerics import number
from transforms.records.paths import AnyPath, ListPath, Path

_SCALAR = (str, int, float)


@dataclass(frozen=True, slots=True)
class Source:
    """One place where a field's value may be.

    Attributes:
      paths: one, or several whose values are joined into one list.
      clean: what makes a clean value of what is found.
      cleaner: its name.
      match: of a text only the first group of this expression counts.
      missing: texts (case-folded) and numbers that stand for nothing in this place.
      scale: what a number is multiplied by before it is cleaned.
    """

    paths: tuple[AnyPath, ...]
    clean: Callable[[Any], Any] = field(compare=False, repr=False)  # its name below stands for it
    cleaner: str
    match: re.Pattern[str] | None = None
    missing: frozenset[str | float] = frozenset()
    scale: float | None = None
    _plain: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        adapted = self.match is not None or self.missing or self.scale is not None
        object.__setattr__(self, "_plain", len(self.paths) == 1 and not adapted)

    @property
    def heads(self) -> frozenset[str] | None:
        """Names of which the record must have at least one for anything to be found here; None: cannot be said."""
        heads = {path.steps[0] if isinstance(path, Path | ListPath) else None for path in self.paths}
        return frozenset(head for head in heads if isinstance(head, str)) if None not in heads else None

    def read(self, record: Mapping[str, Any]) -> Any:
        """The clean value found here, or None."""
        if self._plain:
            value = self.paths[0].read(record)
            return None if value is None else self.clean(value)
        value = self.paths[0].read(record) if len(self.paths) == 1 else self._joined(record)
        adapted = self._adapted(value)
        return None if adapted is None else self.clean(adapted)

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
            found = self.match.search(value) if isinstance(value, str) else None
            value = found[1] if found else None
        if self.scale is not None:
            unscaled = number(value)
            value = None if unscaled is None else unscaled * self.scale
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
    _checked: bool = field(default=False, init=False)
    _by_heads: tuple[tuple[frozenset[str] | None, Source], ...] = field(default=(), init=False, repr=False)
    _spelling: Mapping[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        bounded = self.minimum is not None or self.maximum is not None
        object.__setattr__(self, "_checked", bounded or bool(self.enum))
        object.__setattr__(self, "_by_heads", tuple((source.heads, source) for source in self.sources))
        object.__setattr__(self, "_spelling", {word.casefold(): word for word in self.enum})

    def read(self, record: Mapping[str, Any]) -> Any:
        """The first clean value of the sources, or None."""
        names = record.keys()
        for heads, source in self._by_heads:
            if heads is not None and heads.isdisjoint(names):
                continue  # most sources belong to another shape of record; this is the cheapest way to know
            value = source.read(record)
            if value is not None:
                return value
        return None

    def checked(self, value: Any) -> Any:
        """The value, or None where it is to be absent.

        Raises:
          RecordError: OUT_OF_RANGE, NOT_IN_ENUM or MISSING_FIELD.
        """
        if value is not None and self._checked:
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


@dataclass(frozen=True, slots=True)
class Key:
    """Where the document id comes from.

    Attributes:
      name: of the flat field that holds it.
      paths: in order; the first that holds an id wins.
      template: instead of paths, text with {field} in it, such as "{symbol}_{open_time}".
      parts: the fields the template names.
    """

    name: str
    paths: tuple[AnyPath, ...] = ()
    template: str | None = None
    parts: tuple[Field, ...] = ()

    def read(self, record: Mapping[str, Any]) -> str | None:
        """The id the record itself holds, unchecked, or None."""
        if self.template is None:
            return next((found for path in self.paths if (found := id_of(path.read(record))) is not None), None)
        values = {part.name: part.read(record) for part in self.parts}
        if None in values.values():
            return None
        return self.template.format_map({name: _id_part(value) for name, value in values.items()})

    @property
    def origin(self) -> str:
        """Where ids come from, for messages and documentation."""
        return self.template if self.template is not None else ", ".join(path.text for path in self.paths)


@dataclass(frozen=True, slots=True)
class BigQueryOptions:
    """How the table is laid out.

    Attributes:
      partition_by: a timestamp field; None leaves it to the table's own `update_time`.
      partition_type: HOUR, DAY, MONTH or YEAR.
      cluster_by: at most four fields, the most selective first.
    """

    partition_by: str | None = None
    partition_type: str = "DAY"
    cluster_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexField:
    """One field of a composite index; mode is ASCENDING, DESCENDING or CONTAINS."""

    name: str
    mode: str


@dataclass(frozen=True, slots=True)
class RecordSpec:
    """What one kind of record is.

    Attributes:
      name: of the spec.
      schema_version: raised by its author when the flat form changes meaning; stored in `_meta`.
      fingerprint: hex digest of all that decides what a record becomes, alias tables included.
      key: where ids come from.
      full_collection, flat_collection: where the two documents go.
      fields: of the flat document, the key first, in the order of the file.
      indexes: composite indexes of the flat collection.
    """

    name: str
    schema_version: int
    fingerprint: str
    key: Key
    full_collection: str
    flat_collection: str
    fields: tuple[Field, ...]
    description: str = ""
    bigquery: BigQueryOptions = BigQueryOptions()
    indexes: tuple[tuple[IndexField, ...], ...] = ()
    derived: tuple[Field, ...] = ()  # in an order in which each finds what it is made of

    def key_of(self, value: Mapping[str, Any], fallback_id: str | None) -> str:
        """The document id of a record.

        Args:
          fallback_id: an id that came with the record, used when the record holds none.

        Raises:
          RecordError: MISSING_ID or INVALID_ID.
        """
        record = value if isinstance(value, dict) else dict(value)
        found = self.key.read(record)
        if found is None:
            found = id_of(fallback_id)
        if found is None:
            raise RecordError(
                "MISSING_ID",
                f"{self.key.name} is missing: {self.key.origin} must hold text or a whole number, "
                "and no id came with the record",
            )
        return check_id(found, self.key.name)

    def flatten(self, value: Mapping[str, Any], key: str) -> dict[str, Any]:
        """The flat fields of a record; what is missing is absent.

        Raises:
          RecordError: MISSING_FIELD, OUT_OF_RANGE or NOT_IN_ENUM.
        """
        record = value if isinstance(value, dict) else dict(value)
        flat: dict[str, Any] = {self.key.name: key}
        for plain in self.fields:
            if plain.sources:
                found = plain.read(record)
                if found is not None or plain.required:
                    found = plain.checked(found)
                if found is not None:
                    flat[plain.name] = found
        for derived in self.derived:
            made = derived.checked(derived.derive.compute(flat)) if derived.derive else None
            if made is not None:
                flat[derived.name] = made
        return flat


def _id_part(value: Any) -> str:
    """A value within an id; points in time as 20251005T124038Z, with a fraction only where there is one.

    >>> _id_part(datetime.datetime(2025, 10, 5, 12, 40, tzinfo=datetime.timezone.utc))
    '20251005T124000Z'
    """
    if isinstance(value, datetime.datetime):
        fraction = f".{value.microsecond:06d}" if value.microsecond else ""
        date = f"{value.year:04d}{value.month:02d}{value.day:02d}"
        return f"{date}T{value.hour:02d}{value.minute:02d}{value.second:02d}{fraction}Z"
    return str(value)
