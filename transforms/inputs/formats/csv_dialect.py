"""By what the cells of a CSV are separated, seen in its first rows. Plain Python."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Sequence

DELIMITERS = (",", ";", "\t", "|")
# The line with which Excel is told, and some tools tell others.
SEPARATOR_LINE = re.compile(r'\s*"?sep=([^"\w\s]|\t)"?\s*', re.IGNORECASE)

_ROWS_COMPARED = 20


def sniff_delimiter(head: str) -> str | None:
    """The delimiter that a first line `sep=…` names, or else the one that gives the header and the rows after it the
    same number of cells, at least two.

    Empty cells at the end of a row do not count. A quote that is not closed makes one row of many; then the lines are
    compared.

    >>> sniff_delimiter('id;name\\n1;"Lovelace, Ada"\\n'), sniff_delimiter("just a sentence")
    (';', None)
    >>> sniff_delimiter("sep=^\\nid^name\\n")
    '^'
    """
    if said := SEPARATOR_LINE.fullmatch(head.partition("\n")[0]):
        return said[1]
    return _most_alike([io.StringIO(head)]) or _most_alike([[line] for line in head.splitlines()])


def _most_alike(texts: Sequence[Iterable[str]]) -> str | None:
    best, best_score = None, (0, 0)
    for delimiter in DELIMITERS:
        every = itertools.chain.from_iterable(csv.reader(text, delimiter=delimiter) for text in texts)
        try:
            rows = [row for row in itertools.islice(every, _ROWS_COMPARED) if any(row)]
        except csv.Error:
            continue
        columns = _width(rows[0]) if rows else 0
        alike = sum(_width(row) <= columns <= len(row) for row in rows)
        if columns > 1 and alike * 2 > len(rows) and (alike, columns) > best_score:
            best, best_score = delimiter, (alike, columns)
    return best


def _width(row: Sequence[str]) -> int:
    """Cells up to the last one that is not empty.

    >>> _width(["id", "name", ""])
    2
    """
    return max((at for at, cell in enumerate(row, 1) if cell), default=0)
