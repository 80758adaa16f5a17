"""From what a model said to the records in it.

    text ──▶ all of it is JSON? ──no──▶ reasoning left out ──▶ every object, and array of objects, that is left
                    │ yes                                                     │
                    ▼                                                         ▼
               the answer ◀────────────────────────────────────────── exactly one of them

Nothing is chosen by length or place. Several values that differ are an AMBIGUOUS_ANSWER, unless a marker says which of
them is the answer: what stands before the end of reasoning (`</think>` and its like) or before `<answer>` is not. A
value that is broken, or that something broken stands around, makes the answer unusable: an object within it is not the
record. Near-JSON is read as `repair.py` says, and only if it is asked for, by the `json-repair` library, which guesses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from transforms.errors import RecordError
from transforms.json_values import UNAMBIGUOUS, parse_unambiguous
from transforms.models.options import AGGRESSIVE, SAFE
from transforms.models.repair import BROKEN, broken, cut_off, not_whole, read_value

BY_LIBRARY = "json_repair"

# Repairing takes time that grows faster than the text, and what is longer than this fits no document anyway.
MAX_REPAIRED_CHARS = 1024 * 1024
# The library reads on from every bracket within a string as well: a deeper nest of them takes it minutes.
_MAX_DEPTH = 100
# Brackets that begin no value up to a mark, and marks: more of them take time, and no answer.
_MAX_STARTS, _MAX_MARKS = 64, 64

_REASONING = r"(?:\w{1,20}:)?(?:think|thinking|thoughts?|reasoning|reflection|scratchpad)"
_MARK = re.compile(
    rf"""
      (?P<reasoning> <{_REASONING}(?:\s+\w+=[^<>]*)?\s*> | \[THINK\] | ◁think▷
                   | <\|channel\|>\s*(?:analysis|commentary)\b
                   | <\|(?:START_THINKING|begin_of_thought|begin_of_thinking)\|> )
    | (?P<answer>    </{_REASONING}\s*> | \[/THINK\] | ◁/think▷ | <\|channel\|>\s*final\b
                   | <\|(?:END_THINKING|end_of_thought|end_of_thinking)\|>
                   | <(?:final_)?answer> | <\|(?:START_RESPONSE|begin_of_solution)\|> )
    | (?P<end>       </(?:final_)?answer> | <\|(?:END_RESPONSE|end_of_solution)\|> )
    | (?P<open>      [{{\[] )
    | (?P<close>     [}}\]] )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_FENCED = re.compile(r"`{3,}[\w-]*\s*(.*?)\s*`{3,}", re.DOTALL)
_LOOKS_LIKE_OBJECT = re.compile(r"""(?:\[\s*)*\{\s*(?://|/\*|["'“\w$][^{}]*?:)""", re.DOTALL)
_GOES_ON = re.compile(r"""\s*,\s*["'\w$-]+\s*:""")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_ROUGHLY = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?P<quote>"?)|[{}\[\]]|\.\.\.|…|(?<![\w.])-?0\d', re.DOTALL)
_BRACKET = re.compile(r"[{}\[\]]")

# What a response has of its own: blocks of text, or an object that needs no parsing.
Item: TypeAlias = "Sequence[str] | dict[str, Any]"


class Answer(NamedTuple):
    """The records that a model gave, nearly always one, and what was repaired so that they could be read."""

    records: tuple[Mapping[str, Any], ...]
    repairs: tuple[str, ...] = ()


def answer_in(items: Sequence[Item], repair: str = SAFE) -> Answer:
    """The one answer in a response.

    Args:
      items: what stands on its own in the response, such as each of its choices: blocks of text, or an object. Blocks
        are the pieces of one text where they are no JSON by themselves; items are never put together.
      repair: safe or aggressive.

    Raises:
      RecordError: AMBIGUOUS_ANSWER, MODEL_ANSWER_NOT_JSON, MODEL_ANSWER_NOT_OBJECTS, or as `read_value`.

    >>> answer_in([['Here you are:\\n```json\\n{"name": "Ada",}\\n```\\nAnything else?']])
    Answer(records=({'name': 'Ada'},), repairs=('trailing_commas',))
    """
    found: list[Answer] = []
    failures: list[RecordError] = []
    for item in items:
        try:
            found += [Answer((item,))] if isinstance(item, dict) else _of_blocks(item, repair)
        except RecordError as failure:
            failures.append(failure)
    distinct = {_identity(answer.records): answer for answer in found} if len(found) > 1 else found
    if len(distinct) > 1:
        raise RecordError(
            "AMBIGUOUS_ANSWER",
            f"the model's answer holds {len(distinct)} different JSON values, and nothing says which of them is meant",
        )
    if found:
        return found[-1]
    raise failures[0] if failures else RecordError(BROKEN, "the model's answer holds no JSON object")


def _of_blocks(blocks: Sequence[str], repair: str) -> list[Answer]:
    if len(blocks) > 1:
        try:
            if found := [answer for block in blocks for answer in _of_text(block, repair)]:
                return found
        except RecordError:
            pass  # a part of a text that goes on in the next block
    return _of_text("".join(blocks), repair)


def _of_text(text: str, repair: str) -> list[Answer]:
    """All values in a text that may be its answer."""
    whole = text.strip()
    if whole.startswith("`") and (fenced := _FENCED.fullmatch(whole)):
        whole = fenced[1]
    if whole.startswith(("{", "[")):
        try:
            return [_answer(parse_unambiguous(whole))]
        except RecordError as error:
            if error.code != "INVALID_JSON":
                raise
    scan = _Scan(text)
    try:
        return scan.values()
    except RecordError as error:
        if error.code != BROKEN or repair != AGGRESSIVE or scan.broken_at is None or scan.found:
            raise
        return [_by_library(text[scan.broken_at :])]


class _Scan:
    """Looks for values from the beginning of a text to its end.

    Attributes:
      found: so far.
      broken_at: where a value begins that is none.
    """

    def __init__(self, text: str):
        self._text, self._at = text, 0
        self.found: list[Answer] = []
        self.broken_at: int | None = None
        self._is_untouched = True
        self._marks = 0
        self._forget()

    def _forget(self) -> None:
        """What stands before a mark is not the answer."""
        self.found.clear()
        self._marks += 1
        if self._marks > _MAX_MARKS:
            raise broken()
        self._depth = self._starts = 0  # of brackets that begin no value
        self._is_part = False

    def values(self) -> list[Answer]:
        """All of them. Raises RecordError."""
        while mark := _MARK.search(self._text, self._at):
            self._at = mark.end()
            if mark.lastgroup == "open":
                self._open(mark.start())
            elif mark.lastgroup == "close":
                self._is_part = self._is_part or self._depth == 0
                self._depth = max(0, self._depth - 1)
            elif mark.lastgroup == "answer":
                self._forget()
            elif not self._skip_to_answer(mark):
                break
        if self._is_part:
            raise broken()
        return self.found

    def _skip_to_answer(self, mark: re.Match[str]) -> bool:
        """Passes over reasoning, and over what follows an answer; whether there is something behind that."""
        answer = next((found for found in _marks(self._text, self._at) if found.lastgroup == "answer"), None)
        if answer:
            self._at = answer.end() if mark.lastgroup == "reasoning" else answer.start()
        elif mark.lastgroup == "reasoning":
            raise cut_off("it ends within its reasoning")
        return answer is not None or not self.found

    def _open(self, start: int) -> None:
        """Reads the value that begins at a bracket, if it is one."""
        repairs: tuple[str, ...] = ()
        try:
            value, end = self._value(start)
        except (ValueError, RecursionError):
            if not _LOOKS_LIKE_OBJECT.match(self._text, start):
                self._pass_bracket()
                return
            try:
                value, end, repairs = read_value(self._text, start)
            except RecordError as error:
                self._pass_draft(start, error)
                return
        self._at = end
        if value and (isinstance(value, dict) or any(isinstance(element, dict) for element in value)):
            self.found.append(_answer(value, repairs))
            self._is_part = self._is_part or self._depth > 0 or _GOES_ON.match(self._text, end) is not None

    def _value(self, start: int) -> tuple[Any, int]:
        """The JSON that begins here, and where it ends. Raises ValueError, RecursionError."""
        end = max(self._text.rfind("}"), self._text.rfind("]")) + 1
        if self._is_untouched:  # most answers have one value, and words around it
            self._is_untouched = False
            try:
                return parse_unambiguous(self._text[start:end]), end
            except RecordError as error:
                if error.code != "INVALID_JSON":
                    raise
        return UNAMBIGUOUS.raw_decode(self._text, start)

    def _pass_bracket(self) -> None:
        self._depth += 1
        self._starts += 1
        if self._starts > _MAX_STARTS:
            self._pass_draft(self._at, broken())

    def _pass_draft(self, start: int, error: RecordError) -> None:
        """Passes over something broken if the reasoning ends behind it, and not within one of its strings."""
        for mark in _marks(self._text, start):
            if mark.lastgroup == "answer" and not _is_in_string(self._text, start, mark.start()):
                self._at = mark.start()
                return
        self.broken_at = start
        raise error


def _marks(text: str, start: int) -> Iterator[re.Match[str]]:
    return _MARK.finditer(text, start)


def _is_in_string(text: str, start: int, at: int) -> bool:
    """Whether a place is within a string of the value that begins at `start`, and not on a line of its own."""
    if not text[text.rfind("\n", 0, at) + 1 : at].strip():
        return False
    return any(string.start() < at < string.end() for string in _STRING.finditer(text, start))


def _by_library(text: str) -> Answer:
    """What the library makes of a value that is broken but neither cut off nor abridged."""
    text = text[: max(text.rfind("}"), text.rfind("]")) + 1]
    if not text:
        raise cut_off()
    _check_whole(text)
    try:
        import json_repair  # which few jobs ask

        value = json_repair.loads(text, skip_json_loads=True)
    except (ValueError, RecursionError) as error:
        raise broken() from error
    if not value or isinstance(value, list) is not text.startswith("["):
        raise broken()
    return _answer(value, (BY_LIBRARY,))


def _check_whole(text: str) -> None:
    """Refuses what the library would complete or renumber. Raises RecordError."""
    depth = 0
    for token in _ROUGHLY.finditer(text):
        first = token[0][0]
        if first == '"':
            if not token["quote"]:
                raise cut_off()
        elif first in "{[":
            depth += 1
        elif first in "}]":
            depth -= 1
        elif first in ".…":
            raise not_whole()
        else:
            raise broken()  # leading zeros
    if depth > 0:
        raise cut_off()
    if len(text) > MAX_REPAIRED_CHARS or _depth(text) > _MAX_DEPTH:
        raise broken()


def _depth(text: str) -> int:
    """How deep its brackets nest, also those within strings.

    >>> _depth('[{"a": "[{"}, 1]'), _depth("}}}[")
    (4, 1)
    """
    deepest = depth = 0
    for bracket in _BRACKET.finditer(text):
        depth = depth + 1 if bracket[0] in "{[" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def _answer(value: Any, repairs: tuple[str, ...] = ()) -> Answer:
    if isinstance(value, dict):
        return Answer((value,), repairs)
    records = value if isinstance(value, list) else [value]
    if not records or not all(isinstance(record, dict) for record in records):
        what = "an array of other things than objects" if records else "an empty array"
        raise RecordError("MODEL_ANSWER_NOT_OBJECTS", f"the model's answer is {what}")
    return Answer(tuple(records), repairs)


def _identity(records: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(records, sort_keys=True)
