"""Rows of MySQL and MariaDB by the texts of their keys, as conditions that never hold for too few rows. Plain Python.

    among      `id` IN (7, 9)               these keys
    spanning   `id` BETWEEN 15 AND 29 OR …  keys from one text to another, in the order of bytes

What cannot be said so is left to whoever reads: an empty condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from transforms.sql import key_texts
from transforms.sql.columns import SourceColumn, SourceTable
from transforms.sql.database import Position
from transforms.sql.key_texts import NEVER, UUID, integers_condition, is_int64
from transforms.sql.mysql.types import is_text, literal, quoted

_HEXADECIMAL = re.compile(r"(?:[0-9a-f]{2})*")
_DECIMAL = re.compile(r"-?[0-9]{1,65}(?:\.[0-9]{1,38})?")


def among(table: SourceTable, key: Sequence[str], keys: Sequence[Position]) -> str:
    """The condition on rows with these keys, or a few more: two texts are often equal by their collation.

    >>> columns = SourceColumn("a", "int(11)", "INT64", "`a`"), SourceColumn("b", "varchar(9)", "STRING", "`b`")
    >>> among(SourceTable("", "t", columns, ("a", "b"), "innodb"), ["a", "b"], [("1", "it's"), ("2", "x")])
    "`a` IN (1, 2) AND `b` IN (_utf8mb4 X'69742773', _utf8mb4 X'78')"
    """
    return key_texts.among(table, key, keys, _among)


def spanning(table: SourceTable, key: Sequence[str], low: str | None, high: str | None) -> str:
    """The condition on rows whose keys' texts lie from `low` to below `high`, or on more of them.

    >>> table = SourceTable("", "t", (SourceColumn("a", "varchar(9)", "STRING", "`a`"),), ("a",), "innodb")
    >>> spanning(table, ["a"], "x", None)
    "CAST(CONVERT(`a` USING utf8mb4) AS BINARY) >= X'78'"
    """
    first = table.columns_of(key)[0]
    if low is high is None:
        return ""
    if _is_int64(first):
        return integers_condition(quoted(first.name), low, high, len(key))
    text = _octets(first)
    if len(key) > 1 or not text:
        return ""
    bounds = [(">=", low), ("<", high)]
    return " AND ".join(f"{text} {sign} X'{_hexadecimal(bound)}'" for sign, bound in bounds if bound is not None)


def _among(column: SourceColumn, texts: Iterable[str]) -> str:
    if _is_int64(column):
        values = [text for text in texts if is_int64(text)]
    elif column.type.endswith("NUMERIC"):
        values = [text for text in texts if _DECIMAL.fullmatch(text)]
    elif column.declared == "uuid":
        values = [f"'{text}'" for text in texts if UUID.fullmatch(text)]
    elif column.type == "BYTES":
        values = [f"X'{text}'" for text in texts if _HEXADECIMAL.fullmatch(text)]
    elif is_text(column.declared):
        values = [literal(column.declared, text) for text in texts if _is_unicode(text)]
    else:
        return ""
    return f"{quoted(column.name)} IN ({', '.join(values)})" if values else NEVER


def _is_int64(column: SourceColumn) -> bool:
    """Of numbers whose texts have no zeros before them, as that of a year may have."""
    return column.type == "INT64" and not column.declared.startswith("year")


def _octets(column: SourceColumn) -> str:
    """The text of a key in UTF-8, whatever its collation; empty for keys whose text is not known so well."""
    if column.type == "BYTES":
        return f"CAST(LOWER(HEX({quoted(column.name)})) AS BINARY)"
    if is_text(column.declared):
        return f"CAST(CONVERT({quoted(column.name)} USING utf8mb4) AS BINARY)"
    return ""


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _hexadecimal(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").hex()
