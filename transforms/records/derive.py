"""Fields that are made of other flat fields: `band`, `keywords`, `join`. Pure; None where there is nothing to make.

experience_band: {type: string, derive: {function: band, of: years_experience, bands: [0-2, 3-5, 6+]}}

>>> Band(("years",), parse_bands(["0-2", "3-5", "6+"])).compute({"years": 2.9})
'0-2'
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from transforms.records.cleaners import FieldType
from transforms.records.texts import bounded_keywords

_BAND = re.compile(r"(\d{1,9})(?:-(\d{1,9})|(\+))?")


@dataclass(frozen=True, slots=True)
class Band:
    """The band that a number falls into; fractions count as the whole number below (2.9 is 2).

    Attributes:
      of: one field.
      bands: label, lowest and highest whole number of each.
    """

    function: ClassVar[str] = "band"
    makes: ClassVar[FieldType] = FieldType.STRING
    accepts: ClassVar[frozenset[FieldType]] = frozenset({FieldType.NUMBER, FieldType.INTEGER})
    of: tuple[str, ...]
    bands: tuple[tuple[str, int, float], ...]

    def compute(self, flat: Mapping[str, Any]) -> str | None:
        """The band's label; None for a number that lies in none."""
        value = flat.get(self.of[0])
        if value is None:
            return None
        whole = math.floor(value)
        return next((label for label, low, high in self.bands if low <= whole <= high), None)

    @property
    def rule(self) -> str:
        """For the documentation."""
        return f"band of `{self.of[0]}`: {', '.join(label for label, _, _ in self.bands)}; fractions are cut off"


@dataclass(frozen=True, slots=True)
class Keywords:
    """Lower-case search words of several fields, in their order; entries of a list also as a whole."""

    function: ClassVar[str] = "keywords"
    makes: ClassVar[FieldType] = FieldType.STRINGS
    accepts: ClassVar[frozenset[FieldType]] = frozenset({FieldType.STRING, FieldType.STRINGS})
    of: tuple[str, ...]
    limit: int

    def compute(self, flat: Mapping[str, Any]) -> list[str] | None:
        """At most `limit` words."""
        return bounded_keywords(self._entries(flat), self.limit)

    def _entries(self, flat: Mapping[str, Any]) -> list[tuple[Any, bool]]:
        entries: list[tuple[Any, bool]] = []
        for name in self.of:
            value = flat.get(name)
            entries += [(entry, True) for entry in value] if isinstance(value, list) else [(value, False)]
        return entries

    @property
    def rule(self) -> str:
        """For the documentation."""
        return f"words of {', '.join(f'`{name}`' for name in self.of)}, lower case, at most {self.limit}"


@dataclass(frozen=True, slots=True)
class Join:
    """The texts of several fields with a separator between; fields that are missing are left out."""

    function: ClassVar[str] = "join"
    makes: ClassVar[FieldType] = FieldType.STRING
    accepts: ClassVar[frozenset[FieldType]] = frozenset({FieldType.STRING, FieldType.INTEGER})
    of: tuple[str, ...]
    separator: str

    def compute(self, flat: Mapping[str, Any]) -> str | None:
        """The text; None if all fields are missing."""
        return self.separator.join(str(flat[name]) for name in self.of if name in flat) or None

    @property
    def rule(self) -> str:
        """For the documentation."""
        return f"{', '.join(f'`{name}`' for name in self.of)} joined by {self.separator!r}"


Derivation = Band | Keywords | Join


def parse_bands(labels: Sequence[str]) -> tuple[tuple[str, int, float], ...]:
    """Bands in ascending order from labels such as "0-2", "7" and "15+".

    Raises:
      ValueError: a label is no band, or the bands are out of order.

    >>> parse_bands(["3-5", "0-2"])
    Traceback (most recent call last):
    ValueError: band '0-2' must start above 5, where the one before ends
    """
    bands: list[tuple[str, int, float]] = []
    for label in labels:
        match = _BAND.fullmatch(label)
        if not match:
            raise ValueError(f"{label!r} is no band; write 0-2, 7 or 15+")
        low = int(match[1])
        high = math.inf if match[3] else float(match[2] or low)
        if high < low:
            raise ValueError(f"band {label!r} ends before it starts")
        if bands and low <= bands[-1][2]:
            raise ValueError(f"band {label!r} must start above {bands[-1][2]:g}, where the one before ends")
        bands.append((label, low, high))
    return tuple(bands)
