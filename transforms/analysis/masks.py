"""What is masked in texts before a model sees them: e-mail addresses, telephone numbers, URLs. Pure.

By expressions of linear time (google-re2), not by understanding: a name, a street or a number written in words stays.
The spec says which of them are used; docs/analysis.md says what they catch.

    >>> masked("Write to ada@example.com or +44 20 7946 0958, see https://ada.example/cv", ("email", "phone", "url"))
    'Write to [email] or [phone], see [url]'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import re2

from transforms.records.analysis import EMAIL, PHONE, URL

# URLs before e-mail addresses, which may be a part of one; both before telephone numbers.
_PATTERNS = {
    URL: re2.compile(
        r"(?i)\b(?:https?://|ftp://|www\.)[^\s<>\"')\]]+[^\s<>\"')\].,;:!?]|(?i)\b(?:linkedin\.com|github\.com)/[\w\-./]+\w"
    ),
    EMAIL: re2.compile(r"(?i)\b(?:mailto:)?[a-z0-9._%+\-]+@[a-z0-9\-]+(?:\.[a-z0-9\-]+)+"),
    # At least 8 digits: shorter ones are years, ages and amounts, as "2019 - 2023" shows.
    PHONE: re2.compile(r"(?:\+|\b00|\(|\b)\d(?:[\s().\-/]{0,2}\d){7,14}\b"),
}
_YEARS = re2.compile(
    r"(?:19|20)\d{2}(?:[\s./\-–]{1,3}\d{1,2}){0,2}[\s./\-–]{1,3}(?:19|20)\d{2}(?:[\s./\-–]{1,3}\d{1,2}){0,2}"
)


def masked(text: str, masks: Sequence[str]) -> str:
    """The text with what the masks find replaced by their names in brackets."""
    for name, pattern in _PATTERNS.items():
        if name in masks:
            text = pattern.sub(_unless_years if name == PHONE else f"[{name}]", text)
    return text


def masked_values(value: Any, masks: Sequence[str]) -> Any:
    """The same value with all its texts masked, those within lists and maps, too; names of members stay."""
    if isinstance(value, str):
        return masked(value, masks)
    if isinstance(value, dict):
        return {name: masked_values(member, masks) for name, member in value.items()}
    return [masked_values(member, masks) for member in value] if isinstance(value, list) else value


def _unless_years(match: Any) -> str:
    found: str = match.group()
    return found if _YEARS.fullmatch(found) else "[phone]"
