"""What was deleted in the primary and no feed has shown: keys are compared, every so often or once.

Cosmos DB's latest-version feed shows no deletes, and that of all versions none from before it was begun; Firestore's
Listen shows none of before it can be read. The comparison runs in a thread of its own, so that changes do not wait;
when it last ended, and since when one is wanted, is kept with the pair.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping
from typing import Any

from transforms.dual.stored import COSMOS, FIRESTORE
from transforms.follow.phase import Course
from transforms.ledger.document import LedgerDocument

# In the pair's document, by the primary whose deletes were looked for.
_SCANNED_AT = {COSMOS: "scanned_at", FIRESTORE: "items_scanned_at"}
_WANTED_AT = {COSMOS: "scan_wanted_at", FIRESTORE: "items_scan_wanted_at"}


class Scans:
    """For the loop's thread.

    Args:
      pair: the pair's document.
      every_s: seconds between two comparisons; None for only those that are wanted.
      scan: compares and deletes; returns what it counted. Raises JobError, TransientError.
      count: adds to the counters.
      source: the primary whose deletes are looked for.
    """

    def __init__(
        self,
        pair: LedgerDocument,
        every_s: float | None,
        scan: Callable[[], Mapping[str, Any]],
        count: Callable[[str, int], None],
        source: str = COSMOS,
    ):
        self._source, self._saved_as, self._wanted_as = source, _SCANNED_AT[source], _WANTED_AT[source]
        self._pair, self._scan, self._count = pair, scan, count
        self._every = None if every_s is None else datetime.timedelta(seconds=every_s)
        self._scanned_at: datetime.datetime | None = None
        self._wanted_at: datetime.datetime | None = None
        self._is_read = False
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def want(self) -> None:
        """Has keys compared once, as soon as the source is primary. Raises JobError, TransientError."""
        self._wanted_at = self._pair.now()
        self._pair.write({self._wanted_as: self._wanted_at}, keeps_others=True)

    def look(self, course: Course) -> None:
        """Begins a comparison if it is time. Raises what ended the last one."""
        if self._thread is not None:
            if self._thread.is_alive():
                return
            self._thread = None
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
        if course.sources != (self._source,) or course.state.change is not None or not self._is_due():
            return
        self._thread = threading.Thread(target=self._run, name="follow-scan", daemon=True)
        self._thread.start()

    def _is_due(self) -> bool:
        if not self._is_read:
            found = self._pair.read()
            fields = found.fields if found else {}
            self._scanned_at = _time(fields.get(self._saved_as))
            self._wanted_at = self._wanted_at or _time(fields.get(self._wanted_as))
            self._is_read = True
        if self._wanted_at is not None and (self._scanned_at is None or self._scanned_at < self._wanted_at):
            return True
        if self._every is None:
            return False
        return self._scanned_at is None or self._pair.now() - self._scanned_at >= self._every

    def _run(self) -> None:
        began = self._pair.now()
        try:
            for name, n in self._scan().items():
                self._count(name, n)
            self._pair.write({self._saved_as: began}, keeps_others=True)
            self._scanned_at = began
        except Exception as failure:  # for the loop, which decides whether it is tried again
            self._failure = failure


def _time(value: Any) -> datetime.datetime | None:
    return value if isinstance(value, datetime.datetime) else None
