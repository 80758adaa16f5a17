"""One declaration, one flag."""

from dataclasses import dataclass

import pytest

from pipeline import JOBS
from pipeline.run.flags import Usage, option, parse, parse_only
from transforms.errors import UsageError


@dataclass(frozen=True)
class Config:
    """A config with one field of every kind."""

    input: tuple[str, ...] = option(group="Input", help="files", metavar="PATTERN")
    size: int = option(5, group="Input", help="how many", minimum=1, maximum=10)
    ratio: float = option(0.5, group="Input", help="100 % is all", minimum=0, maximum=1)
    mode: str = option("fast", group="Other", help="which way", choices=("fast", "safe"), gone=(("quick", "fast"),))
    verbose: bool = option(False, group="Other", help="say more")
    name: str | None = option(None, group="Other", help="a name")


USAGE = Usage("test", Config)


def read(*arguments):
    return parse(USAGE, ["--input=a", *arguments])[0]


def test_defaults_hold_where_a_flag_is_absent():
    assert read() == Config(("a",), 5, 0.5, "fast", False, None)


def test_a_list_is_repeatable_and_takes_commas():
    config, _ = parse(USAGE, ["--input=a, b,", "--input", "c"])
    assert config.input == ("a", "b", "c")


@pytest.mark.parametrize(
    ("argument", "value"),
    [("--verbose", True), ("--verbose=true", True), ("--verbose=No", False), ("--verbose=0", False)],
)
def test_a_switch_may_have_a_value_as_templates_give_it(argument, value):
    assert read(argument).verbose is value


def test_what_is_not_declared_is_left_for_beam():
    _, rest = parse(USAGE, ["--input=a", "--runner=X", "--region", "eu", "--siz=3"])
    assert rest == ["--runner=X", "--region", "eu", "--siz=3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--input must be given; `firebeam test --help` shows an example"),
        (["--input=a", "--size=x"], "--size must be a whole number, got 'x'"),
        (["--input=a", "--size=0"], "--size must be at least 1, got 0"),
        (["--input=a", "--size=11"], "--size must be at most 10, got 11"),
        (["--input=a", "--ratio=nan"], "--ratio must be a number, got 'nan'"),
        (["--input=a", "--ratio=x"], "--ratio must be a number, got 'x'"),
        (["--input=a", "--mode=slow"], "--mode must be one of fast, safe, got 'slow'"),
        (["--input=a", "--mode=quick"], "--mode=quick is gone; use fast"),
        (["--input=a", "--verbose=maybe"], "--verbose must be true or false, got 'maybe'"),
        (["--input=a", "--size"], "argument --size: expected one argument"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_with_flag_and_bound(arguments, message):
    with pytest.raises(UsageError) as refused:
        parse(USAGE, arguments)
    assert str(refused.value) == message


def test_an_unknown_flag_is_refused_with_the_closest_one():
    with pytest.raises(UsageError, match=r"unknown argument --siez; did you mean --size\?"):
        parse_only(USAGE, ["--input=a", "--siez=3"])


def test_help_groups_the_flags_and_ends_with_the_example(capsys):
    with pytest.raises(SystemExit) as left:
        parse(Usage("test", Config, "What it does.", "  firebeam test --input=a"), ["--help"])
    shown = capsys.readouterr().out.partition("options:")[2]
    assert left.value.code == 0
    assert shown.index("Input:") < shown.index("--input PATTERN") < shown.index("Other:") < shown.index("--mode")
    assert "files (required)" in shown
    assert "100 % is all (default 0.5)" in shown
    assert shown.endswith("example:\n  firebeam test --input=a\n")


def test_ingest_names_the_method_that_takes_the_place_of_streaming_inserts():
    flags = ["--input=a", "--project=demo-x", "--bigquery_method=STREAMING_INSERTS"]
    with pytest.raises(UsageError, match="--bigquery_method=STREAMING_INSERTS is gone; use INSERT_ROWS"):
        parse(JOBS["ingest"].usage, flags)
