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


def differences(found: EndState, wanted: EndState, *, was_resumed: bool = False) -> list[str]:
    """What differs, in few words: to show all of two states takes minutes.

    Args:
      was_resumed: a pair may have been repaired by a process that died before its batch was complete; then the next
        one finds nothing to repair.
    """
    if was_resumed and found.counts["repaired"] < wanted.counts["repaired"]:
        found = found._replace(counts=found.counts | {"repaired": wanted.counts["repaired"]})
    said = [f"{name}: {n}, not {wanted.counts[name]}" for name, n in found.counts.items() if n != wanted.counts[name]]
    for collection in ("full", "flat"):
        one, other = getattr(found, collection), getattr(wanted, collection)
        keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
        said += [f"{collection}/{key}: {_differing(one.get(key), other.get(key))}" for key in keys[:5]]
    lost = [letter[:6] for letter in wanted.dead_letters if letter not in found.dead_letters]
    more = [letter[:6] for letter in found.dead_letters if letter not in wanted.dead_letters]
    return said + [f"no dead letter {each}" for each in lost[:5]] + [f"a dead letter more: {each}" for each in more[:5]]


def _differing(one: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    if one is None or other is None:
        return "missing" if one is None else "too many"
    names = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name) and name != "_meta"]
    meta = [f"_meta.{name}" for name, value in one["_meta"].items() if other["_meta"].get(name) != value]
    return ", ".join(sorted([*names, *meta]))


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
