"""Fixtures that several tests on the emulators share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.local import BigQueryEmulator
from tests.support.export import ExportDesk
from transforms.firestore.client import FirestoreTarget


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
