"""What a spec says of a source beside its cleaner, where the values themselves leave it open.

    born:  {type: timestamp, from: born, unit: ms}            Unix times: s, ms, us, ns; auto: decided for each batch
    day:   {type: timestamp, from: day, date_order: dmy}      05/10/2025 is in October; mdy: in May
    price: {type: number, from: price, decimal: comma}        1.234,56
    name:  {type: string, from: name, placeholders: false}    Null is a name, NA is Namibia

Each is said of a field, or of one source in it.
"""

from __future__ import annotations

from dataclasses import dataclass

AUTO = "auto"
UNITS = ("s", "ms", "us", "ns")
POINT, COMMA = "point", "comma"
DATE_ORDERS = ("dmy", "mdy")


@dataclass(frozen=True, slots=True)
class Settings:
    """How values are read.

    Attributes:
      unit: of Unix times: one of UNITS, or AUTO.
      date_order: of dates in figures that do not begin with the year; without it they cannot be placed.
      decimal: what stands before the fraction of a number in a text, POINT or COMMA.
      placeholders: whether texts such as "N/A" and "null" stand for nothing.
    """

    unit: str = AUTO
    date_order: str | None = None
    decimal: str = POINT
    placeholders: bool = True


DEFAULT = Settings()

# The cleaners that each of them means something to.
ACCEPTED_BY = {
    "unit": ("timestamp",),
    "date_order": ("timestamp",),
    "decimal": ("integer", "number", "fraction"),
    "placeholders": ("string", "symbol", "strings"),
}
