"""Cleaners that make numbers: `number`, `integer`, `fraction`, `rating`, `years`, `year_span`. Pure, total, idempotent.

A cleaner takes anything and returns a number, or None where it cannot place the value. Booleans are no numbers, nor
are NaN and ±Infinity.

    >>> years("5-7 years"), rating("A-"), fraction("87%"), integer("12")
    (6.0, 4.63, 0.87, 12)
"""

from __future__ import annotations

import math
import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import Any

from transforms.records.calendar_words import OPEN_ENDS, folded

MAX_YEARS = 80
_REAL = (int, float, Decimal)
_INT64 = 1 << 63
_MAX_CHARS = 60  # a longer text is prose, and what it says about a number is anybody's guess

_NUMERAL = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d{1,3})?", re.IGNORECASE)

_WITH_COMMA = re.compile(
    r"(?P<whole>[+-]?(?:\d{1,3}(?:[. \u00a0\u202f']\d{3})+|\d+))(?:,(?P<fraction>\d+))?"
    r"(?P<rest>e[+-]?\d{1,3}|\s?%|/\d+)?",
    re.IGNORECASE,
)

_NUMBER_WORDS = {
    "a": "1", "an": "1", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14",
    "fifteen": "15", "sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19", "twenty": "20",
    "thirty": "30", "forty": "40",
}  # fmt: skip
_WORD = re.compile(r"[a-z]+")
_DECIMAL = r"(\d{1,4}(?:[.,]\d{1,4})?)"
_YEARS = re.compile(
    r"(?:(?:over|more than|about|around|approximately|approx\.?|ca\.?|circa|nearly|almost|at least|min\.?|minimum|"
    r"up to|less than|under|some|[~≈><≥≤]=?)\s*){0,2}"
    rf"{_DECIMAL}\s*(?:\+|plus\b|or more\b)?\s*"
    rf"(?:(?:-|–|—|~|to\b|bis\b)\s*{_DECIMAL}\s*\+?)?\s*"
    r"(?:(?P<unit>years?|yrs?\.?|y|anos?|años?|jahren?|ans?|months?|mos?\.?|meses|monate?|decades?)\s*\+?"
    r"(?:\s*,?\s*(?:and\s*)?(?P<months>\d{1,2})\s*(?:months?|mos?\.?|meses))?"
    r"(?:[\s,;(].*)?)?"
)
_PER_UNIT = {"m": 1 / 12, "d": 10.0}
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_OPEN_END = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(map(re.escape, OPEN_ENDS), reverse=True))})(?!\w)")

# US grade points (A 4.0, A- 3.7, B+ 3.3, …) × 5/4.
_GRADES = {
    "a+": 5.0, "a": 5.0, "a-": 4.63, "b+": 4.13, "b": 3.75, "b-": 3.38, "c+": 2.88, "c": 2.5, "c-": 2.13,
    "d+": 1.63, "d": 1.25, "d-": 0.88, "f": 0.0,
}  # fmt: skip
_RATING_WORDS = {
    "outstanding": 5.0, "exceptional": 5.0, "excellent": 4.5, "very good": 4.0, "very strong": 4.5, "strong": 4.0,
    "very high": 4.5, "high": 4.0, "good": 3.5, "above average": 3.5, "average": 3.0, "medium": 3.0, "moderate": 3.0,
    "satisfactory": 3.0, "fair": 2.5, "below average": 2.0, "weak": 2.0, "low": 2.0, "poor": 1.0, "very low": 1.0,
    "very poor": 1.0,
}  # fmt: skip
_RATING_NOUNS = re.compile(r"\s+(?:candidate|match|fit|hire|rating|profile|performer|performance|potential|overall)")
_OUT_OF = re.compile(r"(\d{1,4}(?:[.,]\d{1,4})?)\s*(?:/|out of|of|von|de)\s*(\d{1,4})(?:\s*(?:stars?|points?))?")
_STAR_COUNT = re.compile(r"(\d(?:[.,]\d{1,2})?)[ -]?stars?")
_DECIMAL_COMMA = re.compile(r"^(\d),(\d{1,2})$")
_STARS = re.compile(r"([★⭐]{1,5})☆{0,4}")


def finite(value: Any) -> float | None:
    """A real number as a float, or None for all else.

    >>> finite(3), finite(True), finite(float("nan")), finite(10**400)
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, _REAL):
        return None
    try:
        result = float(value)
    except (OverflowError, ValueError):  # an integer beyond double; a signalling NaN
        return None
    return result + 0.0 if math.isfinite(result) else None  # + 0.0: one zero, not two


def number(value: Any) -> float | None:
    """A number, or text that is one: "1,234.5", "-3e2".

    >>> number("1,234.5"), number("12 kg")
    (1234.5, None)
    """
    if not isinstance(value, str):
        return finite(value)
    text = value.strip()
    return finite(float(text.replace(",", ""))) if len(text) <= _MAX_CHARS and _is_numeral(text) else None


def with_point(value: Any) -> Any:
    """A text with a decimal comma as one with a point; of other texts nothing, other values as they are.

    >>> with_point("1.234,56"), with_point("9,99 %"), with_point("9.99"), with_point(9.99)
    ('1234.56', '9.99 %', None, 9.99)
    """
    if not isinstance(value, str):
        return value
    match = _WITH_COMMA.fullmatch(value.strip()) if len(value) <= _MAX_CHARS else None
    if not match:
        return None
    whole = re.sub(r"[^\d+-]", "", match["whole"])
    return f"{whole}.{match['fraction']}{match['rest'] or ''}" if match["fraction"] else f"{whole}{match['rest'] or ''}"


def integer(value: Any) -> int | None:
    """A whole number of at most 64 bits; 3.0 and "3" are whole, 3.5 is not.

    >>> integer(3.0), integer("1,024"), integer(3.5), integer(2**63)
    (3, 1024, None, None)
    """
    if isinstance(value, str):
        text = value.strip()
        digits = text.replace(",", "")
        if len(text) <= _MAX_CHARS and _is_numeral(text) and digits.lstrip("+-").isdecimal():
            value = int(digits)  # exact, where a float would round
        else:
            value = number(text)
    if isinstance(value, float | Decimal):
        whole = finite(value)
        value = int(whole) if whole is not None and whole.is_integer() else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -_INT64 <= value < _INT64 else None


def fraction(value: Any) -> float | None:
    """A share from 0 to 1: 0.87, 87, "87%" and "87/100". Numbers above 1 and up to 100 are percent.

    >>> fraction(0.606), fraction(60.6), fraction("60.6 %"), fraction(101)
    (0.606, 0.606, 0.606, None)
    """
    result = number(value)
    if isinstance(value, str) and result is None:
        text = _folded(value)
        if text.endswith("%"):
            percent = number(text[:-1])
            result = None if percent is None else percent / 100
            return round(result, 4) if result is not None and 0 <= result <= 1 else None
        result = _quotient(text)
    elif result is not None and 1 < result <= 100:
        result /= 100
    return round(result, 4) if result is not None and 0 <= result <= 1 else None


def rating(value: Any) -> float | None:
    """A rating from 0 to 5, two decimals.

    Numbers up to 5 are the rating; above 5 and up to 10 they are on a scale of ten, above 10 and up to 100 percent.
    "9/10", "4.5 out of 5" and "87%" say their scale. Grades are US grade points × 5/4: A 5, A- 4.63, B+ 4.13, …, F 0.
    Words: outstanding 5, excellent 4.5, strong and high 4, good 3.5, average and medium 3, fair 2.5, weak and low 2,
    poor 1; they may be followed by "candidate", "match", "hire" and the like. All else cannot be placed.

    >>> [rating(value) for value in ("4.5/5", 87, "87%", "A-", 4, "9/10", "Excellent", "★★★★☆", "so-so")]
    [4.5, 4.35, 4.35, 4.63, 4.0, 4.5, 4.5, 4.0, None]
    """
    if isinstance(value, str):
        return _rating_of_text(value) if len(value) <= _MAX_CHARS else None
    result = finite(value)
    if result is None or not 0 <= result <= 100:
        return None
    return round(result if result <= 5 else result / 2 if result <= 10 else result / 20, 2)


def years(value: Any) -> float | None:
    """A duration in years, from 0 to 80, two decimals: 8, "8+ years", "18 months", "over ten years", "5-7 years" → 6.

    >>> [years(value) for value in ("5–7 yrs", "8 years of experience", "2 years 6 months", "two decades", "-5", 1999)]
    [6.0, 8.0, 2.5, 20.0, None, None]
    """
    result = _years_of_text(value) if isinstance(value, str) and len(value) <= _MAX_CHARS else finite(value)
    return round(result, 2) if result is not None and 0 <= result <= MAX_YEARS else None


def year_span(value: Any) -> float | None:
    """Years from the first to the last calendar year that a list of dated entries names; at least 1.

    Entries are texts or maps of texts. An end that is open ("2015 to present") has no year, and today is no part of
    a record: such a list has no span. A number is a span already.

    >>> year_span([{"first_used": "2012", "last_used": "2015"}, {"first_used": "2014", "last_used": "2019"}])
    7.0
    >>> year_span(["2012 - present"]), year_span([{"first_used": 2023, "last_used": 2023}])
    (None, None)
    """
    if not isinstance(value, list | tuple):
        span = finite(value)
        return span if span is not None and 1 <= span <= MAX_YEARS else None
    found: list[int] = []
    for entry in value:
        for part in entry.values() if isinstance(entry, dict) else (entry,):
            if isinstance(part, int) and not isinstance(part, bool) and 1900 <= part <= 2099:
                found.append(part)
            elif isinstance(part, str) and len(part) <= _MAX_CHARS:
                if _OPEN_END.search(folded(part)):
                    return None
                found += [int(year) for year in _YEAR.findall(part)]
    span = float(max(found) - min(found)) if found else 0.0
    return span if 1 <= span <= MAX_YEARS else None


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _is_numeral(text: str) -> bool:
    return text.isascii() and _NUMERAL.fullmatch(text) is not None


def _decimal(text: str) -> float:
    return float(text.replace(",", "."))


def _quotient(text: str) -> float | None:
    match = _OUT_OF.fullmatch(text)
    if not match or not match[2].strip("0"):
        return None
    return _decimal(match[1]) / int(match[2])


@lru_cache(maxsize=4096)
def _rating_of_text(text: str) -> float | None:
    text = _folded(text)
    if text in _GRADES:
        return _GRADES[text]
    if (plain := number(_DECIMAL_COMMA.sub(r"\1.\2", text))) is not None:
        return rating(plain)
    if text.endswith("%"):
        share: float | None = fraction(text)
    elif stars := _STARS.fullmatch(text):
        share = len(stars[1]) / 5
    elif count := _STAR_COUNT.fullmatch(text):
        share = _decimal(count[1]) / 5
    else:
        share = _quotient(text)
    if share is not None:
        return round(share * 5, 2) if 0 <= share <= 1 else None
    return _RATING_WORDS.get(_RATING_NOUNS.sub("", text))


@lru_cache(maxsize=4096)
def _years_of_text(text: str) -> float | None:
    text = _WORD.sub(lambda match: _NUMBER_WORDS.get(match[0], match[0]), _folded(text))
    match = _YEARS.fullmatch(text)
    if not match:
        return None
    low = _decimal(match[1])
    high = _decimal(match[2]) if match[2] else low
    if high < low:
        return None
    unit = (match["unit"] or "years")[0]
    per_unit = _PER_UNIT.get(unit, 1.0)
    return (low + high) / 2 * per_unit + int(match["months"] or 0) / 12
