"""YAML text into nodes, within bounds. No IO.

    text ─▶ libyaml's events ─┬─▶ nodes
                              └─ it finds an error ─▶ PyYAML's own events ─▶ nodes, or an error that says more

libyaml takes a tenth of the time, which every command that reads a spec would wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from yaml.composer import Composer

# The largest shipped file has 6 levels and no reference.
_MAX_LEVELS = 32
_MAX_REFERENCES = 1_000


class BeyondBoundsError(Exception):
    """The text is nested too deeply, or refers to itself too often.

    Attributes:
      line: counted from 1.
    """

    def __init__(self, problem: str, line: int):
        self.line = line
        super().__init__(problem)


def compose(text: str) -> yaml.Node | None:
    """The root of a text; None if it is empty.

    Raises:
      BeyondBoundsError: no more of the text has been looked at than it takes to know that.
      yaml.YAMLError: it is not YAML.
    """
    if yaml.__with_libyaml__:
        try:
            return yaml.compose(text, Loader=_FastLoader)
        except (yaml.YAMLError, UnicodeEncodeError):
            pass  # PyYAML's own parser says better what is wrong
    return yaml.compose(text, Loader=_ExactLoader)


class _BoundedComposer(Composer):
    """Stops at the first node beyond the bounds. The events are those of the parser that a loader has beside it."""

    peek_event: Callable[[], Any]
    check_event: Callable[..., bool]
    _levels = _references = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """As in yaml's composer."""
        line = self.peek_event().start_mark.line + 1
        self._references += self.check_event(yaml.AliasEvent)
        if self._references > _MAX_REFERENCES:
            raise BeyondBoundsError(f"has more than {_MAX_REFERENCES:,} references", line)
        self._levels += 1
        if self._levels > _MAX_LEVELS:
            raise BeyondBoundsError(f"is nested more than {_MAX_LEVELS} levels deep", line)
        node = super().compose_node(parent, index)
        self._levels -= 1
        return node


class _ExactLoader(_BoundedComposer, yaml.SafeLoader):
    pass


if yaml.__with_libyaml__:

    class _FastLoader(_BoundedComposer, yaml.CSafeLoader):
        def __init__(self, text: str):
            yaml.CSafeLoader.__init__(self, text)
            Composer.__init__(self)
