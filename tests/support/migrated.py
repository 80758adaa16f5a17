"""Runs the migrate job as a user would and gives back everything it left behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.__main__ import main
from tests.support.cosmos import OwnContainer
from tests.support.documents import read_collection
from transforms.firestore.target import FirestoreTarget

COLLECTION = "student_attempts"
BESIDE = ("_meta", "source_system", "migration_timestamp", "expire_at")


def attempt(n: int, **more: Any) -> dict[str, Any]:
    """A small item; id and partition key say who it is."""
    return {"id": f"a-{n:05}", "student_id": f"s-{n % 7}", "score": n, "timestamp": "2026-01-01T00:00:00Z", **more}


@dataclass
class Migration:
    """A container, a collection and a folder of one test; the collection is called as the spec."""

    container: OwnContainer
    target: FirestoreTarget
    folder: Path
    spec: str = COLLECTION

    def flags(self, *flags: str) -> list[str]:
        """The command of a run."""
        return [
            "migrate",
            "--migration=students",
            f"--from={self.container.location}",
            f"--to=firestore://{self.spec}",
            f"--spec={self.spec}",
            f"--project={self.target.project}",
            f"--dead_letters={self.folder / 'dead_letters'}",
            f"--report={self.folder / 'audit'}",
            f"--summary={self.folder / 'summary.json'}",
            *flags,
        ]

    def run(self, *flags: str) -> dict[str, Any]:
        """Runs it in this process; the summary, with the exit code."""
        summary = self.folder / "summary.json"
        summary.unlink(missing_ok=True)
        exit_code = main(self.flags(*flags))
        return {"exit_code": exit_code, **(json.loads(summary.read_text()) if summary.exists() else {})}

    def refused(self, folder: str = "dead_letters") -> set[tuple[str, str]]:
        """Reason and document id of everything that was refused."""
        files = sorted((self.folder / folder).glob("*/*.jsonl"))
        lines = [json.loads(line) for file in files for line in file.open()]
        return {(line["code"], line["record_id"]) for line in lines}

    @property
    def documents(self) -> dict[str, dict[str, Any]]:
        """The collection."""
        return read_collection(self.target, self.spec)

    @property
    def contents(self) -> dict[str, dict[str, Any]]:
        """The collection without what is beside the items' own fields."""
        return {
            key: {name: value for name, value in fields.items() if name not in BESIDE}
            for key, fields in self.documents.items()
        }

    def items(self) -> dict[str, dict[str, Any]]:
        """The container, without what Cosmos DB adds."""
        return {
            item["id"]: {name: value for name, value in item.items() if not name.startswith("_")}
            for item in self.container.items()
        }
