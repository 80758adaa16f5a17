"""What is measured beside what: the suites, each a list of cases that `turns.py` runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.turns import Step, Suite
from benchmarks.workload import write_profiles
from pipeline.emulators.mariadb import missing_program

_DOCUMENTS_WARM_UP = Step("warm-up", "write_bare_loop", {"documents": 4_000})


def ingest_suites(folder: Path, sizes: list[int], rounds: int) -> Iterator[Suite]:
    """Ingest by input size, without BigQuery and with it; beside its peers at the smallest and the largest."""
    warm_up = _pairs_warm_up(folder)
    for n_profiles in sizes:
        path = str(write_profiles(folder / f"profiles-{n_profiles}.jsonl", n_profiles))
        both = {"path": path, "profiles": n_profiles}
        steps = [
            Step("ingest", "ingest", both),
            Step("ingest, run again", "ingest", both | {"written": 0}, same_project_as="ingest"),
            Step("ingest with BigQuery", "ingest", both, needs_bigquery=True),
        ]
        if n_profiles in (min(sizes), max(sizes)):
            steps += [
                Step("bare loop", "ingest_bare_loop", both),
                Step("bare loop, run again", "ingest_bare_loop", both | {"written": 0}, same_project_as="bare loop"),
                Step("DoFn with WriteBatch", "ingest_write_batch", both),
                Step("DoFn with BulkWriter", "ingest_bulk_writer", both),
            ]
        title = f"ingest, {n_profiles:,} profiles"
        yield Suite(f"ingest_{n_profiles}", title, "profiles", steps, "ingest", rounds, warm_up)


def tuning_suite(folder: Path, n_profiles: int, rounds: int) -> Suite:
    """Ingest by batch size and by Commits on the wire."""
    path = str(write_profiles(folder / f"profiles-tuning-{n_profiles}.jsonl", n_profiles))
    both = {"path": path, "profiles": n_profiles}
    steps = [
        Step(f"batch {size}, {flying} in flight", "ingest", both | {"batch_size": size, "max_in_flight": flying})
        for size, flying in ((50, 2), (100, 2), (250, 2), (500, 1), (500, 2), (500, 4))
    ]
    title = f"ingest by batch size, {n_profiles:,} profiles"
    return Suite("tuning", title, "profiles", steps, None, rounds, _pairs_warm_up(folder))


def connector_suites(n_documents: int, rounds: int) -> Iterator[Suite]:
    """The connector's write and read beside a bare loop and the client library."""
    size = {"documents": n_documents}
    writes = [
        Step("WriteToFirestore", "write_to_firestore", size),
        Step("the same graph, no write", "write_nothing", size),
        Step("bare BatchWrite loop", "write_bare_loop", size),
        Step("BulkWriter, unthrottled", "write_bulk_writer", size),
    ]
    title = f"write, {n_documents:,} documents of 1.8 KB"
    yield Suite("write", title, "documents", writes, "WriteToFirestore", rounds, _DOCUMENTS_WARM_UP)
    stored = "bare BatchWrite loop"
    reads = [
        Step(stored, "write_bare_loop", size),
        Step("reader", "read_reader", size, same_project_as=stored),
        Step("ReadFromFirestore", "read_from_firestore", size, same_project_as=stored),
        Step("stream().to_dict()", "read_stream", size, same_project_as=stored),
    ]
    title = f"read, {n_documents:,} documents of 1.8 KB"
    yield Suite("read", title, "documents", reads, "reader", rounds, _DOCUMENTS_WARM_UP)


def export_suites(n_documents: int, rounds: int) -> Iterator[Suite]:
    """Export of documents with every type, and of many plain ones by each method, beside a loop written by hand."""
    for title, store, case, n in (
        ("export, 600 documents with every type", "every type stored", "store_every_type", 600),
        (f"export, {n_documents:,} documents of 1.8 KB", "bare BatchWrite loop", "write_bare_loop", n_documents),
    ):
        size = {"documents": n}
        steps = [Step(store, case, size)]
        for label, flags in (
            ("export, insertAll, merged", ["--bigquery_method=INSERT_ROWS"]),
            ("export, insertAll, appended", ["--bigquery_method=INSERT_ROWS", "--write=append"]),
            ("export, Storage Write API, appended", ["--bigquery_method=STORAGE_WRITE", "--write=append"]),
        ):
            steps.append(Step(label, "export", size | {"flags": flags}, same_project_as=store, needs_bigquery=True))
        steps.append(Step("by hand, insertAll", "export_by_hand", size, same_project_as=store, needs_bigquery=True))
        baseline = "export, insertAll, appended"
        yield Suite(f"export_{n}", title, "documents", steps, baseline, rounds, _DOCUMENTS_WARM_UP)


def memory_suites(folder: Path, n_small: int, n_large: int) -> Iterator[Suite]:
    """Peak memory at two sizes: it should be the same."""
    for n in (n_small, n_large):
        path = str(write_profiles(folder / f"profiles-memory-{n}.jsonl", n))
        step = Step("ingest", "ingest", {"path": path, "profiles": n})
        title = f"memory of ingest, {n:,} profiles"
        yield Suite(f"memory_ingest_{n}", title, "profiles", [step], None, 1, _pairs_warm_up(folder))
    for n in (n_small, n_large):
        size = {"documents": n}
        steps = [
            Step("WriteToFirestore", "write_to_firestore", size),
            Step("ReadFromFirestore", "read_from_firestore", size, same_project_as="WriteToFirestore"),
        ]
        title = f"memory of the connector, {n:,} documents"
        yield Suite(f"memory_connector_{n}", title, "documents", steps, None, 1, _DOCUMENTS_WARM_UP)


def batches_suite(folder: Path, rounds: int) -> Suite:
    """Batches at a provider beside waiting for all of them, and beside asking for each."""
    steps = [
        Step("ingest", "batches", {"how": "ingest"}),
        Step("wait for all", "batches", {"how": "wait_for_all"}),
        Step("one request per batch", "batches", {"how": "one_by_one"}),
    ]
    title = "101 batches at a provider, one of them slow"
    return Suite("batches", title, "profiles", steps, "ingest", rounds, _pairs_warm_up(folder))


def analysis_suite(folder: Path, rounds: int) -> Suite:
    """A model is asked about each record: beside OpenAI's client alone, and beside Beam's RunInference."""
    n_profiles, n_one_by_one = 2_000, 60
    path = str(write_profiles(folder / f"profiles-analysis-{n_profiles}.jsonl", n_profiles))
    both = {"path": path, "profiles": n_profiles}
    steps = [
        Step("ingest with analysis", "analyse", both),
        Step("run again", "analyse", both | {"again": True}),
        Step("OpenAI's client, calls alone", "openai_calls", both),
        Step("RunInference, one by one", "run_inference", both | {"profiles": n_one_by_one}),
    ]
    title = f"analysis of {n_profiles:,} profiles, 200 ms per answer, 32 at once"
    return Suite("analysis", title, "profiles", steps, "ingest with analysis", rounds, _pairs_warm_up(folder))


def migrate_suites(n_items: int, rounds: int) -> Iterator[Suite]:
    """A container copied and audited, few items and many, beside the fewest lines that copy it."""
    for n in (n_items // 5, n_items):
        size, copied = {"items": n}, "migrate --mode=copy"
        steps = [
            Step("bare loop", "migrate_bare_loop", size),
            Step(copied, "migrate", size | {"mode": "copy"}),
            Step("migrate --mode=audit", "migrate", size | {"mode": "audit"}, same_project_as=copied),
            Step("copy again", "migrate", size | {"mode": "copy", "again": True}),
            Step("feed and WriteBatch", "migrate_write_batch", size),
        ]
        title = f"migrate, {n:,} items of 3.0 KB"
        yield Suite(f"migrate_{n}", title, "items", steps, "bare loop", rounds, _DOCUMENTS_WARM_UP, one_emulator=True)


def listen_suites(n_documents: int, rounds: int) -> Iterator[Suite]:
    """A listener beside a bare loop and the client library's: few and many documents, many streams, bursts, silence."""
    labels = {"firebeam": "ListenToFirestore", "bare": "bare loop", "on_snapshot": "on_snapshot"}

    def suite(name: str, title: str, elements: str, case: str, arguments: Mapping[str, Any]) -> Suite:
        steps = [Step(label, case, {"listener": listener} | arguments) for listener, label in labels.items()]
        return Suite(f"listen_{name}", title, elements, steps, "bare loop", rounds, None)

    for n in (n_documents // 16, n_documents):
        many = suite(f"known_{n}", f"one change after the other, {n:,} documents known", "changes", "listen_known", {})
        # The client library's cost grows with the collection, to most of a second per change.
        changes = {"on_snapshot": 10}
        many.steps = [
            replace(step, arguments=step.arguments | {"documents": n, "changes": changes.get(step.label, 200)})
            for step in many.steps
        ]
        yield many
    paced = {"changes": 800, "interval_s": 0.02}
    yield suite("streams", "a change every 20 ms in one of 8 streams", "changes", "listen_streams", paced)
    yield suite("burst", "5,000 changes at once", "changes", "listen_burst", {"changes": 5_000})
    yield suite("idle", "8 streams without a change", "runs", "listen_idle", {"seconds": 25})
    alone = [Step("ListenToFirestore", "listen_hour", {"listener": "firebeam"})]
    yield Suite("listen_hour", "a simulated hour, 8 streams", "changes", alone, None, 1, None)


def page_suites(rounds: int) -> Iterator[Suite]:
    """The status page by the number of batches, and what one who looks costs the ledger beside twenty."""
    for n in (100, 1_000, 10_000):
        size, store = {"batches": n}, "the ledger"
        steps = [
            Step(store, "page_store", size),
            Step("first look", "page_first", size, same_project_as=store),
            Step("next look", "page_later", size, same_project_as=store),
        ]
        yield Suite(f"page_{n}", f"status page, {n:,} batches", "batches", steps, None, rounds, _DOCUMENTS_WARM_UP)
    people = [Step(f"{n} looking", "page_viewers", {"people": n}) for n in (1, 20)]
    yield Suite("page_viewers", "status page, who looks at a running job", "pages", people, "1 looking", rounds, None)


def objects_suite(rounds: int) -> Suite:
    """Small files on S3 beside the bare loop of its client."""
    size = {"files": 1_000}
    steps = [Step("bare get_object loop", "objects_bare", size), Step("found and read", "objects_read", size)]
    return Suite("objects", "1,000 small files on S3", "files", steps, "bare get_object loop", rounds, None)


def source_suites(n_rows: int, rounds: int) -> Iterator[Suite]:
    """A table: its rows beside a bare loop; of PostgreSQL its export beside one by hand, and beside a second run.

    MariaDB is left out where the machine does not have it.
    """
    size = {"rows": n_rows}
    reads = [Step("bare COPY loop", "source_copy", size), Step("COPY to rows of BigQuery", "source_rows", size)]
    yield Suite("sources_read", f"rows of {n_rows:,} rows", "rows", reads, "bare COPY loop", rounds, None)
    if missing_program() is None:
        bare = Step("bare PyMySQL loop", "mysql_select", size)
        reads = [bare, Step("SELECT to rows of BigQuery", "mysql_rows", size)]
        yield Suite("sources_mysql", f"MariaDB, rows of {n_rows:,} rows", "rows", reads, bare.label, rounds, None)
    size = {"rows": n_rows // 10}
    exports = [
        Step(label, case, size, needs_bigquery=True)
        for label, case in (
            ("export, insertAll, merged", "source_export"),
            ("SQLAlchemy, insert_rows_json", "source_by_hand"),
            ("export again, nothing changed", "source_unchanged"),
        )
    ]
    title = f"export of a table, {n_rows // 10:,} rows"
    yield Suite("sources_export", title, "rows", exports, exports[0].label, rounds, _DOCUMENTS_WARM_UP)
    for n in (n_rows // 10, n_rows * 10):
        step = Step("COPY to rows of BigQuery", "source_rows", {"rows": n})
        yield Suite(f"sources_memory_{n}", f"memory of {n:,} rows", "rows", [step], None, 1, None)


def _pairs_warm_up(folder: Path) -> Step:
    n_profiles = 2_000
    path = str(write_profiles(folder / "profiles-warm-up.jsonl", n_profiles))
    return Step("warm-up", "ingest_bare_loop", {"path": path, "profiles": n_profiles})
