r"""Near-JSON read as what it says: only its structure is edited, never its content. Plain Python.

    {'name': 'Ada', /* sic */ born: 1815, zip: 01234,}   ──▶   {"name": "Ada", "born": 1815, "zip": "01234"}

| repair              | is                                                        | becomes                     |
|---------------------|-----------------------------------------------------------|-----------------------------|
| trailing_commas     | a comma before `}` or `]`                                 | nothing                     |
| comments            | `// …`, `# …` and `/* … */` between values; none that     | nothing                     |
|                     | abridges, as `# and 40 more`, and no `#tag`               |                             |
| control_characters  | a newline, tab or other control character within a string | its escape                  |
| single_quotes       | 'text', and " within it                                   | "text", \" within it        |
| escaped_apostrophes | \' within a string                                        | '                           |
| unquoted_keys       | `name:`                                                   | `"name":`                   |
| python_literals     | True, False, None                                         | true, false, null           |
| leading_zeros       | a number like 01234 or 007.50                             | text of the same characters |

Every string that is intact keeps each of its bytes. Whatever else is wrong, a bracket or a comma that is missing, a
quote within quotes, text without quotes, makes the value broken, and what ends within a string or a bracket is cut off:
a value is repaired exactly or not at all.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from transforms.errors import RecordError
from transforms.json_values import parse_unambiguous

BROKEN = "MODEL_ANSWER_NOT_JSON"

_PIECE = re.compile(
    r"""
      (?P<space>   [ \t\r\n]+)
    | (?P<mark>    [{}\[\],:])
    | (?P<string>  "[^"\\]*(?:\\.[^"\\]*)*")
    | (?P<single>  '[^'\\]*(?:\\.[^'\\]*)*')
    | (?P<comment> //[^\r\n]* | \#(?![^\s\#!])[^\r\n]* | /\*.*?\*/)
    | (?P<dots>    \.\.\. | …)
    | (?P<number>  [-+.\d][\w.+-]*)
    | (?P<word>    [^\W\d][\w$-]* | \$[\w$-]*)
    """,
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|-Infinity", re.ASCII)
_LEADING_ZEROS = re.compile(r"0\d+(?:\.\d+)?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f]")
_EDITED_IN_STRINGS = re.compile(r"""\\(.)|"|[\x00-\x1f]""", re.DOTALL)
# What a comment says that stands for what its author has left out.
_ABRIDGED = re.compile(
    r"\.\.\.|…|\b(?:etc|and so (?:on|forth)|omitted|truncated|abridged|shortened|remaining|rest of|continue[sd]?"
    r"|\d+ more)\b",
    re.IGNORECASE,
)
_WORDS = {"true": "true", "false": "false", "null": "null", "NaN": "NaN", "Infinity": "Infinity"}
_PYTHON_WORDS = {"True": "true", "False": "false", "None": "null"}

# What may come next.
_FIRST, _VALUE, _FIRST_KEY, _KEY, _COLON, _COMMA = range(6)


class Reading(NamedTuple):
    """A value, where it ends in the text, and what was repaired, sorted."""

    value: Any
    end: int
    repairs: tuple[str, ...]


def read_value(text: str, start: int = 0) -> Reading:
    """The object or array that begins at `start`; what comes behind it is not looked at.

    Raises:
      RecordError: MODEL_ANSWER_CUT_OFF, MODEL_ANSWER_NOT_WHOLE, MODEL_ANSWER_NOT_JSON, or as `parse_unambiguous`.

    >>> read_value("{'name': 'Ada', born: 1815,} Anything else?")
    Reading(value={'name': 'Ada', 'born': 1815}, end=28, repairs=('single_quotes', 'trailing_commas', 'unquoted_keys'))
    """
    reader = _Reader(text, start)
    edited = reader.edited()
    try:
        value = parse_unambiguous(edited)
    except RecordError as error:
        raise broken() if error.code == "INVALID_JSON" else error from error
    return Reading(value, reader.at, tuple(sorted(reader.repairs)))


class _Reader:
    """Walks a value piece by piece, and writes down what JSON it is."""

    def __init__(self, text: str, start: int):
        self._text = text
        self.at = start
        self.repairs: set[str] = set()
        self._written: list[str] = []
        self._open: list[str] = []
        self._next = _VALUE
        self._comma = 0  # where the last one stands in what is written

    def edited(self) -> str:
        while True:
            piece = _PIECE.match(self._text, self.at)
            if piece is None:
                raise self._unreadable()
            self.at = piece.end()
            getattr(self, f"_{piece.lastgroup}")(piece.group())
            if not self._open:
                return "".join(self._written)

    def _unreadable(self) -> RecordError:
        rest = self._text[self.at : self.at + 2]
        return cut_off() if not rest or rest[0] in "\"'" or rest == "/*" else broken()

    def _space(self, piece: str) -> None:
        self._written.append(piece)

    def _comment(self, piece: str) -> None:
        if _ABRIDGED.search(piece):
            raise not_whole()
        self.repairs.add("comments")
        self._written.append(" ")

    def _dots(self, piece: str) -> None:
        raise not_whole()

    def _mark(self, piece: str) -> None:
        if piece in "{[":
            self._value(piece)
            self._open.append(piece)
            self._next = _FIRST_KEY if piece == "{" else _FIRST
        elif piece == ",":
            self._expect(_COMMA)
            self._comma = len(self._written)
            self._written.append(piece)
            self._next = _KEY if self._open[-1] == "{" else _VALUE
        elif piece == ":":
            self._expect(_COLON)
            self._written.append(piece)
            self._next = _VALUE
        else:
            self._close(piece)

    def _close(self, piece: str) -> None:
        is_object = piece == "}"
        if not self._open or (self._open[-1] == "{") is not is_object:
            raise broken()
        if self._next == (_KEY if is_object else _VALUE):
            self._written[self._comma] = ""
            self.repairs.add("trailing_commas")
        elif self._next not in (_COMMA, _FIRST_KEY if is_object else _FIRST):
            raise broken()
        self._open.pop()
        self._written.append(piece)
        self._next = _COMMA

    def _string(self, piece: str) -> None:
        is_intact = "\\'" not in piece and not _CONTROL.search(piece)
        self._key_or_value(piece if is_intact else self._in_double_quotes(piece))

    def _single(self, piece: str) -> None:
        self.repairs.add("single_quotes")
        self._key_or_value(self._in_double_quotes(piece))

    def _in_double_quotes(self, piece: str) -> str:
        return f'"{_EDITED_IN_STRINGS.sub(self._as_json, piece[1:-1])}"'

    def _as_json(self, found: re.Match[str]) -> str:
        escaped = found[1]
        if escaped is None and found[0] == '"':
            return '\\"'
        if escaped is None:
            self.repairs.add("control_characters")
            return f"\\u{ord(found[0]):04x}"
        if escaped == "'":
            self.repairs.add("escaped_apostrophes")
            return escaped
        if escaped < " ":
            raise broken()
        return found[0]

    def _word(self, piece: str) -> None:
        if self._next in (_KEY, _FIRST_KEY):
            self.repairs.add("unquoted_keys")
            self._key_or_value(f'"{piece}"')
        elif piece in _PYTHON_WORDS:
            self.repairs.add("python_literals")
            self._value(_PYTHON_WORDS[piece])
        elif piece in _WORDS:
            self._value(piece)
        else:
            raise broken()

    def _number(self, piece: str) -> None:
        if _NUMBER.fullmatch(piece):
            self._value(piece)
        elif _LEADING_ZEROS.fullmatch(piece) and not self._is_group_of_thousands(len(piece)):
            self.repairs.add("leading_zeros")
            self._value(f'"{piece}"')
        else:
            raise broken()

    def _is_group_of_thousands(self, length: int) -> bool:
        """Whether the number goes on behind a comma, as in 120,000."""
        before = self._text[max(0, self.at - length - 2) : self.at - length]
        return before[-1:] == "," and before[:1].isdigit()

    def _key_or_value(self, piece: str) -> None:
        if self._next in (_KEY, _FIRST_KEY):
            self._written.append(piece)
            self._next = _COLON
        else:
            self._value(piece)

    def _value(self, piece: str) -> None:
        if self._next not in (_VALUE, _FIRST):
            raise broken()
        self._written.append(piece)
        self._next = _COMMA

    def _expect(self, what: int) -> None:
        if self._next != what:
            raise broken()


def broken() -> RecordError:
    """For a value that is no JSON and cannot be repaired exactly."""
    return RecordError(BROKEN, "the model's answer is not JSON, and to repair it would be a guess at what it means")


def cut_off(where: str = "it ends within a string or a bracket") -> RecordError:
    """For a value that does not end."""
    return RecordError("MODEL_ANSWER_CUT_OFF", f"the model's answer is cut off: {where}")


def not_whole() -> RecordError:
    """For a value that has been abridged by whoever wrote it."""
    return RecordError("MODEL_ANSWER_NOT_WHOLE", "the model's answer is not whole: … stands for what it leaves out")
