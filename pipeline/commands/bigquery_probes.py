"""What `firebeam doctor` asks BigQuery; each question returns what it found, or raises how to fix it.

`use_table` creates and deletes an empty table `firebeam_doctor_…` where the table asked about does not exist yet. No
request is retried.
"""

from __future__ import annotations

import datetime
import secrets
from dataclasses import replace
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from transforms.bigquery.failures import ask
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError
from transforms.retry import Retry

PROBE_TABLE_PREFIX = "firebeam_doctor_"

_ONCE = Retry(max_attempts=1)
_PROBE_TABLE_LIFETIME = datetime.timedelta(hours=1)
# What a job does with a table that exists: looks at it, adds columns, inserts rows.
_TABLE_PERMISSIONS = ("bigquery.tables.get", "bigquery.tables.update", "bigquery.tables.updateData")


def open_dataset(target: BigQueryTarget, timeout_s: float) -> str:
    """Looks the dataset up."""
    client, dataset = target.client(), bigquery.DatasetReference(target.project, target.dataset)
    name = f"BigQuery dataset {target.project}:{target.dataset}"
    rpc: dict[str, Any] = {"retry": None, "timeout": timeout_s}
    found = ask(lambda: client.get_dataset(dataset, **rpc), name, target.breaker, _ONCE)
    return f"{target.project}:{target.dataset} in {found.location}"


def use_table(target: BigQueryTarget, timeout_s: float) -> str:
    """Asks what this account may do with the table; where there is none yet, makes another one and deletes it."""
    client = target.client()
    rpc: dict[str, Any] = {"retry": None, "timeout": timeout_s}

    def try_out() -> str:
        try:
            client.get_table(target.id, **rpc)
        except NotFound:
            probe = bigquery.Table(replace(target, table=PROBE_TABLE_PREFIX + secrets.token_hex(8)).id)
            probe.expires = datetime.datetime.now(datetime.timezone.utc) + _PROBE_TABLE_LIFETIME
            client.create_table(probe, **rpc)
            client.delete_table(probe, **rpc)
            return f"{target.id} does not exist yet; the job may make it"
        granted = client.test_iam_permissions(target.id, _TABLE_PERMISSIONS, **rpc).get("permissions", [])
        lacking = [permission for permission in _TABLE_PERMISSIONS if permission not in granted]
        if lacking and not target.emulator:  # emulators know no permissions
            raise JobError(
                f"this account lacks {', '.join(lacking)} on {target.id}: grant it roles/bigquery.dataEditor there"
            )
        return f"{target.id} exists and takes rows"

    return ask(try_out, f"BigQuery table {target.id}", target.breaker, _ONCE)
