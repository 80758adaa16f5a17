"""What `firebeam export` can be asked for: its flags, and which of them go together."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.run.flags import option
from pipeline.run.job import JobConfig
from transforms.bigquery.document_columns import JSON, NESTED, fixed_columns
from transforms.bigquery.schema import check_names
from transforms.errors import UsageError
from transforms.export.sinks import METHODS
from transforms.export.target import CHANGELOG, DELETES, FLAT, IGNORE, LAYOUTS, MARK, MERGE, REPLACE, WRITES
from transforms.firestore.collection_patterns import CollectionPattern, all_parameters
from transforms.firestore.conditions import parse_condition
from transforms.firestore.query import NAME, Query, check_field
from transforms.firestore.read_plan import MAX_RANGES
from transforms.firestore.read_time import check_read_time, utc_now
from transforms.records.spec import RecordSpec
from transforms.records.table import spec_columns

FULL, INCREMENTAL = "full", "incremental"
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Config(JobConfig):
    """The flags of export."""

    collection: tuple[str, ...] = option(
        (),
        group="Input",
        metavar="PATH",
        help="collections to read; users/{user}/posts reads those of every user, with a column user; repeat it or "
        "separate with commas",
    )
    collection_group: tuple[str, ...] = option(
        (), group="Input", metavar="ID", help="collection groups to read: every collection of that id"
    )
    where: tuple[str, ...] = option(
        (),
        group="Input",
        metavar="CONDITION",
        commas=False,
        help="only documents for which this holds, such as 'age >= 21'; repeat it for more",
    )
    fields: tuple[str, ...] = option((), group="Input", metavar="FIELD", help="only these fields; all when absent")
    read_time: str | None = option(
        None,
        group="Input",
        metavar="TIME",
        help="read the database as it was then, such as 2026-01-01T12:00:00Z; when the run begins when absent",
    )
    batch_size: int = option(500, group="Input", minimum=1, maximum=10_000, help="documents in a batch")
    max_ranges: int = option(
        256, group="Input", minimum=1, maximum=MAX_RANGES, help="ranges of names that are read side by side"
    )
    mode: str = option(
        FULL,
        group="Input",
        choices=(FULL, INCREMENTAL),
        help="incremental writes only documents that BigQuery does not hold yet",
    )
    cursor_field: str | None = option(
        None,
        group="Input",
        metavar="FIELD",
        help="field that grows with every change, such as last_modified; incremental reads only what lies behind the "
        "last run's greatest value; when absent it reads everything",
    )
    lookback_s: int = option(
        60,
        group="Input",
        minimum=0,
        help="seconds before the last run's greatest value that are read again, for writers whose clocks differ",
    )
    bigquery_table: str = option(group="BigQuery", metavar="PROJECT:DATASET.TABLE", help="table to write to")
    bigquery_method: str | None = option(
        None,
        group="BigQuery",
        choices=METHODS,
        help="FILE_LOADS, the cheapest, when --temp_location is a gs:// folder, else INSERT_ROWS; STORAGE_WRITE is the "
        "Storage Write API, with EXACTLY_ONCE no row is ever there twice",
    )
    layout: str = option(
        FLAT,
        group="BigQuery",
        choices=LAYOUTS,
        help="flat has a column a field; changelog those of Firebase's extension; both is TABLE and TABLE_changelog",
    )
    write: str = option(
        MERGE,
        group="BigQuery",
        choices=WRITES,
        help="what becomes of flat rows: merged by document, the newer update_time wins; appended; or put in the place "
        "of all rows",
    )
    deletes: str = option(
        IGNORE,
        group="BigQuery",
        choices=DELETES,
        help="what becomes of rows whose documents are gone: marked in deleted_at, removed, or nothing",
    )
    infer: str = option(
        ALL,
        group="BigQuery",
        metavar="all|N",
        help="how many documents are read beforehand to find the columns; fields that are not found go to _overflow; 0 "
        "takes the table as it is",
    )
    nested: str = option(
        JSON,
        group="BigQuery",
        choices=NESTED,
        help="what becomes of maps: a JSON column, a STRUCT, or a column a member",
    )
    spec: str | None = option(
        None, group="BigQuery", metavar="NAME|FILE", help="record spec that gives the columns, instead of the documents"
    )


def check_combinations(config: Config) -> None:
    """Raises UsageError for flags that do not go together."""
    if not config.collection and not config.collection_group:
        raise UsageError("nothing to export: pass --collection=users or --collection_group=posts")
    if config.infer != ALL and not config.infer.isdecimal():
        raise UsageError(f"--infer must be all or a number of documents, got {config.infer!r}")
    if config.cursor_field and config.mode != INCREMENTAL:
        raise UsageError("--cursor_field is for --mode=incremental")
    if config.cursor_field == NAME:
        raise UsageError(f"--cursor_field must name a field that grows with every change; {NAME} never changes")
    if config.cursor_field:
        check_field(config.cursor_field)
    if config.layout == CHANGELOG and config.write == REPLACE:
        raise UsageError("a changelog is only ever appended to; leave --write=replace out, or choose --layout=flat")
    if config.write == REPLACE and config.mode == INCREMENTAL:
        raise UsageError(
            "--write=replace leaves nothing but what this run writes, and --mode=incremental writes only what has "
            "changed; take --mode=full or --write=merge"
        )
    if config.deletes == IGNORE:
        return
    if config.cursor_field or config.where:
        given = "--cursor_field" if config.cursor_field else "--where"
        raise UsageError(f"--deletes={config.deletes} needs all documents to be read; leave {given} out")
    if config.layout != CHANGELOG and config.write != MERGE:
        raise UsageError(f"--deletes={config.deletes} needs --write=merge, got {config.write}")
    if config.layout != FLAT and config.deletes != MARK:
        raise UsageError("a changelog never loses a row; --deletes=mark appends a DELETE to it")


def check_column_names(patterns: Sequence[CollectionPattern], spec: RecordSpec | None) -> None:
    """Raises UsageError for a path parameter or a field of the spec that cannot be a column beside the others."""
    check_names(fixed_columns(all_parameters(patterns)) + (spec_columns(spec) if spec else ()))


def conditioned(pattern: CollectionPattern, config: Config) -> Query:
    """The query of a pattern with the conditions and the fields asked for. Raises UsageError."""
    query = pattern.query
    for condition in map(parse_condition, config.where):
        query = query.where(condition.field, condition.operator, condition.value)
    return query.select(*config.fields) if config.fields else query


def moment_of(text: str) -> datetime.datetime:
    """The moment that `--read_time` names. Raises UsageError.

    >>> moment_of("noon")
    Traceback (most recent call last):
    transforms.errors.UsageError: --read_time must be a time such as 2026-01-01T12:00:00Z, got 'noon'
    """
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(f"--read_time must be a time such as 2026-01-01T12:00:00Z, got {text!r}") from None
    check_read_time(moment, utc_now)
    return moment


def looking_back(cursor: Any, seconds: int) -> Any:
    """Where an incremental run begins: a little before the last one's end, as far as the cursor is a time.

    >>> looking_back(datetime.datetime(2026, 1, 1, 12), 60), looking_back("2026-01-01", 60)
    (datetime.datetime(2026, 1, 1, 11, 59), '2026-01-01')
    >>> looking_back(datetime.datetime(1, 1, 1, 0, 0, 30), 60), looking_back(datetime.datetime(2026, 1, 1), 10**12)
    (datetime.datetime(1, 1, 1, 0, 0), datetime.datetime(1, 1, 1, 0, 0))
    """
    if not isinstance(cursor, datetime.datetime):
        return cursor
    first = datetime.datetime.min.replace(tzinfo=cursor.tzinfo)
    return first if seconds >= (cursor - first).total_seconds() else cursor - datetime.timedelta(seconds=seconds)
