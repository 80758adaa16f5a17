"""A user at work in one folder: ingests records, then replays what failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pipeline.specs
from pipeline.__main__ import main
from tests.support.documents import read_collection
from tests.support.ingest import Ingested, ingest, profile
from transforms.firestore.target import FirestoreTarget

PROFILES = (Path(pipeline.specs.__file__).parent / "profiles.yaml").read_text()
COUNTS = ("read", "written", "unchanged", "superseded", "dead_letters")


def nameless(n: int, **more: Any) -> dict[str, Any]:
    """A profile that a spec refuses which requires a name."""
    return {name: value for name, value in profile(n, **more).items() if name != "name"}


class Desk:
    """Dead letters are below `folder`, documents in `target`."""

    def __init__(self, folder: Path, target: FirestoreTarget):
        self.folder, self.target, self.dead_letters = folder, target, folder / "dead_letters"

    def ingest(self, *records: Any, name: str = "profiles.jsonl", flags: Sequence[str] = ()) -> Ingested:
        """Ingests records, given as objects or as lines."""
        source = self.folder / name
        source.write_text("".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in records))
        return ingest(self.folder, self.target, f"--input={source}", "--max_dead_letter_ratio=1", *flags)

    def replay(self, *flags: str) -> tuple[int, tuple[int | None, ...]]:
        """Exit code and the counts of the summary."""
        summary = self.folder / "replay.json"
        exit_code = main(
            [
                "replay",
                f"--project={self.target.project}",
                f"--dead_letters={self.dead_letters}",
                f"--summary={summary}",
                "--max_dead_letter_ratio=1",
                *flags,
            ]
        )
        self.summary = json.loads(summary.read_text()) if summary.exists() else {}
        return exit_code, tuple(self.summary.get(name) for name in COUNTS)

    def spec(self, before: str, after: str, name: str) -> str:
        """The flag for a spec that is the shipped one but for one place."""
        assert PROFILES.count(before) == 1
        file = self.folder / name
        file.write_text(PROFILES.replace(before, after))
        return f"--spec={file}"

    def lines(self, *kinds: str) -> list[dict[str, Any]]:
        """The lines that these folders hold."""
        files = [file for kind in kinds for file in sorted((self.dead_letters / kind).glob("*.jsonl"))]
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def places(self) -> dict[str, int]:
        """How many dead letters each folder holds."""
        found = {kind: len(self.lines(kind)) for kind in ("retryable", "permanent", "replayed", "parked")}
        return {kind: n for kind, n in found.items() if n}

    def edit(self, kind: str, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Changes every line of the only file of a kind."""
        (file,) = (self.dead_letters / kind).glob("*.jsonl")
        file.write_text("".join(json.dumps(edit(json.loads(line))) + "\n" for line in file.read_text().splitlines()))

    @property
    def flat(self) -> dict[str, dict[str, Any]]:
        """The documents of candidates."""
        return read_collection(self.target, "candidates")

    @property
    def full(self) -> dict[str, dict[str, Any]]:
        """The documents of enriched_profiles."""
        return read_collection(self.target, "enriched_profiles")
