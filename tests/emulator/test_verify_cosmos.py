"""A container of Cosmos DB compared with the collection that it was copied to, by the command a user runs."""

from __future__ import annotations

import datetime
import time

import pytest

from pipeline.specs import read_spec
from tests.stand_ins import comes_true
from tests.support.cosmos import OwnContainer, new_container
from tests.support.verified import put, remove, verify
from transforms.firestore.target import FirestoreTarget
from transforms.migrate.documents import document_of
from transforms.records.keys import escaped

pytestmark = pytest.mark.emulator

COLLECTION = "firestore://student_attempts"


@pytest.fixture
def target(firestore_host, firestore_project, monkeypatch, cosmos) -> FirestoreTarget:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
    for name, value in cosmos.environ.items():
        monkeypatch.setenv(name, value)
    return FirestoreTarget(firestore_project, emulator_host=firestore_host)


@pytest.fixture
def container(cosmos) -> OwnContainer:
    made = new_container(cosmos)
    made.put(
        *(
            {"id": f"attempt-{n:04}", "student_id": f"s{n % 9}", "score": n / 2, "tags": ["a", n], "at": {"page": n}}
            for n in range(300)
        ),
        {"id": "100%", "student_id": "s1"},
        {"id": "__x__", "student_id": "s2", "none": None},
    )
    return made


def copy(container, target, collection="student_attempts", key=lambda item: escaped(item["id"])):
    """What the migration's copy does to each item."""
    now = datetime.datetime.now(datetime.timezone.utc)
    items = container.items()
    put(target, {f"{collection}/{key(item)}": document_of(item, {"content_hash": "…"}, now) for item in items})


def await_next_second(container):
    """What was written in the second in which a run begins counts as changed meanwhile."""
    written_at = max(item["_ts"] for item in container.items())
    assert comes_true(lambda: time.time() >= written_at + 1, within_s=60)


def test_a_copy_is_equal_in_one_read_of_each_side(tmp_path, target, container):
    copy(container, target)
    verified = verify(tmp_path, target, container.location, COLLECTION)
    assert (verified.exit_code, verified.counts) == (0, (302, 302, 0, 0))
    assert (verified.summary["results"]["read_left"], verified.summary["results"]["read_right"]) == (302, 302)


def test_every_difference_is_found_in_at_most_two_reads(tmp_path, target, container):
    copy(container, target)
    remove(target, "student_attempts/attempt-0007")
    put(target, {"student_attempts/extra": {"id": "extra"}, "student_attempts/attempt-0008": {"id": "attempt-0008"}})
    container.put({"id": "__x__", "student_id": "s2", "none": 0})
    flags = ("--max_keys=40", "--read_time=latest", "--ignore=at")
    await_next_second(container)
    verified = verify(tmp_path, target, container.location, COLLECTION, *flags)
    assert verified.exit_code == 3
    assert verified.kinds == {
        "attempt-0007": "MISSING_RIGHT",
        "extra": "MISSING_LEFT",
        "attempt-0008": "DIFFERENT",
        escaped("__x__"): "DIFFERENT",
    }
    assert verified.summary["results"]["read_left"] <= 2 * 302 + 10


def test_a_spec_whose_ids_are_composed_finds_the_documents_of_items(tmp_path, target, cosmos):
    spec = read_spec("student_competencies")
    container = new_container(cosmos)
    container.put(
        *(
            {"id": f"x{n}", "student_id": f"s{n}", "subject": "math", "skill_id": "k", "subskill_id": "u", "score": n}
            for n in range(30)
        )
    )
    copy(container, target, "student_competencies", lambda item: spec.key_of(item, item["id"]))
    places = (container.location, "firestore://student_competencies", "--spec=student_competencies")
    assert verify(tmp_path, target, *places).counts == (30, 30, 0, 0)
    assert verify(tmp_path, target, *places[:2], "--job_id=without").exit_code == 3


def test_a_container_that_is_not_there_is_wrong_usage(tmp_path, target, container, capsys):
    verified = verify(tmp_path, target, f"{container.location}z", COLLECTION)
    assert verified.exit_code == 2
    assert "the account has no container 'itemsz'; there is items" in capsys.readouterr().err


def test_two_containers_are_compared(tmp_path, target, container, cosmos):
    other = new_container(cosmos)
    other.put(*({name: value for name, value in item.items() if name[0] != "_"} for item in container.items()))
    assert verify(tmp_path, target, container.location, other.location).exit_code == 0


def test_a_sample_says_what_it_proves(tmp_path, target, container, capsys):
    copy(container, target)
    verified = verify(tmp_path, target, container.location, COLLECTION, "--sample=100")
    assert (verified.exit_code, verified.counts) == (0, (100, 100, 0, 0))
    said = " ".join(capsys.readouterr().err.split())
    assert "100 of 100 random documents" in said
    assert "with 95 % confidence less than 2.96 % of its documents differ" in said


@pytest.mark.parametrize(
    "unfit", [{"id": "a\ud800"}, {"v": "\ud800"}, {"\ud800": 1}, {"v": [2**70]}, {"v": [[1]]}, {"v": float("inf")}]
)
def test_an_item_of_which_no_document_can_be_made_is_a_difference(tmp_path, target, container, unfit):
    copy(container, target)
    container.put({"id": "unfit", "student_id": "s1", **unfit})
    await_next_second(container)
    verified = verify(tmp_path, target, container.location, COLLECTION, "--show_values=true")
    assert (verified.exit_code, list(verified.kinds.values())) == (3, ["MISSING_RIGHT"])
