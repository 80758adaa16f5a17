"""Rows of PostgreSQL by the texts of their keys, as conditions that never hold for too few rows. Plain Python.

    among      "id" IN (7, 9)               these keys
    spanning   "id" BETWEEN 15 AND 29 OR …  keys from one text to another, in the order of bytes

A bound that is no value of the column's type would fail the statement, so only what is surely one is compared as such.
What cannot be said so is left to whoever reads: an empty condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from transforms.sql import key_texts
from transforms.sql.columns import SourceColumn, SourceTable
from transforms.sql.database import Position
from transforms.sql.key_texts import NEVER, UUID, integers_condition, is_int64
from transforms.sql.postgresql.ranges import literal, quoted

_TEXTS = ("text", "character varying")
_PADDED = "character("
_DECIMAL = re.compile(r"-?[0-9]{1,1000}(?:\.[0-9]{1,1000})?")
_ZERO = "\0"


def among(table: SourceTable, key: Sequence[str], keys: Sequence[Position]) -> str:
    """The condition on rows with these keys, or a few more.

    >>> columns = SourceColumn("a", "integer", "INT64", "a"), SourceColumn("b", "text", "STRING", "b")
    >>> print(among(SourceTable("", "t", columns, ("a", "b"), "r"), ["a", "b"], [("1", "it's"), ("2", "x")]))
    "a" IN (1, 2) AND "b" IN ('it''s', 'x')
    """
    return key_texts.among(table, key, keys, _among)


def spanning(table: SourceTable, key: Sequence[str], low: str | None, high: str | None) -> str:
    """The condition on rows whose keys' texts lie from `low` to below `high`, or on more of them.

    >>> table = SourceTable("", "t", (SourceColumn("a", "text", "STRING", "a"),), ("a",), "r")
    >>> print(spanning(table, ["a"], "x", None))
    (current_setting('server_encoding') <> 'UTF8' OR (a)::text COLLATE "C" >= 'x')
    """
    first = table.columns_of(key)[0]
    if first.is_array or low is high is None:
        return ""
    if first.type == "INT64":
        return integers_condition(quoted(first.name), low, high, len(key))
    if len(key) > 1 or first.type != "STRING" or first.declared.startswith(_PADDED):
        return ""
    text, bounds = f'({first.expression})::text COLLATE "C"', []
    # No text of PostgreSQL has the character 0; what follows it comes behind the text before it.
    if low is not None:
        bounds.append(f"{text} >= {literal(low.partition(_ZERO)[0])}")
    if high is not None:
        bound, zero, _ = high.partition(_ZERO)
        bounds.append(f"{text} {'<=' if zero else '<'} {literal(bound)}")
    # Other encodings have another order of bytes.
    return f"(current_setting('server_encoding') <> 'UTF8' OR {' AND '.join(bounds)})" if bounds else ""


def _among(column: SourceColumn, texts: Iterable[str]) -> str:
    values = [text for text in texts if _ZERO not in text]
    if column.is_array:
        return ""
    if column.type == "INT64":
        values = [text for text in values if is_int64(text)]
    elif column.type.endswith("NUMERIC"):
        values = [text for text in values if _DECIMAL.fullmatch(text)]
    elif column.declared == "uuid":
        values = [f"{literal(text)}::uuid" for text in values if UUID.fullmatch(text)]
    elif column.declared.startswith(_PADDED):
        values = [f"{literal(text)}::bpchar" for text in values]
    elif column.declared.startswith(_TEXTS):
        values = list(map(literal, values))
    else:
        return ""
    return f"{quoted(column.name)} IN ({', '.join(values)})" if values else NEVER
