"""Where the rows of an export go, by its flags, and what follows from that whatever they are rows of.

Config ─▶ Destination ─▶ plan ─▶ run id: of the staging table
                                 opening: what completed batches are worth
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import NamedTuple

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from pipeline.jobs.export_flags import NAME, Config
from pipeline.run.job import JobPlan, derived_job_id
from transforms.bigquery.methods import FILE_LOADS, INSERT_ROWS
from transforms.bigquery.senders import check_temp_location
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.target import BigQueryTarget
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.errors import JobError
from transforms.files import GCS
from transforms.firestore.target import FirestoreTarget
from transforms.inputs.identity import Plain
from transforms.ledger.runs import Opening
from transforms.services import Services

# What the last run of a table says of it, for `gone`.
OF_CURSOR = "the last run's cursor says that it holds all rows up to it"


class Destination(NamedTuple):
    """A table, and how rows get there.

    Attributes:
      method: of `methods.METHODS`.
      storage_host: of an emulator's Storage Write API, where that is used.
    """

    table: BigQueryTarget
    method: str
    storage_host: str | None


@dataclass(frozen=True)
class ExportPlan(JobPlan[Config]):
    """The plan of an export whose rows pass through workers.

    Attributes:
      to: where they go.
    """

    to: Destination

    def run_id(self, read_time: datetime.datetime) -> str:
        """Of this run of the job, for its staging table."""
        return f"{self.firestore.name} {self.job_id} {self.run.attempt} {read_time.isoformat()}"

    def worth(self, opening: Opening) -> Opening:
        """The opening with the batches that need not be written again."""
        # A completed batch says nothing about rows that wait for load jobs.
        return replace(opening, completed=frozenset()) if self.to.method == FILE_LOADS else opening

    def forget_dead_letters(self) -> None:
        """Removes those of earlier runs, unless this one resumes such a run."""
        if not self.run.resumed:
            DeadLetterFolder(self.config.dead_letters).remove(self.job_id)


def destination(config: Config, services: Services, options: PipelineOptions) -> Destination:
    """Where a config sends its rows. Raises UsageError, which says what is wrong with which flag."""
    table = BigQueryTarget.parse(config.bigquery_table, services, config.max_outage_s)
    temp_location = options.view_as(GoogleCloudOptions).temp_location
    method = config.bigquery_method or (FILE_LOADS if (temp_location or "").startswith(GCS) else INSERT_ROWS)
    if method == FILE_LOADS:
        check_temp_location(temp_location)
    return Destination(table, method, StorageTarget.host_for(method, table, services))


def with_project(config: Config, services: Services, table: BigQueryTarget) -> Config:
    """The config with a project whose Firestore keeps the ledger: where nobody names one, the table's."""
    return config if config.project or services.project else replace(config, project=table.project)


def job_id_of(config: Config, firestore: FirestoreTarget, about: Plain) -> str:
    """The job's id: the one asked for, or that of what is read and where it goes.

    Args:
      about: what is read.
    """
    where = (firestore.project, firestore.database, config.bigquery_table)
    return config.job_id or derived_job_id(NAME, about, *where)


def gone(table: BigQueryTarget, claim: str, remedy: str = "Run once with --mode=full") -> JobError:
    """Why a table that is not there may not be made: it would lack the rows that earlier runs have written to it.

    Args:
      claim: what the last run says of it.
      remedy: how all rows are written again.
    """
    return JobError(f"BigQuery table {table.id} is gone, but {claim}. {remedy}, or choose another --job_id")
