"""Draws what a command shows: tables and lines of text.

No word is ever cut: ids, paths and URLs can be copied from whatever is printed. A table wraps between words where a
terminal is narrow; in a file or a pipe it does not wrap at all. Only this module and `progress.py` know of rich.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console as Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from pipeline.present.tables import Cell, Table, Tone

_STYLES = {Tone.HEADING: "bold", Tone.DIM: "dim", Tone.GOOD: "green", Tone.WARNING: "yellow", Tone.BAD: "red"}
_ENDLESS = 1_000_000  # columns


def standard_output() -> Console:
    """For the result of a command; what is said meanwhile goes to standard error."""
    return Console()


def say(console: Console, line: str = "", style: str = "") -> None:
    """Prints text as it is, on one line however narrow the terminal."""
    console.print(Text(line, style), soft_wrap=True)


def say_error(console: Console, message: str) -> None:
    """Prints what went wrong."""
    console.print(Text.assemble(("error:", "bold red"), f" {message}"), soft_wrap=True)


def show(console: Console, table: Table) -> None:
    """Prints a table."""
    console.print(_fitted(console, table), crop=False)


@contextlib.contextmanager
def live_table(console: Console) -> Iterator[Callable[[Table], None]]:
    """Yields a function that draws a table in place of the last one; it disappears at the end of the block.

    Where the console is not a terminal nothing is drawn.
    """
    if not console.is_terminal:
        yield lambda table: None
        return
    from rich.live import Live  # where there is nothing to draw, nobody waits for it

    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda table: live.update(_fitted(console, table), refresh=True)


def shared_widths(needed: Sequence[int], wanted: Sequence[int], available: int) -> list[int]:
    """How wide columns are that share a line: never narrower than needed, nor wider than wanted.

    >>> shared_widths([5, 5, 5], [10, 100, 100], available=60), shared_widths([5, 5], [10, 10], available=3)
    ([10, 25, 25], [5, 5])
    """
    widths = list(needed)
    spare = max(0, available - sum(needed))
    by_wish = sorted(range(len(needed)), key=lambda number: wanted[number] - needed[number])
    for others, number in zip(range(len(needed) - 1, -1, -1), by_wish, strict=True):
        widths[number] += min(wanted[number] - needed[number], spare // (others + 1))
        spare -= widths[number] - needed[number]
    return widths


def _fitted(console: Console, table: Table) -> RichTable:
    drawn = _drawn(table)
    wanted = [max(map(_length, cells)) for cells in _cells_by_column(table)]
    needed = [max(map(_min_length, cells)) for cells in _cells_by_column(table)]
    frame = Measurement.get(console, console.options.update(max_width=_ENDLESS), drawn).maximum - sum(wanted)
    widths = shared_widths(needed, wanted, console.width - frame) if console.is_terminal else wanted
    for column, width in zip(drawn.columns, widths, strict=True):
        column.width = width
    drawn.width = max(frame + sum(widths), cell_len(table.title))
    return drawn


def _drawn(table: Table) -> RichTable:
    drawn = RichTable(
        title=Text(table.title) if table.title else None,
        title_justify="left",
        show_header=any(column.heading for column in table.columns),
        box=box.HEAVY_HEAD if table.is_framed else None,
        padding=(0, 1) if table.is_framed else (0, 2, 0, 0),
    )
    for column in table.columns:
        drawn.add_column(Text(column.heading), justify="right" if column.is_number else "left")
    for section in table.sections:
        for row in section:
            drawn.add_row(*map(_text, row))
        drawn.add_section()
    return drawn


def _cells_by_column(table: Table) -> list[list[str | Cell]]:
    rows = [row for section in table.sections for row in section]
    return [[column.heading, *(row[number] for row in rows)] for number, column in enumerate(table.columns)]


def _text(cell: str | Cell) -> Text:
    # Not rich's ellipsis, which counts the space behind the last word of a line.
    if isinstance(cell, str):
        return Text(cell, overflow="fold")
    return Text(cell.text, _STYLES[cell.tone] if cell.tone else "", overflow="fold", no_wrap=cell.is_whole)


def _length(cell: str | Cell) -> int:
    """The columns of a terminal that a cell takes on one line."""
    text = cell if isinstance(cell, str) else cell.text
    return max(map(cell_len, text.splitlines()), default=0)


def _min_length(cell: str | Cell) -> int:
    """The columns of a terminal that a cell needs for its longest word."""
    if isinstance(cell, str):
        return max(map(cell_len, cell.split()), default=0)
    return _length(cell) if cell.is_whole else _min_length(cell.text)
