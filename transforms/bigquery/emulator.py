"""Lets Beam's `WriteToBigQuery` write to a BigQuery emulator. No Beam pipeline code, but Beam's own BigQuery client.

`WriteToBigQuery` takes a `test_client` in place of apitools' `BigqueryV2` (tables, jobs, datasets), which knows nothing
of emulators.

    WriteToBigQuery(..., test_client=EmulatorClient(target))
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any

from apache_beam.internal.http_client import get_new_http
from apache_beam.io.gcp.internal.clients.bigquery import BigqueryV2

from transforms.bigquery.tables import BigQueryTarget


class EmulatorClient:
    """Beam's BigQuery client for an emulator; picklable, as it connects at the first use in a worker.

    Args:
      target: whose `emulator` to use.
    """

    test_clock = staticmethod(time.time)  # Beam asks a test client for the time

    def __init__(self, target: BigQueryTarget):
        if target.emulator is None:
            raise ValueError(f"target {target.id} has no emulator; leave test_client out")
        self._target = target

    def __reduce__(self) -> tuple[type[EmulatorClient], tuple[BigQueryTarget]]:
        return EmulatorClient, (self._target,)

    @cached_property
    def _apitools(self) -> Any:
        return BigqueryV2(
            url=f"{self._target.emulator}/bigquery/v2/",
            get_credentials=False,
            http=get_new_http(),
            response_encoding="utf8",
        )

    @property
    def datasets(self) -> Any:
        return self._apitools.datasets

    @property
    def jobs(self) -> Any:
        return self._apitools.jobs

    @property
    def tables(self) -> Any:
        return self._apitools.tables
