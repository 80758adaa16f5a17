"""The streams that batches are appended to, kept in the ledger so that a batch done again finds its own.

    pipeline_jobs/{job_id}/streams/{attempt}-{batch_id}-{table}-{digest of its rows}
        text: what `StorageWriter` says of the stream, expire_at

Rows stand at offsets, so a stream is right for just these rows in this order. An incremental batch that is done again
may have fewer, because the table holds some by then; the others go to a stream of their own.

A stream's document is replaced only in the state in which it was last seen: two workers that do the same batch cannot
both continue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from transforms.bigquery.methods import STORAGE_WRITE_EXACTLY_ONCE
from transforms.bigquery.rows import insert_id
from transforms.errors import JobError
from transforms.firestore import messages
from transforms.firestore.committer import Conflicted
from transforms.ledger.document import KEPT, LedgerDocument
from transforms.ledger.entry import LedgerEntry


@dataclass(frozen=True)
class StreamLedger:
    """The streams of one table in one run.

    Attributes:
      purpose: distinguishes the tables of a run.
    """

    entry: LedgerEntry
    purpose: str

    def of(self, batch_id: str, row_ids: Sequence[str]) -> KeptStream:
        """The stream of the rows of a batch, as the ledger has it."""
        name = f"{self.entry.attempt}-{batch_id}-{self.purpose}-{insert_id(*row_ids)}"
        return KeptStream(self.entry.connect().below("streams", name))


def streams_of(ledger: LedgerEntry, method: str) -> Callable[[str], StreamLedger] | None:
    """The streams of a table of a run, by its purpose; None for a method whose rows go to no stream of their own."""
    return partial(StreamLedger, ledger) if method == STORAGE_WRITE_EXACTLY_ONCE else None


class KeptStream:
    """One batch's stream.

    Attributes:
      text: what was kept last; None for a batch that has no stream yet.
    """

    def __init__(self, document: LedgerDocument):
        self._document = document
        stored = document.read()
        self.text: str | None = stored.fields["text"] if stored else None
        self._update_time = stored.update_time if stored else None

    def keep(self, text: str) -> None:
        """Keeps another text in place of the last one.

        Raises:
          JobError: somebody else does the batch, or the ledger cannot be written.
          TransientError: no answer after bounded retries.
        """
        condition = messages.if_unchanged_since(self._update_time) if self._update_time else messages.IF_ABSENT
        outcome = self._document.write({"text": text, "expire_at": self._document.now() + KEPT}, condition)
        if isinstance(outcome, Conflicted):
            raise JobError(
                f"{self._document.name} was changed meanwhile: another worker does the same batch; start again"
            )
        self.text, self._update_time = text, outcome.update_times[0]
