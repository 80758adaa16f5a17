"""Counts in how many records each field had a value, and in how many a value that no cleaner could place.

    tally = FieldTally()
    flat = spec.flatten(record, key, tally)     for every record of a batch
    tally.counts()["price"]                     FieldCount(with_value=97, uncleaned=2)

A field is uncleaned in a record if its sources held something there (not a blank, a placeholder or what the spec calls
missing) and none of it could be placed: `9,99` or `ask us` where a number belongs. It is then absent from the flat
document, as if there had been nothing; the full document holds it. In the other records the field had nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from transforms.batch import FieldCount


@dataclass(slots=True)
class FieldTally:
    """What flattening found in the records of a batch; of records that failed a check, nothing.

    Attributes:
      records: how many were flattened.
      with_value, uncleaned: names of fields, once for each record.
    """

    records: int = 0
    with_value: list[str] = field(default_factory=list)  # counted at the end: appending is what costs least a record
    uncleaned: list[str] = field(default_factory=list)

    def counts(self) -> Mapping[str, FieldCount]:
        """By field; those that had nothing in any record are left out."""
        with_value, uncleaned = Counter(self.with_value), Counter(self.uncleaned)
        return {name: FieldCount(with_value[name], uncleaned[name]) for name in {**with_value, **uncleaned}}
