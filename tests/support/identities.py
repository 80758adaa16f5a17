"""What the tests of identities share: pinned values, and the doors through which the present ones are looked at.

The pinned values are what users have stored. Files move, and what is imported here moves with them; the values stay.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from pipeline import JOBS
from pipeline.run.flags import parse
from transforms.firestore.values import decode_fields

NOON = datetime.datetime(2026, 1, 1, 12, 0, 0, 7, tzinfo=datetime.timezone.utc)

_PINNED = Path(__file__).parents[1] / "snapshots" / "identities"


def pinned(name: str) -> Any:
    """A file of pinned values. Nothing writes it anew: who changes a value changes it by hand, and says why."""
    return json.loads((_PINNED / f"{name}.json").read_text(encoding="utf-8"))


def plan_of(job: str, *flags: str) -> Any:
    """The plan that a job makes of its flags. Nothing is started and no service is asked."""
    config, rest = parse(JOBS[job].usage, flags)
    return JOBS[job].job.prepare(config, PipelineOptions(rest))


def identities_of(job: str, *flags: str) -> list[str]:
    """Job id, fingerprint of the input and fingerprint of the spec that a job makes of its flags."""
    described = plan_of(job, *flags).description
    return [described.job_id, described.input_fingerprint, described.spec_fingerprint]


def documents_after(commits: Iterable[Any], time: Callable[[datetime.datetime], str]) -> dict[str, Any]:
    """The documents that Commits leave, by path, as JSON.

    Args:
      time: how times are shown.
    """
    documents: dict[str, dict[str, Any]] = {}
    for write in (write for commit in commits for write in commit.writes):
        path = write.update.name.partition("/documents/")[2]
        before = documents.get(path, {}) if write.update_mask.field_paths else {}
        documents[path] = {**before, **decode_fields(write.update.fields)}
    return {path: as_json(fields, time) for path, fields in documents.items()}


def as_json(value: Any, time: Callable[[datetime.datetime], str] = datetime.datetime.isoformat) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {name: as_json(member, time) for name, member in value.items()}
    if isinstance(value, list):
        return [as_json(item, time) for item in value]
    return time(value) if isinstance(value, datetime.datetime) else value


def files_below(folder: Path) -> dict[str, list[str]]:
    """The lines of all files, by path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8").splitlines() for path in files}


def columns_as_json(columns: Sequence[Any]) -> list[list[str]]:
    """Name, type and mode of columns."""
    return [[column.name, column.type, column.mode] for column in columns]
