"""Items that are the bytes of one JSON object: what JSON Lines and JSON documents make of them alike."""

from __future__ import annotations

from transforms.batch import Record
from transforms.inputs.items import Item
from transforms.json_values import parse_object
from transforms.models.options import AnswerOptions
from transforms.models.results import unwrapped


class JsonItems:
    """The part of a `Reader` that parses.

    Attributes:
      answers: how those of models become records; None if none is looked for.
    """

    __slots__ = ()
    answers: AnswerOptions | None

    def records(self, item: Item) -> tuple[Record, ...]:
        """As `Reader.records`."""
        raw: bytes = item.content
        record = Record(item.position, parse_object(raw), item.line, raw)
        return (record,) if self.answers is None else unwrapped(record, self.answers)

    def original(self, item: Item) -> bytes:
        """As `Reader.original`."""
        raw: bytes = item.content
        return raw
