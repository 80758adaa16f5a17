"""What asking a model would cost: counted from the records and the stored answers; nothing is sent, nothing written.

    batches ─▶ payloads ─▶ stored? ─▶ tokens of the rest ─▶ cost

Tokens are counted by the stored answers of the same question, if there are some: what a provider said of them is the
best measure of its own tokenizer. Without any, by length: a token has about 4 bytes of English or JSON, and fewer of
other scripts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from transforms.analysis.cache import StoredAnswer
from transforms.analysis.payload import Question
from transforms.batch import Batch, Record
from transforms.errors import RecordError
from transforms.records.model import RecordSpec
from transforms.upsert.checks import problem_of

_BYTES_PER_TOKEN = 4.0
_FRAME_TOKENS = 12  # of roles and the like around a prompt
_FEWEST_MEASURED = 5


@dataclass
class Estimate:
    """What records would take.

    Attributes:
      records: that were read.
      not_asked: of these, those that would be refused anyway, or that have none of the fields.
      questions: different ones.
      stored: of these, those that have an answer.
      input_tokens, output_tokens: of the others, about.
      cost: of the others, in 10⁻¹² USD; None without a price.
      counted_by: how the tokens were counted.
    """

    records: int = 0
    not_asked: int = 0
    questions: int = 0
    stored: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int | None = None
    counted_by: str = ""


@dataclass
class _Measured:
    """What stored answers took."""

    n: int = 0
    sent_bytes: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    answered: list[int] = field(default_factory=list)


def estimate(
    batches: Iterable[Batch[Record]],
    spec: RecordSpec,
    question: Question,
    stored: Callable[[Sequence[str]], Mapping[str, StoredAnswer]],
) -> Estimate:
    """Reads all records once.

    Args:
      stored: the answers that are there of some hashes.
    """
    lenient = spec.without_needs_of(question.analysis.into)
    found, measured = Estimate(), _Measured()
    seen: set[str] = set()
    to_send_bytes = to_send = 0
    fixed_bytes = len(question.analysis.instructions.encode()) + len(question.analysis.schema.encode())
    for batch in batches:
        found.records += batch.read
        payloads = _payloads(batch, lenient, question)
        found.not_asked += batch.read - sum(payloads.values())
        by_hash = {question.hash_of(payload): payload for payload in payloads}
        new = {hash_: payload for hash_, payload in by_hash.items() if hash_ not in seen}
        seen.update(new)
        answers = stored(list(new))
        found.stored += len(answers)
        for hash_, payload in new.items():
            n_bytes = fixed_bytes + len(payload.encode())
            answer = answers.get(hash_)
            if answer is None:
                to_send, to_send_bytes = to_send + 1, to_send_bytes + n_bytes
            elif answer.tokens:
                measured.n += 1
                measured.sent_bytes += n_bytes
                measured.input_tokens += answer.tokens.input
                measured.output_tokens += answer.tokens.output
    found.questions = len(seen)
    _count(found, measured, question, to_send, to_send_bytes)
    return found


def _payloads(batch: Batch[Record], spec: RecordSpec, question: Question) -> dict[str, int]:
    """What would be sent, and for how many records."""
    payloads: dict[str, int] = {}
    for record in batch.entries:
        try:
            payload = question.payload_of(record.value) if problem_of(record, spec) is None else None
        except RecordError:
            payload = None
        if payload is not None:
            payloads[payload] = payloads.get(payload, 0) + 1
    return payloads


def _count(found: Estimate, measured: _Measured, question: Question, to_send: int, to_send_bytes: int) -> None:
    if measured.n >= _FEWEST_MEASURED:
        found.counted_by = f"by {measured.n:,} stored answers to the same question"
        found.input_tokens = round(to_send_bytes * measured.input_tokens / measured.sent_bytes)
        found.output_tokens = round(to_send * measured.output_tokens / measured.n)
    else:
        found.counted_by = f"by length, {_BYTES_PER_TOKEN:g} bytes per token; output at its limit"
        found.input_tokens = round(to_send_bytes / _BYTES_PER_TOKEN) + to_send * _FRAME_TOKENS
        found.output_tokens = to_send * question.analysis.max_output_tokens
    price = question.analysis.prices.get(question.model)
    if price is not None:
        found.cost = price.of(found.input_tokens, 0, 0, found.output_tokens)
