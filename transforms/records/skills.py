"""The `skills` cleaner: a list of skill names, in one spelling each, the surest first.

    "js", "JavaScript ", {"skill": "Java Script", "confidence": 95}  ─▶  "JavaScript"

Names are compared by NFKC, without case, `-` and `_` as spaces, and looked up in an alias table; a name that is in no
table keeps the spelling it came with. Repetitions go to the surest one; names without a confidence come after those
that have one; otherwise the order is the record's. At most 20.

    >>> table = SkillTable.of({"JavaScript": ["js", "java script"], "Go": ["golang"]})
    >>> table.clean([{"skill": "golang", "confidence": 70}, {"skill": "JS", "confidence": 90}, "Rust", "go"])
    ['JavaScript', 'Go', 'Rust']
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from transforms.records.numerics import finite, number
from transforms.records.texts import string

MAX_SKILLS = 20
_MAX_CHARS = 100  # a longer text is a sentence about skills, not the name of one
_MAX_NESTING = 4
_MAX_ENTRIES = 1_000

_NAME_KEYS = ("skill", "name", "skill_name", "title", "label", "technology", "value")
_CONFIDENCE_KEYS = ("confidence", "score", "probability", "confidence_score", "proficiency", "weight")
_ABOUT_A_SKILL = frozenset(
    {*_CONFIDENCE_KEYS, "level", "years", "years_experience", "evidence", "reasoning", "category", "last_used"}
)
_SEPARATORS = re.compile(r"[,;|\n•·]")
_UNSURE = -1.0
_LISTS = (list, tuple)


class AliasConflictError(ValueError):
    """One alias that is to mean two skills.

    Args:
      alias: the name in question.
      message: which skills, and what to do.
    """

    def __init__(self, alias: str, message: str):
        self.alias = alias
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class SkillTable:
    """Which names mean the same skill.

    Attributes:
      canonical: the spelling to use, by folded name; holds every canonical name itself too.
    """

    canonical: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, aliases: Mapping[str, Iterable[str]]) -> SkillTable:
        """The table of canonical names and their aliases.

        Raises:
          AliasConflictError: a name would mean two skills.
        """
        return cls().extended(aliases)

    def extended(self, aliases: Mapping[str, Iterable[str]]) -> SkillTable:
        """This table and more aliases, or more names for skills it has.

        Raises:
          AliasConflictError: a name would mean two skills.
        """
        names = dict(self.canonical)
        for skill, others in aliases.items():
            for alias in (skill, *others):
                present = names.setdefault(fold(alias), skill)
                if present != skill:
                    raise AliasConflictError(alias, f"{alias!r} already means {present}; it cannot mean {skill} too")
        return SkillTable(names)

    def clean(self, value: Any) -> list[str] | None:
        """Skill names of whatever shape models give them: text, lists, maps with a name, maps by name."""
        entries: list[tuple[str, float]] = []
        _collect(value, _UNSURE, _MAX_NESTING, entries)
        surest: dict[str, float] = {}
        for text, confidence in entries[:_MAX_ENTRIES]:
            spelled = self._spelling(text)
            if spelled is not None and confidence > surest.get(spelled, _UNSURE - 1):
                surest[spelled] = confidence
        # One spelling each also among names that are in no table: the first one met stands for all.
        unique: dict[str, tuple[str, float]] = {}
        for spelled, confidence in surest.items():
            folded = fold(spelled)
            first, best = unique.get(folded, (spelled, confidence))
            unique[folded] = (first, max(best, confidence))
        ranked = sorted(unique.values(), key=lambda entry: -entry[1])  # sorted() keeps the order of equals
        return [name for name, _ in ranked[:MAX_SKILLS]] or None

    def _spelling(self, text: str) -> str | None:
        if len(text) > _MAX_CHARS:
            return None
        folded = fold(text)
        known = self.canonical.get(folded)
        if known is None and folded.endswith(")"):
            known = self._inside_parentheses(folded)
        return known if known is not None else _readable(text)

    def _inside_parentheses(self, folded: str) -> str | None:
        """ "version control (git)" is Git; of "databases (sql, nosql)" nothing is made."""
        outside, _, inside = folded[:-1].partition("(")
        return self.canonical.get(outside.strip()) or self.canonical.get(inside.removeprefix("e.g.").strip(" ,"))


@lru_cache(maxsize=16384)
def fold(text: str) -> str:
    """What two spellings of one skill have in common.

    >>> fold("Problem-Solving"), fold("ＪＳ"), fold("C++"), fold(" Node.JS ")
    ('problem solving', 'js', 'c++', 'node.js')
    """
    for _ in range(2):  # case folding can call for normalising again
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(text.replace("-", " ").replace("_", " ").split())


@lru_cache(maxsize=16384)
def _readable(text: str) -> str | None:
    """A name as it is shown: NFKC, one line; None for a placeholder or what no document can hold."""
    normal = string(unicodedata.normalize("NFKC", text))
    if normal is None or len(normal) > _MAX_CHARS:
        return None
    return normal if any(character.isalnum() for character in normal) else None


def _collect(value: Any, confidence: float, nesting: int, found: list[tuple[str, float]]) -> None:
    """Appends (name, confidence) of everything in `value` that names a skill, in order."""
    if isinstance(value, str):
        found += [(part, confidence) for part in _SEPARATORS.split(value)]
    elif isinstance(value, _LISTS) and nesting > 0:
        for entry in value:
            if isinstance(entry, str):
                found.append((entry, confidence))  # an entry of a list is one name, also with a comma in it
            elif isinstance(entry, dict):
                _collect_map(entry, confidence, nesting - 1, found)
            else:
                _collect(entry, confidence, nesting - 1, found)
    elif isinstance(value, dict) and nesting > 0:
        _collect_map(value, confidence, nesting, found)


def _collect_map(value: dict[Any, Any], confidence: float, nesting: int, found: list[tuple[str, float]]) -> None:
    for key in _NAME_KEYS:
        name = value.get(key)
        if isinstance(name, str):
            own = _confidence(value)
            found.append((name, confidence if own is None else own))
            return
    for key, entry in value.items():
        if not isinstance(key, str):
            continue
        if isinstance(entry, _LISTS) or (isinstance(entry, dict) and _ABOUT_A_SKILL.isdisjoint(entry)):
            _collect(entry, confidence, nesting - 1, found)  # {"technical": [...], "soft": {"Tact": 90}}
        elif entry is not None and entry is not False:
            own = _confidence(entry) if isinstance(entry, dict) else _percent(entry)
            found.append((key, confidence if own is None else own))  # {"Python": 95, "Go": {"score": 80}}


def _confidence(entry: Mapping[str, Any]) -> float | None:
    for key in _CONFIDENCE_KEYS:
        stated = entry.get(key)
        if stated is not None and (found := _percent(stated)) is not None:
            return found
    return None


def _percent(value: Any) -> float | None:
    """A confidence from 0 to 100; shares up to 1 are taken as such."""
    found = number(value.removesuffix("%")) if isinstance(value, str) else finite(value)
    if found is None or not 0 <= found <= 100:
        return None
    return found * 100 if found <= 1 else found
