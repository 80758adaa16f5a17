"""What the flags of `firebeam export` mean together: which go together, and which documents they ask for."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from pipeline.jobs.export_flags import ALL, INCREMENTAL, Config
from transforms.bigquery.schema import check_names
from transforms.errors import UsageError
from transforms.export.columns import JSON, fixed_columns
from transforms.export.options import CHANGELOG, FLAT, IGNORE, MARK, MERGE, REPLACE
from transforms.firestore.collection_patterns import CollectionPattern, all_parameters
from transforms.firestore.conditions import parse_condition
from transforms.firestore.query import NAME, Query, check_field
from transforms.firestore.read_time import check_read_time, utc_now
from transforms.records.spec import RecordSpec
from transforms.records.table import spec_columns


def check_combinations(config: Config) -> None:
    """Raises UsageError for flags that do not go together."""
    if config.source_password or config.key:
        given = "--source_password" if config.source_password else "--key"
        raise UsageError(f"{given} is for --source=LOCATION")
    if not config.collection and not config.collection_group:
        raise UsageError("nothing to export: pass --collection=users, --collection_group=posts or --source=LOCATION")
    if config.infer != ALL and not config.infer.isdecimal():
        raise UsageError(f"--infer must be all or a number of documents, got {config.infer!r}")
    check_rows_wanted(config)
    if config.cursor_field == NAME:
        raise UsageError(f"--cursor_field must name a field that grows with every change; {NAME} never changes")
    if config.cursor_field:
        check_field(config.cursor_field)
    if config.layout == CHANGELOG and config.write == REPLACE:
        raise UsageError("a changelog is only ever appended to; leave --write=replace out, or choose --layout=flat")
    if config.deletes == IGNORE:
        return
    if config.cursor_field or config.where:
        given = "--cursor_field" if config.cursor_field else "--where"
        raise UsageError(f"--deletes={config.deletes} needs all documents to be read; leave {given} out")
    check_deletes(config)
    if config.layout != FLAT and config.deletes != MARK:
        raise UsageError("a changelog never loses a row; --deletes=mark appends a DELETE to it")


def check_rows_wanted(config: Config) -> None:
    """Raises UsageError for an incremental run that replaces all rows, and for a cursor of one that is not."""
    if config.cursor_field and config.mode != INCREMENTAL:
        raise UsageError("--cursor_field is for --mode=incremental")
    if config.write == REPLACE and config.mode == INCREMENTAL:
        raise UsageError(
            "--write=replace leaves nothing but what this run writes, and --mode=incremental writes only what has "
            "changed; take --mode=full or --write=merge"
        )


def check_deletes(config: Config) -> None:
    """Raises UsageError where nothing is merged, so that rows of what is gone are not looked for."""
    if config.deletes != IGNORE and config.layout != CHANGELOG and config.write != MERGE:
        raise UsageError(f"--deletes={config.deletes} needs --write=merge, got {config.write}")


def flags_of_documents(config: Config) -> dict[str, object]:
    """The flags that only documents of Firestore have a use for, each with something true if it is given."""
    return {
        "collection": config.collection,
        "collection_group": config.collection_group,
        "where": config.where,
        "fields": config.fields,
        "read_time": config.read_time,
        "spec": config.spec,
        "layout": config.layout != FLAT,
        "infer": config.infer != ALL,
        "nested": config.nested != JSON,
    }


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
