"""Two stores that hold the same, and two that do not, on the real emulators."""

import datetime
import random

import pytest

from tests.support.verified import put, remove, verify
from transforms.firestore.client import FirestoreTarget
from transforms.firestore.values import GeoPoint, Reference, Vector

pytestmark = pytest.mark.emulator

UTC = datetime.timezone.utc


@pytest.fixture
def target(firestore_host, firestore_project, monkeypatch):
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
    return FirestoreTarget(firestore_project, emulator_host=firestore_host)


def document(n):
    """A document with every type."""
    return {
        "name": f"Person {n}",
        "age": n,
        "score": float(n) if n % 7 else float("nan"),
        "active": n % 2 == 0,
        "seen_at": datetime.datetime(2026, 1, 1, 0, 0, n % 60, n, tzinfo=UTC),
        "photo": bytes([n % 256, 0, 255]),
        "friend": Reference(f"projects/p/databases/(default)/documents/users/{n}"),
        "at": GeoPoint(n % 90 + 0.5, -n % 180 + 0.25),
        "embedding": Vector((0.5, float(n))),
        "tags": ["a", f"t{n}"],
        "address": {"city": "London", "zip": {"code": n, "old": None}},
        "nothing": None,
        "mixed": n if n % 3 else f"{n}",
    }


def corrupted(documents, share, seed):
    """A copy in which about this share of the documents is wrong; and what is wrong, by id."""
    chance = random.Random(seed)
    copy, wrong = dict(documents), {}
    for key in chance.sample(sorted(documents), int(len(documents) * share)):
        kind = chance.choice(["MISSING_RIGHT", "DIFFERENT", "DIFFERENT", "MISSING_LEFT"])
        if kind == "MISSING_RIGHT":
            del copy[key]
            wrong[key] = kind
        elif kind == "MISSING_LEFT":
            copy[f"{key}-extra"] = documents[key]
            wrong[f"{key}-extra"] = kind
        else:
            changes = [{"age": -1}, {"address": {"city": "Paris"}}, {"new": True}, {"score": 1e300}]
            copy[key] = {**documents[key], **chance.choice(changes)}
            wrong[key] = kind
    return copy, wrong


def below(collection, documents):
    return {f"{collection}/{key}": fields for key, fields in documents.items()}


def test_one_percent_of_a_copy_is_wrong_and_exactly_that_is_found(target, tmp_path, capsys):
    documents = {f"user-{n:04d}": document(n) for n in range(1000)}
    copy, wrong = corrupted(documents, 0.01, seed=1)
    put(target, below("users", documents) | below("copies", copy))
    for flags in ((), ("--max_keys=50", "--read_time=latest")):
        found = verify(tmp_path, target, "firestore://users", "firestore://copies", *flags)
        assert (found.exit_code, found.kinds) == (3, wrong)
        assert found.counts[2:] == (0, len(wrong))
    shown = capsys.readouterr().err
    assert f"{len(wrong)} documents differ" in shown
    assert "London" not in shown
    found = verify(tmp_path, target, "firestore://copies", "firestore://copies2", "--max_keys=50")
    assert set(found.kinds.values()) == {"MISSING_RIGHT"}
    assert len(found.kinds) == len(copy)
