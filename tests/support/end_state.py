"""What a run of ingest leaves behind, without what two runs to the same end may differ in: times, job ids, attempts."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.support.documents import read_collection
from tests.support.ingest import Ingested
from transforms.firestore.target import FirestoreTarget

COUNTS = ("read", "written", "unchanged", "superseded", "dead_letters", "batches", "repaired")

_OF_ONE_RUN = frozenset({"created_at", "updated_at", "job_id", "attempt"})


class EndState(NamedTuple):
    """Both collections, with everything but times, job id and attempt of `_meta`; the dead letters; the counts."""

    full: dict[str, dict[str, Any]]
    flat: dict[str, dict[str, Any]]
    dead_letters: list[tuple[Any, ...]]
    counts: dict[str, int]


def end_state(run: Ingested) -> EndState:
    """Of a run that has ended."""
    letters = sorted(
        (
            tuple(
                letter.get(name) for name in ("step", "code", "message", "record_id", "line", "position", "record_text")
            )
            for letter in run.dead_letters
        ),
        key=str,
    )
    return EndState(*documents(run.target), letters, {name: run.summary[name] for name in COUNTS})


def documents(target: FirestoreTarget) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Both collections, without times, job ids and attempts."""
    full, flat = (read_collection(target, name) for name in ("enriched_profiles", "candidates"))
    return _comparable(full), _comparable(flat)


def _comparable(collection: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        key: {
            **fields,
            "_meta": {name: value for name, value in fields.get("_meta", {}).items() if name not in _OF_ONE_RUN},
        }
        for key, fields in collection.items()
    }


def assert_accounts_add_up(run: Ingested) -> None:
    """Summary, ledger and dead-letter files tell one story."""
    summary = run.summary
    assert summary["read"] == (
        summary["written"] + summary["unchanged"] + summary["superseded"] + summary["dead_letters"]
    ), summary
    assert len(run.dead_letters) == summary["dead_letters"]
    batches = read_collection(run.target, f"pipeline_jobs/{summary['job_id']}/batches").values()
    assert {batch["state"] for batch in batches} <= {"completed"}
    for name in ("read", "written", "unchanged", "superseded", "repaired"):
        assert sum(batch[name] for batch in batches) == summary[name], name
    assert sum(reason["count"] for batch in batches for reason in batch["dead_letters"]) == summary["dead_letters"]


def assert_pairs_are_whole(target: FirestoreTarget) -> None:
    """Both documents of every pair are there and carry one `_meta`."""
    full, flat = (read_collection(target, name) for name in ("enriched_profiles", "candidates"))
    assert full.keys() == flat.keys()
    assert {key: fields["_meta"] for key, fields in full.items()} == {
        key: fields["_meta"] for key, fields in flat.items()
    }
