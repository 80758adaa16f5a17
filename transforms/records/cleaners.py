"""The cleaners a spec can name, and what each makes of a value.

A cleaner is pure, total (anything in, no exception out) and idempotent (cleaning a clean value changes nothing). It
returns None for what it cannot place; the spec then tries the field's next source.

    >>> cleaners_of(SkillTable())["years"].clean("5-7 years")
    6.0
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from transforms.records import levels, numerics, organisations, texts, times
from transforms.records.settings import AUTO, DEFAULT, POINT, Settings
from transforms.records.skills import MAX_SKILLS, SkillTable

# Part of every spec's fingerprint: raise it whenever a cleaner comes to give another result for the same value.
CLEANER_RULES_VERSION = 2


class FieldType(enum.Enum):
    """What a flat field holds; its value in YAML is the type's name."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOL = "bool"
    TIMESTAMP = "timestamp"
    STRINGS = "strings"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Cleaner:
    """A named rule.

    Attributes:
      type: of what it makes.
      clean: anything → a value of that type, or None.
      rule: what it accepts, in one sentence for the documentation.
    """

    name: str
    type: FieldType
    clean: Callable[[Any], Any]
    rule: str


def json_map(value: Any) -> dict[str, Any] | None:
    """A map as it is; an empty one is missing.

    >>> json_map({"a": [1]}), json_map({}), json_map("{}")
    ({'a': [1]}, None, None)
    """
    return value if isinstance(value, dict) and value and all(isinstance(key, str) for key in value) else None


def cleaners_of(skills: SkillTable, settings: Settings = DEFAULT) -> dict[str, Cleaner]:
    """Every cleaner by name; the one for skills uses this table, and all read values as the settings say."""
    every = (
        Cleaner("string", FieldType.STRING, _with_placeholders(texts.string, settings),
                "one line of text, trimmed, NFC; whole numbers become their digits"),
        Cleaner("symbol", FieldType.STRING, _with_placeholders(texts.symbol, settings),
                "a ticker or code: NFKC, upper case, no spaces, `/` becomes `-`"),
        Cleaner("organisation", FieldType.STRING, organisations.organisation,
                "the name of a company or school; a month, a date, a place or a way of working (Remote) is none; "
                "of a list, the first that is one"),
        Cleaner("level", FieldType.STRING, levels.level,
                f"a seniority level from free text, one of {', '.join(levels.LEVELS)}"),
        Cleaner("integer", FieldType.INTEGER, _with_decimal(numerics.integer, settings),
                'a whole number of at most 64 bits, also as text: 12, 12.0, "1,024"'),
        Cleaner("number", FieldType.NUMBER, _with_decimal(numerics.number, settings),
                'a finite number, also as text: 1.5, "1,234.5", "-3e2"'),
        Cleaner("years", FieldType.NUMBER, numerics.years,
                '0 to 80 years: 8, "8+ years", "18 months" is 1.5, "5-7 years" is 6, "over ten years" is 10'),
        Cleaner("year_span", FieldType.NUMBER, numerics.year_span,
                "years from the first to the last calendar year that a list of dated entries names, at least 1"),
        Cleaner("rating", FieldType.NUMBER, numerics.rating,
                '0 to 5: up to 5 as it is, up to 10 of ten, up to 100 percent; "4.5/5", "87%"; grades A 5, A- 4.63, '
                "B+ 4.13, B 3.75, …, F 0; outstanding 5, excellent 4.5, strong or high 4, good 3.5, average 3, "
                "fair 2.5, weak or low 2, poor 1"),
        Cleaner("fraction", FieldType.NUMBER, _with_decimal(numerics.fraction, settings),
                '0 to 1; above 1 and up to 100 is percent: 0.87, 87, "87%", "87/100"'),
        Cleaner("bool", FieldType.BOOL, times.boolean,
                "true or false, 1 or 0, yes or no, on or off"),
        Cleaner("timestamp", FieldType.TIMESTAMP, _with_unit(settings),
                "ISO 8601 (UTC where it has no offset), or Unix time in the `unit` of the spec, else in that which "
                "most of a batch have by their size; 05/10/2025 by `date_order`; to the microsecond"),
        Cleaner("strings", FieldType.STRINGS, _with_placeholders(texts.strings, settings),
                "a list of texts, each cleaned like `string`, without repetitions"),
        Cleaner("skills", FieldType.STRINGS, skills.clean,
                f"skill names in one spelling each by the alias table, surest first, at most {MAX_SKILLS}"),
        Cleaner("keywords", FieldType.STRINGS, texts.keywords,
                f"lower-case words, and each entry of a list as a whole, at most {texts.MAX_KEYWORDS}"),
        Cleaner("json", FieldType.JSON, json_map,
                "a map that is not empty, as it is"),
    )  # fmt: skip
    return {cleaner.name: cleaner for cleaner in every}


def _with_placeholders(clean: Callable[..., Any], settings: Settings) -> Callable[[Any], Any]:
    return clean if settings.placeholders else partial(clean, placeholders=False)


def _with_decimal(clean: Callable[[Any], Any], settings: Settings) -> Callable[[Any], Any]:
    return clean if settings.decimal == POINT else partial(_clean_with_comma, clean)


def _clean_with_comma(clean: Callable[[Any], Any], value: Any) -> Any:
    return clean(numerics.with_point(value))


def _with_unit(settings: Settings) -> Callable[[Any], Any]:
    if settings.unit == AUTO and settings.date_order is None:
        return times.timestamp
    return partial(times.timestamp, unit=settings.unit, date_order=settings.date_order)
