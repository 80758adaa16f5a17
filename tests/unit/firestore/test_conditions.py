"""Conditions as one types them."""

import datetime
import re

import pytest

from transforms.errors import UsageError
from transforms.firestore.conditions import parse_condition
from transforms.firestore.query import Condition


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("age >= 21", Condition("age", ">=", 21)),
        ("score < 1.5", Condition("score", "<", 1.5)),
        ("ok == true", Condition("ok", "==", True)),
        ("gone == null", Condition("gone", "==", None)),
        ("city == London", Condition("city", "==", "London")),
        ('city == "21"', Condition("city", "==", "21")),
        ('city in ["London", "Paris"]', Condition("city", "in", ("London", "Paris"))),
        ("address.city != New York", Condition("address.city", "!=", "New York")),
        ("`full name` == Ada", Condition("`full name`", "==", "Ada")),
        ("tags array-contains a", Condition("tags", "array-contains", "a")),
        (
            'at > {"$timestamp": "2026-01-01T00:00:00Z"}',
            Condition("at", ">", datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)),
        ),
    ],
)
def test_field_operator_and_value_are_read(text, condition):
    assert parse_condition(text) == condition


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age", "a condition is FIELD OPERATOR VALUE"),
        ("age > ", "a condition is FIELD OPERATOR VALUE"),
        ("age ~ 21", "a condition is FIELD OPERATOR VALUE"),
        ("city in [London]", "[London] is not JSON"),
        ('at > {"$timestamp": "noon"}', "is not a value of Firestore"),
        ("city in London", "needs a list of 1 to 30 values"),
        ("a-b == 1", "is not a field path"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_reason(text, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_condition(text)
