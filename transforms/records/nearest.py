"""Which paths of the records look most like those that a field is looked for in: for whoever writes or mends a spec.

    looked for              the records have            closest
    years_experience  ───▶  profile.yearsOfExperience,  profile.yearsOfExperience
                            profile.name, notes[].text

Two paths are alike if their last names share words, or nearly all letters; names before the last decide among equals.

    >>> closest(["years_experience"], paths_of({"profile": {"yearsOfExperience": 7, "name": "Ada"}}))
    ['profile.yearsOfExperience']
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

_MAX_PATHS = 2_000  # of one record: maps whose names are data have no end
_MAX_ENTRIES = 5  # of a list: the others look alike
_MAX_LEVELS = 20  # as many as Firestore has
_LEAST_SHARE = 0.5  # of the words of two names
_LEAST_RATIO = 0.75  # of difflib, for names without a common word: experiance, experience

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_BRACKETS = re.compile(r"\[\d*\]")
_FILLERS = frozenset({"of", "the", "a", "in", "and", "total", "overall"})


def paths_of(record: Mapping[str, Any]) -> list[str]:
    """The path of every value in a record, as a spec would write it; at most 2,000.

    >>> paths_of({"a": {"b": 1}, "c": [{"d": 2}, {"e": 3}], "f": []})
    ['f', 'a.b', 'c[].d', 'c[].e']
    """
    found: dict[str, None] = {}
    level: list[tuple[str, Any]] = [("", record)]
    for _ in range(_MAX_LEVELS):
        below: list[tuple[str, Any]] = []
        for path, value in level:
            if isinstance(value, Mapping) and value:
                below += [(f"{path}.{name}" if path else str(name), member) for name, member in value.items()]
            elif isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
                below += [(f"{path}[]", each) for each in value[:_MAX_ENTRIES]]
            elif path:
                found[path] = None
        level = below[:_MAX_PATHS]
    return list(found)[:_MAX_PATHS]


def closest(wanted: Iterable[str], known: Collection[str], most: int = 3) -> list[str]:
    """The known paths that look most like one of the wanted, the best first."""
    by_name: dict[str, list[str]] = {}
    for path in known:
        by_name.setdefault(_last_name(path), []).append(path)
    scores: dict[str, float] = {}
    for path in dict.fromkeys(wanted):
        for name in _alike(_last_name(path), by_name):
            for other in by_name[name]:
                score = _likeness(_last_name(path), name) + 0.1 * _shared(_words(path), _words(other))
                scores[other] = max(scores.get(other, 0.0), score)
    return sorted(scores, key=lambda path: (-scores[path], path))[:most]


def _alike(name: str, names: Mapping[str, Sequence[str]]) -> set[str]:
    words = _words(name)
    by_letters = difflib.get_close_matches(name.casefold(), names, n=5, cutoff=_LEAST_RATIO)
    return {other for other in names if _shared(words, _words(other)) >= _LEAST_SHARE} | set(by_letters)


def _likeness(name: str, other: str) -> float:
    ratio = difflib.SequenceMatcher(None, name.casefold(), other.casefold()).ratio()
    return max(_shared(_words(name), _words(other)), ratio)


def _shared(words: frozenset[str], others: frozenset[str]) -> float:
    return len(words & others) / max(1, len(words | others))


def _last_name(path: str) -> str:
    return _BRACKETS.sub("", path).rpartition(".")[2]


@lru_cache(maxsize=8192)
def _words(path: str) -> frozenset[str]:
    """
    >>> sorted(_words("profile.yearsOfExperience")), sorted(_words("skill_list[].name"))
    (['experience', 'profile', 'years'], ['list', 'name', 'skill'])
    """
    words = [word.casefold() for word in _WORDS.findall(path)]
    return frozenset(word for word in words if word not in _FILLERS) or frozenset(words)
