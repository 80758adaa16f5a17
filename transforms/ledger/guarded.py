"""A document that several processes could write and only one may. Plain Python.

read ──▶ write, if it is still as it was read or written last ──▶ write, if …
             │ it is not
             ├─ it holds just what was to be written: an earlier attempt was applied, its answer was lost
             ├─ nobody has changed it: contention; wait and try again
             └─ somebody else has changed it: JobError; from now on every write fails so
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from transforms.errors import JobError, TransientError
from transforms.firestore import messages
from transforms.firestore.committer import Landed
from transforms.firestore.documents import Document
from transforms.firestore.values import decode_fields, serialised_fields
from transforms.ledger.document import LedgerDocument


class LostError(JobError):
    """Somebody else has written the document."""


class GuardedDocument:
    """Written only in the state in which it was read or written last.

    Args:
      document: the document.
      lost: what to say when somebody else has written it.
    """

    def __init__(self, document: LedgerDocument, lost: str):
        self._document, self._lost = document, lost
        self._seen_at: datetime.datetime | None = None

    def read(self) -> Document | None:
        """The document; from now on `write` expects to find this state of it."""
        found = self._document.read()
        self._seen_at = found.update_time if found else None
        return found

    def expect(self, found: Document) -> None:
        """From now on `write` expects to find this state of it, which somebody has read with others."""
        self._seen_at = found.update_time

    def write(self, fields: Mapping[str, Any], *, keeps_others: bool = False) -> None:
        """As `LedgerDocument.write`.

        Raises:
          LostError: somebody else has written the document.
          TransientError: there is contention on it without end.
        """
        expected = self._seen_at
        condition = messages.if_unchanged_since(expected) if expected else messages.IF_ABSENT
        attempts = self._document.retry.attempts()
        while True:
            outcome = self._document.write(fields, condition, keeps_others=keeps_others)
            if isinstance(outcome, Landed):
                self._seen_at = outcome.update_times[0]
                return
            found = self.read()
            if found and _holds(found, fields):
                return
            if self._seen_at != expected:
                self._seen_at = expected  # so that nothing is written any more
                raise LostError(self._lost)
            if not attempts.again():
                raise TransientError(
                    f"Firestore did not take {self._document.path}; the last answer was "
                    f"{outcome.code}: {outcome.message}"
                )


def _holds(found: Document, fields: Mapping[str, Any]) -> bool:
    wanted = decode_fields(messages.Document.FromString(serialised_fields(fields)).fields)
    return all(name in found.fields and found.fields[name] == value for name, value in wanted.items())
