"""What a record does not say itself, but the place it was read from: `$id` and `$path.NAME` of a record spec.

    candles/{instrument}/{granularity}  finds  candles/EUR_USD/H1/1759665600
    $path.instrument = EUR_USD    $path.granularity = H1    $id = 1759665600

They are read as if the record had members of these names, so whatever can be said of a source can be said of them:

>>> with_origin({"o": 1}, Origin("1759665600", {"instrument": "EUR_USD"}))
{'o': 1, '$id': '1759665600', '$path': {'instrument': 'EUR_USD'}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ID, PATH = "$id", "$path"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record was read from.

    Attributes:
      id: of its document, or the id that came with the record, such as a model batch's `custom_id`; None: it has none.
      path: values of the path parameters that its collection was found by; empty for a collection without any.
    """

    id: str | None = None
    path: Mapping[str, str] = field(default_factory=dict)


def with_origin(record: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """The record with the members `$id` and `$path`, whatever it calls so itself."""
    return {**record, ID: origin.id, PATH: dict(origin.path)}
