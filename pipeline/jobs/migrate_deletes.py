"""migrate --deletes: what a copy and what follows it do about items that are gone, and where they read deletes from.

scan      keys are compared once everything is copied
feed      deletes are read from the points where the run before began; without one before, and with documents
          there already, keys are compared once
ignore    nothing
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pipeline.jobs.migrate_destination import Migrated
from pipeline.jobs.migrate_flags import COPY, FEED, IGNORE, SCAN, Config
from transforms.cosmos.connection import Connection
from transforms.cosmos.feed import NoVersionsError
from transforms.errors import UsageError
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.ledger.jobs import COMPLETED, Job
from transforms.migrate.delete_feed import DeleteFeed, DeletePlan, DeletePoint, delete_points
from transforms.migrate.deletes import DeleteScan
from transforms.migrate.rows import RowsOfDeleted, rows_of_held

DELETES = "deletes"  # of a job's document in the ledger


class DeletesBegin(NamedTuple):
    """Where deletes are followed from.

    Attributes:
      compares: whether keys have to be compared once, because nobody knows what was deleted before.
    """

    points: tuple[DeletePoint, ...]
    compares: bool


def plan_deletes(config: Config, found: Migrated) -> DeletePlan | None:
    """Where a copy reads deletes from that no other one was before; None if it reads none.

    Raises:
      UsageError: the account has no feed of deletes; says what to do.
    """
    if config.mode != COPY or config.deletes != FEED:
        return None
    points = _points(found.container.connect())
    query = Query(found.layout.collection).limit(1)
    has_documents = any(read(found.layout.target.connect(), query, retry=config.retry))
    return DeletePlan(points, points, has_documents)


def deletes_kept(plan: DeletePlan | None, before: Job | None, found: Migrated) -> Mapping[str, Any]:
    """What the ledger keeps of a plan with a run, given the run before."""
    if plan is None:
        return {}
    connection = found.container.connect()
    after = plan.behind(_plan_of(before), connection, is_done=_has_found_all(before)) if before else plan
    return {DELETES: after.as_fields()}


def deletes_opened(kept: Mapping[str, Any]) -> DeletePlan | None:
    """The plan that the ledger kept with a run; None for one that began without."""
    return DeletePlan.of(kept[DELETES]) if kept.get(DELETES) else None


def last_step(
    config: Config, found: Migrated, plan: DeletePlan | None, job_id: str
) -> Callable[[], Mapping[str, Any]] | None:
    """What a copy does about deletes once everything is copied; None for nothing."""
    if config.mode != COPY or config.deletes == IGNORE:
        return None
    ends = RowsOfDeleted(rows_of_held(found.to.rows, found.to.spec), job_id) if found.to.rows else None
    layout = found.layout
    scan = DeleteScan(found.container, layout.target, layout.collection, found.to.spec, config.retry, ends)
    if config.deletes == SCAN or plan is None or plan.compares:
        return scan
    return DeleteFeed(plan.begins, scan=scan)


def deletes_behind_copy(copy: Job | None, found: Migrated) -> DeletesBegin:
    """Where deletes are followed from, behind a copy.

    Raises:
      UsageError: the account has no feed of deletes; says what to do.
    """
    connection = found.container.connect()
    points = _points(connection)
    plan = _plan_of(copy)
    if plan is None:
        return DeletesBegin(points, compares=True)
    left = DeletePlan(points, points, compares=True).behind(plan, connection, is_done=_has_found_all(copy))
    return DeletesBegin(left.begins, left.compares)


def _points(connection: Connection) -> tuple[DeletePoint, ...]:
    try:
        return delete_points(connection)
    except NoVersionsError as error:
        raise UsageError(
            "--deletes=feed needs continuous backup, and the feature of all versions and deletes, on the account of "
            f"{connection.label}; enable both, or use --deletes=scan"
        ) from error


def _plan_of(job: Job | None) -> DeletePlan | None:
    return deletes_opened(job.kept) if job else None


def _has_found_all(job: Job | None) -> bool:
    """Whether a run has come to its end, and with it to its deletes."""
    return job is not None and job.state == COMPLETED and job.parameters.get("deletes") != IGNORE
