"""verify: proves that two stores hold the same documents, or says which they do not.

    --left  ─┐                ┌─ equal: count and hash of a key range ────────────────────────┐
             ├─ PlanRanges ─▶ CompareRanges                                                   ├─▶ CompleteJob ─▶ report
    --right ─┘  key ranges    └─ they differ: smaller ranges, then keys, then read again ─────┘

A range of keys is a batch of the ledger, so an interrupted run resumes after the ranges that are done, and the report
has every difference once. Nothing collects all documents: a worker keeps the keys and hashes of one range.
"""

import datetime
import random
from dataclasses import dataclass, replace

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.exit_codes import EXIT_DIFFERENT, EXIT_OK
from pipeline.jobs.outcome import show_summary
from pipeline.jobs.verify_flags import NAME, START, USAGE, Config
from pipeline.locations import store_place
from pipeline.present.summary import Summary
from pipeline.present.summary_file import check_path
from pipeline.present.terminal import Console, say, show
from pipeline.present.verify_report import SHOWN, counts_table, differences_table, sample_says
from pipeline.run.job import Job, JobPlan, derived_job_id, digest
from pipeline.run.runners import on_dataflow
from pipeline.specs import read_spec
from transforms.bigquery.target import BigQueryTarget
from transforms.cosmos.check import check_container
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.errors import UsageError
from transforms.ledger.jobs import COMPLETED, read_job
from transforms.ledger.migrations import migration_document, save_pair
from transforms.ledger.runs import JobDescription
from transforms.ledger.steps import CompleteJob, RecordOutcomes
from transforms.records.model import RecordSpec
from transforms.runtime.services import services_of
from transforms.secrets import parse_secret
from transforms.verify.entries import Store
from transforms.verify.ignored import Ignored
from transforms.verify.parts import Parts
from transforms.verify.reports import Report
from transforms.verify.sample import sampled
from transforms.verify.steps import CompareRanges, PlanRanges, Sides
from transforms.verify.stores import Collection, Container, Files, Place, Reading, open_stores, plans_right

# What repairs the copy of a container is rarely further behind, see docs/migrate.md.
_COPY_IS_BEHIND_S = 3.0


@dataclass(frozen=True)
class Plan(JobPlan[Config]):
    """A config with everything read and looked up that the graph needs.

    Attributes:
      table: of the report.
      pair: of the migration that learns what is found; empty for none.
    """

    sides: Sides
    table: BigQueryTarget | None
    pair: str = ""

    @property
    def parts(self) -> Parts:
        """Where the ranges leave what they find."""
        return self.parts_of(self.run.attempt)

    @property
    def report(self) -> Report:
        """What is written at the end."""
        return Report(self.parts, self.run.started_at, self.config.report, self.table)

    def parts_of(self, attempt: int) -> Parts:
        """As `parts`, of a run that may be over."""
        return Parts(self.config.dead_letters, self.job_id, attempt)


def prepare(config: Config, options: PipelineOptions) -> Plan:
    """Finds both stores: reads the schemas of tables, and files once.

    Raises:
      UsageError: what is wrong with which flag.
    """
    if config.every_s is not None and on_dataflow(options):
        raise UsageError(
            "--every_s repeats the command on this computer; on Dataflow let a scheduler start the template"
        )
    services = services_of(options)
    firestore = config.firestore(services)
    ignored = Ignored.of(config.ignore)
    spec = by_spec(config.spec)
    passwords = {"left": config.left_password, "right": config.right_password}
    left, right = (
        store_place(
            f"--{side}",
            getattr(config, side),
            firestore,
            services,
            parse_secret(where, f"--{side}_password") if where else None,
            spec,
        )
        for side, where in passwords.items()
    )
    if left == right:
        raise UsageError("--left and --right name the same store, which is equal to itself; name another one")
    table = BigQueryTarget.parse(config.report_table, services, config.max_outage_s) if config.report_table else None
    if config.report:
        check_path(config.report, "report")
    DeadLetterFolder(config.dead_letters).check_writable()
    reading = Reading(
        config.match_by, ignored, config.id_field, config.key_column, config.read_time == START, config.retry
    )
    stores: tuple[Store, Store] = open_stores(left, right, reading)
    if config.sample:
        stores = sampled(*stores, config.sample, random.SystemRandom())
    clocks = [place.target for place in (left, right) if isinstance(place, Collection)]
    sides = Sides(
        *stores,
        clock=clocks[0] if clocks else firestore,
        max_ranges=config.max_ranges,
        max_keys=config.max_keys,
        plans_right=plans_right(*stores),
        show_values=config.show_values,
        settles_s=_COPY_IS_BEHIND_S if any(isinstance(place, Container) for place in (left, right)) else 0,
    )
    files = [file.fingerprint for place in (left, right) if isinstance(place, Files) for file in place.files]
    for place in (left, right):
        if isinstance(place, Container):
            check_container(place.target)
    how = (sorted(config.ignore), config.match_by, config.key_column, config.id_field, config.show_values)
    by = (*how, config.spec, config.sample) if config.spec or config.sample else how
    description = JobDescription(
        NAME,
        config.job_id or derived_job_id(NAME, config.left, config.right, by, firestore.project, firestore.database),
        config.parameters(),
        input_fingerprint=digest(config.left, config.right, by, files),
        spec_fingerprint=spec.fingerprint if spec else "",
    )
    pair = _pair_of(config, left, right) if config.migration else ""
    return Plan(config, description, firestore, sides, table, pair)


def _pair_of(config: Config, *places: Place) -> str:
    """The pair of a migration that is compared. Raises UsageError if it is none, or if not all of it is."""
    collections = [place for place in places if isinstance(place, Collection)]
    if len(collections) != 1 or not any(isinstance(place, Container) for place in places):
        raise UsageError("--migration is for a container of Cosmos DB and a collection of Firestore; leave it out")
    if config.ignore or config.sample:
        raise UsageError("--migration wants everything compared; leave out --ignore and --sample")
    return collections[0].query.collection


def by_spec(name: str | None) -> RecordSpec | None:
    """The spec by whose keys items become documents; None where those are the items' own ids.

    Raises:
      UsageError: there is no such spec, or it is wrong.
    """
    if name is None:
        return None
    spec = replace(read_spec(name), escapes_ids=True)
    is_item_id = spec.key.template is None and [path.text for path in spec.key.paths] == ["id"]
    return None if is_item_id else spec


def provision(plan: Plan) -> None:
    """Makes the table of the report; a new run begins without what earlier ones have found.

    Raises:
      JobError: the table does not fit, or may not be made.
    """
    plan.report.provide_table()
    if not plan.run.resumed:
        plan.parts.remove_others()


def build(pipeline: beam.Pipeline, plan: Plan) -> None:
    """Draws the graph of a run."""
    run, parts = plan.run, plan.parts
    ledger = plan.ledger
    _ = (
        pipeline
        | "PlanRanges" >> PlanRanges(plan.sides, parts, run.completed)
        | "CompareRanges" >> CompareRanges(plan.sides, parts, ledger)
        | "RecordOutcomes" >> RecordOutcomes(ledger)
        | "CompleteJob" >> CompleteJob(ledger, plan.report)
    )


def present(plan: Plan, summary: Summary, console: Console) -> int:
    """Shows what was found, and returns the exit code: 0 equal, 3 different; otherwise as every job."""
    job = read_job(plan.document())
    if summary.state != COMPLETED or job is None:
        show_summary(summary, console)
        return summary.exit_code(max_dead_letter_ratio=1)
    parts = plan.parts_of(job.attempt)
    found = parts.read_found()
    differing = sum(found.differing.values())
    if plan.pair:
        _tell_migration(plan, job.started_at, is_equal=not differing)
    verdict = f"{differing:,} documents differ" if differing else "equal"
    show(console, counts_table(f"{plan.job_id}: {verdict}", found, summary.elapsed_s))
    if found.changed:
        say(console, "documents that changed during the run were not compared; run it again to compare them")
    if plan.config.sample:
        say(console, sample_says(found, plan.config.left))
    if not differing:
        return EXIT_OK
    show(console, differences_table(parts.lines(), plan.config.show_values))
    if differing > SHOWN:
        say(console, f"… and {differing - SHOWN:,} more")
    say(console, f"all differences: {plan.config.report or parts.path}")
    return EXIT_DIFFERENT


def _tell_migration(plan: Plan, began: datetime.datetime, *, is_equal: bool) -> None:
    """Writes what was found to the pair's document, as of when the run began."""
    document = migration_document(plan.firestore.connect(), plan.config.migration or "", plan.retry)
    found = {"verified_at": began, "verified_equal": is_equal}
    save_pair(document, plan.pair, found | ({"equal_at": began} if is_equal else {}))


JOB = Job(USAGE, prepare, provision, build, present)
