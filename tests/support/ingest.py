"""Runs the ingest job as a user would and gives back everything it left behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.__main__ import main
from tests.support.documents import read_collection
from transforms.firestore.target import FirestoreTarget


@dataclass
class Ingested:
    """What a run left behind."""

    exit_code: int
    summary: dict[str, Any]
    dead_letters: list[dict[str, Any]]
    target: FirestoreTarget

    @property
    def full(self) -> dict[str, dict[str, Any]]:
        """The documents of enriched_profiles."""
        return read_collection(self.target, "enriched_profiles")

    @property
    def flat(self) -> dict[str, dict[str, Any]]:
        """The documents of candidates."""
        return read_collection(self.target, "candidates")

    @property
    def reasons(self) -> list[tuple[int | None, str]]:
        """Line and code of every dead letter, by line."""
        return sorted(((letter["line"], letter["code"]) for letter in self.dead_letters), key=str)


def ingest(folder: Path, target: FirestoreTarget, *flags: str) -> Ingested:
    """Runs `firebeam ingest` in this process; dead letters and summary go below `folder`."""
    dead_letters, summary = folder / "dead_letters", folder / "summary.json"
    arguments = [
        "ingest",
        f"--project={target.project}",
        f"--dead_letters={dead_letters}",
        f"--summary={summary}",
        *flags,
    ]
    exit_code = main(arguments)
    return Ingested(
        exit_code,
        json.loads(summary.read_text()) if summary.exists() else {},
        [json.loads(line) for file in sorted(dead_letters.glob("*/*.jsonl")) for line in file.open()],
        target,
    )


def profile(n: int, **more: Any) -> dict[str, Any]:
    """A small processed profile."""
    return {
        "candidate_id": f"cand-{n:05d}",
        "name": f"Person {n}",
        "current_position": {"title": "Senior Data Engineer", "company": f"Company {n % 7}"},
        "career_trajectory": {"years_experience": n % 20, "current_level": "Senior"},
        "skill_assessment": {"technical_skills": [{"skill": "Python", "confidence": 90}, {"skill": "k8s"}]},
        **more,
    }
