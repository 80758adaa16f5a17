"""export: documents, or rows of whatever `--source` names, into typed tables of BigQuery.

--collection  --collection_group         export_documents   documents of Firestore, changelogs too
--source=firestore://…                   the same
--source=postgresql://…  mysql://…       export_tables      rows of a table of a database
--source=PATTERN  gs://…  s3://…         export_files       rows of files
--source=bigquery:PROJECT:DATASET.TABLE  export_copy        a table of BigQuery, by one statement
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.jobs import export_copy, export_documents, export_files, export_tables
from pipeline.jobs.export_copy import CopyPlan
from pipeline.jobs.export_documents import DocumentPlan
from pipeline.jobs.export_files import FilePlan
from pipeline.jobs.export_flags import USAGE, Config
from pipeline.jobs.export_tables import TablePlan
from pipeline.jobs.outcome import present_records
from pipeline.locations import BIGQUERY, FIRESTORE, names_files
from pipeline.present.summary import Summary
from pipeline.present.terminal import Console
from pipeline.run.job import Job

Plan: TypeAlias = DocumentPlan | TablePlan | FilePlan | CopyPlan


class _Kind(NamedTuple):
    """What is done for one kind of source, as in `Job`."""

    provision: Callable[[Any], None]
    build: Callable[[beam.Pipeline, Any], None]
    present: Callable[[Any, Summary, Console], int] = present_records


_KINDS: Mapping[type[Plan], _Kind] = {
    DocumentPlan: _Kind(export_documents.provision, export_documents.build),
    TablePlan: _Kind(export_tables.provision, export_tables.build, export_tables.present),
    FilePlan: _Kind(export_files.provision, export_files.build),
    CopyPlan: _Kind(export_copy.provision, export_copy.build),
}


def prepare(config: Config, options: PipelineOptions) -> Plan:
    """Checks what can be checked before anything is started.

    Raises:
      UsageError: what is wrong with which flag.
      JobError, TransientError: the server of `--source` cannot be asked.
    """
    source = config.source
    if source is None:
        return export_documents.prepare(config, options)
    if source.startswith(FIRESTORE):
        collections = (*config.collection, source.removeprefix(FIRESTORE))
        return export_documents.prepare(replace(config, source=None, collection=collections), options)
    if names_files("--source", source):
        return export_files.prepare(config, source, options)
    if source.startswith(BIGQUERY):
        return export_copy.prepare(config, source, options)
    return export_tables.prepare(config, source, options)


def provision(plan: Plan) -> None:
    """Makes what the run writes to; a new run begins without its old dead letters.

    Raises:
      JobError: the dataset is missing, access is refused, the table does not fit, or it is gone although earlier runs
        have written to it.
    """
    _KINDS[type(plan)].provision(plan)


def build(pipeline: beam.Pipeline, plan: Plan) -> None:
    """Draws the graph of a run."""
    _KINDS[type(plan)].build(pipeline, plan)


def present(plan: Plan, summary: Summary, console: Console) -> int:
    """Shows how a run ended; returns the exit code."""
    return _KINDS[type(plan)].present(plan, summary, console)


JOB: Job[Config, Plan] = Job(USAGE, prepare, provision, build, present)
