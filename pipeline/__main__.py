"""python -m pipeline JOB --flags …, the same as `firebeam JOB --flags …`."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Sequence

from pipeline import COMMANDS, JOBS
from pipeline.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from pipeline.present.tables import Cell, Column, Row, Table, Tone
from pipeline.present.terminal import Console, say, say_error, show, standard_output
from pipeline.run.launch import launch
from transforms.errors import FirebeamError, UsageError

# Beam logs the traceback of every failure, which the launcher explains in a sentence, and rejected rows with values;
# gRPC that of an answer that cannot be read, as the Firestore emulator sends now and then, which the call's end says.
_SILENCED = (
    "apache_beam.runners.common",
    "apache_beam.runners.portability.local_job_service",
    "apache_beam.io.gcp.bigquery",
    "apache_beam.io.gcp.bigquery_tools",
    "apache_beam.runners.dataflow.dataflow_runner",
    "apache_beam.runners.dataflow.internal.apiclient",
    "grpc._common",
)

# Imports make 200,000 objects and no garbage: to look for it as often as by default takes a tenth of a command's time,
# to look once 0.06 s. Steps that work on batches have thresholds of their own, see `runtime/garbage.py`.
_GARBAGE_THRESHOLD = 1_000_000

_HELP = frozenset({"-h", "--help", "help"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one job or command and returns its exit code; every error is one sentence, without traceback."""
    gc.set_threshold(_GARBAGE_THRESHOLD)
    arguments = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for name in _SILENCED:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    console = Console(stderr=True)
    if not arguments or arguments[0] in _HELP:
        _print_contents(standard_output())
        return EXIT_OK
    name, *rest = arguments
    try:
        return _run(name, rest, console)
    except UsageError as error:
        say_error(console, str(error))
        return EXIT_USAGE
    except FirebeamError as error:
        say_error(console, str(error))
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run(name: str, arguments: Sequence[str], console: Console) -> int:
    if name in JOBS:
        return launch(JOBS[name], arguments, console)
    if name in COMMANDS:
        return COMMANDS[name].main(arguments, console)
    raise UsageError(f"unknown job or command {name!r}; there are {', '.join([*JOBS, *COMMANDS])}")


def _print_contents(console: Console) -> None:
    say(console, "Firebeam moves documents in, out of and through Cloud Firestore with Apache Beam.\n")
    show(console, contents())
    say(console, "\nfirebeam NAME --help shows its flags and an example.")


def contents() -> Table:
    """The jobs and commands there are."""
    rows: list[Row] = []
    for heading, entries in (("jobs", JOBS), ("commands", COMMANDS)):
        rows.append((Cell(f"  {heading}", Tone.HEADING), ""))
        rows += ((f"    {name}", entry.summary) for name, entry in entries.items())
    return Table("", (Column(), Column()), (tuple(rows),), is_framed=False)


if __name__ == "__main__":
    sys.exit(main())
