"""`python -m benchmarks`: measures everything side by side and shows it; `make bench`.

python -m benchmarks                                 everything, about an hour
python -m benchmarks --suites=write,read --rounds=5
python -m benchmarks --suites=memory                 100,000 profiles and documents
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import report, suites
from benchmarks.measure import CaseError
from benchmarks.turns import Measured, Suite, bigquery_of_suites, run_suite
from pipeline.emulators.start import BigQueryEmulator, EmulatorMissingError

_DEFAULT_SUITES = ("ingest", "tuning", "write", "read", "export", "listen", "batches", "analysis")
_WITH_BIGQUERY = frozenset({"ingest", "export", "sources"})
_WIDTH = 120  # of tables in a file or a log
_SUITES = (*_DEFAULT_SUITES, "migrate", "page", "objects", "sources", "memory")


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    flags = _parser().parse_args(list(arguments))
    started = report.machine()
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    names = [*flags.suites, *(["memory"] if flags.with_100k and "memory" not in flags.suites else [])]
    results: list[tuple[Suite, list[Measured]]] = []
    command = " ".join(["python -m benchmarks", *arguments])
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="firebeam-benchmarks-")))
        bigquery = _bigquery(stack, console) if _WITH_BIGQUERY & set(names) and not flags.without_bigquery else None
        for suite in _chosen(names, folder, flags):
            with console.status(suite.title) as status:
                say = status.update if console.is_terminal else _print_line
                measured = run_suite(suite, bigquery, say)
            results.append((suite, measured))
            console.print(report.as_table(suite, measured))
            where = report.save(results, command, started)  # after every suite, so that an early end keeps the rest
    for slope in report.SLOPES.values():
        if table := report.slopes_table(results, slope):
            console.print(table)
    console.print(f"written: {where}/latest.json, {where}/latest.md", highlight=False, soft_wrap=True)
    return 0


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _chosen(names: Sequence[str], folder: Path, flags: argparse.Namespace) -> Iterator[Suite]:
    makers: dict[str, Callable[[], Iterator[Suite]]] = {
        "ingest": lambda: suites.ingest_suites(folder, flags.profiles, flags.rounds),
        "tuning": lambda: iter([suites.tuning_suite(folder, flags.tuning_profiles, flags.rounds)]),
        "write": lambda: itertools.islice(suites.connector_suites(flags.documents, flags.rounds), 0, 1),
        "read": lambda: itertools.islice(suites.connector_suites(flags.documents, flags.rounds), 1, 2),
        "export": lambda: suites.export_suites(flags.documents, flags.rounds),
        "listen": lambda: suites.listen_suites(flags.known, flags.rounds),
        "migrate": lambda: suites.migrate_suites(flags.documents, flags.rounds),
        "page": lambda: suites.page_suites(flags.rounds),
        "sources": lambda: suites.source_suites(flags.rows, flags.rounds),
        "analysis": lambda: iter([suites.analysis_suite(folder, flags.rounds)]),
        "objects": lambda: iter([suites.objects_suite(flags.rounds)]),
        "batches": lambda: iter([suites.batches_suite(folder, flags.rounds)]),
        "memory": lambda: suites.memory_suites(folder, 10_000, 100_000),
    }
    for name in dict.fromkeys(names):
        yield from makers[name]()


def _bigquery(stack: contextlib.ExitStack, console: Console) -> BigQueryEmulator | None:
    try:
        return stack.enter_context(bigquery_of_suites(console.print))
    except EmulatorMissingError as missing:
        console.print(f"[yellow]without BigQuery:[/] {missing}", highlight=False, soft_wrap=True)
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--suites", type=_suites, default=list(_DEFAULT_SUITES), help=f"some of {', '.join(_SUITES)}")
    parser.add_argument("--rounds", type=_positive, default=3, help="how often each case is run (3)")
    parser.add_argument(
        "--profiles", type=_sizes, default=[1_000, 5_000, 10_000], help="input sizes of ingest (1000,5000,10000)"
    )
    parser.add_argument("--tuning_profiles", type=_positive, default=5_000, help="input size of tuning (5000)")
    parser.add_argument("--documents", type=_positive, default=10_000, help="documents of write, read, export (10000)")
    parser.add_argument("--rows", type=_positive, default=100_000, help="rows of a table (100000)")
    parser.add_argument("--known", type=_positive, default=16_000, help="documents that are listened to (16000)")
    parser.add_argument("--without_bigquery", action="store_true", help="leave the rows out")
    parser.add_argument("--with_100k", "--soak", action="store_true", help="memory at 100,000 as well")
    return parser


def _suites(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(_SUITES):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is none of {', '.join(_SUITES)}")
    return names


def _sizes(text: str) -> list[int]:
    return sorted({_positive(size) for size in text.split(",")})


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CaseError as failure:
        sys.exit(str(failure))
