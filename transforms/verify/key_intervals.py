"""Firestore's order of names, asked of a store that only knows the order of bytes. Plain Python.

    range of keys in Firestore's order ──▶ intervals of text ──▶ a query ──▶ rows ──NameRange.contains──▶ the range
                                           never too few keys, sometimes a few too many

The two orders differ in three places: numeric ids come first and by their number; a path ends its segments with "/",
behind which bytes such as "!" and "-" would come; and a document comes before what lies below it.

    users/__id7__  <  users/__id70__  <  users/a/posts/1  <  users/a!            Firestore
    users/__id70__  <  users/__id7__  <  users/a!  <  users/a/posts/1            bytes
"""

from __future__ import annotations

from typing import NamedTuple

from transforms.firestore.document_order import numeric_id
from transforms.firestore.ranges import Bound, NameRange

_NUMERIC, _BEHIND_NUMERIC = "__id", "__ie"
_SEPARATOR, _BEHIND_SEPARATOR = "/", "0"  # the next character
# Beyond so many intervals one wider interval costs less than asking for each.
_MAX_INTERVALS = 16


class Interval(NamedTuple):
    """Texts from `low` to below `high`, in the order of their bytes; None for no bound."""

    low: str | None
    high: str | None

    def contains(self, text: str) -> bool:
        """As BigQuery compares."""
        encoded = text.encode("utf-8", "surrogatepass")
        return (self.low is None or self.low.encode("utf-8", "surrogatepass") <= encoded) and (
            self.high is None or encoded < self.high.encode("utf-8", "surrogatepass")
        )


class Superset(NamedTuple):
    """Every key of a range lies in one of `above` and in one of `below`."""

    above: tuple[Interval, ...]
    below: tuple[Interval, ...]

    def contains(self, text: str) -> bool:
        """Whether a text would be found."""
        return all(any(interval.contains(text) for interval in side) for side in self)


_ANYTHING = (Interval(None, None),)


def superset(span: NameRange) -> Superset:
    """Intervals that hold every key of a range.

    >>> superset(NameRange(Bound("ada"), Bound("edi")))
    Superset(above=(Interval(low='ada', high=None),), below=(Interval(low=None, high='edi'), Interval(low='__id', high='__ie')))
    """  # noqa: E501  # the answer is one line
    above = _ANYTHING if span.start is None else _narrowed(_above(span.start.path))
    below = _ANYTHING if span.end is None else _narrowed(_below(span.end))
    return Superset(above, below)


def _above(path: str) -> list[Interval]:
    """Everything at or behind `path` in Firestore's order."""
    found = [Interval(path, None)]
    before = ""
    for segment in path.split(_SEPARATOR):
        if numeric_id(segment) is not None:  # before every other id, and before greater numbers of any text
            found.append(_beginning_with(before))
        elif len(before) + len(segment) < len(path):  # what continues with a byte below "/" is another, greater segment
            found.append(Interval(before + segment, before + segment + _SEPARATOR))
        before += segment + _SEPARATOR
    return found


def _below(bound: Bound) -> list[Interval]:
    """Everything before the bound in Firestore's order."""
    path = bound.path
    found = [Interval(None, path)]
    if bound.after:
        found.append(Interval(path, path + "\0"))
    before = ""
    for segment in path.split(_SEPARATOR):
        found.append(Interval(before + _NUMERIC, before + _BEHIND_NUMERIC))
        for length in range(len(segment)):
            if segment[length] < _SEPARATOR:  # a shorter segment is less, whatever lies below it
                found.append(_beginning_with(before + segment[:length] + _SEPARATOR))
        before += segment + _SEPARATOR
    return found


def _beginning_with(prefix: str) -> Interval:
    """All texts that begin with a path's segments, of which the last is ended by "/"; all texts for none."""
    return Interval(prefix, prefix[:-1] + _BEHIND_SEPARATOR) if prefix else Interval(None, None)


def _narrowed(intervals: list[Interval]) -> tuple[Interval, ...]:
    if len(intervals) > _MAX_INTERVALS or Interval(None, None) in intervals:
        return _ANYTHING
    return tuple(intervals)
