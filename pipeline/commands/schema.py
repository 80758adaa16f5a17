"""firebeam schema: prints the documentation of a record spec."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.commands.indexes import SpecConfig
from pipeline.present.terminal import Console
from pipeline.run.flags import Usage, parse_only
from pipeline.specs import read_spec
from transforms.records.describe import schema_markdown

USAGE = Usage(
    "schema",
    SpecConfig,
    about="Prints collections, fields, cleaning rules and column types of a record spec as Markdown.",
    example="  firebeam schema --spec=profiles > docs/schema.md",
)


def main(arguments: Sequence[str], console: Console) -> int:
    """Prints to standard output, so that it can be redirected into a file."""
    config = parse_only(USAGE, arguments)
    print(schema_markdown(read_spec(config.spec)), end="")  # noqa: T201
    return 0
