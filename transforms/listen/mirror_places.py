"""Which documents a change is written to when it is mirrored. Plain Python.

    --to=firestore://copies/{user}/posts   the document itself, under the values of its parameters
    --to=spec                              the pair of the record spec: full and flat document

Guarantee: no two documents that are listened to are written to one place, unless their spec gives both one id, and none
is written where it is listened to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from transforms.errors import RecordError, UsageError
from transforms.firestore.query import Query, check_collection_path
from transforms.firestore.values import encoded_fields
from transforms.listen.entries import Changed
from transforms.records.spec import Origin, RecordSpec
from transforms.upsert.forms import without_meta

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class Mirrored(NamedTuple):
    """A stream, as far as it matters where its documents are mirrored to.

    Attributes:
      parameters: that are the same for all of its documents.
      of_path: names of those that a document's path gives.
    """

    stream_id: str
    query: Query
    parameters: Mapping[str, str]
    of_path: Sequence[str]


class Written(NamedTuple):
    """What a change becomes.

    Attributes:
      paths: of the documents, in the database that is written to.
      contents: their serialised fields, without `_meta`; empty where the document is gone.
    """

    paths: tuple[str, ...]
    contents: tuple[bytes, ...]


class Places(Protocol):
    """Where changes are mirrored to. Picklable."""

    def written(self, entry: Changed) -> Written:
        """What a change becomes. Raises RecordError."""

    @property
    def schema_version(self) -> int:
        """Of what is written."""

    @property
    def fingerprint(self) -> str:
        """Of what decides, beside the document, what is written."""


@dataclass(frozen=True)
class CollectionPlaces:
    """Documents as they are, under the same id.

    Attributes:
      template: path of the collection, with parameters in braces.
    """

    template: str

    @property
    def schema_version(self) -> int:
        """See `Places`."""
        return 1

    @property
    def fingerprint(self) -> str:
        """See `Places`."""
        return ""

    def written(self, entry: Changed) -> Written:
        """See `Places`."""
        collection = filled(self.template, entry.parameters)
        path = f"{collection}/{entry.key.rpartition('/')[2]}"
        document = entry.change.document
        if document is None:
            return Written((path,), ())
        return Written((path,), (encoded_fields(without_meta(document.fields)),))

    def check(self, streams: Sequence[Mirrored], *, same_database: bool) -> None:
        """Refuses what could not be a mirror.

        Args:
          streams: all of the job.
          same_database: whether the mirror is in the database that is listened to.

        Raises:
          UsageError: documents would meet in one place, or be written where they are listened to.
        """
        check_collection_path(_PLACEHOLDER.sub("x", self.template))
        named = set(_PLACEHOLDER.findall(self.template))
        seen: dict[str, str] = {}
        for stream_id, query, parameters, of_path in streams:
            if unknown := named - parameters.keys() - set(of_path):
                known = ", ".join((*parameters, *of_path)) or "it has none"
                raise UsageError(f"--to: stream {stream_id} has no parameter {sorted(unknown)[0]!r}; {known}")
            if query.all_descendants and not of_path:
                raise UsageError(
                    f"--to: the documents of the group {query.collection} may have the same ids; listen to a path with "
                    "parameters, such as users/{user}/posts, and name them in --to"
                )
            if missing := [name for name in of_path if name not in named]:
                raise UsageError(
                    f"--to: documents of stream {stream_id} would meet in one collection; put {{{missing[0]}}} into it"
                )
            place = filled(self.template, parameters)
            if place in seen:
                raise UsageError(
                    f"--to: documents of the streams {seen[place]} and {stream_id} would meet in {place}; put a "
                    "parameter that tells them apart into it, in braces"
                )
            seen[place] = stream_id
        if same_database:
            for place in seen:
                for stream_id, query, _, _ in streams:
                    _check_apart(place, stream_id, query)


@dataclass(frozen=True)
class SpecPlaces:
    """The documents that a record spec makes: a pair, or one.

    Attributes:
      spec: that flattened the documents.
      applies_deletes: the id must be what the place of the document says, so that it can be found when that is gone.
    """

    spec: RecordSpec
    applies_deletes: bool

    @property
    def schema_version(self) -> int:
        """See `Places`."""
        return self.spec.schema_version

    @property
    def fingerprint(self) -> str:
        """See `Places`."""
        return self.spec.fingerprint

    def written(self, entry: Changed) -> Written:
        """See `Places`."""
        spec, document = self.spec, entry.change.document
        origin = Origin(entry.key.rpartition("/")[2], entry.parameters)
        of_place = spec.key_of(spec.with_origin({}, origin), origin.id) if self.applies_deletes else None
        if document is None:
            return Written(self._paths(of_place or ""), ())
        key = spec.key_of(spec.with_origin(document.fields, origin), origin.id)
        if of_place not in (None, key):
            raise RecordError(
                "ID_NOT_OF_PLACE",
                f"{spec.key.name} comes from fields that say otherwise than the document's path, which is all that a "
                "delete has; correct the document, or pass --deletes=ignore",
            )
        flat = {**(entry.record or {}), spec.key.name: key}
        whole = encoded_fields(without_meta(document.fields))
        contents = (whole, encoded_fields(flat)) if spec.flat_collection else (whole,)
        return Written(self._paths(key), contents)

    def _paths(self, key: str) -> tuple[str, ...]:
        return tuple(f"{collection}/{key}" for collection in self.spec.collections)

    def check(self, streams: Sequence[Mirrored]) -> None:
        """Refuses what could not be a mirror. Arguments and errors as `CollectionPlaces.check`."""
        spec = self.spec
        for stream_id, query, parameters, of_path in streams:
            for collection in spec.collections:
                _check_apart(collection, stream_id, query)
            sample = Origin("1759665600", {**parameters, **dict.fromkeys(of_path, "x")})
            if self.applies_deletes and spec.id_in(spec.with_origin({}, sample)) is None:
                raise UsageError(
                    f"--to=spec: ids of the spec {spec.name} come from fields of the records, which a deleted document "
                    "no longer has; pass --deletes=ignore, or use --to=firestore://COLLECTION"
                )


def filled(template: str, parameters: Mapping[str, str]) -> str:
    """A path with the values of parameters; others stay.

    >>> filled("copies/{user}/{kind}", {"user": "ada"})
    'copies/ada/{kind}'
    """
    return _PLACEHOLDER.sub(lambda found: parameters.get(found[1], found[0]), template)


def _check_apart(place: str, stream_id: str, query: Query) -> None:
    """Raises UsageError if documents in a collection, with or without parameters, would be in a query."""
    segments = [_PLACEHOLDER.sub("\0", segment) for segment in place.split("/")]
    pattern = "/".join(re.escape(segment).replace(re.escape("\0"), "[^/]+") for segment in segments)
    last = re.escape(segments[-1]).replace(re.escape("\0"), "[^/]+")
    if re.fullmatch(last if query.all_descendants else pattern, query.collection):
        raise UsageError(
            f"--to: {place} is what stream {stream_id} listens to, so the mirror would listen to itself; choose another"
            " collection"
        )
