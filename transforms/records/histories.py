"""Texts that list dated entries, such as a work history: the present entry, and the parts of its line.

    - 2020/02 - 2021/12                 a period: its end decides which entry is the present one
    Atlas Logística : Data Analyst      the line that names things, as a form says: {company} : {title}

    - 2021/12 - current
    Vela Telecom : Head of Data

    - Vela Telecom : Head of Data       an entry may be one line, with a period before or behind the names, or without

The present entry is the one without an end ("current", "atual", or nothing); of several, the one that began last.
Where all have ended, it is the one that ended last. Where nothing is dated, it is the first. Entries may stand in any
order, apart by blank lines or not.

Guarantee: reading is linear in the length of the text, never raises, and looks at no more than 64 KiB.

    >>> form = EntryForm("{company} : {title}")
    >>> form.part("- 2020 - 2021\\nAtlas : Analyst\\n\\n- 2021/12 - atual\\nVela : Head", "company")
    'Vela'
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from transforms.records.calendar_words import MONTHS, OPEN_ENDS, folded

_MAX_TEXT = 64 * 1024  # characters
_MAX_LINE = 300  # a longer line is prose

_NAME = re.compile(r"\{([a-z_]+)\}")
_DIGIT = re.compile(r"[0-9]")
_BULLETS = "-–—*•·▪◦‣>"
_AROUND_A_PERIOD = " |,;:·()[]-–—"

_YEAR = r"(?:19|20)[0-9]{2}"
_DAY = r"(?:[0-9]{1,2}\.?\s(?:de\s)?)?"
_BEHIND_A_MONTH = r"\.?[\s,/-]{1,2}(?:del?\s)?"
_NUMBERS = (
    rf"(?:{_YEAR}[/.-][0-9]{{1,2}}(?:[/.-][0-9]{{1,2}})?|{_YEAR}年(?:[0-9]{{1,2}}月)?"
    rf"|(?:[0-9]{{1,2}}[/.-]){{1,2}}{_YEAR}|{_YEAR})(?![0-9])"
)
_TO = r"\s?(?:[-–—−~〜～→]+|(?<=\s)(?:to|until|till|through|a|à|até|al|hasta|au|bis|tot|do|по|至)(?=\s))\s?"
_PLAIN_PERIOD = re.compile(
    rf"({_YEAR})(?:[/-]([0-9]{{1,2}}))? [-–](?: ({_YEAR})(?:[/-]([0-9]{{1,2}}))?)?"
)  # the usual one
_PERIOD = re.compile(
    rf"(?<![\w/.-])(?P<since>(?:since|from|desde|depuis|seit|ab|dal|sinds|с)\s)?"
    rf"{_DAY}(?:(?P<start_word>[^\W\d_]{{3,12}}){_BEHIND_A_MONTH})?(?P<start>{_NUMBERS})"
    rf"(?:(?P<to>{_TO})(?:{_DAY}(?:(?P<end_word>[^\W\d_]{{3,12}}){_BEHIND_A_MONTH})?(?P<end>{_NUMBERS})"
    r"|(?P<words>[^\d|,;:·()\[\]]*)))?",
    re.IGNORECASE,
)


class _Period(NamedTuple):
    """When an entry ended and began; the later one is the greater one.

    Attributes:
      is_open: it has no end.
      end, start: (year, month); of an open one both are its start.
    """

    is_open: bool
    end: tuple[int, int]
    start: tuple[int, int]


_UNDATED = _Period(False, (0, 0), (0, 0))


@dataclass(frozen=True, slots=True)
class EntryForm:
    """How the line of an entry names its parts: names in braces and what stands between them.

    Attributes:
      text: such as "{company} : {title}".

    Raises:
      ValueError: it is none.
    """

    text: str
    names: tuple[str, ...] = field(init=False, compare=False)
    _between: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        first, *between, last = _NAME.split(self.text)[::2]
        names = tuple(_NAME.findall(self.text))
        if len(names) < 2 or first or last or not all(part.strip() for part in between):
            raise ValueError(f"{self.text!r} is not the form of an entry; write such as '{{company}} : {{title}}'")
        if len(set(names)) < len(names):
            raise ValueError(f"{self.text!r} names a part twice")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "_between", tuple(between))

    def part(self, value: Any, name: str) -> str | None:
        """A part of the present entry of a text, or of a list of texts; "" where it is left out there.

        None: there is no entry of this form.
        """
        if isinstance(value, list):
            value = "\n\n".join(entry for entry in value if isinstance(entry, str))
        if not isinstance(value, str):
            return None
        parts = _present_entry(value, self._between)
        return None if parts is None else parts[self.names.index(name)]


@lru_cache(maxsize=64)  # several fields of a record read the same text
def _present_entry(text: str, between: tuple[str, ...]) -> tuple[str, ...] | None:
    lines = text[:_MAX_TEXT].splitlines()
    if not _DIGIT.search(text):
        return next((parts for line in lines if (parts := _split(_bare(line), between)) is not None), None)
    latest: tuple[_Period, tuple[str, ...]] | None = None
    for period, parts in _entries(lines, between):
        if latest is None or period > latest[0]:
            latest = (period, parts)
    return latest[1] if latest else None


def _split(line: str, between: tuple[str, ...]) -> tuple[str, ...] | None:
    """The parts of a line that have these texts between them.

    >>> _split("Head of Data at Vela", (" at ",)), _split(": x", (" : ",)), _split("Vela", (" : ",))
    (('Head of Data', 'Vela'), ('', 'x'), None)
    """
    rest = f" {line} "  # a part that is left out leaves the separator at the line's end
    parts: list[str] = []
    for separator in between:
        part, found, rest = rest.partition(separator)
        if not found:
            return None
        parts.append(part.strip())
    return (*parts, rest.strip())


def _entries(lines: Sequence[str], between: tuple[str, ...]) -> Iterator[tuple[_Period, tuple[str, ...]]]:
    """Every entry that names something, in the order of the text."""
    period: _Period | None = None
    names: tuple[str, ...] | None = None
    is_dated_first = False
    for line in (*map(_bare, lines), ""):
        found, parts = _read_line(line, between) if line else (None, None)
        # Behind a period and its names, " : " stands in a description.
        is_next = not line or (found and period) or (parts and not (period and is_dated_first))
        if names is not None and is_next:
            yield period or _UNDATED, names
            period = names = None
        if period is None and names is None:
            is_dated_first = found is not None
        period, names = found or period, names or parts


def _bare(line: str) -> str:
    """A line without bullets, with single spaces.

    >>> _bare("-  2021/12  -"), _bare("- : Analyst")
    ('2021/12 -', ': Analyst')
    """
    words = line.split()
    if words and not words[0].strip(_BULLETS):
        words = words[next((at for at, word in enumerate(words) if word.strip(_BULLETS)), len(words)) :]
    return " ".join(words)[:_MAX_LINE]


def _read_line(line: str, between: tuple[str, ...]) -> tuple[_Period | None, tuple[str, ...] | None]:
    """The period and the names in a line.

    >>> _read_line("Vela : Head (Dec. 2021 to present)", (" : ",))
    (_Period(is_open=True, end=(2021, 12), start=(2021, 12)), ('Vela', 'Head'))
    """
    if plain := _PLAIN_PERIOD.fullmatch(line):
        start = (int(plain[1]), int(plain[2] or 0))
        end = (int(plain[3]), int(plain[4] or 12)) if plain[3] else start
        return _Period(plain[3] is None, end, start), None
    if _DIGIT.search(line):
        period, rest = _period_of(line)
        return period, _split(rest, between)
    if (parts := _split(line, between)) is not None:
        return None, parts
    return (_Period(True, (0, 0), (0, 0)) if folded(line) in OPEN_ENDS else None), None


def _period_of(line: str) -> tuple[_Period | None, str]:
    """The period in a line, and what stands before it, else behind."""
    for match in _PERIOD.finditer(line):
        word = match["start_word"]
        is_all_date = word is None or folded(word) in MONTHS  # "Engineer 2019 - 2021" has a word that is none
        before = line[: match.start() if is_all_date else match.start("start")].strip(_AROUND_A_PERIOD)
        start, end = _when(word, match["start"], False), match.end()
        if match["end"]:
            period = _Period(False, _when(match["end_word"], match["end"], True), start)
        elif match["to"] and (length := _open_end(match["words"], line[end:])) is not None:
            period, end = _Period(True, start, start), match.start("words") + length
        elif match["since"]:
            period, end = _Period(True, start, start), match.end("start")
        elif not match["to"] and not before and not line[end:].strip(_AROUND_A_PERIOD):
            period = _Period(False, _when(word, match["start"], True), start)
        else:
            continue
        return period, before or line[end:].lstrip(_AROUND_A_PERIOD)
    return None, line


def _open_end(words: str, behind: str) -> int | None:
    """How much of the words stands in place of an end: nothing at the end of a line, or the longest such phrase."""
    if not words.strip() and not behind.strip(_AROUND_A_PERIOD):
        return len(words)
    length = len(words)
    while length > 0:
        if folded(words[:length]) in OPEN_ENDS:
            return length
        length = words.rstrip().rfind(" ", 0, length)
    return None


@lru_cache(maxsize=4096)
def _when(word: str | None, numbers: str, is_end: bool) -> tuple[int, int]:
    """Year and month; of a year alone the month that lies outermost.

    >>> _when("março", "2020", False), _when(None, "03/2020", False), _when(None, "2020", True)
    ((2020, 3), (2020, 3), (2020, 12))
    """
    found = re.findall(r"[0-9]+", numbers)
    at = next(index for index, number in enumerate(found) if len(number) == 4)
    month = MONTHS.get(folded(word)) if word else None
    if month is None and len(found) > 1:
        month = min(int(found[1] if at == 0 else found[at - 1]), 12)
    return int(found[at]), month or (12 if is_end else 0)
