"""The commands that belong to a job, made from what its ledger keeps: to resume it, to replay its dead letters."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from pipeline import JOBS
from pipeline.run.flags import flags_of, shown
from transforms.dead_letters.kinds import KINDS
from transforms.firestore.names import DEFAULT_DATABASE
from transforms.firestore.target import FirestoreTarget
from transforms.ledger.jobs import Job


def resume_command(job: Job, target: FirestoreTarget) -> str:
    """The command that began a job, which resumes it; empty for a job that this version does not know.

    The options of a runner are not in the ledger: of a job on Dataflow they have to be added.
    """
    return command_of(job.job, job.parameters, target) if job.job in JOBS else ""


def command_of(job: str, parameters: Mapping[str, Any], target: FirestoreTarget) -> str:
    """The command of a job with some flags, those at their defaults left out."""
    parts = ["firebeam", job]
    for flag in flags_of(JOBS[job].usage.config):
        value = target.project if flag.name == "project" else parameters.get(flag.name)
        values = list(value) if isinstance(value, list | tuple) else value
        if value is None or values == flag.default or values in ([], ()):
            continue
        given = values if isinstance(values, list) else [values]
        parts += (f"--{flag.name}={shown(each)}" for each in given)
    return shlex.join(parts)


def replay_commands(job: Job, target: FirestoreTarget) -> Mapping[str, str]:
    """The commands that replay its dead letters, by their kind; none for a job that keeps none."""
    folder: Any = job.parameters.get("dead_letters")
    if not folder or "max_dead_letter_ratio" not in job.parameters or job.job == "replay":
        return {}
    database = [] if target.database == DEFAULT_DATABASE else [f"--database={target.database}"]
    flags = [f"--dead_letters={folder}", f"--from_job={job.job_id}", f"--project={target.project}", *database]
    return {kind: shlex.join(["firebeam", "replay", f"--kind={kind}", *flags]) for kind in KINDS}
