"""Dead letters of a migration: the flags of the job whose items they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pipeline.jobs import migrate_flags
from pipeline.jobs.migrate_destination import Migrated, migrated
from pipeline.jobs.replay_flags import Config
from pipeline.run.flags import flag_name, misfit
from pipeline.run.job_config import RecordsConfig
from transforms.errors import UsageError
from transforms.ledger.jobs import NotAJobError
from transforms.services import Services

# Flags of a replay that replace what the job ran with.
_REPLACED = ("spec", "bigquery_table", "max_in_flight")


def replayed_items(config: Config, services: Services, job_id: str, parameters: Mapping[str, Any]) -> Migrated:
    """What the job read and wrote, by the flags it ran with and those given here.

    Raises:
      UsageError: it was an audit, which refuses without storing; or as `migrated`.
    """
    shared = {declared.name for declared in fields(RecordsConfig)}
    own = {flag_name(each.name): each.name for each in fields(migrate_flags.Config) if each.name not in shared}
    stored = {name: parameters[name] for name in own.keys() & parameters.keys()}
    if reason := misfit(migrate_flags.Config, stored):
        raise NotAJobError(job_id, f"of its parameters, {reason}")
    if stored.get("mode") == migrate_flags.AUDIT:
        raise UsageError(f"job {job_id} was an audit; correct the items it names and run the copy")
    given = {name: value for name in _REPLACED if (value := getattr(config, name)) is not None}
    values = {own[name]: value for name, value in {**stored, **given}.items()}
    of_replay = {name: getattr(config, name) for name in shared}
    return migrated(migrate_flags.Config(**values, **{**of_replay, "job_id": job_id}), services, failed_before=True)
