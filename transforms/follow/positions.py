"""How far each feed of a pair is applied, below the pair's document in the ledger. Plain Python.

    pipeline_migrations/{name}/pairs/{pair}/feeds/{feed}
        cosmos              parts [{low, high, continuation}]
        cosmos_deletes      the same, of all versions and deletes
        firestore           streams {documents, tombstones}: positions, as those of listen
        updated_at

A document takes about one write per second, so that positions are saved as often at most: what comes again after a
crash changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transforms.ledger.document import LedgerDocument

FEEDS = "feeds"
COSMOS_DELETES = "cosmos_deletes"  # beside the stores' names
_INTERVAL_S = 1.0


class Saved:
    """One feed's document. For one thread.

    Args:
      document: where it is kept.
    """

    def __init__(self, document: LedgerDocument):
        self._document, self._clock = document, document.retry.clock
        self._saved: Mapping[str, Any] | None = None
        self._saved_s = -_INTERVAL_S

    def read(self) -> Mapping[str, Any] | None:
        """What was saved last; None if nothing was."""
        found = self._document.read()
        return None if found is None else found.fields

    def save(self, fields: Mapping[str, Any], *, at_once: bool = False) -> None:
        """Saves how far the feed is, if it is time."""
        now_s = self._clock.monotonic()
        if fields == self._saved or not (at_once or now_s - self._saved_s >= _INTERVAL_S):
            return
        self._document.write({**fields, "updated_at": self._document.now()})
        self._saved, self._saved_s = fields, now_s


def feed_document(
    pair: LedgerDocument,
    feed: str,
) -> LedgerDocument:
    """Where a feed of a pair is kept."""
    return pair.below(FEEDS, feed)
