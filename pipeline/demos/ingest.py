"""firebeam demo ingest: starts the emulators, ingests the sample profiles and shows what came of them.

Everything it starts it stops, also on Ctrl-C. It works on emulators only, under a project name that starts with
`demo-`, which no real project has.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import JOBS
from pipeline.demos.commands import run_command
from pipeline.demos.emulators import PROJECT, emulators
from pipeline.demos.status_page import show_page
from pipeline.exit_codes import EXIT_INTERRUPTED
from pipeline.present.tables import Column, Table
from pipeline.present.terminal import Console, say, show
from pipeline.run.flags import Usage, option, parse_only
from transforms.bigquery.target import BigQueryTarget
from transforms.firestore.target import FirestoreTarget

SAMPLES = "samples/profiles.jsonl"
_SHOWN_CANDIDATES = 5

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
    """The flags of demo ingest."""

    input: str = option(SAMPLES, group="Input", metavar="PATTERN", help="files to ingest")
    spec: str = option("profiles", group="Records", metavar="NAME|FILE", help="record spec")
    dead_letters: str | None = option(
        None, group="Results", metavar="DIR", help="where dead letters are kept; default: a new temporary folder"
    )


USAGE = Usage(
    "demo",
    Config,
    about="""\
Starts the Firestore and BigQuery emulators, ingests sample profiles and shows the result; then eight batches at a
scripted provider; and at last the status page of what it did.
`firebeam demo listen` shows how changes are listened to; `firebeam demo listen --help` has its flags.""",
    example="""\
  firebeam demo --input=my-profiles.jsonl
  firebeam demo listen""",
)


def main(arguments: Sequence[str], console: Console) -> int:
    """Runs the demo; returns ingest's exit code."""
    config = parse_only(USAGE, arguments)
    dead_letters = config.dead_letters or tempfile.mkdtemp(prefix="firebeam-dead-letters-")
    with emulators(console, can_do_without_bigquery=True) as bigquery:
        table = BigQueryTarget(bigquery.project, "local", "candidates", bigquery.rest) if bigquery else None
        flags = [
            f"--input={config.input}",
            f"--spec={config.spec}",
            f"--project={PROJECT}",
            f"--dead_letters={dead_letters}",
            *([f"--bigquery_table={table.name}"] if table else []),
        ]
        exit_code = run_command("ingest", flags, console)
        if exit_code == EXIT_INTERRUPTED:
            return exit_code
        database = FirestoreTarget(PROJECT, emulator_host=os.environ["FIRESTORE_EMULATOR_HOST"])
        show(console, candidates_table(database))
        if table:
            show(console, skills_table(table))
        if config.input == SAMPLES:
            from pipeline.demos.batches import play_batches  # imports what nobody waits for who asks for help

            play_batches(Path(SAMPLES), Path(tempfile.mkdtemp(prefix="firebeam-batches-")), console)
        show_dead_letters(Path(dead_letters), console)
        show_next_steps(console)
        show_page(database, console)
    return exit_code


def candidates_table(target: FirestoreTarget) -> Table:
    """The first candidates by id, as Firestore has them."""
    from transforms.firestore.query import Query  # they import the client, for which nobody waits who asks for help
    from transforms.firestore.reader import read

    documents = read(target.connect(), Query("candidates").limit(_SHOWN_CANDIDATES))
    names = ("candidate_id", "current_role", "years_experience", "seniority_level", "primary_skills")
    rows = tuple(tuple(_shown(document.fields.get(name)) for name in names) for document in documents)
    title = f"{_SHOWN_CANDIDATES} documents of candidates/, read from Firestore"
    return Table(title, tuple(map(Column, names)), (rows,))


def skills_table(target: BigQueryTarget) -> Table:
    """The most frequent skills of every seniority level, by a query in BigQuery."""
    rows = target.client().query(_SKILLS_BY_SENIORITY.format(table=target.latest.id)).result()
    skills = tuple(
        (level, ", ".join(f"{row['skill']} {row['candidates']}" for row in of_level))
        for level, of_level in itertools.groupby(rows, key=lambda row: row["seniority_level"])
    )
    columns = (Column("seniority_level"), Column("skills and how many candidates have them"))
    return Table("top skills by seniority, queried in BigQuery", columns, (skills,))


def show_dead_letters(folder: Path, console: Console) -> None:
    """Says where they are and what they say."""
    files = sorted(folder.glob("*/*.jsonl"))
    dead = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    dead.sort(key=lambda record: (record["source"], record["position"]))
    rows = tuple((str(record["line"]), record["code"], record["message"]) for record in dead)
    columns = (Column("line", is_number=True), Column("code"), Column("message"))
    show(console, Table("dead letters: every record that could not be stored, and why", columns, (rows,)))
    for file in files:
        say(console, f"  {file}")


def show_next_steps(console: Console) -> None:
    """The two commands that come next."""
    say(console)
    say(console, "On your own data, on a database of yours (the account needs roles/datastore.user):", "bold")
    say(console, JOBS["ingest"].usage.example)
    say(console)
    say(console, "On Dataflow, the same with these flags added:", "bold")
    say(console, _DATAFLOW_FLAGS)


def _shown(value: Any) -> str:
    return "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
