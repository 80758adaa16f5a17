"""The report of a run, written once at its end: the differences of all its ranges in one file, and in a BigQuery table.

    differences/… ─▶ Report() ─┬─▶ PATH, JSON Lines
                               └─▶ table, by load jobs whose names BigQuery takes only once

Doing it again changes nothing: the file is replaced as a whole, and a load job that was done is not done again.
"""

import datetime
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transforms.bigquery.failures import RETRY
from transforms.bigquery.load_jobs import LoadJobSender
from transforms.bigquery.schema import Column, TableOptions
from transforms.bigquery.tables import ensure_table
from transforms.bigquery.target import BigQueryTarget
from transforms.firestore.tagged_json import iso
from transforms.retry import Retry
from transforms.verify.differences import KINDS
from transforms.verify.parts import Parts, replaced

REPORT_COLUMNS = (
    Column("job_id", "STRING", description="of the comparison"),
    Column("attempt", "INT64", description="which run of it, counted from 1"),
    Column("reported_at", "TIMESTAMP", description="when the run began"),
    Column("key", "STRING", description="id or path of the document"),
    Column("difference", "STRING", description="MISSING_LEFT, MISSING_RIGHT or DIFFERENT"),
    Column("fields", "STRING", "REPEATED", "paths of the fields that differ, the first hundred"),
    Column("more_fields", "INT64", description="how many more fields differ"),
    Column("left_copies", "INT64", description="how often the left store has the document"),
    Column("right_copies", "INT64", description="how often the right store has the document"),
    Column("left_update_time", "TIMESTAMP", description="version of the document on the left"),
    Column("right_update_time", "TIMESTAMP", description="version of the document on the right"),
    Column("left", "JSON", description="values on the left, if they were asked for"),
    Column("right", "JSON", description="values on the right, if they were asked for"),
)
REPORT_OPTIONS = TableOptions("reported_at", "DAY", ("job_id",))
# Bytes of rows in a load job: what a worker has in memory.
_MAX_JOB_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Report:
    """Writes the report of a run; to be called when all ranges are done.

    Attributes:
      parts: what the ranges have left.
      reported_at: when the run began.
      path: of the file; None for none.
      table: None for none.
      retry: of requests to BigQuery.
    """

    parts: Parts
    reported_at: datetime.datetime
    path: str | None = None
    table: BigQueryTarget | None = None
    retry: Retry = RETRY

    def __call__(self) -> Mapping[str, Any]:
        """The results of the run: documents by what became of them, and what was read."""
        found = self.parts.read_found()
        if self.path is not None:
            with replaced(self.path) as write:
                for line in self.parts.lines():
                    write(line)
        if self.table is not None:
            self._load(self.table, found.differing)
        return {
            "documents": found.documents,
            "equal": found.equal,
            "changed": found.changed,
            **{kind.lower(): found.differing.get(kind, 0) for kind in KINDS},
            "read_left": found.read_left,
            "read_right": found.read_right,
            "bytes_scanned": found.bytes_scanned,
        }

    def provide_table(self) -> None:
        """Makes the table, if there is one to be made. Raises JobError or TransientError."""
        if self.table is not None:
            ensure_table(self.table, REPORT_COLUMNS, REPORT_OPTIONS)

    def _load(self, table: BigQueryTarget, differing: Mapping[str, int]) -> None:
        if not differing:
            return
        sender = LoadJobSender(table, REPORT_COLUMNS, retry=self.retry)
        of_run = {"job_id": self.parts.job_id, "attempt": self.parts.attempt, "reported_at": iso(self.reported_at)}
        for number, rows in enumerate(_packed({**of_run, **json.loads(line)} for line in self.parts.lines())):
            sender.send(_job_name(table, self.parts, number), rows)


def _packed(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The rows in lists of some megabytes.

    >>> list(_packed([{"key": "a"}, {"key": "b"}]))
    [[{'key': 'a'}, {'key': 'b'}]]
    """
    kept, held = list[dict[str, Any]](), 0
    for row in rows:
        kept.append(row)
        held += len(json.dumps(row))
        if held >= _MAX_JOB_BYTES:
            yield kept
            kept, held = [], 0
    if kept:
        yield kept


def _job_name(table: BigQueryTarget, parts: Parts, number: int) -> str:
    digest = hashlib.sha256(f"{table.id}\n{parts.job_id}".encode()).hexdigest()[:24]
    return f"firebeam_verify_{digest}_{parts.attempt}_{number}"
