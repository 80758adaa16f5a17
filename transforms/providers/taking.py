"""What is downloaded of a batch at a provider, as the job's own batches. Plain Python.

    results, a file per try and part ──▶ Batch[Record], …        ids {key's digest}-{try and file}-{ordinal}
    requests nobody has answered     ──▶ Batch of dead letters   ids {key's digest}-99999-{ordinal}

The lines that say that a request may be asked again are left out of the results: what is dead is the request, which can
be sent again, and not what was said instead of an answer. Asked once more, the batches of the unanswered are made anew;
those that have nothing left are made empty, so that their dead letters are removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from transforms.batch import Batch, DeadLetter, Record
from transforms.inputs.files import InputFile
from transforms.inputs.options import ReadOptions
from transforms.inputs.slices import Slice, batches_of
from transforms.providers.plan import PlannedBatch, Request, requests_of
from transforms.providers.states import Downloaded

STEP = "TakeBatches"
MISSING = "MISSING_RESULT"
_FILES_PER_TRY = 100
_REST = 99_999


@dataclass(frozen=True)
class Taking:
    """How results become batches.

    Attributes:
      provider: its name.
      inputs: files of requests by their path.
      key_field: field of a request that names it; None where requests have no names.
      options: how results are read, and how large a batch is.
    """

    provider: str
    inputs: dict[str, InputFile]
    key_field: str | None
    options: ReadOptions

    def results(
        self, downloaded: Downloaded, is_complete: Callable[[str], bool], is_to_stop: Callable[[], bool]
    ) -> Iterator[Batch[Record]]:
        """The records of what was downloaded; those of batches that are complete are not parsed."""
        several = len({number for _, number, _ in downloaded.files}) > 1
        for attempt, number, path in downloaded.files:
            remote_id = downloaded.batch.tries[attempt].id
            place = f"batches://{self.provider}/{remote_id}" + (f"/{number + 1}" if several else "")
            file = InputFile(place, path.stat().st_size, 0.0, downloaded.planned.input_id)
            piece = Slice(file, "jsonl", attempt * _FILES_PER_TRY + number)
            again = downloaded.answers.positions.get(path, frozenset()) if self._knows_requests(downloaded) else ()
            with path.open("rb") as stored:
                for batch in batches_of(piece, stored, self.options, is_complete, is_to_stop):
                    yield _without(batch, again, downloaded.planned.key)
            if is_to_stop():
                return

    def rest(self, downloaded: Downloaded, earlier: Iterable[str]) -> Iterator[Batch[Record]]:
        """The requests that nobody has answered, as dead letters that hold them.

        Args:
          earlier: ids of the batches that were made of them before; they stay as they are where nobody knows what an
            earlier try has answered.
        """
        if not self._knows_requests(downloaded) or downloaded.lacks_earlier:
            return
        planned, left = downloaded.planned, set(earlier)
        dead_letters: list[DeadLetter] = []
        ordinal = 0
        for dead_letter in self._unanswered(downloaded):
            dead_letters.append(dead_letter)
            if len(dead_letters) == self.options.batch_size:
                yield _rest(planned, ordinal, dead_letters)
                left.discard(rest_id(planned, ordinal))
                ordinal, dead_letters = ordinal + 1, []
        if dead_letters:
            yield _rest(planned, ordinal, dead_letters)
            left.discard(rest_id(planned, ordinal))
        for batch_id in sorted(left):
            yield Batch(batch_id, planned.source, 0, (), provider_batch=planned.key)

    def is_of(self, downloaded: Downloaded) -> bool:
        """Whether the answers are of the requests: a batch found by time and size could be anybody's."""
        if not self._knows_requests(downloaded):
            return True
        said = downloaded.answers.answered | downloaded.answers.again.keys()
        return not said or any(request.name in said for request in self._requests(downloaded.planned))

    def write_requests(self, planned: PlannedBatch, answered: frozenset[str], path: Path) -> int:
        """Writes the requests of a batch into a file, but for those that are answered; returns how many they are."""
        n = 0
        with path.open("wb") as out:
            for request in self._requests(planned):
                if request.name is None or request.name not in answered:
                    out.write(request.raw + b"\n")
                    n += 1
        return n

    def _knows_requests(self, downloaded: Downloaded) -> bool:
        return bool(downloaded.planned.source) and self.key_field is not None

    def _requests(self, planned: PlannedBatch) -> Iterable[Request]:
        return requests_of(self.inputs[planned.source], self.key_field, planned.start, planned.stop)

    def _unanswered(self, downloaded: Downloaded) -> Iterator[DeadLetter]:
        planned, answers = downloaded.planned, downloaded.answers
        for request in self._requests(planned):
            if request.name is not None and request.name not in answers.answered:
                code = answers.again.get(request.name, MISSING)
                line = request.line if planned.start == 0 else None
                message = _message(code, self.provider)
                yield DeadLetter(STEP, code, message, request.raw, None, request.start, line, retryable=True)


def rest_id(planned: PlannedBatch, ordinal: int) -> str:
    """The id of a batch of unanswered requests."""
    return f"{planned.input_id}-{_REST:05d}-{ordinal:05d}"


def is_rest(batch_id: str) -> bool:
    """Whether a batch is one of unanswered requests.

    >>> is_rest("0123456789ab-99999-00000"), is_rest("0123456789ab-00000-00000")
    (True, False)
    """
    return batch_id.split("-")[1] == f"{_REST:05d}"


def _message(code: str, provider: str) -> str:
    said = "has no result for this request" if code == MISSING else f"reports {code} for this request"
    return f"{provider} {said}; --retry_failed asks again"


def _rest(planned: PlannedBatch, ordinal: int, dead_letters: list[DeadLetter]) -> Batch[Record]:
    n = len(dead_letters)
    return Batch(rest_id(planned, ordinal), planned.source, n, (), tuple(dead_letters), provider_batch=planned.key)


def _without(batch: Batch[Record], positions: Iterable[int], key: str) -> Batch[Record]:
    """The batch of a provider's batch, without the dead letters at some positions."""
    again = frozenset(positions)
    kept = tuple(each for each in batch.dead_letters if each.position not in again)
    read = batch.read - len(batch.dead_letters) + len(kept)
    return replace(batch, read=read, dead_letters=kept, provider_batch=key)
