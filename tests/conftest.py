"""What every test may use: the real emulators, started when the first test asks for them.

On a computer that cannot run an emulator the tests that need it are skipped, with the reason; with
FIREBEAM_REQUIRE_EMULATORS=1, as in continuous integration, they fail instead. No test ever sees real credentials.
"""

import gc
import os
import signal
import uuid
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from pipeline.emulators.start import (
    BigQueryEmulator,
    EmulatorMissingError,
    bigquery_emulator,
    firestore_emulator,
    pubsub_emulator,
)
from tests.support.azurite import running_azurite
from tests.support.cosmosdb_server import running_cosmosdb_server
from tests.support.credentials import write_credentials
from tests.support.mariadb import MariaDatabase, MariaServer, new_mariadb, running_mariadb
from tests.support.moto import running_s3
from tests.support.objects import Bucket, Container
from tests.support.postgresql import Database, new_database, running_server
from transforms.testing.cosmos import ScriptedCosmos, scripted_cosmos

# Else it writes a line for every connection that a stopped server ends.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

# The emulators live for minutes: Java's second compiler and parallel collector cost more than they ever give back.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

T = TypeVar("T")

# A deadline measures the machine, not the code; so does how long examples take to be drawn.
settings.register_profile("firebeam", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("firebeam")

# A shell starts what runs in its background deaf to SIGINT, and every process below it with it. A function that each
# process calls before it runs its program would need a fork of this one, in which gRPC's threads can end the child.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects no garbage while everything is imported, which stays: it would be looked through again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def fake_credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Application-default credentials that never expire and open nothing."""
    file = write_credentials(tmp_path_factory.mktemp("credentials"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        yield file


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Path]:
    """The folder of a PostgreSQL server's socket."""
    with running_server() as folder:
        yield folder


@pytest.fixture
def database(postgresql_server: Path) -> Database:
    """An empty database of PostgreSQL."""
    return new_database(postgresql_server)


@pytest.fixture(scope="session")
def cosmos() -> Iterator[ScriptedCosmos]:
    """An account of Cosmos DB that nothing goes wrong with, unless a test says so for the duration of a block."""
    with scripted_cosmos() as server:
        yield server


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """An S3 server."""
    with running_s3() as url:
        yield url


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, which jobs find as a user's would."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return Bucket(s3_url)


@pytest.fixture(scope="session")
def npm_cosmos() -> Iterator[str]:
    """The endpoint of npm's cosmosdb-server, which judges the scripted account."""
    with _or_skip(running_cosmosdb_server()) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of an Azure Blob server."""
    with _or_skip(running_azurite()) as connection_string:
        yield connection_string


@pytest.fixture
def container(azurite: str, monkeypatch: pytest.MonkeyPatch) -> Container:
    """An empty container, which jobs find as a user's would."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite)
    return Container(azurite)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaServer]:
    """A MariaDB server."""
    with running_mariadb() as server:
        yield server


@pytest.fixture
def mariadb(mariadb_server: MariaServer) -> MariaDatabase:
    """An empty database of MariaDB."""
    return new_mariadb(mariadb_server)


@pytest.fixture(scope="session")
def firestore_host() -> Iterator[str]:
    """Host and port of the Firestore emulator."""
    with _or_skip(firestore_emulator()) as host:
        yield host


@pytest.fixture(scope="session")
def pubsub_host() -> Iterator[str]:
    """Host and port of the Pub/Sub emulator."""
    with _or_skip(pubsub_emulator()) as host:
        yield host


@pytest.fixture(scope="session")
def bigquery() -> Iterator[BigQueryEmulator]:
    """The BigQuery emulator, with a Cloud Storage emulator beside it."""
    with _or_skip(bigquery_emulator("demo-firebeam")) as emulator:
        yield emulator


@pytest.fixture
def firestore_project() -> str:
    """A project name of the test's own, so that no test sees another's documents."""
    return f"demo-{uuid.uuid4().hex[:12]}"


@contextmanager
def _or_skip(emulator: AbstractContextManager[T]) -> Iterator[T]:
    try:
        started = emulator.__enter__()
    except EmulatorMissingError as missing:
        if os.environ.get("FIREBEAM_REQUIRE_EMULATORS") == "1":
            raise
        pytest.skip(str(missing))
    try:
        yield started
    finally:
        emulator.__exit__(None, None, None)
