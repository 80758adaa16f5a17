"""A BigQuery table as one side of a comparison. Plain Python.

    range of keys ─▶ intervals of text ─▶ one parametrised query ─▶ rows, page by page ─▶ those of the range

Of several rows of one key that with the newest `update_time` counts, as in the `_latest` view; if it says that the
document is deleted, there is none. A query scans the columns that are compared; BigQuery passes over the blocks outside
of the range only where the table is clustered by the key.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.api_core import retry as google_retry
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.cloud import bigquery

from transforms.bigquery.failures import NETWORK_ERRORS, raised_for
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError, TransientError
from transforms.firestore.document_order import sort_key
from transforms.firestore.ranges import NameRange, ranges_between
from transforms.retry import Retry
from transforms.verify.entries import Entry
from transforms.verify.forms import TableForm
from transforms.verify.key_intervals import Interval, superset

# One range is one query: fewer rows do not pay for its second.
ROWS_PER_RANGE = 100_000
_PAGE_ROWS = 1_000
_TIMEOUT_S = 600.0  # of a query, most of which BigQuery may spend waiting for slots
_FAILURES = (GoogleAPICallError, RetryError, *NETWORK_ERRORS)
_KEY, _UPDATE_TIME, _IS_DELETED = "_firebeam_key", "_firebeam_update_time", "_firebeam_is_deleted"


@dataclass(frozen=True, slots=True)
class RowVersions:
    """How the row that counts is found among those of one key.

    Attributes:
      key: the column that names the document.
      name: the column of which each value is one document: `key`, or one that says more.
      prefix: what all values of `key` begin with; it is not part of the key.
      update_time: SQL of the version; empty where every row counts.
      newest: SQL of what decides which row is the newest; the highest wins.
      is_deleted: SQL condition under which the row says that there is no document; empty for none.
    """

    key: str
    name: str
    prefix: str = ""
    update_time: str = ""
    newest: tuple[str, ...] = ()
    is_deleted: str = ""


@dataclass
class BigQueryStore:
    """The documents that the rows of a table say there are.

    Attributes:
      target: the table or view.
      versions: how to find the row that counts.
      form: which columns are compared, and how.
      rows_per_range: how many rows are worth a range.
      bytes_scanned: by the queries so far, as BigQuery counts them.
      retry: of every request.
    """

    target: BigQueryTarget
    versions: RowVersions
    form: TableForm
    rows_per_range: int = ROWS_PER_RANGE
    bytes_scanned: int = 0
    retry: Retry = Retry()  # noqa: RUF009  # frozen
    _client: bigquery.Client | None = field(default=None, repr=False)

    def as_of(self, read_time: datetime.datetime) -> BigQueryStore:
        """As `Store`; the newest state is read, because tables are loaded with the past of other stores."""
        return self

    def ranges(self, max_ranges: int) -> list[NameRange]:
        """As `Store`: about as many rows in each."""
        ((rows,),) = self._query(f"SELECT COUNT(*) {self._from}")
        wanted = min(max_ranges, -(-rows // self.rows_per_range))
        if wanted <= 1:
            return [NameRange()]
        ((names,),) = self._query(f"SELECT APPROX_QUANTILES(`{self.versions.key}`, {wanted}) {self._from}")
        keys = {self._key(name) for name in names}
        return ranges_between(sorted(keys, key=sort_key)[1:])

    def entries(self, span: NameRange) -> Iterator[Entry]:
        """As `Store`."""
        sides, parameters = [], list[Any]()
        for side in superset(span):
            conditions = [self._condition(interval, parameters) for interval in side]
            sides.append(f"({' OR '.join(conditions)})")
        for entry in self._entries(" AND ".join(sides), parameters):
            if span.contains(entry.key):
                yield entry

    def refetch(self, keys: Sequence[str]) -> Iterator[Entry]:
        """As `Store`."""
        names = [self.versions.prefix + key for key in keys]
        parameter = bigquery.ArrayQueryParameter("keys", "STRING", names)
        return self._entries(f"`{self.versions.key}` IN UNNEST(@keys)", [parameter])

    def _condition(self, interval: Interval, parameters: list[Any]) -> str:
        key, prefix = f"`{self.versions.key}`", self.versions.prefix

        def parameter(text: str) -> str:
            name = f"p{len(parameters)}"
            parameters.append(bigquery.ScalarQueryParameter(name, "STRING", prefix + text))
            return f"@{name}"

        low, high = interval
        if low is not None and high == low + "\0":
            return f"{key} = {parameter(low)}"
        bounds = ([f"{key} >= {parameter(low)}"] if low is not None else []) + (
            [f"{key} < {parameter(high)}"] if high is not None else []
        )
        return f"({' AND '.join(bounds)})" if bounds else "TRUE"

    def _entries(self, condition: str, parameters: Sequence[Any]) -> Iterator[Entry]:
        versions = self.versions
        selected = [f"`{name}`" for name in dict.fromkeys(self.form.columns)]
        selected.append(f"`{versions.key}` AS {_KEY}")
        selected.append(f"{versions.is_deleted or 'FALSE'} AS {_IS_DELETED}")
        if versions.update_time:
            selected.append(f"{versions.update_time} AS {_UPDATE_TIME}")
        # Some versions of the engine take QUALIFY only behind WHERE, GROUP BY or HAVING.
        sql = f"SELECT {', '.join(selected)} {self._from} WHERE {condition}"
        if newest := ", ".join(f"{expression} DESC" for expression in versions.newest):
            sql += f" QUALIFY ROW_NUMBER() OVER (PARTITION BY `{versions.name}` ORDER BY {newest}) = 1"
        for row in self._query(sql, parameters, named=True):
            if row[_KEY] is None:
                raise JobError(f"a row without {versions.key} has come into BigQuery {self.target.id}; start again")
            if not row[_IS_DELETED]:
                yield Entry(self._key(row[_KEY]), self.form.of_row(row), row.get(_UPDATE_TIME))

    @property
    def _from(self) -> str:
        return f"FROM `{self.target.id}`"

    def _key(self, name: str) -> str:
        return name.removeprefix(self.versions.prefix)

    def _query(self, sql: str, parameters: Sequence[Any] = (), *, named: bool = False) -> Iterator[Any]:
        """The rows of a query, page by page; as dicts if `named`, else as tuples."""
        doing, breaker, attempts = f"reading BigQuery {self.target.id}", self.target.breaker, self.retry.attempts()

        def again(error: Exception) -> bool:
            meant = raised_for(error, doing, breaker) if isinstance(error, _FAILURES) else error
            return isinstance(meant, TransientError) and attempts.again(breaker.is_down)

        # A page that fails can be asked for again only by the iterator that asked for it: it asks us, and waits 0 s.
        retry = google_retry.Retry(predicate=again, initial=0.0, maximum=0.0, timeout=None)
        config = bigquery.QueryJobConfig(query_parameters=list(parameters), use_legacy_sql=False)
        try:
            client = self._connected()
            job = client.query(sql, job_config=config, retry=retry, job_retry=None, timeout=_TIMEOUT_S)
            rows = iter(job.result(page_size=_PAGE_ROWS, retry=retry, job_retry=None, timeout=_TIMEOUT_S))
            self.bytes_scanned += job.total_bytes_processed or 0
        except _FAILURES as error:
            raise raised_for(error, doing) from None
        while True:
            try:
                row = next(rows, None)
            except _FAILURES as error:
                raise raised_for(error, doing) from None
            if row is None:
                return
            breaker.succeeded()
            attempts.made = 1
            yield dict(row.items()) if named else row.values()

    def _connected(self) -> bigquery.Client:
        if self._client is None:
            self._client = self.target.client()
        return self._client

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}
