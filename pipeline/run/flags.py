"""One `option()` declaration gives a flag, its help text, its checks and the parameter of a Flex Template.

    @dataclass(frozen=True)
    class Config:
        input: tuple[str, ...] = option(group="Input", help="files to read", metavar="PATTERN")
        batch_size: int = option(500, group="Input", help="records in a batch", minimum=1, maximum=10_000)

    usage = Usage("ingest", Config)
    config, rest = parse(usage, ["--input=a.jsonl,b.jsonl", "--batch_size=100", "--runner=DataflowRunner"])

The field's type says how its text is read: `str`, `int`, `float`, `bool` (`--flag`, `--flag=true`, because templates
pass every flag with a value), `tuple[str, ...]` (repeatable, and takes commas), each of them `| None`. A field without
default is required. A field may end with an underscore that its flag does not have, as `from_` must. What is not
declared is left in `rest`, for Beam.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING
from typing import Any, Generic, NoReturn, ParamSpec, Protocol, TypeVar

from transforms.errors import UsageError

C = TypeVar("C")
A = ParamSpec("A")

_OPTION = "option"
_VARIABLE_PREFIX = "FIREBEAM_"
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """What a flag is beside its name, type and default, which its field has.

    Attributes:
      group: heading under which `--help` shows it.
      help: one sentence without full stop.
      choices: the only values allowed.
      gone: values that earlier versions allowed, each with the one to use instead.
      minimum, maximum: bounds of a number, both included.
      metavar: what `--help` shows for the value.
      commas: whether a comma separates values of a flag that takes several.
      label: what a form calls it; default: made from the name.
      pattern: regular expression that the text of a template's parameter matches; default: made from the type.
      prefixes: of the values that workers in the cloud can reach, such as `gs://`; empty for what is not a path, or is
        read when launching.
      parameter: type of the template's parameter, such as GCS_WRITE_FOLDER; default: made from the type.
      shown_with: name and values of another option: a form shows this one only with one of those.
      in_templates: whether a template has a parameter for it.
    """

    group: str
    help: str
    choices: tuple[str, ...] = ()
    gone: tuple[tuple[str, str], ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    metavar: str | None = None
    commas: bool = True
    label: str | None = None
    pattern: str | None = None
    prefixes: tuple[str, ...] = ()
    parameter: str | None = None
    shown_with: tuple[str, tuple[str, ...]] | None = None
    in_templates: bool = True


class _Declare(Protocol[A]):
    def __call__(self, default: Any = MISSING, /, *args: A.args, **attributes: A.kwargs) -> Any: ...


def _declares(attributes_of: Callable[A, Option]) -> _Declare[A]:
    """A function with a default and the keywords of another one, which are written only there."""

    def declare(default: Any = MISSING, /, *args: A.args, **attributes: A.kwargs) -> Any:
        """Declares a field of a config as a flag; see `Option`. Without default it is required."""
        return dataclasses.field(default=default, metadata={_OPTION: attributes_of(*args, **attributes)})

    return declare


option = _declares(Option)


@dataclasses.dataclass(frozen=True)
class Usage(Generic[C]):
    """How one job or command is asked for.

    Attributes:
      name: as the user types it.
      config: a frozen dataclass whose fields are made with `option()`.
      about, example: shown by `--help`.
    """

    name: str
    config: type[C]
    about: str = ""
    example: str = ""


@dataclasses.dataclass(frozen=True)
class Flag:
    """A field of a config as the command line has it.

    Attributes:
      field: its name in the config.
      kind: type of one value.
      several: whether there may be several.
      required: whether it has no default.
    """

    name: str
    field: str
    kind: type
    several: bool
    required: bool
    default: Any
    declared: Option

    @property
    def separated(self) -> bool:
        """Whether one text may hold several values."""
        return self.several and self.declared.commas


def flags_of(config: type[Any]) -> list[Flag]:
    """The flags of a config, those of its own class first."""
    hints, own = typing.get_type_hints(config), config.__annotations__
    flags = []
    for spec in sorted(dataclasses.fields(config), key=lambda spec: spec.name not in own):
        kind, several = _kind(hints[spec.name])
        required = spec.default is MISSING and spec.default_factory is MISSING
        default = None if spec.default is MISSING else spec.default
        flags.append(Flag(flag_name(spec.name), spec.name, kind, several, required, default, spec.metadata[_OPTION]))
    return flags


def flag_name(field: str) -> str:
    """The flag of a field of a config.

    >>> flag_name("from_"), flag_name("batch_size")
    ('from', 'batch_size')
    """
    return field.removesuffix("_")


def parse(usage: Usage[C], arguments: Sequence[str]) -> tuple[C, list[str]]:
    """Reads flags into a config.

    Args:
      arguments: what follows the name on the command line.

    Returns:
      The config, and the arguments that are not its own.

    Raises:
      UsageError: a flag is missing or its value cannot be read or is out of bounds.
      SystemExit: `--help` was asked for and printed.
    """
    parser = _Parser(
        prog=f"firebeam {usage.name}",
        usage=f"firebeam {usage.name} --flag=value …",
        description=usage.about,
        epilog=usage.example and f"example:\n{usage.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # or --region is taken for --region_tag
        argument_default=argparse.SUPPRESS,
    )
    groups: dict[str, Any] = {}
    flags = flags_of(usage.config)
    for flag in flags:
        heading = flag.declared.group
        _add(groups.setdefault(heading, parser.add_argument_group(heading)), flag)
    names = {flag_name(spec.name): spec.name for spec in dataclasses.fields(usage.config)}  # type: ignore[arg-type]
    switches = [f"--{flag.name}" for flag in flags if flag.kind is bool]
    values, rest = parser.parse_known_args(_with_explicit_switches(arguments, switches))
    read = {key: tuple(value) if isinstance(value, list) else value for key, value in vars(values).items()}
    required = {flag.name for flag in flags if flag.required}
    missing = [f"--{name}" for name in names if name in required - read.keys()]
    if missing:
        raise UsageError(f"{', '.join(missing)} must be given; `firebeam {usage.name} --help` shows an example")
    return usage.config(**{names[name]: value for name, value in read.items()}), rest


def from_environment(usage: Usage[Any], arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> list[str]:
    """Arguments, behind those that the environment gives as `FIREBEAM_FLAG`: a flag that is given as such wins.

    Each line of a variable is a value, for flags that may be repeated.

    >>> usage = Usage("status", dataclasses.make_dataclass("C", [("job_id", str, option("", group="Job", help="id"))]))
    >>> from_environment(usage, ["--json"], {"FIREBEAM_JOB_ID": "listen-1"})
    ['--job_id=listen-1', '--json']
    >>> from_environment(usage, ["--job_id", "listen-2"], {"FIREBEAM_JOB_ID": "listen-1"})
    ['--job_id', 'listen-2']
    """
    given = {word.partition("=")[0] for word in arguments}
    every = (flag_name(field.name) for field in dataclasses.fields(usage.config))
    names = (name for name in every if f"--{name}" not in given)
    found = ((name, environ.get(f"{_VARIABLE_PREFIX}{name.upper()}", "")) for name in names)
    return [
        *(f"--{name}={line.strip()}" for name, value in found for line in value.splitlines() if line.strip()),
        *arguments,
    ]


def parse_only(usage: Usage[C], arguments: Sequence[str]) -> C:
    """Reads flags into a config, as `parse` does, and refuses what is not declared."""
    read, unknown = parse(usage, arguments)
    if unknown:
        refuse_unknown(usage, unknown)
    return read


def misfit(config: type[Any], stored: Mapping[str, Any]) -> str:
    """The first flag that cannot have the value stored for it, and why; empty if all can.

    Args:
      stored: values by the names of flags, as JSON has them: several are a list. What no flag is named is passed over.
    """
    for flag in flags_of(config):
        value = stored.get(flag.name)
        if value is None:
            continue
        if flag.several and not isinstance(value, list | tuple):
            return f"--{flag.name} is not a list"
        for one in value if flag.several else [value]:
            if type(one) is not flag.kind and not (flag.kind is float and type(one) is int):
                return f"--{flag.name} has a value that is not of type {flag.kind.__name__}"
            if flag.declared.choices and one not in flag.declared.choices:
                return f"--{flag.name} is none of {', '.join(flag.declared.choices)}"
    return ""


def refuse_unknown(usage: Usage[Any], unknown: Sequence[str], more_flags: Collection[str] = ()) -> NoReturn:
    """Raises UsageError about flags that nobody knows, with the closest one that somebody does.

    Args:
      more_flags: known ones beside the config's own.
    """
    flag = unknown[0].partition("=")[0]
    known = [*(f"--{flag_name(spec.name)}" for spec in dataclasses.fields(usage.config)), *more_flags]
    close = difflib.get_close_matches(flag, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else f"; `firebeam {usage.name} --help` lists the flags"
    raise UsageError(f"unknown argument {flag}{hint}")


def _add(group: Any, flag: Flag) -> None:
    declared = flag.declared
    note = "required" if flag.required else "" if flag.default in (None, ()) else f"default {shown(flag.default)}"
    settings: dict[str, Any] = {
        "help": (declared.help + (f" ({note})" if note else "")).replace("%", "%%"),
        "metavar": declared.metavar or ("|".join(declared.choices) or flag.kind.__name__.upper()),
    }
    if flag.kind is bool:
        settings |= {"nargs": "?", "const": True}
    settings["type"] = _reader(f"--{flag.name}", flag.kind, declared, flag.several)
    if flag.several:
        settings["action"] = "extend"
    group.add_argument(f"--{flag.name}", **settings)


def _with_explicit_switches(arguments: Sequence[str], switches: Sequence[str]) -> list[str]:
    """A switch takes the word behind it only if that says true or false.

    >>> _with_explicit_switches(["--follow", "ingest-1", "--json", "no"], ["--follow", "--json"])
    ['--follow=true', 'ingest-1', '--json', 'no']
    """
    following = [*arguments, ""][1:]
    return [
        f"{word}=true" if word in switches and after.lower() not in _TRUE | _FALSE else word
        for word, after in zip(arguments, following, strict=True)
    ]


def _kind(hint: Any) -> tuple[type, bool]:
    """The type of one value, and whether there may be several."""
    if isinstance(hint, types.UnionType):
        hint = next(member for member in typing.get_args(hint) if member is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    return hint, False


def _reader(flag: str, kind: type, declared: Option, several: bool) -> Callable[[str], Any]:
    def one(text: str) -> Any:
        value: Any = _boolean(flag, text) if kind is bool else _number(flag, text, kind) if kind is not str else text
        if kind is str and not text.strip():
            raise UsageError(f"{flag} must not be empty")
        if (instead := dict(declared.gone).get(text)) is not None:
            raise UsageError(f"{flag}={text} is gone; use {instead}")
        if declared.choices and value not in declared.choices:
            raise UsageError(f"{flag} must be one of {', '.join(declared.choices)}, got {text!r}")
        if declared.minimum is not None and value < declared.minimum:
            raise UsageError(f"{flag} must be at least {declared.minimum:,}, got {text}")
        if declared.maximum is not None and value > declared.maximum:
            raise UsageError(f"{flag} must be at most {declared.maximum:,}, got {text}")
        return value

    if not several:
        return one
    if not declared.commas:
        return lambda text: [one(text)]
    return lambda text: [one(part.strip()) for part in text.split(",") if part.strip()]


def _boolean(flag: str, text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise UsageError(f"{flag} must be true or false, got {text!r}")
    return word in _TRUE


def _number(flag: str, text: str, kind: type) -> Any:
    try:
        number = kind(text)
    except ValueError:
        raise UsageError(f"{flag} must be {'a whole number' if kind is int else 'a number'}, got {text!r}") from None
    if number != number:  # NaN passes every bound
        raise UsageError(f"{flag} must be a number, got {text!r}")
    return number


def shown(default: Any) -> str:
    """A value as it is typed behind its flag.

    >>> shown(True), shown(("a", "b")), shown(0.1)
    ('true', 'a,b', '0.1')
    """
    if isinstance(default, bool):
        return str(default).lower()
    return ",".join(default) if isinstance(default, tuple) else f"{default}"


class _Parser(argparse.ArgumentParser):
    """Raises instead of printing, so that every wrong usage ends in the same way."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)
