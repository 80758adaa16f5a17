"""YAML read so that every complaint can name file, line and key. No IO.

    text ─▶ parse_yaml ─▶ YamlNode ─▶ .mapping() / .entries() / .text() / … or SpecError(file, line, key, problem)

Size, nesting and references are bounded while the text is read, before anything is made of it. Repeated keys and
several documents are refused. Nothing is ever constructed from a tag: values are text, numbers, booleans, null, lists
and maps.

    >>> parse_yaml("name: profiles", "a.yaml").mapping(["name"])["name"].text()
    'profiles'
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from transforms.errors import SpecError
from transforms.records.yaml_loader import BeyondBoundsError, compose

# The largest shipped file has 12 kB.
MAX_BYTES = 256 * 1024
_MAX_NODES = 100_000  # a few lines of nested references can stand for billions
_KINDS = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "null": "nothing"}


@dataclass(frozen=True, slots=True)
class YamlNode:
    """One value of a file and where it stands: `key` is its dotted path, `line` counts from 1."""

    node: yaml.Node
    file: str
    key: str

    @property
    def line(self) -> int:
        """Line of the value's first character."""
        return int(self.node.start_mark.line) + 1

    def fail(self, problem: str) -> NoReturn:
        """Raises the SpecError that says what is wrong here."""
        raise SpecError(self.file, self.line, self.key, problem)

    @property
    def is_text(self) -> bool:
        """True for text, also for text that looks like a number when it is quoted."""
        return _kind(self.node) == "str"

    @property
    def is_list(self) -> bool:
        """True for a list."""
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_mapping(self) -> bool:
        """True for a map."""
        return isinstance(self.node, yaml.MappingNode)

    def items(self) -> dict[str, YamlNode]:
        """The entries of a map with keys of one's own choice."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"must be a map, got {_describe(self.node)}")
        found: dict[str, YamlNode] = {}
        for key_node, value_node in self.node.value:
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if name is None or _kind(key_node) != "str":
                at = YamlNode(key_node, self.file, self.key)
                at.fail(f"a key must be text, got {_describe(key_node)}; put it in quotes")
            child = YamlNode(value_node, self.file, f"{self.key}.{name}" if self.key else name)
            if name in found:
                first = found[name].line
                YamlNode(key_node, self.file, child.key).fail(f"appears twice, first in line {first}; remove one")
            found[name] = child
        return found

    def mapping(self, allowed: Sequence[str], required: Iterable[str] = ()) -> dict[str, YamlNode]:
        """The entries of a map whose keys are known beforehand."""
        found = self.items()
        for name, child in found.items():
            if name not in allowed:
                child.fail(f"unknown key; {did_you_mean(name, allowed)}")
        for name in required:
            if name not in found:
                self.fail(f"{name!r} is missing here; add it")
        return found

    def entries(self) -> list[YamlNode]:
        """The entries of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"must be a list, got {_describe(self.node)}")
        return [YamlNode(node, self.file, f"{self.key}[{index}]") for index, node in enumerate(self.node.value)]

    def one_or_more(self) -> list[YamlNode]:
        """The entries of a list that must have some; a single value stands for a list of one."""
        if not self.is_list:
            return [self]
        entries = self.entries()
        if not entries:
            self.fail("must not be empty")
        return entries

    def text(self) -> str:
        """Text that is not blank."""
        if not isinstance(self.node, yaml.ScalarNode) or not self.is_text:
            hint = "; put it in quotes" if isinstance(self.node, yaml.ScalarNode) and self.node.value else ""
            self.fail(f"must be text, got {_describe(self.node)}{hint}")
        if not self.node.value.strip():
            self.fail("must not be blank")
        return str(self.node.value)

    def integer(self, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self.plain()
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(f"must be a whole number, got {_describe(self.node)}")
        if not low <= value <= high:
            self.fail(f"must be in [{low}, {high}], got {value}")
        return value

    def number(self) -> float:
        """A finite number."""
        value = self.plain()
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
            self.fail(f"must be a number, got {_describe(self.node)}")
        return float(value)

    def boolean(self) -> bool:
        """true or false."""
        value = self.plain()
        if not isinstance(value, bool):
            self.fail(f"must be true or false, got {_describe(self.node)}")
        return value

    def choice(self, options: Sequence[str]) -> str:
        """One of several words."""
        word = self.text()
        if word not in options:
            self.fail(f"{word!r} is not known; {did_you_mean(word, options)}")
        return word

    def plain(self) -> Any:
        """The value as plain Python: text, numbers, booleans, None, lists, maps."""
        if isinstance(self.node, yaml.MappingNode):
            return {name: child.plain() for name, child in self.items().items()}
        if isinstance(self.node, yaml.SequenceNode):
            return [child.plain() for child in self.entries()]
        try:
            return _scalar(self.node)
        except (ValueError, yaml.YAMLError):
            self.fail(f"must be {_KINDS.get(_kind(self.node), 'plain YAML')}; put it in quotes if it is text")


def parse_yaml(text: str, file: str, kind: str = "record spec") -> YamlNode:
    """The root of a YAML text.

    Args:
      kind: what the file should be, for messages.

    Raises:
      SpecError: it is not YAML, or not of the plain kind.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise SpecError(file, None, "", f"must not exceed {MAX_BYTES:,} bytes; is it a {kind}?")
    try:
        root = compose(text)
    except BeyondBoundsError as error:
        raise SpecError(file, error.line, "", str(error)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "cannot be read"
        raise SpecError(file, mark.line + 1 if mark else None, "", f"is not valid YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SpecError(file, line, "", "is not valid YAML: it holds a character that YAML forbids") from None
    if root is None:
        raise SpecError(file, None, "", f"is empty; start from a shipped {kind}")
    _check_size(root, file)
    return YamlNode(root, file, "")


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """A hint for a word that is not among the options.

    >>> did_you_mean("raiting", ["rating", "years"])
    'did you mean rating? Known: rating, years'
    """
    names = list(options)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"{f'did you mean {close[0]}? ' if close else ''}{'Known' if close else 'known'}: {', '.join(names)}"


def _check_size(root: yaml.Node, file: str) -> None:
    """Walks the tree as often as references repeat it, so that nobody after us has to count."""
    pending = [root]
    count = 0
    while pending:
        node = pending.pop()
        count += 1
        if count > _MAX_NODES:
            problem = f"stands for more than {_MAX_NODES:,} values; does a reference contain itself?"
            raise SpecError(file, node.start_mark.line + 1, "", problem)
        if isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.MappingNode):
            pending += [part for pair in node.value for part in pair]


def _kind(node: yaml.Node) -> str:
    return str(node.tag).rpartition(":")[2]


def _describe(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a map"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return _KINDS.get(_kind(node), _kind(node))


def _scalar(node: yaml.Node) -> Any:
    constructor = yaml.constructor.SafeConstructor()
    kind = _kind(node)
    if kind not in _KINDS:
        raise ValueError(kind)  # timestamps, binary, tags of one's own
    return constructor.construct_object(node, deep=True)
