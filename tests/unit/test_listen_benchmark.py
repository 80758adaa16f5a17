"""The listen benchmark on a few documents: every listener receives everything, and the report shows what it says."""

import pytest

from benchmarks import report
from benchmarks.cases import CASES
from benchmarks.measure import Sample, run_case
from benchmarks.suites import listen_suites
from benchmarks.turns import Measured
from benchmarks.workload import watched
from transforms.firestore.values import serialised_fields

PEERS = [pytest.param(name, marks=pytest.mark.soak) for name in ("bare", "on_snapshot")]


@pytest.mark.parametrize("listener", ["firebeam", *PEERS])
def test_each_listener_sees_the_first_result_and_every_change(listener):
    sample = run_case("listen_known", {"listener": listener, "documents": 20, "changes": 3}, {})
    assert sample.elements == 3
    assert sample.extra["documents"] == 20
    assert 0 < sample.extra["latency_ms"]["p50"] <= sample.extra["latency_ms"]["p99"]
    assert min(sample.cpu_s, sample.extra["first_cpu_us"], sample.extra["held_mb"]) > 0


@pytest.mark.soak
def test_no_change_of_a_burst_is_lost():
    sample = run_case("listen_burst", {"listener": "firebeam", "changes": 700}, {})
    assert sample.elements == 700


def test_the_suites_name_cases_there_are_each_beside_a_bare_loop():
    for suite in listen_suites(160, 1):
        assert {step.case for step in suite.steps} <= CASES.keys()
        assert suite.baseline in {step.label for step in suite.steps} or len(suite.steps) == 1


def test_memory_of_a_known_document_is_the_slope_between_few_and_many():
    few, many = (
        (suite, [measured(step.label, step.arguments["documents"], megabytes) for step in suite.steps])
        for suite, megabytes in zip(listen_suites(1600, 1), (200.0, 200.3), strict=False)
    )
    ((label, n_bytes), *_) = report.SLOPES["one_more_known_document_bytes"].lines([few, many])
    assert (label, round(n_bytes)) == ("ListenToFirestore", 200)


def measured(label, documents, held_mb):
    sample = Sample(10, 1.0, 1.0, 300.0, {"documents": documents, "held_mb": held_mb})
    return Measured(label, "listen_known", {}, [sample])


def test_a_watched_document_has_the_size_that_the_report_names():
    fields = watched("x" * 120, 1_000, 10**15)
    assert len(fields) == 20
    assert 1_450 < len(serialised_fields(fields)) < 1_600
