"""What BigQuery is asked for, what becomes of its answers, and of its failures."""

import concurrent.futures
import pickle
from typing import ClassVar

import pytest
from google.api_core.exceptions import Forbidden, RetryError, ServiceUnavailable

from transforms.bigquery.schema import Column
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError, TransientError
from transforms.firestore.ranges import Bound, NameRange
from transforms.verify.bigquery_store import BigQueryStore, RowVersions
from transforms.verify.forms import TypedForm
from transforms.verify.ignored import Ignored
from transforms.verify.table_kinds import KnownTable

VERSIONS = RowVersions(
    "document_name", "document_name", "p/", "`update_time`", ("`update_time`",), "`deleted_at` IS NOT NULL"
)
PLAIN = RowVersions("id", "id")
FORM = TypedForm(KnownTable.of([Column("n", "INT64")]), Ignored())


class ScriptedJob:
    """A query whose rows, or failures, are known beforehand."""

    total_bytes_processed = 1000

    def __init__(self, rows):
        self._rows = rows

    def result(self, **options):
        for row in self._rows:
            if isinstance(row, Exception):
                raise row
            yield row


class ScriptedTarget(BigQueryTarget):
    """A table whose client answers each query with the next script."""

    scripts: ClassVar[list] = []
    asked: ClassVar[list] = []

    def client(self):
        return self

    def query(self, sql, job_config, **options):
        self.asked.append((sql, {each.name: getattr(each, "value", None) for each in job_config.query_parameters}))
        script = self.scripts.pop(0)
        if isinstance(script, Exception):
            raise script
        return ScriptedJob(script)


def store_of(*scripts, versions=PLAIN):
    ScriptedTarget.scripts, ScriptedTarget.asked = list(scripts), []
    return BigQueryStore(ScriptedTarget("acme", "people", "users"), versions, FORM, rows_per_range=10)


def row(key, n=1, is_deleted=False, update_time=None):
    return {
        "n": n,
        "_firebeam_key": key,
        "_firebeam_is_deleted": is_deleted,
        "_firebeam_update_time": update_time,
    }


def test_a_range_is_one_parametrised_query_and_what_lies_outside_is_passed_over():
    store = store_of([row("p/a"), row("p/__id7__"), row("p/b"), row("p/c", is_deleted=True)], versions=VERSIONS)
    found = list(store.entries(NameRange(Bound("a"), Bound("b", after=True))))
    assert [(entry.key, entry.content) for entry in found] == [("a", {"n": 1}), ("b", {"n": 1})]
    ((sql, parameters),) = ScriptedTarget.asked
    assert sql == (
        "SELECT `n`, `document_name` AS _firebeam_key, `deleted_at` IS NOT NULL AS _firebeam_is_deleted, "
        "`update_time` AS _firebeam_update_time FROM `acme.people.users` WHERE "
        "((`document_name` >= @p0)) AND ((`document_name` < @p1) OR `document_name` = @p2 OR "
        "(`document_name` >= @p3 AND `document_name` < @p4)) "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY `document_name` ORDER BY `update_time` DESC) = 1"
    )
    assert parameters == {"p0": "p/a", "p1": "p/b", "p2": "p/b", "p3": "p/__id", "p4": "p/__ie"}
    assert store.bytes_scanned == 1000


def test_where_rows_have_no_versions_every_row_counts():
    store = store_of([row("a"), row("a")])
    assert len(list(store.entries(NameRange()))) == 2
    assert "QUALIFY" not in ScriptedTarget.asked[0][0]


def test_documents_are_read_again_by_their_names():
    store = store_of([row("p/a")], versions=VERSIONS)
    assert [entry.key for entry in store.refetch(["a", "b"])] == ["a"]
    assert "`document_name` IN UNNEST(@keys)" in ScriptedTarget.asked[0][0]


def test_ranges_are_cut_at_quantiles_in_firestores_order():
    store = store_of([{"rows": 35}], [{"names": ["__id2__", "__id10__", "a", "b", "b"]}])
    assert [span.start and span.start.path for span in store.ranges(100)] == [None, "__id10__", "a", "b"]
    assert ScriptedTarget.asked[1][0] == "SELECT APPROX_QUANTILES(`id`, 4) FROM `acme.people.users`"
    assert store_of([{"rows": 35}]).ranges(1) == [NameRange()]
    assert store_of([{"rows": 0}]).ranges(100) == [NameRange()]


def test_a_row_that_names_no_document_stops_the_job():
    with pytest.raises(JobError, match=r"a row without id has come into BigQuery acme\.people\.users; start again"):
        list(store_of([row(None)]).entries(NameRange()))


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        (Forbidden("no access"), JobError, r"reading BigQuery acme\.people\.users: no access.*grant roles/bigquery"),
        ([row("a"), ServiceUnavailable("away")], TransientError, r"reading BigQuery acme\.people\.users: away"),
        ([concurrent.futures.TimeoutError()], TransientError, r"reading BigQuery acme\.people\.users: no answer"),
        ([row("a"), RetryError("gave up", None)], TransientError, r"reading BigQuery acme\.people\.users: no answer"),
    ],
)
def test_a_failure_says_what_was_read_and_whether_it_may_pass(script, error, message):
    with pytest.raises(error, match=message):
        list(store_of(script).entries(NameRange()))


def test_a_store_goes_to_its_workers_without_its_client():
    store = store_of([row("a")])
    list(store.entries(NameRange()))
    assert pickle.loads(pickle.dumps(store)).versions == PLAIN
