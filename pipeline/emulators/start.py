"""Runs the real Firestore, Pub/Sub and BigQuery emulators on free loopback ports, for the demo and the tests.

    FIRESTORE_EMULATOR_HOST, else gcloud's or firebase-tools' emulator   ─▶ firestore_emulator() ─▶ "127.0.0.1:PORT"
    PUBSUB_EMULATOR_HOST, else gcloud's or firebase-tools' emulator      ─▶ pubsub_emulator()    ─▶ "127.0.0.1:PORT"
    BIGQUERY_EMULATOR_HOST, else local-bigquery in a cached environment  ─▶ bigquery_emulator()  ─▶ BigQueryEmulator
                                 + gcp-storage-emulator, where load jobs read their files

An emulator that the environment names is used as it is, neither started nor stopped. One that is started here ends with
the `with` block, and when this process is killed it ends as well. Its data is in memory or in a temporary directory,
and gone afterwards.

    with firestore_emulator() as host, bigquery_emulator("demo-mine") as bigquery:
        print(host, bigquery.rest)
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.emulators import EmulatorMissingError, EmulatorStartError
from pipeline.emulators.environment import DUCKDB_HOME, bigquery_environment, python_of
from pipeline.emulators.machine import FIRESTORE, PUBSUB, JavaEmulator, find_jar, find_java
from pipeline.emulators.processes import LOOPBACK, Server, serve
from transforms.errors import UsageError

__all__ = [
    "BigQueryEmulator",
    "EmulatorMissingError",
    "EmulatorStartError",
    "bigquery_emulator",
    "check_demo_project",
    "firestore_emulator",
    "pubsub_emulator",
    "storage_emulator",
]

DEMO_PREFIX = "demo-"
BUCKET = "firebeam"

# The emulator keeps old versions of every document: without a bound it takes a quarter of the computer's memory.
_MAX_HEAP_GB = 2

# Its queries are small: a second thread of DuckDB costs more than it takes off the first.
_BIGQUERY_MAIN = """
import sys
import duckdb
connect = duckdb.connect
duckdb.connect = lambda *args, config=(), **more: connect(*args, config={**dict(config), "threads": 1}, **more)
from local_bigquery.cli import main
main(sys.argv[1:])
"""


@dataclass(frozen=True)
class BigQueryEmulator:
    """Where a BigQuery emulator answers.

    Attributes:
      project: the project it holds; its name starts with `demo-`.
      rest: URL of the REST API, such as `http://127.0.0.1:9050`.
      grpc: host and port of the Storage Read and Write APIs; None where BIGQUERY_EMULATOR_GRPC_HOST should tell.
      gcs: URL of the Cloud Storage emulator that load jobs read from; None where STORAGE_EMULATOR_HOST should tell.
      bucket: a bucket that exists there.
    """

    project: str
    rest: str
    grpc: str | None
    gcs: str | None
    bucket: str = BUCKET


@contextlib.contextmanager
def firestore_emulator(environ: Mapping[str, str] = os.environ, max_heap_gb: int = _MAX_HEAP_GB) -> Iterator[str]:
    """Yields host and port of a Firestore emulator.

    Args:
      environ: where FIRESTORE_EMULATOR_HOST, PATH, HOME and the like are looked up.
      max_heap_gb: memory for its documents and their old versions; 100,000 profiles need more than two.

    Raises:
      EmulatorMissingError: it or Java is not installed; the message names the command.
      EmulatorStartError: it did not start; the message shows its log.
    """
    # Not gcloud's own wrapper: it leaves Java running when it is ended.
    jvm_flags = (f"-Xmx{max_heap_gb}g", "-Duser.language=en")
    with _java_emulator(FIRESTORE, environ, jvm_flags, ("start",)) as host:
        yield host


@contextlib.contextmanager
def pubsub_emulator(environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Yields host and port of a Pub/Sub emulator. Arguments and errors as `firestore_emulator`."""
    with _java_emulator(PUBSUB, environ, ("-Duser.language=en",), ()) as host:
        yield host


@contextlib.contextmanager
def _java_emulator(
    emulator: JavaEmulator, environ: Mapping[str, str], jvm_flags: Sequence[str], arguments: Sequence[str]
) -> Iterator[str]:
    host = environ.get(emulator.variable)
    if host:
        yield host
        return
    jar = find_jar(emulator, environ)
    java = find_java(emulator, jar, environ)

    def command(ports: Sequence[int], directory: Path) -> Sequence[str]:
        address = (f"--host={LOOPBACK}", f"--port={ports[0]}")
        return [str(java), *jvm_flags, "-cp", str(jar), emulator.main_class, *arguments, *address]

    with serve(Server(emulator.name, 1, command, _root_of_first_port, dict(environ))) as (port,):
        yield f"{LOOPBACK}:{port}"


@contextlib.contextmanager
def bigquery_emulator(
    project: str, environ: Mapping[str, str] = os.environ, say: Callable[[str], None] | None = None
) -> Iterator[BigQueryEmulator]:
    """Yields the addresses of a BigQuery emulator that holds `project`, with one empty dataset, `local`.

    Args:
      project: must start with `demo-`.
      environ: where BIGQUERY_EMULATOR_HOST, PATH, HOME and the like are looked up.
      say: prints one line when the emulator has to be installed first; default: to standard error.

    Raises:
      UsageError: `project` could be a real one.
      EmulatorMissingError: no Python is new enough for it, or it cannot be installed; the message says what to do.
      EmulatorStartError: it did not start; the message shows its log.
    """
    check_demo_project(project)
    host = environ.get("BIGQUERY_EMULATOR_HOST")
    if host:
        storage = environ.get("STORAGE_EMULATOR_HOST")
        grpc = environ.get("BIGQUERY_EMULATOR_GRPC_HOST") or None
        yield BigQueryEmulator(project, _with_scheme(host), grpc, _with_scheme(storage) if storage else None)
        return
    environment = bigquery_environment(environ, say or _to_stderr)
    with contextlib.ExitStack() as running:
        gcs = running.enter_context(_storage_of(environment, environ))
        own = {**_own_environ(environment, environ), "STORAGE_EMULATOR_HOST": gcs}
        rest_port, grpc_port = running.enter_context(serve(_bigquery_server(environment, project, own)))
        yield BigQueryEmulator(project, f"http://{LOOPBACK}:{rest_port}", f"{LOOPBACK}:{grpc_port}", gcs)


@contextlib.contextmanager
def storage_emulator(
    environ: Mapping[str, str] = os.environ, say: Callable[[str], None] | None = None
) -> Iterator[str]:
    """Yields the URL of a Cloud Storage emulator with one empty bucket, `firebeam`. Raises as `bigquery_emulator`."""
    with _storage_of(bigquery_environment(environ, say or _to_stderr), environ) as url:
        yield url


@contextlib.contextmanager
def _storage_of(environment: Path, environ: Mapping[str, str]) -> Iterator[str]:
    with serve(_storage_server(environment, _own_environ(environment, environ))) as (port,):
        yield f"http://{LOOPBACK}:{port}"


def _own_environ(environment: Path, environ: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": environ.get("PATH", os.defpath), "HOME": str(environment / DUCKDB_HOME)}


def check_demo_project(project: str) -> None:
    """Refuses a project name that could be a real project's.

    Raises:
      UsageError: it does not start with `demo-`.
    """
    if not project.startswith(DEMO_PREFIX):
        raise UsageError(
            f"an emulator's project must start with {DEMO_PREFIX}, got {project!r}: try {DEMO_PREFIX + project!r}"
        )


def _storage_server(environment: Path, environ: Mapping[str, str]) -> Server:
    def command(ports: Sequence[int], directory: Path) -> Sequence[str]:
        # Modules, not the environment's scripts: those name the directory in which they were built.
        start = ("gcp_storage_emulator", "start", "--in-memory", "--quiet", f"--default-bucket={BUCKET}")
        return [str(python_of(environment)), "-m", *start, f"--host={LOOPBACK}", f"--port={ports[0]}"]

    return Server("the Cloud Storage emulator", 1, command, _root_of_first_port, environ)


def _bigquery_server(environment: Path, project: str, environ: Mapping[str, str]) -> Server:
    def command(ports: Sequence[int], directory: Path) -> Sequence[str]:
        address = ("--host", LOOPBACK, "--port", str(ports[0]), "--grpc-port", str(ports[1]))
        return [
            str(python_of(environment)),
            *("-c", _BIGQUERY_MAIN),
            *address,
            "--project",
            project,
            "--data-dir",
            str(directory / "data"),
        ]

    return Server("the BigQuery emulator", 2, command, _root_of_first_port, environ)


def _root_of_first_port(ports: Sequence[int]) -> str:
    return f"http://{LOOPBACK}:{ports[0]}/"


def _with_scheme(host: str) -> str:
    """
    >>> _with_scheme("127.0.0.1:9050"), _with_scheme("http://localhost:9050/")
    ('http://127.0.0.1:9050', 'http://localhost:9050')
    """
    return (host if "://" in host else f"http://{host}").rstrip("/")


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
