"""Where the documents of a record go, and how they are written. Plain data.

    PairLayout       enriched_profiles/{id}  the record as it came
                     candidates/{id}         what the spec made of it
    SingleLayout     student_attempts/{id}   the record as it came

All of them have one `_meta`: see `groups.py`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from transforms.batch import Record
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import encoded_fields
from transforms.upsert.modes import MODES, VERSIONED

# The field of every document that Firebeam keeps for itself; see `groups.py`.
META_FIELD = "_meta"


class Form(NamedTuple):
    """One document of a record.

    Attributes:
      content: a serialised `google.firestore.v1.Document` that has nothing but fields.
      fields: the same as Python values.
      indexed: whether its fields have automatic indexes: see `firebeam indexes`.
    """

    content: bytes
    fields: Mapping[str, Any]
    indexed: bool = True


class FormSource(NamedTuple):
    """What the documents of a record are made of.

    Attributes:
      content: the record as a serialised Document.
      value: the record.
      flat: what the spec made of it.
      now: when it is written.
    """

    content: bytes
    value: Mapping[str, Any]
    flat: Mapping[str, Any]
    now: datetime.datetime


class Layout(Protocol):
    """The documents of the records of one spec in one database. Frozen and picklable.

    Attributes:
      target: the database.
      schema_version: of the spec.
      mode: versioned, overwrite, merge or create_only.
      keep_versions: how many states of the first document are kept beside it; 0 for none.
    """

    @property
    def target(self) -> FirestoreTarget:
        """See above."""

    @property
    def schema_version(self) -> int:
        """See above."""

    @property
    def mode(self) -> str:
        """See above."""

    @property
    def keep_versions(self) -> int:
        """See above."""

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The names of a record's documents up to the id, in the order of its forms."""

    @property
    def read_fields(self) -> tuple[str, ...]:
        """The top-level fields of stored documents that decide what is done with a record."""

    def forms(self, source: FormSource) -> tuple[Form, ...]:
        """The documents of a record, without `_meta`."""

    def meta_of(self, record: Record) -> Mapping[str, Any]:
        """What `_meta` says beside what it says of every record."""


@dataclass(frozen=True)
class PairLayout:
    """The pairs of one record spec in one database.

    Attributes:
      full_collection: collection of the whole records.
      flat_collection: collection of their flat forms.
      target, schema_version, mode, keep_versions: see `Layout`.
    """

    target: FirestoreTarget
    full_collection: str
    flat_collection: str
    schema_version: int
    mode: str = VERSIONED
    keep_versions: int = 0

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def prefixes(self) -> tuple[str, ...]:
        """See `Layout`."""
        return _prefixes(self.target, self.full_collection, self.flat_collection)

    @property
    def read_fields(self) -> tuple[str, ...]:
        """See `Layout`."""
        return (META_FIELD,)

    def forms(self, source: FormSource) -> tuple[Form, ...]:
        """See `Layout`."""
        whole = Form(source.content, source.value, indexed=False)
        return whole, Form(encoded_fields(source.flat), source.flat)

    def meta_of(self, record: Record) -> Mapping[str, Any]:
        """See `Layout`."""
        return {}


@dataclass(frozen=True)
class SingleLayout:
    """One document for each record of a spec: the record as it came.

    Attributes:
      collection: of the records.
      target, schema_version, mode, keep_versions: see `Layout`.
    """

    target: FirestoreTarget
    collection: str
    schema_version: int
    mode: str = VERSIONED
    keep_versions: int = 0

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def prefixes(self) -> tuple[str, ...]:
        """See `Layout`."""
        return _prefixes(self.target, self.collection)

    @property
    def read_fields(self) -> tuple[str, ...]:
        """See `Layout`."""
        return (META_FIELD,)

    def forms(self, source: FormSource) -> tuple[Form, ...]:
        """See `Layout`."""
        return (Form(source.content, source.value),)

    def meta_of(self, record: Record) -> Mapping[str, Any]:
        """See `Layout`."""
        return {}


def names(layout: Layout, keys: Iterable[str]) -> list[str]:
    """The names of all documents of every id."""
    return [prefix + key for key in keys for prefix in layout.prefixes]


def writes_per_record(layout: Layout) -> int:
    """How many writes a record takes at most."""
    return len(layout.prefixes) + (2 if layout.keep_versions else 0)


def _prefixes(target: FirestoreTarget, *collections: str) -> tuple[str, ...]:
    return tuple(target.document_name(collection) + "/" for collection in collections)


def _check(layout: Layout) -> None:
    if layout.mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {layout.mode!r}")
    if layout.keep_versions and layout.mode != VERSIONED:
        raise ValueError(f"keep_versions needs the mode {VERSIONED}, got {layout.mode}")
