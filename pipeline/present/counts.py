"""What a job has counted, for programs and for people: functions of its totals and of what its counters declare."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from pipeline.present.tables import Row, dim
from transforms.counters import Breakdown, Counter, Kinds
from transforms.ledger.field_totals import FieldTotals
from transforms.ledger.totals import Totals


def summed_as_json(totals: Totals) -> dict[str, Any]:
    """The sum and its parts, each with its kinds behind it."""
    found: dict[str, Any] = {}
    for counter in (totals.counters.total, *totals.shown_parts):
        found[counter.key] = totals[counter.name]
        if counter.breakdown:
            found[f"{counter.key}_by"] = kinds_as_json(counter.breakdown, totals.kinds_of(counter))
    return found


def aside_as_json(totals: Totals) -> dict[str, int | str]:
    """The counters beside the sum; text where a number has decimals."""
    return {counter.key: counter.plain(totals[counter.name]) for counter in shown_aside(totals)}


def shown_aside(totals: Totals) -> list[Counter]:
    """The counters beside the sum, but for those that are rare and 0."""
    return [counter for counter in totals.counters.aside if totals[counter.name] or counter.is_shown_at_0]


def aside_kinds_as_json(totals: Totals) -> dict[str, Any]:
    """Their kinds."""
    return {
        f"{counter.key}_by": kinds_as_json(counter.breakdown, totals.kinds_of(counter))
        for counter in totals.counters.aside
        if counter.breakdown
    }


def kinds_as_json(breakdown: Breakdown, kinds: Kinds) -> Any:
    """Numbers by kind, if one word names it; else a list.

    >>> kinds_as_json(Breakdown("overflowed_by", "has_overflow", ("field",)), {("tags",): 2})
    {'tags': 2}
    >>> kinds_as_json(Breakdown("dead_letters", "has_dead_letters", ("step", "code")), {("UpsertPairs", "ABORTED"): 2})
    [{'step': 'UpsertPairs', 'code': 'ABORTED', 'count': 2}]
    """
    present = {kind: n for kind, n in kinds.items() if n}
    if len(breakdown.keys) == 1:
        return {name: n for (name,), n in present.items()}
    return [{**dict(zip(breakdown.keys, kind, strict=True)), "count": n} for kind, n in present.items()]


def kinds_rows(totals: Totals, counter: Counter, at_most: int | None = None) -> Iterator[Row]:
    """A row per kind, the most frequent ones first."""
    for kind, n in itertools.islice(totals.kinds_of(counter).items(), at_most):
        if n:
            yield dim(f"  {': '.join(kind)}", f"{n:,}")


def fields_as_json(fields: FieldTotals) -> dict[str, Any]:
    """How often the fields of a record spec had a value; nothing, where there is no spec."""
    if not fields.counts:
        return {}
    return {
        "flattened": fields.records,
        "fields": {name: count._asdict() for name, count in fields.counts.items()},
        "warnings": list(fields.warnings),
    }


def field_rows(fields: FieldTotals) -> Iterator[Row]:
    """A row per field: in how many of the records it had a value."""
    if fields.counts:
        yield "flattened", f"{fields.records:,}"
    for name, count in fields.counts.items():
        uncleaned = f", {count.uncleaned:,} uncleaned" if count.uncleaned else ""
        yield dim(f"  {name}", f"{count.with_value:,}{uncleaned}")
