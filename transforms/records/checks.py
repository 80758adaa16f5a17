"""What must hold between several values of one record: `ordered:` and `equals:` of a record spec. Pure.

    ordered: [[low, open, high]]                        fields; each is at least as large as the one before
    equals:  [{type: timestamp, of: [ts, $id]}]         places in the record; all say the same

Values that are missing are left out: what is missing is what `required` is for. Messages name fields and places, never
values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from transforms.errors import RecordError
from transforms.records.cleaners import FieldType
from transforms.records.fields import UNPLACED, Source, first_clean


@dataclass(frozen=True, slots=True)
class Ordered:
    """Fields of which none may exceed one that is named after it.

    Attributes:
      fields: numbers, or points in time.
    """

    fields: tuple[str, ...]

    def check(self, flat: Mapping[str, Any]) -> None:
        """Raises RecordError OUT_OF_ORDER."""
        present = [name for name in self.fields if name in flat]
        for lower, upper in pairwise(present):
            if flat[lower] > flat[upper]:
                raise RecordError("OUT_OF_ORDER", f"{lower} must not exceed {upper}")

    @property
    def rule(self) -> str:
        """For the documentation."""
        return " ≤ ".join(f"`{name}`" for name in self.fields)


@dataclass(frozen=True, slots=True)
class Equal:
    """Places in a record that must say the same, once cleaned.

    Attributes:
      type: what they hold; a place that holds nothing, or nothing of this type, is not compared.
      places: two or more.
    """

    type: FieldType
    places: tuple[Source, ...]

    def check(self, record: Mapping[str, Any]) -> None:
        """Raises RecordError NOT_EQUAL."""
        found = [(place, first_clean((place,), record)) for place in self.places]
        present = [(place, value) for place, value in found if value is not None and value is not UNPLACED]
        for (one, left), (other, right) in pairwise(present):
            if left != right:
                raise RecordError("NOT_EQUAL", f"{_name(one)} and {_name(other)} must be the same {self.type.value}")

    @property
    def rule(self) -> str:
        """For the documentation."""
        return f"{' = '.join(f'`{_name(place)}`' for place in self.places)}, as {self.type.value}"


def _name(place: Source) -> str:
    return " + ".join(path.text for path in place.paths)
