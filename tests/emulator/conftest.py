"""Fixtures that several tests on the emulators share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.emulators.start import BigQueryEmulator
from tests.support.export import ExportDesk
from tests.support.pubsub_topic import PulledTopic
from transforms.bigquery.target import BigQueryTarget
from transforms.firestore.target import FirestoreTarget


@pytest.fixture
def target(firestore_host: str, firestore_project: str, monkeypatch: pytest.MonkeyPatch) -> FirestoreTarget:
    """A database of the test's own, which jobs find as a user's would."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
    return FirestoreTarget(firestore_project, emulator_host=firestore_host)


@pytest.fixture
def table(
    bigquery: BigQueryEmulator, firestore_project: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BigQueryTarget]:
    """A table of the test's own, which does not exist yet; the emulator is slower by every table that is left in it."""
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery.rest)
    target = BigQueryTarget(bigquery.project, "local", firestore_project.replace("-", "_"), bigquery.rest)
    yield target
    target.client().delete_table(target.latest.id, not_found_ok=True)
    target.client().delete_table(target.id, not_found_ok=True)


@pytest.fixture
def topic(pubsub_host: str, firestore_project: str, monkeypatch: pytest.MonkeyPatch) -> PulledTopic:
    """A topic of the test's own, with a subscription."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_host)
    return PulledTopic(pubsub_host, firestore_project)


@pytest.fixture
def desk(
    firestore_host: str,
    firestore_project: str,
    bigquery: BigQueryEmulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ExportDesk]:
    """For exports: both emulators, a database and a table of the test's own."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery.rest)
    monkeypatch.setenv("BIGQUERY_EMULATOR_GRPC_HOST", bigquery.grpc)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bigquery.gcs)
    desk = ExportDesk(FirestoreTarget(firestore_project, emulator_host=firestore_host), bigquery, tmp_path)
    yield desk
    desk.clear()
