"""What is measured beside what. A suite is a list of cases that are run in turn, round after round.

    round 1:  A B C     round 2:  B C A     round 3:  C A B     ─▶ the median of each

A busy machine slows down for minutes at a time: what is run in turn is slowed down alike, so ratios hold where absolute
figures do not, and no case always comes first. Each run of a case has an emulator of its own, because Firestore's keeps
every old version of every document, grows slower by it, and at last answers WriteBatch no more; only cases that work on
the documents of another one share its emulator, and suites that look at CPU alone have one. Cases of listening start a
scripted server themselves.
"""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.measure import CaseError, Sample, run_case
from benchmarks.workload import write_profiles
from pipeline.emulators.mariadb import missing_program
from pipeline.emulators.start import DEMO_PREFIX, BigQueryEmulator, bigquery_emulator, firestore_emulator

BIGQUERY_PROJECT = "demo-benchmarks"
Say = Callable[[str], None]

_WARM_UPS = 3
_HEAP_GB = 8  # of an emulator: one that runs out of memory is busy with nothing else


@dataclass(frozen=True)
class Step:
    """One case and how it is shown.

    Attributes:
      label: its row.
      case: in `cases.CASES`.
      arguments: beside the project, which every run has anew.
      same_project_as: label of a step whose documents it works on; that step stands before it.
      needs_bigquery: left out where the BigQuery emulator cannot run.
    """

    label: str
    case: str
    arguments: Mapping[str, Any]
    same_project_as: str | None = None
    needs_bigquery: bool = False


@dataclass
class Suite:
    """Some steps that are compared.

    Attributes:
      elements: what is counted, such as profiles.
      baseline: label of the step that the others are compared with.
      rounds: how often each step is run.
      warm_up: run before every chain of steps until the emulator has compiled what the suite asks of it; None for
        cases that bring a server of their own.
      one_emulator: whether all chains share one, each in a project of its own: where only the client's CPU matters.
    """

    name: str
    title: str
    elements: str
    steps: list[Step]
    baseline: str | None
    rounds: int
    warm_up: Step | None
    one_emulator: bool = False


@dataclass
class Measured:
    """All runs of one step.

    Attributes:
      label, case, arguments: as in `Step`.
      samples: one a round.
    """

    label: str
    case: str
    arguments: Mapping[str, Any]
    samples: list[Sample] = field(default_factory=list)

    def median(self, figure: Callable[[Sample], float | None]) -> float | None:
        """Of one figure over the rounds; None where no round has it."""
        values = [value for sample in self.samples if (value := figure(sample)) is not None]
        return statistics.median(values) if values else None


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


def run_suite(suite: Suite, emulator: BigQueryEmulator | None, say: Say) -> list[Measured]:
    """Runs every step so many times, in turn; those that share documents on one Firestore emulator, the others not.

    Args:
      emulator: of BigQuery; holds `BIGQUERY_PROJECT`.
      say: told what is measured next.
    """
    steps = [step for step in suite.steps if emulator or not step.needs_bigquery]
    measured = {step.label: Measured(step.label, step.case, step.arguments) for step in steps}
    with _warm_emulator(suite) if suite.one_emulator else nullcontext() as host:
        for round_number in range(suite.rounds):
            turn = f"round {round_number + 1} of {suite.rounds}"
            for chain in _turned(_chains(steps), round_number):
                samples = _run_patiently(suite, chain, emulator, host, turn, say)
                for step, sample in zip(chain, samples, strict=True):
                    measured[step.label].samples.append(sample)
    return list(measured.values())


def _run_patiently(
    suite: Suite, chain: list[Step], emulator: BigQueryEmulator | None, host: str | None, turn: str, say: Say
) -> list[Sample]:
    """Runs a chain, once more as a whole if a step fails: the client library gives up on a slow moment."""
    try:
        return _run_chain(suite, chain, emulator, host, turn, say)
    except CaseError as failure:
        say(f"{suite.title}: {turn}: failed and is run once more; the end of the output: {str(failure)[-200:]}")
    return _run_chain(suite, chain, emulator, host, turn, say)


def _run_chain(
    suite: Suite, chain: list[Step], emulator: BigQueryEmulator | None, host: str | None, turn: str, say: Say
) -> list[Sample]:
    if suite.warm_up is None:
        return [_run_alone(suite, step, turn, say) for step in chain]
    samples = []
    project = _new_project()
    with nullcontext(host) if host else _warm_emulator(suite) as its_host:
        environ = {"FIRESTORE_EMULATOR_HOST": its_host} | _addresses(emulator)
        for step in chain:
            say(f"{suite.title}: {turn}: {step.label}")
            arguments = dict(step.arguments) | {"project": project}
            if step.needs_bigquery:
                arguments["bigquery_table"] = f"{BIGQUERY_PROJECT}:local.benchmark_{uuid.uuid4().hex[:8]}"
            samples.append(run_case(step.case, arguments, environ))
    return samples


@contextmanager
def _warm_emulator(suite: Suite) -> Iterator[str]:
    """A Firestore emulator that has compiled what the suite asks of it."""
    with firestore_emulator(max_heap_gb=_HEAP_GB) as host:
        for step in [suite.warm_up] * _WARM_UPS if suite.warm_up else []:
            arguments = dict(step.arguments) | {"project": _new_project()}
            run_case(step.case, arguments, {"FIRESTORE_EMULATOR_HOST": host})
        yield host


def _run_alone(suite: Suite, step: Step, turn: str, say: Say) -> Sample:
    say(f"{suite.title}: {turn}: {step.label}")
    return run_case(step.case, step.arguments, {})


def bigquery(say: Say) -> AbstractContextManager[BigQueryEmulator]:
    """A BigQuery emulator."""
    return bigquery_emulator(BIGQUERY_PROJECT, say=say)


def _addresses(emulator: BigQueryEmulator | None) -> dict[str, str]:
    if emulator is None:
        return {}
    named = {"BIGQUERY_EMULATOR_HOST": emulator.rest, "BIGQUERY_EMULATOR_GRPC_HOST": emulator.grpc}
    return {name: address for name, address in named.items() if address}


def _chains(steps: list[Step]) -> list[list[Step]]:
    """Steps that share documents, together and in their order.

    >>> a, b, a2 = Step("a", "x", {}), Step("b", "x", {}), Step("a2", "x", {}, same_project_as="a")
    >>> [[step.label for step in chain] for chain in _chains([a, b, a2])]
    [['a', 'a2'], ['b']]
    """
    owners = [step for step in steps if step.same_project_as is None]
    return [[owner, *(step for step in steps if step.same_project_as == owner.label)] for owner in owners]


def _turned(chains: list[list[Step]], by: int) -> list[list[Step]]:
    """The chains, beginning with another one."""
    first = by % len(chains)
    return chains[first:] + chains[:first]


def _pairs_warm_up(folder: Path) -> Step:
    n_profiles = 2_000
    path = str(write_profiles(folder / "profiles-warm-up.jsonl", n_profiles))
    return Step("warm-up", "ingest_bare_loop", {"path": path, "profiles": n_profiles})


def _new_project() -> str:
    return f"{DEMO_PREFIX}{uuid.uuid4().hex[:12]}"
