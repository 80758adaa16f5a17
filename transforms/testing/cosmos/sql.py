"""The part of Cosmos DB's SQL that the server speaks, as a tree. Plain Python.

    SELECT [DISTINCT] [TOP n] * │ VALUE e │ e [AS name], …  FROM c [WHERE e] [ORDER BY path [ASC│DESC], …] [OFFSET n LIMIT m]
    e: paths, literals, @parameters, = != <> < <= > >= AND OR NOT IN BETWEEN LIKE + - * /, functions

JOIN, subqueries and GROUP BY are refused. Source: learn.microsoft.com/azure/cosmos-db/nosql/query
"""  # noqa: E501  # the grammar is one line

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from transforms.testing.cosmos.answers import RefusedError

# A tree is a tuple: its kind, then its parts.
Expression = tuple[Any, ...]

AGGREGATES = {"COUNT": "Count", "SUM": "Sum", "MIN": "Min", "MAX": "Max", "AVG": "Average"}

_TOKENS = re.compile(
    r"""\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?)|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""|(?P<parameter>@\w+)|(?P<word>[^\W\d]\w*)|(?P<mark><=|>=|!=|<>|[=<>()\[\]{},.*+/:-]))""",
    re.DOTALL,
)
_COMPARISONS = ("=", "!=", "<>", "<", "<=", ">", ">=")
_LITERALS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Select:
    """A query.

    Attributes:
      values: (name, expression) of each member; ("", expression) for VALUE; empty for *.
      aggregate: of SELECT VALUE COUNT(…) and the like: its name in AGGREGATES.
      order_by: (expression, whether it descends).
    """

    alias: str
    values: tuple[tuple[str, Expression], ...] = ()
    is_value: bool = False
    is_distinct: bool = False
    top: int | None = None
    where: Expression | None = None
    order_by: tuple[tuple[Expression, bool], ...] = ()
    offset: int | None = None
    limit: int | None = None
    aggregate: str | None = None

    @property
    def needs_plan(self) -> bool:
        """Whether a client has to put the answers of several partitions together."""
        return bool(
            self.aggregate or self.order_by or self.is_distinct or self.top is not None or self.limit is not None
        )


def parse_query(text: str, parameters: dict[str, Any]) -> Select:
    """Reads a query. Raises RefusedError 400.

    >>> parse_query("SELECT VALUE c.id FROM c WHERE c.n > @n", {"@n": 3}).where
    ('>', ('path', 'n'), ('value', 3))
    """
    return _Parser(text, parameters).query()


def parse_condition(text: str) -> Expression:
    """Reads the condition of a patch: `FROM c WHERE …`."""
    query = _Parser(f"SELECT * {text}", {}).query()
    if query.where is None:
        raise RefusedError(400, "The condition of a patch is FROM c WHERE …")
    return query.where


class _Parser:
    def __init__(self, text: str, parameters: dict[str, Any]):
        self._parameters, self._place, self._alias = parameters, 0, ""
        self._tokens: list[tuple[str, str]] = []
        end = 0
        stripped = text.rstrip()
        while end < len(stripped):
            found = _TOKENS.match(stripped, end)
            if found is None:
                raise RefusedError(400, f"Syntax error near {stripped[end : end + 20]!r}")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            end = found.end()
        words = [each.upper() for _, each in self._tokens]
        if "FROM" in words and words.index("FROM") + 1 < len(words):
            self._alias = self._tokens[words.index("FROM") + 1][1]

    def query(self) -> Select:
        self._expect("SELECT")
        is_distinct = self._accept("DISTINCT")
        top = self._whole() if self._accept("TOP") else None
        is_value = False
        values: list[tuple[str, Expression]] = []
        if not self._accept("*"):
            is_value = self._accept("VALUE")
            while True:
                expression = self._either()
                values.append(("" if is_value else self._name(expression, len(values)), expression))
                if is_value or not self._accept(","):
                    break
        self._expect("FROM")
        alias = self._next()
        where = self._either() if self._accept("WHERE") else None
        order_by: list[tuple[Expression, bool]] = []
        if self._accept("ORDER"):
            self._expect("BY")
            while True:
                expression = self._operand()
                order_by.append((expression, self._accept("DESC") or (self._accept("ASC") and False)))
                if not self._accept(","):
                    break
        offset = limit = None
        if self._accept("OFFSET"):
            offset = self._whole()
            self._expect("LIMIT")
            limit = self._whole()
        if self._place < len(self._tokens):
            raise RefusedError(400, f"{self._tokens[self._place][1]!r} is not imitated here")
        aggregate = None
        if is_value and values[0][1][0] == "call" and values[0][1][1] in AGGREGATES:
            aggregate = values[0][1][1]
            values = [("", values[0][1][2])]
        return Select(
            alias,
            tuple(values),
            is_value,
            is_distinct,
            top,
            where,
            tuple(order_by),
            offset,
            limit,
            aggregate,
        )

    def _name(self, expression: Expression, n_before: int) -> str:
        if self._accept("AS"):
            return self._next()
        return str(expression[-1]) if expression[0] == "path" and len(expression) > 1 else f"${n_before + 1}"

    def _either(self) -> Expression:
        left = self._both()
        while self._accept("OR"):
            left = ("or", left, self._both())
        return left

    def _both(self) -> Expression:
        left = self._negated()
        while self._accept("AND"):
            left = ("and", left, self._negated())
        return left

    def _negated(self) -> Expression:
        return ("not", self._negated()) if self._accept("NOT") else self._compared()

    def _compared(self) -> Expression:
        left = self._sum()
        is_not = self._accept("NOT")
        found: Expression | None = None
        if self._accept("IN"):
            self._expect("(")
            found = ("in", left, *self._listed(")"))
        elif self._accept("BETWEEN"):
            low = self._sum()
            self._expect("AND")
            found = ("and", (">=", left, low), ("<=", left, self._sum()))
        elif self._accept("LIKE"):
            found = ("like", left, self._sum())
        elif self._peek() in _COMPARISONS:
            found = (self._next(), left, self._sum())
        if found is None:
            return left
        return ("not", found) if is_not else found

    def _sum(self) -> Expression:
        left = self._product()
        while self._peek() in ("+", "-"):
            left = (self._next(), left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._operand()
        while self._peek() in ("*", "/"):
            left = (self._next(), left, self._operand())
        return left

    def _operand(self) -> Expression:
        if self._accept("("):
            inner = self._either()
            self._expect(")")
            return inner
        if self._accept("-"):
            return ("-", ("value", 0), self._operand())
        if self._accept("["):
            return ("array", *self._listed("]"))
        if self._place >= len(self._tokens):
            raise RefusedError(400, "Syntax error: the query ends early")
        kind, text = self._tokens[self._place]
        self._place += 1
        if kind == "number":
            return ("value", json.loads(text))
        if kind == "text":
            return ("value", _unquoted(text))
        if kind == "parameter":
            if text not in self._parameters:
                raise RefusedError(400, f"The parameter {text} has no value")
            return ("value", self._parameters[text])
        if kind != "word":
            raise RefusedError(400, f"Syntax error near {text!r}")
        if text.lower() in _LITERALS:
            return ("value", _LITERALS[text.lower()])
        if self._accept("("):
            return ("call", text.upper(), *self._listed(")"))
        if text != self._alias:
            raise RefusedError(400, f"Identifier {text!r} could not be resolved")
        return self._path()

    def _path(self) -> Expression:
        steps: list[Any] = []
        while True:
            if self._accept("."):
                steps.append(self._next())
            elif self._accept("["):
                kind, text = self._tokens[self._place]
                self._place += 1
                steps.append(int(text) if kind == "number" else _unquoted(text))
                self._expect("]")
            else:
                return ("path", *steps)

    def _listed(self, end: str) -> list[Expression]:
        listed: list[Expression] = []
        while not self._accept(end):
            if listed:
                self._expect(",")
            listed.append(self._either())
        return listed

    def _whole(self) -> int:
        kind, text = self._tokens[self._place]
        self._place += 1
        value = self._parameters.get(text) if kind == "parameter" else text
        try:
            return int(str(value))
        except ValueError:
            raise RefusedError(400, f"{text!r} is not a whole number") from None

    def _peek(self) -> str:
        return self._tokens[self._place][1].upper() if self._place < len(self._tokens) else ""

    def _next(self) -> str:
        if self._place >= len(self._tokens):
            raise RefusedError(400, "Syntax error: the query ends early")
        self._place += 1
        return self._tokens[self._place - 1][1]

    def _accept(self, word: str) -> bool:
        if self._peek() != word or self._tokens[self._place][0] == "text":
            return False
        self._place += 1
        return True

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise RefusedError(400, f"Syntax error: {word} expected, got {self._peek() or 'the end'!r}")


def _unquoted(text: str) -> str:
    inner = text[1:-1]
    if text[0] == "'":
        inner = inner.replace("\\'", "'").replace('"', '\\"')
    return str(json.loads(f'"{inner}"'))
