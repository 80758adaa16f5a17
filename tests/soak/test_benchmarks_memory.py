"""Memory does not grow with the input: ten times the input, at most 1.2 times the memory. Each run is a process."""

import uuid

import pytest

from benchmarks.measure import run_case
from benchmarks.workload import write_profiles
from pipeline.emulators.start import firestore_emulator

SMALL, LARGE = 10_000, 100_000
MAX_GROWTH = 1.2

pytestmark = [pytest.mark.soak, pytest.mark.emulator, pytest.mark.timeout(3_600)]


@pytest.fixture
def environ(firestore_host):
    """An emulator of the test's own, because it keeps old versions; `firestore_host` skips where none can run."""
    with firestore_emulator(max_heap_gb=8) as host:
        yield {"FIRESTORE_EMULATOR_HOST": host}


def new_project():
    return f"demo-{uuid.uuid4().hex[:12]}"


def test_ingest_of_ten_times_the_profiles_takes_no_more_memory(environ, tmp_path):
    peaks = {}
    for n in (SMALL, LARGE):
        path = write_profiles(tmp_path / f"profiles-{n}.jsonl", n)
        peaks[n] = run_case("ingest", {"path": str(path), "profiles": n, "project": new_project()}, environ).peak_mb

    assert peaks[LARGE] <= MAX_GROWTH * peaks[SMALL]


def test_writing_and_reading_ten_times_the_documents_takes_no_more_memory(environ):
    projects = {n: new_project() for n in (SMALL, LARGE)}
    peaks = {
        (case, n): run_case(case, {"documents": n, "project": projects[n]}, environ).peak_mb
        for case in ("write_to_firestore", "read_from_firestore")
        for n in (SMALL, LARGE)
    }

    for case in ("write_to_firestore", "read_from_firestore"):
        assert peaks[case, LARGE] <= MAX_GROWTH * peaks[case, SMALL], case


def test_auditing_ten_times_the_items_of_a_container_takes_no_more_memory(environ):
    size = {n: {"items": n, "mode": "audit", "project": new_project()} for n in (SMALL, LARGE)}
    peaks = {n: run_case("migrate_generated", arguments, environ).peak_mb for n, arguments in size.items()}

    assert peaks[LARGE] <= MAX_GROWTH * peaks[SMALL]


def test_exporting_ten_times_the_documents_takes_no_more_memory(environ, bigquery):
    addresses = {"BIGQUERY_EMULATOR_HOST": bigquery.rest, "BIGQUERY_EMULATOR_GRPC_HOST": bigquery.grpc}
    peaks = {}
    for n in (SMALL, LARGE):
        stored = {"documents": n, "project": new_project()}
        run_case("write_bare_loop", stored, environ)
        table = f"{bigquery.project}:local.memory_{n}_{uuid.uuid4().hex[:8]}"
        arguments = stored | {"bigquery_table": table, "flags": ["--write=append"]}
        peaks[n] = run_case("export", arguments, environ | addresses).peak_mb

    assert peaks[LARGE] <= MAX_GROWTH * peaks[SMALL]
