"""The answers that models gave, each once: a re-run asks nobody. Plain Python, for every holder of a client.

    pipeline_analyses/{hash}
        model, answer (JSON), input_tokens, cached_tokens, output_tokens, job_id, created_at, expire_at

An answer is stored as it arrives, before its record is: it was paid for, and survives whatever becomes of the record.
Two runs at once may ask twice; the first answer stays, and both use it.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from transforms.analysis.chat import Tokens
from transforms.errors import RecordError
from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient
from transforms.firestore.committer import Conflicted
from transforms.firestore.reader import read_paths
from transforms.ledger.document import LedgerDocument
from transforms.retry import Retry

COLLECTION = "pipeline_analyses"
_TOKENS = ("input_tokens", "cached_tokens", "output_tokens")  # as Tokens has them
# A document has at most 1 MiB, and an answer that fills one fits into no record.
_MAX_ANSWER_BYTES = 900_000


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer that passed all checks, and what it took."""

    answer: Mapping[str, Any]
    tokens: Tokens | None


class AnswerCache:
    """Answers by the hash of what was asked.

    Args:
      client: of the database that keeps the ledger.
      days: how long an answer is used, and kept; 0: none is stored or read.
      job_id: of the job that asks.
      retry: of every request.

    Raises (every method): JobError for credentials, permission or database; TransientError after bounded retries.
    """

    def __init__(self, client: FirestoreClient, days: int, job_id: str, retry: Retry):
        self._client, self._days, self._job_id, self._retry = client, days, job_id, retry

    def read(self, hashes: Collection[str]) -> dict[str, StoredAnswer]:
        """Those that are there and not too old; one BatchGet."""
        if not self._days or not hashes:
            return {}
        oldest = self._now() - datetime.timedelta(days=self._days)
        found = read_paths(self._client, [f"{COLLECTION}/{each}" for each in hashes], retry=self._retry)
        fields = {document.id: document.fields for document in found if document.exists}
        return {each: _stored(kept) for each, kept in fields.items() if _is_usable(kept, oldest)}

    def write(self, hash_: str, model: str, answer: StoredAnswer) -> StoredAnswer:
        """Stores an answer; returns the one that is there: somebody else may have come first.

        Raises:
          RecordError: ANSWER_TOO_LARGE.
        """
        text = orjson.dumps(answer.answer)
        if len(text) > _MAX_ANSWER_BYTES:
            raise RecordError("ANSWER_TOO_LARGE", f"the model's answer has {len(text):,} bytes, a document has less")
        if not self._days:
            return answer
        now, tokens = self._now(), answer.tokens
        document = LedgerDocument(self._client, f"{COLLECTION}/{hash_}", self._retry)
        fields = {
            "model": model,
            "answer": text.decode(),
            "input_tokens": tokens.input if tokens else None,
            "cached_tokens": tokens.cached if tokens else None,
            "output_tokens": tokens.output if tokens else None,
            "job_id": self._job_id,
            "created_at": now,
            "expire_at": now + datetime.timedelta(days=self._days),
        }
        if isinstance(document.write(fields, messages.IF_ABSENT), Conflicted):
            first = self.read([hash_]).get(hash_)
            if first is not None:
                return first
            document.write(fields)  # one that is too old
        return answer

    def _now(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._retry.clock.now(), datetime.timezone.utc)


def _is_usable(fields: Mapping[str, Any], oldest: datetime.datetime) -> bool:
    """Whether it is an answer of ours that is young enough; other applications share the database."""
    created_at = fields.get("created_at")
    return isinstance(fields.get("answer"), str) and isinstance(created_at, datetime.datetime) and created_at >= oldest


def _stored(fields: Mapping[str, Any]) -> StoredAnswer:
    counts = [n for name in _TOKENS if isinstance(n := fields.get(name), int)]
    return StoredAnswer(orjson.loads(fields["answer"]), Tokens(*counts) if len(counts) == len(_TOKENS) else None)
