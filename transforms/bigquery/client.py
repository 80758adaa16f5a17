"""Google's client of BigQuery, with what this process knows of the service behind it. No Beam."""

from __future__ import annotations

from typing import Any

from google.cloud import bigquery

from transforms.breaker import CircuitBreaker


class BigQueryClient(bigquery.Client):
    """Sends requests; `BigQueryTarget.client` makes one.

    Args:
      breaker: of the service.
      options: of Google's client.
    """

    def __init__(self, breaker: CircuitBreaker, **options: Any):
        super().__init__(**options)
        self.breaker = breaker
