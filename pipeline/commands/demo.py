"""firebeam demo: what Firebeam does, shown on emulators, without an account.

firebeam demo [ingest]     pipeline/demos/ingest.py    the sample profiles, into Firestore and BigQuery
firebeam demo listen       pipeline/demos/listen.py    candles that change, into BigQuery, the listener killed once
firebeam demo sources      pipeline/demos/sources.py   orders of a PostgreSQL into BigQuery, then what has changed
firebeam demo migrate      pipeline/demos/migrate.py   items of Cosmos DB into Firestore, all phases and back
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from pipeline.demos.ingest import USAGE as USAGE
from pipeline.present.terminal import Console
from transforms.errors import UsageError

_INGEST = "ingest"
DEMOS = {
    _INGEST: "pipeline.demos.ingest",
    "listen": "pipeline.demos.listen",
    "sources": "pipeline.demos.sources",
    "migrate": "pipeline.demos.migrate",
}


def main(arguments: Sequence[str], console: Console) -> int:
    """Runs a demo, that of ingest if none is named; returns its exit code.

    Raises:
      UsageError: there is no such demo, or one of its flags is wrong.
    """
    name, *rest = arguments if arguments and not arguments[0].startswith("-") else (_INGEST, *arguments)
    if name not in DEMOS:
        raise UsageError(f"unknown demo {name!r}; there are {', '.join(DEMOS)}")
    exit_code: int = importlib.import_module(DEMOS[name]).main(rest, console)
    return exit_code
