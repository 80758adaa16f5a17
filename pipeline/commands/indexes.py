"""firebeam indexes: prints the firestore.indexes.json of a record spec."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.present.terminal import Console
from pipeline.run.flags import Usage, option, parse_only
from pipeline.specs import read_spec
from transforms.records.indexes import firestore_indexes


@dataclass(frozen=True)
class SpecConfig:
    """The flag of the commands that are about a record spec alone."""

    spec: str = option(
        "profiles", group="Records", metavar="NAME|FILE", help="record spec: a shipped one or a YAML file"
    )


USAGE = Usage(
    "indexes",
    SpecConfig,
    about="Prints composite indexes and index exemptions in the format of the Firebase CLI.",
    example="  firebeam indexes --spec=profiles > firestore.indexes.json && firebase deploy --only firestore:indexes",
)


def main(arguments: Sequence[str], console: Console) -> int:
    """Prints to standard output, so that it can be redirected into a file."""
    config = parse_only(USAGE, arguments)
    print(json.dumps(firestore_indexes(read_spec(config.spec)), indent=2))  # noqa: T201
    return 0
