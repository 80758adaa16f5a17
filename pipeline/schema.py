"""firebeam schema: prints the documentation of a record spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from pipeline.config import option, parse_only
from pipeline.specs import read_spec
from transforms.records.describe import schema_markdown

NAME = "schema"
ABOUT = "Prints collections, fields, cleaning rules and column types of a record spec as Markdown."
EXAMPLE = "  firebeam schema --spec=profiles > docs/schema.md"


@dataclass(frozen=True)
class Config:
    """The flags of schema."""

    spec: str = option(
        "profiles", group="Records", metavar="NAME|FILE", help="record spec: a shipped one or a YAML file"
    )


def main(arguments: Sequence[str], console: Console) -> int:
    """Prints to standard output, so that it can be redirected into a file."""
    config = parse_only(NAME, Config, arguments, ABOUT, EXAMPLE)
    print(schema_markdown(read_spec(config.spec)), end="")  # noqa: T201
    return 0
