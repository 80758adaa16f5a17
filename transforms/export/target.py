"""What an export of documents writes, and where. Plain data.

A staging table has the name of its run, so that an interrupted run finds its own again and no other one's; BigQuery
removes it after some days if nobody does.
"""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass, replace

from transforms.bigquery.schema import UPDATE_TIME, Column, TableOptions
from transforms.bigquery.target import BigQueryTarget
from transforms.export.columns import fixed_columns
from transforms.export.layouts import changelog_table, flat_table
from transforms.export.options import APPEND, CHANGELOG, IGNORE
from transforms.firestore.collection_patterns import CollectionPattern, all_parameters
from transforms.firestore.target import FirestoreTarget
from transforms.records.spec import RecordSpec
from transforms.records.table import spec_columns

ROW_OPTIONS = TableOptions(partition_by=UPDATE_TIME, cluster_by=("document_name",))
STAGING_OPTIONS = TableOptions(partition_by=None)  # read once, as a whole; partitions would only use up quota
STAGING_KEPT = datetime.timedelta(days=7)


@dataclass(frozen=True)
class ExportTarget:
    """What one run of an export writes, and where.

    Attributes:
      database: that the documents are in.
      patterns: where they lie.
      table: as the user named it.
      layout, write: see `options.py`.
      deletes: what becomes of rows whose documents are gone: MARK sets deleted_at, or appends a DELETE to a changelog;
        REMOVE takes them out; IGNORE does not look, which is all that is possible unless every document is read.
      nested: what becomes of maps; see `columns.py`.
      spec: gives the columns instead of the documents.
      imported: whether changelog rows say IMPORT.
      run_id: of this run of the job, for its staging table.
      read_time: of all documents.
    """

    database: FirestoreTarget
    patterns: tuple[CollectionPattern, ...]
    table: BigQueryTarget
    layout: str
    write: str
    deletes: str
    nested: str
    spec: RecordSpec | None
    imported: bool
    run_id: str
    read_time: datetime.datetime

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the path parameters."""
        return all_parameters(self.patterns)

    @property
    def flat(self) -> BigQueryTarget | None:
        """The table of typed rows."""
        return flat_table(self.table, self.layout)

    @property
    def changelog(self) -> BigQueryTarget | None:
        """The table of changes."""
        return changelog_table(self.table, self.layout)

    @property
    def is_staged(self) -> bool:
        """Whether flat rows wait in the staging table for the end of the run."""
        return self.layout != CHANGELOG and self.write != APPEND

    @property
    def names_all(self) -> bool:
        """Whether the staging table names every document that was read, so that missing ones can be found."""
        return self.deletes != IGNORE

    @property
    def staging(self) -> BigQueryTarget | None:
        """The run's own table, if it needs one."""
        if not (self.is_staged or self.names_all):
            return None
        return staging_table(self.table, self.run_id)

    @property
    def fixed(self) -> tuple[Column, ...]:
        """The columns that do not depend on what documents hold."""
        return fixed_columns(self.parameters) + (spec_columns(self.spec) if self.spec else ())

    def scope(self) -> str:
        """A regular expression of the names of all documents that the export is about."""
        paths = "|".join(pattern.regex() for pattern in self.patterns)
        prefix = self.database.document_name("").replace("(", r"\(").replace(")", r"\)").replace(".", r"\.")
        return f"^{prefix}(?:{paths})$"


def staging_table(table: BigQueryTarget, run_id: str) -> BigQueryTarget:
    """Where the rows of a run wait to be merged into a table."""
    digest = hashlib.sha256(run_id.encode()).hexdigest()[:12]
    return replace(table, table=f"{table.table}_staging_{digest}")
