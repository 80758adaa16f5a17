"""The entries of a batch on its way into documents. Plain, frozen, picklable.

Batch[Record] ─▶ Batch[Keyed] ─▶ Batch[Compared] ─▶ Batch[Flat] ─▶ Batch[Written] ─▶ BatchOutcome
                 id, hash        what is stored     ready          acknowledged
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

from transforms.batch import Record
from transforms.upsert.stored import Stored
from transforms.upsert.versions import Verdict


class Keyed(NamedTuple):
    """A record whose document id is known, and what tells its content from any other.

    Attributes:
      key: the id of its documents.
      content_hash: hex digest of the record in canonical form and of the spec that flattens it.
    """

    key: str
    record: Record
    content_hash: str


class Compared(NamedTuple):
    """A keyed record that is not known to be stored with its row, what is stored under its id, and what that means."""

    key: str
    record: Record
    content_hash: str
    stored: Stored
    verdict: Verdict


class Flat(NamedTuple):
    """A compared record, ready to be written.

    Attributes:
      content: the record as a serialised `google.firestore.v1.Document` that has nothing but fields.
      flat: what the spec makes of it, missing fields absent.
    """

    key: str
    record: Record
    content_hash: str
    stored: Stored
    verdict: Verdict
    content: bytes
    flat: Mapping[str, Any]


class Written(NamedTuple):
    """A record that Firestore holds, with what it holds about it; `unchanged` if it held the same before."""

    key: str
    record: Record
    flat: Mapping[str, Any]
    meta: Mapping[str, Any]
    update_time: datetime.datetime
    unchanged: bool = False
