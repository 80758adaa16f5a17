"""What runs: the table of contents of Firebeam's command line.

A job is two modules: its flags, which are read without Beam, and beside them what it does with them, bound together as
a `Job` (pipeline/run/job.py). A command is a module with its flags and `main(arguments, console) -> exit code`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pipeline.present.terminal import Console
    from pipeline.run.flags import Usage
    from pipeline.run.job import Job, JobPlan
    from pipeline.run.job_config import JobConfig


class JobEntry(NamedTuple):
    """One job: its module, what it does, in a line, and whether it has no end."""

    module: str
    summary: str
    streaming: bool = False

    @property
    def usage(self) -> Usage[JobConfig]:
        """Its flags and their help; to read them imports neither Beam nor a client."""
        return importlib.import_module(f"{self.module}_flags").USAGE

    @property
    def job(self) -> Job[JobConfig, JobPlan[JobConfig]]:
        """The job itself, which imports Beam."""
        return importlib.import_module(self.module).JOB


class CommandEntry(NamedTuple):
    """One command: its module, and what it does, in a line."""

    module: str
    summary: str

    @property
    def usage(self) -> Usage[Any]:
        """Its flags and their help."""
        return importlib.import_module(self.module).USAGE

    @property
    def main(self) -> Callable[[Sequence[str], Console], int]:
        """Runs it; returns the exit code."""
        return importlib.import_module(self.module).main


JOBS = {
    "ingest": JobEntry("pipeline.jobs.ingest", "batch outputs into pairs of Firestore documents, and rows of BigQuery"),
    "export": JobEntry("pipeline.jobs.export", "collections of Firestore into typed tables and changelogs of BigQuery"),
    "listen": JobEntry("pipeline.jobs.listen", "changes of Firestore, as they happen, into BigQuery", streaming=True),
    "migrate": JobEntry(
        "pipeline.jobs.migrate", "items of Cosmos DB into Firestore documents, and rows of BigQuery; audit first"
    ),
    "replay": JobEntry("pipeline.jobs.replay", "dead letters through the job they came from"),
    "verify": JobEntry("pipeline.jobs.verify", "prove that two stores hold the same documents, or say which differ"),
}

COMMANDS = {
    "batches": CommandEntry(
        "pipeline.commands.batches", "show the batches of a job at a provider; stop them, or say which one is meant"
    ),
    "demo": CommandEntry(
        "pipeline.commands.demo",
        "start the emulators and show on samples what ingest, listen, export of tables and migrate do",
    ),
    "doctor": CommandEntry(
        "pipeline.commands.doctor", "check credentials, database, table and emulators; say how to fix what is missing"
    ),
    "indexes": CommandEntry("pipeline.commands.indexes", "print the firestore.indexes.json of a record spec"),
    "phase": CommandEntry(
        "pipeline.commands.phase", "show the phase of a migration from Cosmos DB, and change it by one step or back"
    ),
    "preview": CommandEntry(
        "pipeline.commands.preview", "show what a record spec makes of the first records, and which paths it missed"
    ),
    "schema": CommandEntry(
        "pipeline.commands.schema", "print the documentation of a record spec: collections, fields, types"
    ),
    "serve": CommandEntry(
        "pipeline.commands.serve", "watch jobs in a browser, live: batches, rates, latency, dead letters, tokens"
    ),
    "status": CommandEntry(
        "pipeline.commands.status", "show how far a job is, wherever it runs; without an id, the recent jobs"
    ),
    "streams": CommandEntry(
        "pipeline.commands.streams", "show how the streams of listen jobs are: state, counts, pace, lag, the last error"
    ),
    "templates": CommandEntry(
        "pipeline.commands.templates", "write the metadata of the jobs' Flex Templates from their flags"
    ),
}
