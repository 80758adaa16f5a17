"""How often the fields of a spec had a value in a run, and which fields look in the wrong places."""

from dataclasses import replace

import pytest

from tests.support.counted import outcome
from transforms.batch import EmptyField, FieldCount, FieldReport
from transforms.ledger.field_totals import FieldTotals, read_field_totals
from transforms.ledger.jobs import job_document
from transforms.ledger.runs import JobLedger
from transforms.ledger.totals import read_totals
from transforms.outcomes import RECORDS
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore, always, status

AT_ONCE = Retry(max_attempts=3, initial_s=0, max_s=0)
NO_INDEX = status("FAILED_PRECONDITION", "The query requires an index. You can create it here: https://…")
DOMAIN = EmptyField("domain", ("domain", "field[0]"), ("profile.fields",))


def report(records, name, price, uncleaned=0, empty=()):
    counts = {"name": FieldCount(name), "price": FieldCount(price, uncleaned), "domain": FieldCount()}
    return FieldReport(records, counts, empty)


def complete(server, *reports):
    document = job_document(server.target.connect(), "ingest-1", AT_ONCE)
    batches = JobLedger(document, RECORDS).batches
    for number, fields in enumerate(reports):
        batches.complete(replace(outcome(f"b-{number}", "a", 1, 1), fields=fields), 1)
    return document


def totals_of(document):
    return read_field_totals(document, read_totals(document, RECORDS))


@pytest.mark.parametrize("n_batches", [3, 9], ids=["read", "summed"])
@pytest.mark.parametrize("scripts", [{}, {"RunAggregationQuery": always(NO_INDEX)}], ids=["indexed", "not indexed"])
def test_fields_are_counted_over_all_batches(n_batches, scripts):
    with ScriptedFirestore(scripts=scripts) as server:
        reports = [report(10, 10, 7, 2, (DOMAIN,) if number == 1 else ()) for number in range(n_batches)]
        found = totals_of(complete(server, *reports))
    assert found.records == 10 * n_batches
    assert list(found.counts.items()) == [
        ("name", FieldCount(10 * n_batches)),
        ("price", FieldCount(7 * n_batches, 2 * n_batches)),
        ("domain", FieldCount()),
    ]
    assert found.empty == {"domain": DOMAIN}


def test_batches_without_fields_count_for_nothing():
    with ScriptedFirestore() as server:
        assert totals_of(complete(server, None, report(3, 3, 0), None)).records == 3
    with ScriptedFirestore() as server:
        assert totals_of(complete(server, None)) == FieldTotals()


@pytest.mark.parametrize(
    ("records", "count", "empty", "warning"),
    [
        (19, FieldCount(), {}, None),
        (20, FieldCount(1), {}, None),
        (20, FieldCount(), {}, "domain had a value in none of 20 records"),
        (
            2_000,
            FieldCount(),
            {"domain": DOMAIN},
            "domain had a value in none of 2,000 records: looked for in domain, field[0]; the records have "
            "profile.fields",
        ),
        (
            20,
            FieldCount(0, 3),
            {"domain": EmptyField("domain", ("domain",))},
            "domain had a value in none of 20 records: 3 had something that no cleaner could place; looked for in "
            "domain",
        ),
    ],
)
def test_a_field_that_is_empty_in_twenty_records_is_a_warning(records, count, empty, warning):
    totals = FieldTotals(records, {"name": FieldCount(records), "domain": count}, empty)
    assert list(totals.warnings) == ([warning] if warning else [])
