"""A table as plain data: `terminal.py` draws it; a page of HTML would be one more function of the same.

    Table("ingest-1: completed", (Column(), Column(is_number=True)), ((("read", "10"), ("written", "9")),))

Cells are text, not markup: what they hold is shown as it is.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class Tone(enum.Enum):
    """How a cell is meant; who draws it chooses the colour."""

    HEADING = "names the rows below"
    DIM = "a detail of the row above"
    GOOD = "as it should be"
    WARNING = "may be wrong"
    BAD = "wrong"


class Cell(NamedTuple):
    """A cell that is more than text.

    Attributes:
      is_whole: whether it stays on one line although it has spaces, as a command does. A word always stays on one.
    """

    text: str
    tone: Tone | None = None
    is_whole: bool = False


Row: TypeAlias = tuple[str | Cell, ...]


class Column(NamedTuple):
    """One column; numbers are aligned on the right."""

    heading: str = ""
    is_number: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a title.

    Attributes:
      title: empty for none.
      sections: groups of rows, with a line between them; empty ones are left out.
      is_framed: whether there are lines at all.
    """

    title: str
    columns: tuple[Column, ...]
    sections: tuple[tuple[Row, ...], ...]
    is_framed: bool = True


def dim(*texts: str) -> Row:
    """A row that details the one above it.

    >>> dim("  UpsertPairs: ABORTED", "3")[1]
    Cell(text='3', tone=<Tone.DIM: 'a detail of the row above'>, is_whole=False)
    """
    return tuple(Cell(text, Tone.DIM) for text in texts)
