"""Verdicts by the versions that the source itself gives its records: a stale write never wins. Plain Python.

    what is stored                                verdict
    nothing, or a document without a version      WRITE
    a write that the source does not have yet     SUPERSEDED: it is carried to the source, not overwritten
    a copy of this version, of the same content   UNCHANGED, ROW_MISSING or LANDED
    a copy of this version, of other content      WRITE: the spec has changed
    a copy of an earlier version                  WRITE, under its version number if the content is the same
    a copy of a later version                     SUPERSEDED
    a copy of another version of the same second  IN_DOUBT: only the source knows which of the two is later
    a copy of another record                      IN_DOUBT: only the source knows whether that still exists

An earlier version of the same content is written again, because a write between the two may be under way: it must find
the later version there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from transforms.batch import SourceVersion
from transforms.errors import RecordError
from transforms.records.paths import Path

if TYPE_CHECKING:
    from transforms.upsert.stored import StoredDocument


def another_has_its_id() -> RecordError:
    """What is wrong with a record whose document would replace that of another one."""
    return RecordError(
        "ID_OF_ANOTHER_ITEM",
        "another item of the container becomes a document of the same id; give one of the two another id, or let the "
        "key of the spec have a template that tells them apart",
    )


@dataclass(frozen=True)
class SourceOrder:
    """Which of two records of one id is the later one, by what the source says.

    Attributes:
      identity: paths of the fields that tell the source's records apart; none if their ids do.
    """

    identity: tuple[Path, ...] = ()

    def identity_of(self, value: Mapping[str, Any]) -> str:
        """What tells a record of the source from all others, as text.

        >>> SourceOrder((Path("id", ("id",)), Path("city", ("city",)))).identity_of({"id": "a", "city": None})
        '["a", null]'
        """
        return f"[{', '.join(_json(path.read(value)) for path in self.identity)}]"

    def is_of_another(self, version: SourceVersion, document: StoredDocument) -> bool:
        """Whether a stored document is a copy of another record than the one of this version."""
        return bool(self.identity) and self.identity_of(document.fields) != version.record

    @property
    def read_fields(self) -> Sequence[str]:
        """The top-level fields of a document that `identity` needs."""
        return list(dict.fromkeys(path.steps[0] for path in self.identity))


def _json(value: Any) -> str:
    """As `json.dumps`, which makes an encoder for every call; text, which nearly all of them are, needs none."""
    return encode_basestring_ascii(value) if type(value) is str else json.dumps(value)
