"""Asks a model about the records of a batch: each question once, all of them overlapped. Plain asyncio.

payloads ─▶ what is stored (one BatchGet) ─▶ calls ─▶ checked by the schema ─▶ stored ─▶ Answered or Failed
                                             │ the first call of a process goes alone: the others find the fixed
                                             └ part of the prompt in the provider's cache
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from transforms.analysis.cache import AnswerCache, StoredAnswer
from transforms.analysis.chat import CallFailedError, ChatAnswer, ChatApi, ChatRequest, Tokens
from transforms.analysis.payload import Question
from transforms.analysis.spend import Spend, upper_bound
from transforms.errors import RecordError
from transforms.models.answers import answer_in
from transforms.models.bodies import said_in
from transforms.records.analysis import Price
from transforms.unexpected import UNEXPECTED

Check = Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Answered:
    """A question that has an answer.

    Attributes:
      answer: by the schema.
      tokens: that were paid for it just now; None of a stored answer, or where nobody says.
      was_asked: whether it was asked just now.
      was_repaired: whether near-JSON was read.
    """

    answer: Mapping[str, Any]
    tokens: Tokens | None = None
    was_asked: bool = False
    was_repaired: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A question that has none.

    Attributes:
      code, message: of the dead letter.
      retryable: whether it may have one if it is asked again.
      was_asked: whether there was an answer, of no use, that had to be paid for.
      tokens: of that answer; None where nobody says.
    """

    code: str
    message: str
    retryable: bool
    was_asked: bool = False
    tokens: Tokens | None = None


class Asked(NamedTuple):
    """What became of the questions of a batch, by hash."""

    outcomes: dict[str, Answered | Failed]
    throttled_s: float


def cost_of(price: Price, tokens: Tokens) -> int:
    """Of an answer, in 10⁻¹² USD."""
    return price.of(tokens.input, tokens.cached, tokens.written, tokens.output)


class Asker:
    """Asks one question about many records. Used in one event loop.

    Args:
      question: what is asked.
      open_api: opens the model's API; called when there is something to ask for the first time.
      cache: answers that are stored.
      spend: the budget.
      check: raises what fastjsonschema raises about an answer that breaks the schema.
      concurrency: calls at once.
    """

    def __init__(
        self,
        question: Question,
        open_api: Callable[[], Awaitable[ChatApi]],
        cache: AnswerCache,
        spend: Spend,
        check: Check,
        concurrency: int,
    ):
        self._question, self._open_api, self._cache = question, open_api, cache
        self._spend, self._check = spend, check
        self._api: ChatApi | None = None
        self._schema = json.loads(question.analysis.schema)
        self._price = question.analysis.prices.get(question.model)
        self._slots = asyncio.Semaphore(concurrency)

    async def ask(self, payloads: Mapping[str, str]) -> Asked:
        """What becomes of these questions, by hash.

        Raises:
          JobError: no call can succeed, or the budget is spent; what was answered is stored.
          TransientError: the ledger does not answer.
        """
        stored = await asyncio.to_thread(self._cache.read, list(payloads))
        outcomes: dict[str, Answered | Failed] = {each: Answered(kept.answer) for each, kept in stored.items()}
        missing = [each for each in payloads if each not in outcomes]
        if missing and self._api is None:
            self._api = await self._open_api()
            first, *missing = missing
            outcomes[first] = await self._one(self._api, first, payloads[first])
        if missing and self._api is not None:
            outcomes |= await self._several(self._api, missing, payloads)
        return Asked(outcomes, self._api.throttled_s() if self._api else 0.0)

    async def _several(
        self, api: ChatApi, hashes: Iterable[str], payloads: Mapping[str, str]
    ) -> dict[str, Answered | Failed]:
        tasks = {each: asyncio.create_task(self._one(api, each, payloads[each])) for each in hashes}
        try:
            await asyncio.gather(*tasks.values())
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return {each: task.result() for each, task in tasks.items()}

    async def _one(self, api: ChatApi, hash_: str, payload: str) -> Answered | Failed:
        analysis = self._question.analysis
        request = ChatRequest(analysis.instructions, self._schema, payload, analysis.max_output_tokens)
        async with self._slots:
            sent = sum(len(text.encode()) for text in (analysis.instructions, analysis.schema, payload))
            bound = upper_bound(self._price, sent, analysis.max_output_tokens) if self._price else 0
            await self._spend.reserve(bound)
            cost = 0
            try:
                answered = await api.ask(request)
                cost = self._cost(answered.tokens, bound)
            except CallFailedError as failed:
                message = f"the model was asked and gave no answer: {failed}"
                return Failed(failed.code, message, failed.retryable)
            finally:
                await self._spend.settle(bound, cost)
        return await self._read(hash_, answered)

    def _cost(self, tokens: Tokens | None, bound: int) -> int:
        if self._price is None:
            return 0
        return cost_of(self._price, tokens) if tokens else bound

    async def _read(self, hash_: str, answered: ChatAnswer) -> Answered | Failed:
        try:
            found = answer_in(said_in(answered.provider, answered.body))
            answer = self._checked(found.records)
            stored = StoredAnswer(answer, answered.tokens)
            kept = await asyncio.to_thread(self._cache.write, hash_, self._question.model, stored)
        except RecordError as error:
            return Failed(error.code, error.message, False, True, answered.tokens)
        except UNEXPECTED as error:  # a response of a shape that nobody foresaw was paid for all the same
            message = f"the model's response cannot be read: {type(error).__name__}"
            return Failed("UNREADABLE_ANSWER", message, False, True, answered.tokens)
        return Answered(kept.answer, answered.tokens, was_asked=True, was_repaired=bool(found.repairs))

    def _checked(self, records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The answer; raises RecordError if there are several, or if it breaks the schema."""
        from fastjsonschema import JsonSchemaValueException

        if len(records) != 1:
            raise RecordError("SEVERAL_ANSWERS", f"the model answered with {len(records)} records for one")
        (answer,) = records
        try:
            self._check(answer)
        except JsonSchemaValueException as error:
            place = ".".join(str(part) for part in error.path[1:]) or "the answer"
            raise RecordError(
                "ANSWER_BREAKS_SCHEMA", f"the model's answer breaks {error.rule} of the schema at {place}"
            ) from None
        return answer
