"""A loaded record spec: frozen, picklable, and all that flattening a record needs. Made by `load.load_spec`.

    with_origin ─▶ record ─▶ key_of ─▶ document id
                          └▶ flatten ─▶ fields from their sources, checked      see fields.py
                                     ─▶ what must hold between values           see checks.py
                                     ─▶ derived fields, from the flat ones      see derive.py

Guarantee: whatever the record holds, `flatten` and `key_of` return or raise RecordError, and depend on nothing else.
"""

from __future__ import annotations

import datetime
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any

from transforms.batch import EmptyField, FieldCount, FieldReport, Units
from transforms.errors import RecordError
from transforms.records.analysis import Analysis
from transforms.records.checks import Equal, Ordered
from transforms.records.fields import UNPLACED, Field, Source, first_clean
from transforms.records.keys import check_id, escaped, id_of, kind_of
from transforms.records.nearest import closest, paths_of
from transforms.records.origins import Origin, with_origin
from transforms.records.paths import AnyPath, Path
from transforms.records.shapes import Shapes
from transforms.records.tally import FieldTally
from transforms.records.times import unit_by_size
from transforms.unexpected import UNEXPECTED


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

    def found_instead(self, record: Mapping[str, Any]) -> str:
        """What a record without an id has in its place, as a remark in a message."""
        found = {path.text: path.read(record) for path in self.paths}
        remarks = [f"{path} holds {kind_of(value)}" for path, value in found.items() if value is not None]
        return f" ({', '.join(remarks)})" if remarks else ""

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
      full_collection: where the records go as they came.
      flat_collection: where their flat forms go; None if a record is one document, the one in full_collection.
      fields: of the flat form, the key first, in the order of the file.
      indexes: composite indexes of `queried_collection`, by the names of its documents' fields.
      unwrap: maps whose members count as members of the record, where it has none of that name itself.
      ordered, equals: what must hold between values of one record.
      escapes_ids: whether an id that Firestore does not take is escaped, not refused; chosen by the job.
      analysis: what a model is asked about each record, where a job asks one.
      label: what the application's log calls a record, such as attempt.
      owner: the field that says whose a record is, for that log.
    """

    name: str
    schema_version: int
    fingerprint: str
    key: Key
    full_collection: str
    flat_collection: str | None
    fields: tuple[Field, ...]
    description: str = ""
    bigquery: BigQueryOptions = BigQueryOptions()
    indexes: tuple[tuple[IndexField, ...], ...] = ()
    derived: tuple[Field, ...] = ()  # in an order in which each finds what it is made of
    unwrap: tuple[Path, ...] = ()
    ordered: tuple[Ordered, ...] = ()
    equals: tuple[Equal, ...] = ()
    escapes_ids: bool = False
    analysis: Analysis | None = None
    label: str = ""
    owner: str = ""
    _shapes: Shapes = field(init=False, compare=False, repr=False)
    _undecided: tuple[tuple[str, int, Source], ...] = field(init=False, compare=False, repr=False)
    _of_origin: tuple[Path, ...] = field(init=False, compare=False, repr=False)  # in fields and ids
    _uses_origin: bool = field(init=False, compare=False, repr=False)
    _pickled: bytes = field(init=False, compare=False, repr=False, default=b"")

    def __reduce__(self) -> tuple[Callable[[bytes], RecordSpec], tuple[bytes]]:
        """As bytes that are made once, and loaded once in each process: Beam pickles each step of a job several times,
        and a spec with its table of skills has thousands of parts."""
        if not self._pickled:
            parts = [getattr(self, each.name) for each in fields(self) if each.init]
            object.__setattr__(self, "_pickled", pickle.dumps(parts, pickle.HIGHEST_PROTOCOL))
        return _loaded, (self._pickled,)

    def __post_init__(self) -> None:
        every = ((field.name, at, source) for field in self.fields for at, source in enumerate(field.sources))
        object.__setattr__(self, "_shapes", Shapes(self.fields))
        object.__setattr__(self, "_undecided", tuple(each for each in every if each[2].is_undecided))
        sources = [source for field in self.fields for source in field.sources]
        of_origin = _of_origin([*self.key.paths, *(path for source in sources for path in source.paths)])
        checked = _of_origin(path for equal in self.equals for place in equal.places for path in place.paths)
        object.__setattr__(self, "_of_origin", of_origin)
        object.__setattr__(self, "_uses_origin", bool(of_origin or checked))

    @property
    def collections(self) -> tuple[str, ...]:
        """Where the documents of a record go, the whole record first."""
        return (self.full_collection, self.flat_collection) if self.flat_collection else (self.full_collection,)

    @property
    def queried_collection(self) -> str:
        """The one whose documents are found by their fields."""
        return self.collections[-1]

    def with_origin(self, value: Mapping[str, Any], origin: Origin) -> Mapping[str, Any]:
        """The record as all other methods expect it: with `$id` and `$path`, if the spec asks for them."""
        return with_origin(value, origin) if self._uses_origin else value

    def content_of(self, value: Mapping[str, Any], origin: Origin) -> Mapping[str, Any]:
        """All that decides what a record becomes: the record, and what its fields take from where it was read."""
        if not self._of_origin:
            return value
        there = with_origin({}, origin)
        found = {path.text: path.read(there) for path in self._of_origin}
        return {**value, **{text: each for text, each in found.items() if each is not None}}

    def units_of(self, values: Iterable[Mapping[str, Any]]) -> Units:
        """The units of the Unix times in a batch: for every source that leaves it open, the one that most values have.

        A unit is told by the size of values, and one value says too little: 63072000000 is 1972 in milliseconds and
        3968 in seconds.
        """
        if not self._undecided:
            return ()
        votes: dict[tuple[str, int], Counter[str]] = {}
        for value in values:
            record = self.unwrapped(value)
            for name, at, source in self._undecided:
                try:
                    unit = unit_by_size(source.find(record))
                except UNEXPECTED:  # it is met again when the record itself is flattened
                    continue
                if unit is not None:
                    votes.setdefault((name, at), Counter())[unit] += 1
        return tuple((name, at, units.most_common(1)[0][0]) for (name, at), units in votes.items())

    def in_units(self, units: Units) -> RecordSpec:
        """The spec that reads the Unix times of a batch so, and cannot place those whose size contradicts it."""
        if not units:
            return self
        decided = {(name, at): unit for name, at, unit in units}

        def read_so(field: Field) -> Field:
            sources = (
                source.in_unit(decided[field.name, at]) if (field.name, at) in decided else source
                for at, source in enumerate(field.sources)
            )
            return replace(field, sources=tuple(sources))

        key = replace(self.key, parts=tuple(map(read_so, self.key.parts)))
        return replace(self, key=key, fields=tuple(map(read_so, self.fields)))

    @property
    def key_fields(self) -> tuple[str, ...]:
        """Top-level fields of a record of which its id is made, or that hold what it is made of."""
        of_parts = (path for part in self.key.parts for source in part.sources for path in source.paths)
        paths = (*self.key.paths, *of_parts, *(self.unwrap if self.key.template is not None else ()))
        return tuple(dict.fromkeys(str(path.steps[0]) for path in paths if isinstance(path, Path)))

    def key_of(self, value: Mapping[str, Any], fallback_id: str | None) -> str:
        """The document id of a record.

        Args:
          fallback_id: an id that came with the record, used when the record holds none.

        Raises:
          RecordError: MISSING_ID or INVALID_ID.
        """
        found = self.id_in(value)
        if found is None:
            found = id_of(fallback_id)
        if found is None:
            record = value if isinstance(value, dict) else dict(value)
            raise RecordError(
                "MISSING_ID",
                f"{self.key.name} is missing: {self.key.origin} must hold text or a whole number"
                f"{self.key.found_instead(record)}, and no id came with the record",
            )
        return check_id(escaped(found) if self.escapes_ids else found, self.key.name)

    def id_in(self, value: Mapping[str, Any]) -> str | None:
        """What a record itself says it is called, not yet checked or escaped; None if it does not."""
        record = value if isinstance(value, dict) else dict(value)
        return self.key.read(record if self.key.template is None else self.unwrapped(record))

    def without_needs_of(self, into: str) -> RecordSpec:
        """The spec for records that lack what an answer of a model would be: fields that it may give are not required.

        Args:
          into: field of the record that the answer becomes.
        """

        def may_come(field: Field) -> bool:
            paths = (path.text for source in field.sources for path in source.paths)
            return field.derive is not None or any(
                path == into or path.startswith((f"{into}.", f"{into}[")) for path in paths
            )

        fields = tuple(replace(each, required=False) if may_come(each) else each for each in self.fields)
        derived = tuple(replace(each, required=False) for each in self.derived)
        return replace(self, fields=fields, derived=derived)

    def flatten(self, value: Mapping[str, Any], key: str, tally: FieldTally | None = None) -> dict[str, Any]:
        """The flat fields of a record; what is missing is absent.

        Args:
          tally: counts which fields had a value, and which something that no cleaner could place.

        Raises:
          RecordError: MISSING_FIELD, OUT_OF_RANGE, NOT_IN_ENUM, OUT_OF_ORDER or NOT_EQUAL.
        """
        record = self.unwrapped(value) if self.unwrap or type(value) is not dict else value
        flat: dict[str, Any] = {self.key.name: key}
        uncleaned: list[str] = []
        for plain, sources in self._shapes.of(record):
            found = first_clean(sources, record)
            if found is UNPLACED:
                uncleaned.append(plain.name)
                found = None
            if plain.is_checked:
                found = plain.checked(found)
            if found is not None:
                flat[plain.name] = found
        for equal in self.equals:
            equal.check(record)
        for derived in self.derived:
            made = derived.checked(derived.derive.compute(flat)) if derived.derive else None
            if made is not None:
                flat[derived.name] = made
        for ordered in self.ordered:
            ordered.check(flat)
        if tally is not None:
            tally.records += 1
            tally.with_value += flat
            tally.uncleaned += uncleaned
        return flat

    def report(self, tally: FieldTally, samples: Iterable[Mapping[str, Any]] = ()) -> FieldReport:
        """What a tally says of every field.

        Args:
          samples: records among which to look for paths like those of fields that had no value; none: do not look.
        """
        found = tally.counts()
        counts = {field.name: found.get(field.name, FieldCount()) for field in self.fields}
        known = list(dict.fromkeys(path for sample in samples for path in paths_of(sample)))
        missed = [field for field in self.fields if not counts[field.name].with_value] if known else []
        places = {field.name: self.places_of(field) for field in missed}
        empty = (EmptyField(name, paths, tuple(closest(paths, known))) for name, paths in places.items() if paths)
        return FieldReport(tally.records, counts, tuple(empty))

    def places_of(self, field: Field) -> tuple[str, ...]:
        """The paths in which a field is looked for; of a derived one, none."""
        is_key = field.name == self.key.name
        paths = self.key.paths if is_key else [path for source in field.sources for path in source.paths]
        return tuple(dict.fromkeys(path.text for path in paths))

    def unwrapped(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """The record with what `unwrap` names laid open."""
        record = value if isinstance(value, dict) else dict(value)
        inner = [found for path in self.unwrap if isinstance(found := path.read(record), dict)]
        if not inner:
            return record
        whole: dict[str, Any] = {}
        for members in (record, *inner):
            whole.update((name, member) for name, member in members.items() if _blank(whole.get(name)))
        return whole


def _of_origin(paths: Iterable[AnyPath]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path for path in paths if isinstance(path, Path) and path.is_of_origin))


@lru_cache(maxsize=8)
def _loaded(pickled: bytes) -> RecordSpec:
    spec = RecordSpec(*pickle.loads(pickled))  # noqa: S301  # only ever of this job's own launcher
    object.__setattr__(spec, "_pickled", pickled)
    return spec


def _blank(value: Any) -> bool:
    return value is None or value == "" or value == {} or value == []


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
