"""What a job counts, declared once: names, meanings, units, and which counters must add up. Plain data.

    Counters ─┬─▶ the documents of a run's batches, and their totals    transforms/ledger
              ├─▶ Beam's metrics                                        transforms/runtime/metrics.py
              └─▶ progress, status, summary, documentation              pipeline/present, docs

A batch has a number per counter, and a breakdown where one is declared: how many for which reason.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

# How many of each kind: of each (step, code), of each field.
Kinds: TypeAlias = Mapping[tuple[str, ...], int]

# In bytes of the input, where a reader counts them: tells how far a job is.
BYTES_READ = "bytes_read"


class Role(enum.Enum):
    """What a counter is to the sum that must add up."""

    TOTAL = "the sum itself"
    PART = "one of the counters that make up the sum"
    ASIDE = "not a part of it"


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What a counter is broken down by, and how documents keep that: `{field: [{…keys, "count": n}]}`.

    Attributes:
      field: of a ledger document.
      flag: field that says whether a batch has any, by which those that have are found.
      keys: what one kind is named by.
      max_kinds: how many kinds a job's document keeps, the most frequent ones; None for all.
      formerly: how documents of earlier versions keep it.
    """

    field: str
    flag: str
    keys: tuple[str, ...]
    max_kinds: int | None = None
    formerly: Breakdown | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of this and earlier versions."""
        return (self.flag, *(self.formerly.flags if self.formerly else ()))

    def listed(self, kinds: Kinds) -> list[dict[str, Any]]:
        """As a document keeps them.

        >>> Breakdown("dead_letters", "has_dead_letters", ("step", "code")).listed({("UpsertPairs", "ABORTED"): 2})
        [{'step': 'UpsertPairs', 'code': 'ABORTED', 'count': 2}]
        """
        most = sorted(kinds, key=lambda kind: -kinds[kind])[: self.max_kinds]
        return [{**dict(zip(self.keys, kind, strict=True)), "count": kinds[kind]} for kind in sorted(most)]

    def is_listed_in(self, fields: Mapping[str, Any]) -> bool:
        """Whether what a document has under the field's name, if anything, is what `listed` makes."""
        listed = fields.get(self.field, [])
        return (
            isinstance(listed, list)
            and all(isinstance(each, dict) and isinstance(each.get("count"), int) for each in listed)
            and all(isinstance(each.get(key), str) for each in listed for key in self.keys)
            and (self.formerly is None or self.formerly.is_listed_in(fields))
        )

    def found_in(self, fields: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], int]]:
        """The kinds and numbers that a document has."""
        for each in fields.get(self.field, ()):
            yield tuple(each[key] for key in self.keys), each["count"]
        if self.formerly:
            yield from self.formerly.found_in(fields)


@dataclass(frozen=True, slots=True)
class Counter:
    """One number that is counted per batch.

    Attributes:
      name: field of ledger documents.
      meaning: what is counted, as a phrase.
      unit: of the number.
      role: whether it belongs to the sum that must add up.
      key: its name in JSON, and with spaces its label; `name` by default.
      metric: Beam's metric; empty for none.
      is_watched: whether it is shown while a job runs.
      breakdown: what it is broken down by, if it is. A part of the sum has kinds that add up to it.
      formerly: field of documents of earlier versions, added to this one.
      beside: flag of a breakdown: only documents that have it keep this number, where it is not 0. For what is rare.
      is_occasional: whether only documents keep this number where it is not 0. For what few jobs have.
      group: of occasional ones that documents keep together, where one of them is not 0, so that one query sums them.
      decimals: how many of the digits that documents keep stand behind the point: numbers are whole, so sums are exact.
    """

    name: str
    meaning: str
    unit: str = "records"
    role: Role = Role.ASIDE
    key: str = ""
    metric: str = ""
    is_watched: bool = False
    breakdown: Breakdown | None = None
    formerly: str = ""
    beside: str = ""
    is_occasional: bool = False
    group: str = ""
    decimals: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key or self.name)

    @property
    def is_shown_at_0(self) -> bool:
        """Whether it says something that there are none."""
        return not (self.beside or self.is_occasional)

    def plain(self, n: int) -> int | str:
        """The number in its unit, for programs: text where it has decimals.

        >>> Counter("cost", "", decimals=12).plain(2_500_000_000), Counter("read", "").plain(3)
        ('0.0025', 3)
        """
        if not self.decimals:
            return n
        text = f"{Decimal(n).scaleb(-self.decimals):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text

    def text(self, n: int) -> str:
        """The number in its unit, for people."""
        return f"{self.plain(n)}" if self.decimals else f"{n:,}"

    @property
    def label(self) -> str:
        """As people read it."""
        return self.key.replace("_", " ")


@dataclass(frozen=True)
class Counters:
    """The counters of a job.

    Attributes:
      batches: what its batches are called.
      all: the counters, in the order they are shown in; the first is the sum.
      kept_in_streams: whether the documents of streams keep the numbers, because batches have none.
    """

    batches: str
    all: tuple[Counter, ...]
    kept_in_streams: bool = False

    def __post_init__(self) -> None:
        if [counter.role for counter in self.all].count(Role.TOTAL) != 1 or self.total is not self.all[0]:
            raise ValueError("exactly one counter must be the total, and stand first")

    @property
    def total(self) -> Counter:
        """The sum that the parts must add up to."""
        return next(counter for counter in self.all if counter.role is Role.TOTAL)

    @property
    def parts(self) -> tuple[Counter, ...]:
        """What the sum is made up of."""
        return tuple(counter for counter in self.all if counter.role is Role.PART)

    @property
    def aside(self) -> tuple[Counter, ...]:
        """Those that are shown beside the sum."""
        others = (counter for counter in self.all if counter.role is Role.ASIDE)
        return tuple(counter for counter in others if counter.name != BYTES_READ)

    @property
    def unwanted(self) -> Counter:
        """The part that nobody wants any of."""
        return next(part for part in self.parts if part.is_watched)

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that every ledger document has."""
        return tuple(counter.name for counter in self.all if counter.is_shown_at_0)

    @property
    def rare(self) -> tuple[Counter, ...]:
        """Those that few documents have."""
        return tuple(counter for counter in self.all if counter.beside)

    @property
    def occasional_names(self) -> tuple[tuple[str, ...], ...]:
        """The fields that documents of few jobs have, those together that a document has together."""
        groups: dict[str, list[str]] = {}
        for counter in self.all:
            if counter.is_occasional:
                groups.setdefault(counter.group or counter.name, []).append(counter.name)
        return tuple(map(tuple, groups.values()))

    @property
    def former_names(self) -> tuple[str, ...]:
        """The fields of documents of earlier versions."""
        return tuple(counter.formerly for counter in self.all if counter.formerly)

    @property
    def breakdowns(self) -> tuple[Breakdown, ...]:
        """All that are declared."""
        return tuple(counter.breakdown for counter in self.all if counter.breakdown)

    def counts_in(self, fields: Mapping[str, Any]) -> dict[str, int]:
        """The numbers that a document has; 0 for one that it lacks."""
        return {each.name: fields.get(each.name, 0) + fields.get(each.formerly, 0) for each in self.all}

    def kept(self, counts: Mapping[str, int]) -> dict[str, int]:
        """The numbers as a document keeps them."""
        found = self.counts_in(counts)
        groups = {each.group for each in self.all if each.group and found[each.name]}
        kept = (each for each in self.all if found[each.name] or each.is_shown_at_0 or each.group in groups)
        return {each.name: found[each.name] for each in kept}

    def as_markdown(self) -> str:
        """For the documentation."""
        rows = [("counter", "unit", "meaning", "Beam metric"), ("---",) * 4]
        for each in self.all:
            rows.append((f"`{each.key}`", each.unit, each.meaning, f"`{each.metric}`" if each.metric else ""))
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)
