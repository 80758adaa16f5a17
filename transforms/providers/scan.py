"""What the results of a batch at a provider answer: which requests, with what errors, for how many tokens.

    results, JSON Lines ──scanned──▶ Answers: names answered, names worth asking again, tokens

The records themselves are read by ingest's own readers. This looks only at what stands around an answer. Plain Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from transforms.models.asked import Asked, asked


@dataclass
class Answers:
    """What a file, or several, answer.

    Attributes:
      answered: names of requests that have an answer, or an error that would come again.
      again: names of requests that may well be answered if they are asked again, and the code of what was said instead.
      failed: answers that are an error which would come again.
      input_tokens, output_tokens: of all answers; None where none says.
      positions: first bytes of the lines of `again`, by file.
    """

    answered: set[str] = field(default_factory=set)
    again: dict[str, str] = field(default_factory=dict)
    failed: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    positions: dict[Path, frozenset[int]] = field(default_factory=dict)

    def add(self, other: Answers) -> None:
        """Adds those of a later try, which may have answered what an earlier one did not."""
        self.answered |= other.answered
        self.again = {name: code for name, code in {**self.again, **other.again}.items() if name not in self.answered}
        self.failed += other.failed
        self.input_tokens = _sum(self.input_tokens, other.input_tokens)
        self.output_tokens = _sum(self.output_tokens, other.output_tokens)
        self.positions |= other.positions


def scanned(files: Iterable[Path]) -> Answers:
    """Looks through results once; what is not a model's result says nothing, and is left to the reader."""
    answers = Answers()
    for file in files:
        positions = set[int]()
        with file.open("rb") as stored:
            at = 0
            for raw in stored:
                found = asked(raw)
                if found is not None and _add(answers, found):
                    positions.add(at)
                at += len(raw)
        answers.positions[file] = frozenset(positions)
    return answers


def _add(answers: Answers, found: Asked) -> bool:
    """Whether the line says that the request is worth asking again."""
    answers.input_tokens = _sum(answers.input_tokens, found.input_tokens)
    answers.output_tokens = _sum(answers.output_tokens, found.output_tokens)
    if found.request_id is None:
        return False
    if found.error_code and found.ask_again:
        answers.again[found.request_id] = found.error_code
        return True
    answers.failed += bool(found.error_code)
    answers.answered.add(found.request_id)
    return False


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else one + other
