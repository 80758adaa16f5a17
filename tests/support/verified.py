"""Runs the verify job as a user would and gives back everything it left behind."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.__main__ import main
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import GeoPoint, Reference, Vector, serialised_fields


@dataclass
class Verified:
    """What a run left behind."""

    exit_code: int
    summary: dict[str, Any]
    differences: list[dict[str, Any]]

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of every difference by key."""
        assert len({each["key"] for each in self.differences}) == len(self.differences), "a key is reported twice"
        return {each["key"]: each["difference"] for each in self.differences}

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Documents: all, equal, changed meanwhile, different."""
        return tuple(self.summary.get(name) for name in ("documents", "equal", "changed", "differences"))  # type: ignore[return-value]


def verify(folder: Path, target: FirestoreTarget, left: str, right: str, *flags: str) -> Verified:
    """Runs `firebeam verify` in this process; what it leaves goes below `folder`."""
    report, summary = folder / "report.jsonl", folder / "summary.json"
    for file in (report, summary):
        file.unlink(missing_ok=True)
    arguments = [
        "verify",
        f"--left={left}",
        f"--right={right}",
        f"--project={target.project}",
        f"--dead_letters={folder / 'dead_letters'}",
        f"--summary={summary}",
        f"--report={report}",
        *flags,
    ]
    exit_code = main(arguments)
    lines = report.read_text().splitlines() if report.exists() else []
    return Verified(
        exit_code,
        json.loads(summary.read_text()) if summary.exists() else {},
        [json.loads(line) for line in lines],
    )


def put(target: FirestoreTarget, documents: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes documents by path."""
    writes = (
        messages.update(messages.document(target.document_name(path), serialised_fields(fields)))
        for path, fields in documents.items()
    )
    result = Committer(target.connect()).commit([AtomicGroup((write,)) for write in writes])
    assert all(hasattr(outcome, "update_times") for outcome in result.outcomes), result.outcomes


def remove(target: FirestoreTarget, *paths: str) -> None:
    """Deletes documents by path."""
    writes = (messages.delete(target.document_name(path)) for path in paths)
    Committer(target.connect()).commit([AtomicGroup((write,)) for write in writes])


def every_type(n: int) -> dict[str, Any]:
    """A document with every type."""
    return {
        "name": f"Person {n}",
        "age": n,
        "score": float(n) if n % 7 else float("nan"),
        "active": n % 2 == 0,
        "seen_at": datetime.datetime(2026, 1, 1, 0, 0, n % 60, n, tzinfo=datetime.timezone.utc),
        "photo": bytes([n % 256, 0, 255]),
        "friend": Reference(f"projects/p/databases/(default)/documents/users/{n}"),
        "at": GeoPoint(n % 90 + 0.5, -n % 180 + 0.25),
        "embedding": Vector((0.5, float(n))),
        "tags": ["a", f"t{n}"],
        "address": {"city": "London", "zip": {"code": n, "old": None}},
        "nothing": None,
        "mixed": n if n % 3 else f"{n}",
    }
