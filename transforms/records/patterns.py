"""The patterns of `match:`, which take time linear in the text: no record can hang a worker, whatever the spec says.

They are regular expressions of RE2 (https://github.com/google/re2/wiki/Syntax): those of Python without backreferences
and look-around, which are what makes Python's own engine take time exponential in the text.

    >>> Pattern("^(.*?) : ").first_group("Vela : Head")
    'Vela'
"""

from __future__ import annotations

from dataclasses import dataclass, field

import re2


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled expression with at least one group.

    Raises:
      ValueError: RE2 does not know it, or it has no group.
    """

    text: str
    _compiled: re2._Regexp = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        options = re2.Options()
        options.log_errors = False  # they are in the exception
        try:
            compiled = re2.compile(self.text, options)
        except re2.error as error:
            reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
            raise ValueError(
                f"is no regular expression of RE2: {reason}; it has neither backreferences nor look-around"
            ) from None
        if compiled.groups < 1:
            raise ValueError("must put what to keep in parentheses, such as '^- .* : (.+)$'")
        object.__setattr__(self, "_compiled", compiled)

    def first_group(self, text: str) -> str | None:
        """What the first group matches where the pattern is first found; None: nowhere."""
        try:
            found = self._compiled.search(text)
        except UnicodeEncodeError:  # a lone surrogate, which no document can hold either
            return None
        return found[1] if found else None

    def __reduce__(self) -> tuple[type[Pattern], tuple[str]]:
        return Pattern, (self.text,)
