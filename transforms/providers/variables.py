"""The variables of a description: what a user gives, what has a default, and what a text still lacks.

>>> values = Values("acme", {"team": None, "kind": "fast", "file": "{team}.jsonl"}, {"team": "a b"})
>>> values.filled["file"], values.missing_in("GET /{team}/{kind}")
('a b.jsonl', [])
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from transforms.errors import UsageError
from transforms.providers.templates import fill, names_in

BASE_URL = "base_url"
FLAG = "--provider_var"


class Values:
    """What the variables of one description stand for.

    Args:
      name: of the description.
      variables: with defaults; None: must be given.
      given: by name; may have BASE_URL.
      own: names that a request fills in, whatever a variable of the same name stands for.

    Attributes:
      filled: by name, those that have a value.

    Raises:
      UsageError: what is given is not a variable.
    """

    def __init__(
        self, name: str, variables: Mapping[str, str | None], given: Mapping[str, str], own: Sequence[str] = ()
    ):
        known = [BASE_URL, *variables]
        for each in given:
            if each not in known:
                close = difflib.get_close_matches(each, known, n=1)
                hint = f"did you mean {close[0]}? " if close else ""
                raise UsageError(f"{FLAG}: {name} has no variable {each!r}; {hint}Known: {', '.join(known)}")
        self._name, self._needed = name, [each for each in variables if each not in own]
        chosen = {**variables, **given}
        self._plain = {each: value for each, value in chosen.items() if value is not None and each != BASE_URL}
        self.filled = {each: fill(value, self._plain) for each, value in self._plain.items() if each not in own}

    def missing_in(self, part: Any) -> list[str]:
        """Variables without a value that a text needs, also for the value of another one."""
        used = [name for name in names_in(part) if name in self._needed]
        needed = [inner for name in used for inner in (names_in(self._plain.get(name, "")) or [name])]
        return [name for name in needed if name in self._needed and name not in self._plain]

    def check(self, *parts: Any) -> None:
        """Raises UsageError if a part of the description needs a variable that has no value."""
        for name in (name for part in parts for name in self.missing_in(part)):
            raise UsageError(f"{self._name} needs {name}: pass {FLAG}={name}=VALUE")
