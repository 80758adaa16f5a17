"""What runs: the table of contents of Firebeam's command line.

A job is a module with a frozen `Config`, `prepare(config) -> plan` (reads and checks everything that can be checked
before anything is started) and `build(pipeline, plan)` (draws the graph); one whose result is not records that were
written shows it by `present(plan, summary, console) -> exit code`. A command is a module with a frozen `Config` and
`run(config) -> exit code`.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One word of the command line: the module behind it, what it does, in a line, and whether it has no end."""

    module: str
    summary: str
    streaming: bool = False


JOBS = {
    "ingest": Entry("pipeline.jobs.ingest", "batch outputs into pairs of Firestore documents, and rows of BigQuery"),
    "export": Entry("pipeline.jobs.export", "collections of Firestore into typed tables and changelogs of BigQuery"),
    "replay": Entry("pipeline.jobs.replay", "dead letters through the job they came from"),
    "verify": Entry("pipeline.jobs.verify", "prove that two stores hold the same documents, or say which differ"),
}

COMMANDS = {
    "demo": Entry("pipeline.commands.demo", "start the emulators, ingest the sample profiles, show the result"),
    "doctor": Entry(
        "pipeline.commands.doctor", "check credentials, database, table and emulators; say how to fix what is missing"
    ),
    "indexes": Entry("pipeline.commands.indexes", "print the firestore.indexes.json of a record spec"),
    "schema": Entry("pipeline.commands.schema", "print the documentation of a record spec: collections, fields, types"),
    "status": Entry(
        "pipeline.commands.status", "show how far a job is, wherever it runs; without an id, the recent jobs"
    ),
    "templates": Entry(
        "pipeline.commands.templates", "write the metadata of the jobs' Flex Templates from their flags"
    ),
}
