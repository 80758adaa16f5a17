"""firebeam demo: starts the emulators, ingests the sample profiles and shows what came of them.

Everything it starts it stops, also on Ctrl-C. It works on emulators only, under a project name that starts with
`demo-`, which no real project has.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import JOBS
from pipeline.emulators.local import BigQueryEmulator, EmulatorMissingError, bigquery_emulator, firestore_emulator
from pipeline.present.summary import EXIT_INTERRUPTED
from pipeline.run.flags import Usage, option, parse_only
from pipeline.run.launch import launch
from transforms.bigquery.tables import BigQueryTarget
from transforms.firestore import messages
from transforms.firestore.client import FirestoreTarget
from transforms.firestore.fetch import fetch_all
from transforms.firestore.values import decode_fields

PROJECT = "demo-firebeam"
_SHOWN_CANDIDATES = 5
_WIDTHS = (12, 12, 5, 9, 12)  # so that a narrow terminal cuts what can be guessed, and no id
_QUERY_TIMEOUT_S = 60.0

_SKILLS_BY_SENIORITY = """
SELECT seniority_level, skill, COUNT(*) AS candidates
FROM `{table}`, UNNEST(primary_skills) AS skill
WHERE seniority_level IS NOT NULL
GROUP BY seniority_level, skill
QUALIFY ROW_NUMBER() OVER (PARTITION BY seniority_level ORDER BY COUNT(*) DESC, skill) <= 5
ORDER BY seniority_level, candidates DESC, skill
"""

_DATAFLOW_FLAGS = """\
      --runner=DataflowRunner --region=europe-west1 \\
      --temp_location=gs://my-bucket/tmp --setup_file=./setup.py"""


@dataclass(frozen=True)
class Config:
    """The flags of demo."""

    input: str = option("samples/profiles.jsonl", group="Input", metavar="PATTERN", help="files to ingest")
    spec: str = option("profiles", group="Records", metavar="NAME|FILE", help="record spec")
    dead_letters: str | None = option(
        None, group="Results", metavar="DIR", help="where dead letters are kept; a new temporary folder when absent"
    )


USAGE = Usage(
    "demo",
    Config,
    about="Starts the Firestore and BigQuery emulators, ingests sample profiles and shows the result.",
    example="  firebeam demo --input=my-profiles.jsonl",
)


def main(arguments: Sequence[str], console: Console) -> int:
    """Runs the demo; returns ingest's exit code."""
    config = parse_only(USAGE, arguments)
    dead_letters = config.dead_letters or tempfile.mkdtemp(prefix="firebeam-dead-letters-")
    with emulators(console) as bigquery:
        table = BigQueryTarget(bigquery.project, "local", "candidates", bigquery.rest) if bigquery else None
        flags = [
            f"--input={config.input}",
            f"--spec={config.spec}",
            f"--project={PROJECT}",
            f"--dead_letters={dead_letters}",
            *([f"--bigquery_table={table.project}:{table.dataset}.{table.table}"] if table else []),
        ]
        console.print(
            f"\n[bold]{escape(shlex.join(['firebeam', 'ingest', *flags]))}[/]", highlight=False, soft_wrap=True
        )
        exit_code = launch(JOBS["ingest"], flags, console)
        if exit_code == EXIT_INTERRUPTED:
            return exit_code
        console.print(candidates_table(FirestoreTarget(PROJECT, emulator_host=os.environ["FIRESTORE_EMULATOR_HOST"])))
        if table:
            console.print(skills_table(table))
    show_dead_letters(Path(dead_letters), console)
    show_next_steps(console)
    return exit_code


@contextlib.contextmanager
def emulators(console: Console) -> Iterator[BigQueryEmulator | None]:
    """Runs both emulators and names them in the environment; yields None where BigQuery's cannot run here."""
    with contextlib.ExitStack() as running:
        with console.status("starting the Firestore emulator …"):
            os.environ["FIRESTORE_EMULATOR_HOST"] = running.enter_context(firestore_emulator())
        console.print(f"Firestore emulator: {os.environ['FIRESTORE_EMULATOR_HOST']}", highlight=False)
        bigquery: BigQueryEmulator | None = None
        try:
            with console.status("starting the BigQuery emulator …"):
                bigquery = running.enter_context(bigquery_emulator(PROJECT, say=console.print))
        except EmulatorMissingError as missing:
            console.print(
                f"[yellow]going on without BigQuery:[/] {escape(str(missing))}", highlight=False, soft_wrap=True
            )
        if bigquery:
            os.environ["BIGQUERY_EMULATOR_HOST"] = bigquery.rest
            console.print(f"BigQuery emulator:  {bigquery.rest}", highlight=False)
        yield bigquery


def candidates_table(target: FirestoreTarget) -> Table:
    """The first candidates by id, as Firestore has them."""
    query = messages.StructuredQuery()
    query.from_.add(collection_id="candidates")
    query.limit.value = _SHOWN_CANDIDATES
    client = target.connect()
    answers = fetch_all(client, lambda: client.run_query(f"{target.name}/documents", query, _QUERY_TIMEOUT_S))
    table = Table(title=f"{_SHOWN_CANDIDATES} documents of candidates/, read from Firestore", title_justify="left")
    columns = ("candidate_id", "current_role", "years_experience", "seniority_level", "primary_skills")
    for column, width in zip(columns, _WIDTHS, strict=True):
        table.add_column(column, no_wrap=True, min_width=width)
    for answer in answers:
        if answer.HasField("document"):
            fields = decode_fields(answer.document.fields)
            table.add_row(*(_cell(fields.get(column)) for column in columns))
    return table


def skills_table(target: BigQueryTarget) -> Table:
    """The most frequent skills of every seniority level, by a query in BigQuery."""
    rows = target.client().query(_SKILLS_BY_SENIORITY.format(table=target.latest.id)).result()
    table = Table(title="top skills by seniority, queried in BigQuery", title_justify="left")
    table.add_column("seniority_level")
    table.add_column("skills and how many candidates have them")
    for level, skills in itertools.groupby(rows, key=lambda row: row["seniority_level"]):
        table.add_row(level, ", ".join(f"{row['skill']} {row['candidates']}" for row in skills))
    return table


def show_dead_letters(folder: Path, console: Console) -> None:
    """Says where they are and what they say."""
    files = sorted(folder.glob("*/*.jsonl"))
    letters = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    table = Table(title="dead letters: every record that could not be stored, and why", title_justify="left")
    table.add_column("line", justify="right")
    for column in ("code", "message"):
        table.add_column(column)
    for letter in sorted(letters, key=lambda letter: (letter["source"], letter["position"])):
        table.add_row(str(letter["line"]), letter["code"], escape(letter["message"]))
    console.print(table)
    for file in files:
        console.print(f"  {file}", highlight=False, soft_wrap=True)


def show_next_steps(console: Console) -> None:
    """The two commands that come next."""
    console.print("\n[bold]On your own data, on a database of yours[/] (the account needs roles/datastore.user):")
    console.print(JOBS["ingest"].usage.example, highlight=False, soft_wrap=True)
    console.print("\n[bold]On Dataflow[/], the same with these flags added:")
    console.print(_DATAFLOW_FLAGS, highlight=False, soft_wrap=True)


def _cell(value: Any) -> str:
    return "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
