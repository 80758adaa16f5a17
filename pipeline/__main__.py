"""python -m pipeline JOB --flags …, the same as `firebeam JOB --flags …`."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import COMMANDS, JOBS
from transforms.errors import FirebeamError, UsageError

# Beam logs the traceback of every failure, which the launcher explains in a sentence, and rejected rows with values.
_SILENCED = (
    "apache_beam.runners.common",
    "apache_beam.runners.portability.local_job_service",
    "apache_beam.io.gcp.bigquery",
    "apache_beam.io.gcp.bigquery_tools",
    "apache_beam.runners.dataflow.dataflow_runner",
    "apache_beam.runners.dataflow.internal.apiclient",
)

_HELP = frozenset({"-h", "--help", "help"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one job or command and returns its exit code; every error is one sentence, without traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for name in _SILENCED:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    console = Console(stderr=True)
    if not arguments or arguments[0] in _HELP:
        _print_contents(Console())
        return 0
    name, *rest = arguments
    try:
        return _run(name, rest, console)
    except UsageError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    except FirebeamError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(name: str, arguments: Sequence[str], console: Console) -> int:
    if name in JOBS:
        from pipeline.run.launch import launch  # Beam takes seconds to import, which commands need not wait for

        return launch(importlib.import_module(JOBS[name].module), arguments, console)
    if name in COMMANDS:
        exit_code: int = importlib.import_module(COMMANDS[name].module).main(arguments, console)
        return exit_code
    raise UsageError(f"unknown job or command {name!r}; there are {', '.join([*JOBS, *COMMANDS])}")


def _print_contents(console: Console) -> None:
    console.print("Firebeam moves documents in, out of and through Cloud Firestore with Apache Beam.\n")
    table = Table(show_header=False, box=None, padding=(0, 2))
    for heading, entries in (("jobs", JOBS), ("commands", COMMANDS)):
        table.add_row(f"[bold]{heading}[/]")
        for name, entry in entries.items():
            table.add_row(f"  {name}", entry.summary)
    console.print(table)
    console.print("\nfirebeam NAME --help shows its flags and an example.", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
