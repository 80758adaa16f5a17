"""Fields that are not compared. Plain Python.

Ignored.of(["updated_at", "address.city"]).stripped({"name": …, "updated_at": …, "address": {"city": …, "zip": …}})
{"name": …, "address": {"zip": …}}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from transforms.errors import RecordError, UsageError
from transforms.firestore.field_paths import parse


@dataclass(frozen=True, slots=True)
class Ignored:
    """Field paths, each as the names it is made of."""

    paths: frozenset[tuple[str, ...]] = frozenset()

    @classmethod
    def of(cls, paths: Iterable[str]) -> Ignored:
        """From field paths as Firestore writes them; a path names whatever lies below it, too.

        Raises:
          UsageError: one is not a field path.
        """
        parsed = []
        for path in paths:
            try:
                parsed.append(tuple(parse(path)))
            except RecordError as error:
                raise UsageError(f"--ignore={path} is not a field path: {error.message}") from None
        return cls(frozenset(parsed))

    def stripped(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields without those that are ignored; a map that loses its last field stays, empty.

        >>> Ignored.of(["a.b", "c"]).stripped({"a": {"b": 1}, "c": 2, "d": {"a": {"b": 3}}})
        {'a': {}, 'd': {'a': {'b': 3}}}
        """
        return _without(fields, self.paths) if self.paths else fields

    def below(self, path: tuple[str, ...]) -> Ignored | None:
        """What is ignored within the value at `path`; None if all of it is.

        >>> Ignored.of(["a.b", "c"]).below(("a",)), Ignored.of(["a.b", "c"]).below(("c", "d"))
        (Ignored(paths=frozenset({('b',)})), None)
        """
        if any(path[: len(ignored)] == ignored for ignored in self.paths):
            return None
        inner = (ignored[len(path) :] for ignored in self.paths if ignored[: len(path)] == path)
        return Ignored(frozenset(inner))


def _without(fields: Mapping[str, Any], paths: Iterable[tuple[str, ...]]) -> Mapping[str, Any]:
    below: dict[str, list[tuple[str, ...]]] = {}
    for name, *rest in paths:
        below.setdefault(name, []).append(tuple(rest))
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        inner = below.get(name)
        if inner is None:
            kept[name] = value
        elif () not in inner:
            kept[name] = _without(value, inner) if isinstance(value, Mapping) else value
    return kept
