"""What a read is divided into: ranges of a query, or some paths. Plain, frozen, picklable; only pieces are shuffled."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TypeAlias

from transforms.firestore.query import Query
from transforms.firestore.ranges import EVERY_NAME, NameRange


@dataclass(frozen=True, slots=True)
class QueryPiece:
    """The documents of a query in a range of names.

    Attributes:
      query: the whole query.
      span: every name for a query that cannot be divided.
      read_time: None for the newest state.
      index: of the piece among those of its query.
    """

    query: Query
    span: NameRange
    read_time: datetime.datetime | None
    index: int = 0


@dataclass(frozen=True, slots=True)
class PathsPiece:
    """Some documents by their paths; one request."""

    paths: tuple[str, ...]
    read_time: datetime.datetime | None
    span: NameRange = EVERY_NAME


Piece: TypeAlias = QueryPiece | PathsPiece
