"""What was deleted in the primary and no feed has shown: keys are compared every so often.

Cosmos DB's latest-version feed shows no deletes, and Firestore's Listen none of before it can be read. The comparison
runs in a thread of its own, so that changes do not wait; when it last ended is kept with the pair.
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


class Scans:
    """For the loop's thread.

    Args:
      pair: the pair's document.
      every_s: seconds between two comparisons.
      scan: compares and deletes; returns what it counted. Raises JobError, TransientError.
      count: adds to the counters.
      source: the primary whose deletes are looked for.
    """

    def __init__(
        self,
        pair: LedgerDocument,
        every_s: float,
        scan: Callable[[], Mapping[str, Any]],
        count: Callable[[str, int], None],
        source: str = COSMOS,
    ):
        self._source, self._saved_as = source, _SCANNED_AT[source]
        self._pair, self._every, self._scan, self._count = pair, datetime.timedelta(seconds=every_s), scan, count
        self._scanned_at: datetime.datetime | None = None
        self._is_read = False
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

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
            scanned_at = found.fields.get(self._saved_as) if found else None
            self._scanned_at = scanned_at if isinstance(scanned_at, datetime.datetime) else None
            self._is_read = True
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
