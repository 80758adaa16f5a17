"""Conditions as one writes them on a command line. Plain Python.

age >= 21                                      numbers, true, false, null and "text" as in JSON
city == London                                 what is not JSON is text
city in ["London", "Paris"]
`full name` == "Ada Lovelace"
last_modified > {"$timestamp": "2026-01-01T00:00:00Z"}     other types as tagged JSON
"""

from __future__ import annotations

import json
import re
from typing import Any

from transforms.errors import UsageError
from transforms.firestore.query import OPERATORS, Condition
from transforms.firestore.tagged_json import from_tagged_json

_CONDITION = re.compile(
    rf"(?P<field>(?:`[^`]+`|[^\s`])+)\s+(?P<operator>{'|'.join(map(re.escape, OPERATORS))})\s+(?P<value>.+)", re.DOTALL
)


def parse_condition(text: str) -> Condition:
    """One condition of a query.

    >>> parse_condition("age >= 21")
    Condition(field='age', operator='>=', value=21)

    Raises:
      UsageError: it is none.
    """
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"a condition is FIELD OPERATOR VALUE, such as 'age >= 21', the operator one of {', '.join(OPERATORS)}; "
            f"got {text!r}"
        )
    return Condition(match["field"], match["operator"], _value(match["value"]))


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        if text[0] in '[{"':
            raise UsageError(f"{text} is not JSON; write lists, maps and quoted text as JSON does") from None
        return text
    try:
        return from_tagged_json(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{text} is not a value of Firestore: {error}") from None
