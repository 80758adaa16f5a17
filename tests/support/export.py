"""Runs the export job as a user would, and reads back what it left behind."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import main
from pipeline.emulators.start import BigQueryEmulator
from tests.support.faulty_firestore import FaultyFirestore, Incoming
from transforms.bigquery.target import BigQueryTarget
from transforms.export.columns import fixed_columns
from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import serialised_fields


@dataclass
class ExportDesk:
    """A database, a table nobody else has, and a folder for what a run says."""

    database: FirestoreTarget
    bigquery: BigQueryEmulator
    folder: Path
    table: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:10]}")
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> BigQueryTarget:
        """The table."""
        return BigQueryTarget(self.bigquery.project, "local", self.table, self.bigquery.rest)

    def store(self, documents: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Writes documents by path; None deletes one."""
        store(self.database, documents)

    def export(self, *flags: str) -> int:
        """Runs `firebeam export` in this process and returns its exit code; `summary` is what the run said."""
        summary = self.folder / "summary.json"
        summary.unlink(missing_ok=True)
        exit_code = main(
            [
                "export",
                f"--project={self.database.project}",
                f"--bigquery_table={self.bigquery.project}:local.{self.table}",
                f"--dead_letters={self.folder / 'dead_letters'}",
                f"--summary={summary}",
                *(flags if any(flag.startswith(_INPUTS) for flag in flags) else ("--collection=users", *flags)),
            ]
        )
        self.summary = json.loads(summary.read_text()) if summary.exists() else {}
        return exit_code

    def export_refused(self, marker: bytes, *flags: str, passed: int = 0) -> int:
        """As `export`, with a Firestore that refuses Commits which hold a marker, after the first few; in `refused`."""
        seen = itertools.count()

        def refuse(request: Incoming) -> RpcError | None:
            if request.rpc == "Commit" and marker in request.body and next(seen) >= passed:
                return RpcError("PERMISSION_DENIED", "somebody took the role away")
            return None

        with FaultyFirestore(self.emulator_host, refuse=refuse) as server, pytest.MonkeyPatch.context() as patch:
            patch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
            return self.export(*flags)

    @property
    def emulator_host(self) -> str:
        """Of the Firestore emulator."""
        assert self.database.emulator_host
        return self.database.emulator_host

    def counts(self) -> tuple[int, ...]:
        """What the last run read, wrote, and found unchanged."""
        return tuple(self.summary[name] for name in ("read", "written", "unchanged"))

    def rows(self, suffix: str = "_latest", order: str = "document_name") -> list[dict[str, Any]]:
        """The rows of the table or one of its companions."""
        sql = f"SELECT * FROM `{self.target.id}{suffix}` ORDER BY {order}"
        return [dict(row) for row in self.target.client().query_and_wait(sql)]

    def columns(self) -> dict[str, str]:
        """The columns that documents gave the table, and their types."""
        fields = self.target.client().get_table(self.target.id).schema
        return {
            field.name: ("ARRAY " if field.mode == "REPEATED" else "") + field.field_type
            for field in fields
            if field.description and field.description.startswith("Firestore field")
        }

    def clear(self) -> None:
        """Removes the tables: the emulator is slower by every one it has."""
        client = self.target.client()
        tables = client.list_tables(f"{self.bigquery.project}.local")
        own = [table for table in tables if table.table_id.startswith(self.table)]
        for table in sorted(own, key=lambda table: table.table_type != "VIEW"):
            client.delete_table(table.reference, not_found_ok=True)

    def staging_tables(self) -> list[str]:
        """What is left of runs."""
        tables = self.target.client().list_tables(f"{self.bigquery.project}.local")
        return [table.table_id for table in tables if table.table_id.startswith(f"{self.table}_staging")]


_INPUTS = ("--collection", "--source")

# What a Commit holds by which a batch is completed in the ledger.
COMPLETION = b"has_overflow"

# The columns that every table of documents has.
FIXED = frozenset(column.name for column in fixed_columns())


def store(database: FirestoreTarget, documents: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Writes documents by path; None deletes one."""
    writes = []
    for path, fields in documents.items():
        name = database.document_name(path)
        if fields is None:
            writes.append(messages.delete(name))
        else:
            writes.append(messages.update(messages.document(name, serialised_fields(fields))))
    report = Committer(database.connect()).commit(AtomicGroup((write,)) for write in writes)
    assert {type(outcome).__name__ for outcome in report.outcomes} <= {"Landed"}


def people(*numbers: int, **more: Any) -> dict[str, dict[str, Any]]:
    """Documents of users, by path."""
    return {f"users/u{n:03d}": {"n": n, **more} for n in numbers}


def own(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row has of its document's own fields."""
    return {name: value for name, value in row.items() if name not in FIXED}
