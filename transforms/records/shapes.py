"""Which sources a record can have values in, told by the names at its top: found once per shape of record.

Most sources of a spec belong to another shape than the record at hand. Asking each of them costs more than cleaning
what the others find, so the answer is kept for the shapes that have been met.

    >>> from transforms.records.load import load_spec
    >>> text = "{name: a, schema_version: 1, full_collection: f, flat_collection: c, key: {name: k, from: id}, "
    >>> spec = load_spec(text + "fields: {n: {type: number, from: [a.n, b]}, t: {type: string, from: t}}}", "a.yaml")
    >>> [(field.name, len(sources)) for field, sources in Shapes(spec.fields).of({"b": 1, "x": 2})]
    [('n', 1)]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from transforms.records.fields import Field, Source

_MAX_SHAPES = 1_000  # then all are forgotten: names that are data have no end

Applicable = tuple[tuple[Field, tuple[Source, ...]], ...]


class Shapes:
    """The fields that a record can fill, each with its sources in order; required fields also without any.

    Args:
      fields: of a spec; those without sources are left out.
    """

    def __init__(self, fields: Iterable[Field]):
        self._fields = tuple(field for field in fields if field.sources)
        heads = (source.heads for field in self._fields for source in field.sources)
        self._heads = frozenset().union(*(names for names in heads if names is not None))
        self._known: dict[frozenset[str], Applicable] = {}

    def of(self, record: Mapping[str, Any]) -> Applicable:
        """What to look for in a record."""
        names = self._heads.intersection(record)
        known = self._known.get(names)
        if known is None:
            if len(self._known) >= _MAX_SHAPES:
                self._known.clear()
            known = self._known[names] = tuple(self._applicable(names))
        return known

    def _applicable(self, names: frozenset[str]) -> Iterable[tuple[Field, tuple[Source, ...]]]:
        for field in self._fields:
            every = ((source, source.heads) for source in field.sources)
            sources = tuple(source for source, heads in every if heads is None or not heads.isdisjoint(names))
            if sources or field.required:
                yield field, sources

    def __reduce__(self) -> tuple[type[Shapes], tuple[tuple[Field, ...]]]:
        return Shapes, (self._fields,)  # what was met here stays here
