"""The instructions of templates/Dockerfile, as far as tests read them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "templates" / "Dockerfile"

_CONTINUED = re.compile(r"\\\n\s*")


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word, what follows it, and whether it belongs to the last stage, the workers'."""

    word: str
    text: str
    stage: str

    @property
    def sources(self) -> list[str]:
        """What a COPY copies from the build's context; empty if it copies from another stage."""
        words = self.text.split()
        return [] if any(word.startswith("--from") for word in words) else words[:-1]

    @property
    def destination(self) -> str:
        """Where a COPY copies to."""
        return self.text.split()[-1]

    def pip_commands(self) -> list[list[str]]:
        """The words of each pip command of a RUN."""
        commands = (shlex.split(command) for command in self.text.split("&&"))
        return [words for words in commands if words[0] == "pip"]


def instructions(text: str | None = None) -> list[Instruction]:
    """
    >>> [found.word for found in instructions("FROM a AS b\\nFROM c\\nRUN pip check \\\\\\n  && true\\n")]
    ['FROM', 'FROM', 'RUN']
    """
    joined = _CONTINUED.sub("", DOCKERFILE.read_text() if text is None else text)
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
    return [
        Instruction(*line.split(maxsplit=1), "worker" if number >= last else "launcher")
        for number, line in enumerate(lines)
    ]
