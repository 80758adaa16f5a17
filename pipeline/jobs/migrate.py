"""migrate: a container of Cosmos DB into a collection of Firestore, and rows of BigQuery.

    copy    ReadFeed ─▶ BeginBatch ─▶ IdentifyRecords ─▶ CompareVersions ─▶ FlattenRecords ─▶ UpsertPairs ─▶ …
             pages       ledger        ids, hashes         by _ts, _etag      record spec       Firestore

                                      … InsertRows ─▶ StoreDeadLetters ─▶ CompleteBatch ─▶ CompleteJob
                                         BigQuery      JSONL files         continuation      deletes

    audit   ReadFeed ─▶ BeginBatch ─▶ CheckRecords ─┬─▶ StoreDeadLetters ─▶ CompleteBatch
                                     nothing written └─▶ FindSharedIds ──┘

An audit is the copy with its writes switched off. A copy reads the latest-version feed from the beginning, per feed
range, until each range has passed the point where the run began. A page is a batch, and its continuation is in the
ledger once the batch is complete: a run that was killed resumes there. What follows the copy without end is not a
pipeline: see migrate_follow.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import PCollection

from pipeline.exit_codes import EXIT_OK, EXIT_TOO_MANY_DEAD_LETTERS
from pipeline.jobs.migrate_deletes import deletes_kept, deletes_opened, last_step, plan_deletes
from pipeline.jobs.migrate_destination import Migrated, check_collection, check_phase, migrated
from pipeline.jobs.migrate_flags import AUDIT, COPY, FOLLOW, NAME, USAGE, Config
from pipeline.jobs.migrate_follow import follow, following_of
from pipeline.jobs.outcome import present_records, show_summary
from pipeline.present.migration import estimate, refused_table
from pipeline.present.summary import Summary
from pipeline.present.terminal import Console, say, show
from pipeline.run.job import Job, JobPlan, derived_job_id, digest
from pipeline.run.runners import on_dataflow
from transforms.batch import Batch, Record
from transforms.dead_letters.folder import DeadLetterFolder
from transforms.dead_letters.steps import StoreDeadLetters
from transforms.errors import JobError, UsageError
from transforms.ledger.jobs import COMPLETED, job_document
from transforms.ledger.jobs import Job as LedgerJob
from transforms.ledger.parts import PartsInLedger
from transforms.ledger.runs import JobDescription, Opening
from transforms.ledger.steps import BeginBatch, CompleteBatch, CompleteJob
from transforms.migrate.delete_feed import DeletePlan
from transforms.migrate.feed import FeedPart, input_id, parts_of, plan_feed, sequence_numbers
from transforms.migrate.read import ReadFeed
from transforms.migrate.steps import CheckRecords, FindSharedIds
from transforms.outcomes import BatchOutcome
from transforms.runtime.services import services_of
from transforms.upsert.destination import provide_table
from transforms.upsert.rows_known import ROWS_KNOWN, rows_known_after
from transforms.upsert.versions import ALL_ROWS, NO_ROWS, OWN_ROWS, RunIdentity
from transforms.upsert.write import compare_records, write_records

_FEED = "feed"


@dataclass(frozen=True)
class Plan(JobPlan[Config]):
    """A config with everything read and looked up that the graph needs.

    Attributes:
      found: the container, the collection and what is between them.
      parts: of the container's feed.
      deletes: where deletes are read from; None if they are not read.
    """

    found: Migrated
    parts: tuple[FeedPart, ...] = field(default=())
    deletes: DeletePlan | None = None

    @property
    def letters(self) -> str:
        """The folder for what is refused."""
        return self.config.report if self.config.mode == AUDIT else self.config.dead_letters

    def kept(self, before: LedgerJob | None) -> Mapping[str, Any]:
        """The feed's parts and the points they have to pass, where deletes are read from, and which rows there are."""
        rows_known = rows_known_after(before, self.description)
        if rows_known == ALL_ROWS:  # others have written items and documents since, which have no rows
            rows_known = OWN_ROWS
        return {
            _FEED: [part.as_fields() for part in self.parts],
            ROWS_KNOWN: rows_known,
            **deletes_kept(self.deletes, before, self.found),
        }

    def opened(self, opening: Opening) -> "Plan":
        """The plan of the run that the ledger has opened; a resumed one has the parts and points it began with."""
        parts, deletes = parts_of(opening.kept.get(_FEED, ())), deletes_opened(opening.kept)
        return replace(super().opened(opening), parts=parts, deletes=deletes)


def prepare(config: Config, options: PipelineOptions) -> Plan:
    """Finds the container and the collection, and checks what can be checked before anything is started.

    Raises:
      UsageError: what is wrong with which flag.
    """
    services = services_of(options)
    firestore = config.firestore(services)
    if config.mode == FOLLOW and on_dataflow(options):
        raise UsageError(
            "--mode=follow is not a pipeline: it runs in one process, on a machine that is always on, such as a small "
            "VM or a Cloud Run worker pool; leave out --runner"
        )
    found = migrated(config, services)
    if config.mode == COPY:
        check_phase(config, firestore)
        check_collection(found.layout)
    # Before the first item is read, so that none of those that are copied is deleted unseen.
    deletes = plan_deletes(config, found)
    try:
        parts = plan_feed(found.container.connect())
    except JobError as error:
        raise UsageError(f"--from: {error}") from None
    folder = DeadLetterFolder(config.report if config.mode == AUDIT else config.dead_letters)
    folder.check_writable()
    # What is followed is named by its copy.
    what = (COPY if config.mode == FOLLOW else config.mode, config.from_, config.to, config.nested_arrays)
    description = JobDescription(
        NAME,
        config.job_id
        or derived_job_id(NAME, config.migration, what, config.spec, firestore.project, firestore.database),
        config.parameters(),
        input_fingerprint=digest(*what, found.rid, config.page_items, config.bigquery_table, config.bigquery_method),
        spec_fingerprint=found.to.spec.fingerprint,
        bytes_total=sequence_numbers(parts),
    )
    if config.mode == FOLLOW:
        copy = job_document(firestore.connect(), description.job_id, config.retry)
        target = following_of(config, found, firestore, copy, _FEED)
        return Plan(
            config, description, firestore, found, parts, instead=lambda console: follow(target, found.to, console)
        )
    foreign = folder.foreign_file(description.job_id, frozenset({input_id(found.container.label)}))
    if foreign:
        flag = "report" if config.mode == AUDIT else "dead_letters"
        raise UsageError(
            f"{foreign} holds dead letters of another job on the same container, which this one would replace; "
            f"replay or remove them, or pass another --{flag}"
        )
    return Plan(config, description, firestore, found, parts, deletes)


def provision(plan: Plan) -> None:
    """Creates the table of a copy and its view; a new run begins without its old dead letters.

    Raises:
      JobError: the table does not fit the spec, or may not be changed.
    """
    if plan.config.mode == COPY:
        provide_table(plan.found.to)
    if not plan.run.resumed:
        label = plan.found.container.label
        DeadLetterFolder(plan.letters).remove(plan.job_id, frozenset({input_id(label)}), frozenset({label}))


def build(pipeline: beam.Pipeline, plan: Plan) -> None:
    """Draws the graph of a run."""
    found, config, ledger = plan.found, plan.config, plan.ledger
    read_before = PartsInLedger(ledger, keeps_completed=True)
    read = pipeline | "ReadFeed" >> ReadFeed(found.container, plan.parts, config.page_items, read_before)
    batches = read | "BeginBatch" >> BeginBatch(ledger)
    if config.mode == AUDIT:
        outcomes, *others = _audited(batches, plan)
        complete = CompleteJob(ledger, after=tuple(others))
    else:
        outcomes, complete = _copied(batches, plan), CompleteJob(ledger)
    if (conclude := last_step(plan.config, found, plan.deletes, plan.job_id)) is not None:
        complete = replace(complete, conclude=conclude)
    _ = outcomes | "CompleteJob" >> complete


def _copied(batches: PCollection[Batch[Record]], plan: Plan) -> PCollection[BatchOutcome]:
    found, opening = plan.found, plan.run
    rows_known = opening.kept.get(ROWS_KNOWN, NO_ROWS) if found.to.rows else ALL_ROWS
    ids = frozenset({input_id(found.container.label)})
    run = RunIdentity(plan.job_id, opening.attempt, opening.started_at, ids, rows_known, order=found.form.order)
    written = write_records(compare_records(batches, found.to, run), found.to, run)
    return _completed(written.batches, plan)


def _audited(batches: PCollection[Batch[Record]], plan: Plan) -> list[PCollection[BatchOutcome]]:
    found, pages = plan.found, plan.config.page_items
    spec, form = found.to.spec, found.form
    checked = batches | "CheckRecords" >> CheckRecords(spec, form, found.layout, plan.job_id)
    shared = checked | "FindSharedIds" >> FindSharedIds(found.container, plan.parts, pages, spec, form)
    # Not flattened into one: the steps behind would no longer be fused, and every batch be pickled on its way.
    return [_completed(checked, plan), _completed(shared, plan, "SharedIds")]


def _completed(batches: PCollection[Any], plan: Plan, of: str = "") -> PCollection[BatchOutcome]:
    outcomes: PCollection[BatchOutcome] = (
        batches
        | f"StoreDeadLetters{of}" >> StoreDeadLetters(plan.letters, NAME, plan.job_id)
        | f"CompleteBatch{of}" >> CompleteBatch(plan.ledger)
    )
    return outcomes


def present(plan: Plan, summary: Summary, console: Console) -> int:
    """Shows what became of the items, or what would; returns the exit code, 4 if an audit refuses any."""
    if plan.config.mode == COPY:
        return present_records(plan, summary, console)
    show_summary(summary, console)
    if summary.state != COMPLETED:
        return summary.exit_code(max_dead_letter_ratio=1)
    found = plan.found
    say(console, estimate(summary.totals.counts, found.container.max_request_units_per_s, is_ttl_on=found.is_ttl_on))
    if not summary.totals.unwanted:
        return EXIT_OK
    show(console, refused_table(DeadLetterFolder(plan.letters), plan.job_id))
    say(console, f"all of them: {plan.letters}")
    return EXIT_TOO_MANY_DEAD_LETTERS


JOB = Job(USAGE, prepare, provision, build, present)
