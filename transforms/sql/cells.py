"""A database's own text of a value as the cell of one column, such that it fits exactly or not at all. No Beam.

    text of the server ─┬─ names a value of the column's type ─▶ cell
                        └─ does not ───────────────────────────▶ MISFIT

    column       fits                                                   does not
    INT64        64 bits                                                more
    NUMERIC      29 digits before the point, 9 behind it                more digits, NaN, Infinity
    BIGNUMERIC   38 and 38                                              more digits, NaN, Infinity
    FLOAT64      all: NaN and the infinities, too
    DATE, DATETIME, TIMESTAMP   the years 1 to 9999                     infinity, BC, the year 10000, 0000-00-00
    TIME         below 24:00:00                                         24:00:00, -838:59:59
    JSON         what BigQuery's type keeps: see `_json`                numbers no double holds, a name twice
    STRING       Unicode                                                text in no encoding that is known
    GEOGRAPHY    points and lines on the globe, as well-known text      polygons: see `geography.py`
    REPEATED     one dimension without NULL                             others

Zeros behind the last digit are no digits: 1.500 is 1.5. What a cell looks like is said in `bigquery/cells.py`; cells of
NUMERIC, BIGNUMERIC, DATE, DATETIME and TIME are text in either form.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

from transforms.bigquery.cells import MISFIT, converter
from transforms.bigquery.schema import Column
from transforms.sql.geography import geography

TextConverter = Callable[[str], Any]

NUMERIC = re.compile(r"-?[0-9]{1,29}(?:\.[0-9]{1,9})?")
BIGNUMERIC = re.compile(r"-?[0-9]{1,38}(?:\.[0-9]{1,38})?")
# https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#decimal_types: a 39th digit is partial.
_WIDEST_BIGNUMERIC = re.compile(r"-?[0-9]{39}(?:\.[0-9]{1,38})?")
_MAX_BIGNUMERIC = Decimal("578960446186580977117854925043439539266.34992332820282019728792003956564819967")

# MySQL keeps days that are none: 0000-00-00, 2022-11-00 and, where it is allowed to, 2022-02-31.
_LEAP = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29"
_MONTH_AND_DAY = r"(?:(?:0[13578]|1[02])-(?!00|3[2-9])[0-3]|(?:0[469]|11)-(?!00|3[1-9])[0-3]|02-(?!00|29|3)[0-2])[0-9]"
_DAY = rf"(?!0000)(?:[0-9]{{4}}-{_MONTH_AND_DAY}|{_LEAP})"
CLOCK = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
_DATE = re.compile(_DAY)
_TIME = re.compile(rf"(?=[01][0-9]|2[0-3]){CLOCK}")
_DATETIME = re.compile(rf"({_DAY})[ T]({CLOCK})")
_UTC = re.compile(rf"({_DAY})[ T]({CLOCK})(?:\+00(?::00)?)?")  # sessions are in UTC, and not all servers say so

TRUE = ("t", "1", "true")
SURE_DIGITS = 15  # so many significant ones every double keeps
_UNSURE_NUMBER = re.compile(rf"[0-9.]{{{SURE_DIGITS + 1},}}|[0-9][eE]")
MAX_JSON_DEPTH = 200  # as far as cells of JSON go; BigQuery allows 500
_MIN_INT64, _MAX_UINT64 = -(2**63), 2**64 - 1


def text_converter(column: Column, *, typed: bool) -> TextConverter:
    """What turns text into a cell of a column that is not REPEATED, or into MISFIT.

    >>> date = text_converter(Column("day", "DATE"), typed=False)
    >>> date("2026-01-31"), date("infinity") is MISFIT, date("0044-03-15 BC") is MISFIT
    ('2026-01-31', True, True)

    Args:
      typed: typed cells instead of JSON cells; see `bigquery/cells.py`.

    Raises:
      ValueError: no cell can be made for such a column.
    """
    own = {**_CONVERTERS, "TIMESTAMP": _microseconds if typed else _timestamp, "BYTES": _bytes if typed else _base64}
    if column.type in own:
        return own[column.type]
    of_value = converter(Column(column.name, column.type), typed=typed)
    if column.type == "INT64":
        return lambda text: int(text) if len(text) <= SURE_DIGITS else of_value(int(text))
    if column.type == "FLOAT64":
        return lambda text: number if (number := float(text)) - number == 0 else of_value(number)
    return of_value


def _string(text: str) -> Any:
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8
        return MISFIT
    return text


def _numeric(text: str) -> Any:
    """
    >>> _numeric("12.50"), _numeric("0.1234567890"), _numeric("0.1234567891") is MISFIT, _numeric("NaN") is MISFIT
    ('12.50', '0.123456789', True, True)
    """
    if NUMERIC.fullmatch(text):
        return text
    shorter = _without_zeros(text)
    return shorter if NUMERIC.fullmatch(shorter) else MISFIT


def _bignumeric(text: str) -> Any:
    """
    >>> _bignumeric("9" * 38 + ".5"), _bignumeric("1" * 39)[:4], _bignumeric("6" + "0" * 38) is MISFIT
    ('99999999999999999999999999999999999999.5', '1111', True)
    """
    if BIGNUMERIC.fullmatch(text):
        return text
    shorter = _without_zeros(text)
    if BIGNUMERIC.fullmatch(shorter):
        return shorter
    if _WIDEST_BIGNUMERIC.fullmatch(shorter):
        number = Decimal(shorter)
        # The smallest one is lower by one unit of the last place, which nobody misses.
        return shorter if abs(number) <= _MAX_BIGNUMERIC else MISFIT
    return MISFIT


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _date(text: str) -> Any:
    """
    >>> _date("2000-02-29"), [text for text in ("0000-00-00", "2022-11-00", "1900-02-29") if _date(text) is not MISFIT]
    ('2000-02-29', [])
    """
    return text if _DATE.fullmatch(text) else MISFIT


def _time(text: str) -> Any:
    """
    >>> _time("23:59:59.999999"), _time("24:00:00") is MISFIT, _time("-01:00:00") is MISFIT
    ('23:59:59.999999', True, True)
    """
    return text if _TIME.fullmatch(text) else MISFIT


def _datetime(text: str) -> Any:
    """
    >>> _datetime("2026-01-31 12:00:00.5"), _datetime("infinity") is MISFIT
    ('2026-01-31T12:00:00.5', True)
    """
    match = _DATETIME.fullmatch(text)
    return f"{match[1]}T{match[2]}" if match else MISFIT


def _timestamp(text: str) -> Any:
    """
    >>> _timestamp("2026-01-31 12:00:00.5+00"), _timestamp("10000-01-01 00:00:00+00") is MISFIT
    ('2026-01-31T12:00:00.5+00:00', True)
    >>> _timestamp("2026-01-31 12:00:00"), _timestamp("0000-00-00 00:00:00") is MISFIT
    ('2026-01-31T12:00:00+00:00', True)
    """
    match = _UTC.fullmatch(text)
    return f"{match[1]}T{match[2]}+00:00" if match else MISFIT


def _microseconds(text: str) -> Any:
    """
    >>> _microseconds("1970-01-01 00:00:01.5+00"), _microseconds("-infinity") is MISFIT
    (1500000, True)
    """
    match = _UTC.fullmatch(text)
    if match is None:
        return MISFIT
    clock, _, fraction = match[2].partition(".")
    since = datetime.datetime.fromisoformat(f"{match[1]}T{clock}") - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + int(fraction.ljust(6, "0"))


_EPOCH = datetime.datetime(1970, 1, 1)  # both sides of the difference are UTC


def _bytes(text: str) -> Any:
    """
    >>> _bytes(r"\\x00ff")
    b'\\x00\\xff'
    """
    return bytes.fromhex(text.removeprefix("\\x"))


def _base64(text: str) -> Any:
    return base64.b64encode(_bytes(text)).decode()


def _json(text: str) -> Any:
    """JSON that BigQuery's type gives back as the same value.

    >>> _json('{"a": [1.10, null]}'), _json('{"a":1,"a":2}') is MISFIT, _json("0.12345678901234567890") is MISFIT
    ('{"a": [1.10, null]}', True, True)
    """
    try:
        value = orjson.loads(text)  # fails also for lone surrogates
        # A colon stands behind each name, and maybe in strings: as many as members means that no name was lost.
        is_sure = "{" not in text or (isinstance(value, dict) and text.count(":") == len(value))
        if not is_sure or _UNSURE_NUMBER.search(text):
            _EXACT.decode(text)
    except (ValueError, RecursionError):
        return MISFIT
    return text if text.count("[") + text.count("{") <= MAX_JSON_DEPTH or _depth(text) <= MAX_JSON_DEPTH else MISFIT


def _exact_integer(digits: str) -> int:
    number = int(digits)
    if not _MIN_INT64 <= number <= _MAX_UINT64:
        raise ValueError
    return number


def _exact_float(digits: str) -> float:
    number = float(digits)
    if Decimal(digits) != Decimal(repr(number)):
        raise ValueError
    return number


def _named_once(members: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in members}) != len(members):
        raise ValueError


# Made once: making one takes longer than reading a short text.
_EXACT = json.JSONDecoder(parse_int=_exact_integer, parse_float=_exact_float, object_pairs_hook=_named_once)


def _depth(text: str) -> int:
    """
    >>> _depth('[[1], {"a[": []}]')
    3
    """
    depth = deepest = 0
    for bracket in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (bracket in "[{") - (bracket in "]}")
        deepest = max(deepest, depth)
    return deepest


def _boolean(text: str) -> bool:
    return text in TRUE


_CONVERTERS: dict[str, TextConverter] = {
    "STRING": _string,
    "BOOL": _boolean,
    "NUMERIC": _numeric,
    "BIGNUMERIC": _bignumeric,
    "DATE": _date,
    "DATETIME": _datetime,
    "TIME": _time,
    "JSON": _json,
    "GEOGRAPHY": geography,
}
