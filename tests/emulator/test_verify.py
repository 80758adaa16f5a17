"""Two stores that hold the same, and two that do not, on the real emulators."""

import json
import random

import pytest

from pipeline.__main__ import main
from tests.support.verified import every_type, put, verify
from transforms.firestore.target import FirestoreTarget

pytestmark = pytest.mark.emulator


def corrupted(documents, share, seed):
    """A copy in which about this share of the documents is wrong; and what is wrong, by id."""
    chance = random.Random(seed)
    copy, wrong = dict(documents), {}
    for key in chance.sample(sorted(documents), int(len(documents) * share)):
        kind = chance.choice(["MISSING_RIGHT", "MISSING_LEFT", *["DIFFERENT"] * 3])
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
    documents = {f"user-{n:04d}": every_type(n) for n in range(500)}
    copy, wrong = corrupted(documents, 0.01, seed=1)
    put(target, below("users", documents) | below("copies", copy))
    for flags in ((), ("--max_keys=50", "--read_time=latest")):
        found = verify(tmp_path, target, "firestore://users", "firestore://copies", *flags)
        assert (found.exit_code, found.kinds) == (3, wrong)
        assert found.counts[2:] == (0, len(wrong))
    shown = capsys.readouterr().err
    assert f"{len(wrong)} documents differ" in shown
    assert "London" not in shown


def test_an_empty_store_lacks_everything_and_equals_another(target, tmp_path):
    put(target, below("users", {f"{n}": {"n": n} for n in range(5)}))
    found = verify(tmp_path, target, "firestore://nobody", "firestore://users", "--max_keys=2")
    assert found.kinds == dict.fromkeys("01234", "MISSING_LEFT")
    assert verify(tmp_path, target, "firestore://users", "firestore://nobody").kinds == dict.fromkeys(
        "01234", "MISSING_RIGHT"
    )
    found = verify(tmp_path, target, "firestore://nobody", "firestore://none")
    assert (found.exit_code, found.counts, found.differences) == (0, (0, 0, 0, 0), [])


def test_values_are_shown_only_when_asked_for(target, tmp_path, capsys):
    put(target, {"users/ada": {"city": "London", "n": 1}, "copies/ada": {"city": "Paris", "n": 1.0}})
    (line,) = verify(tmp_path, target, "firestore://users", "firestore://copies").differences
    assert (line["fields"], "left" in line) == (["city", "n"], False)
    assert "London" not in capsys.readouterr().err
    (line,) = verify(tmp_path, target, "firestore://users", "firestore://copies", "--show_values").differences
    assert (line["left"], line["right"]) == ({"city": "London", "n": 1}, {"city": "Paris", "n": 1.0})
    assert "London" in capsys.readouterr().err


def test_fields_that_are_ignored_do_not_differ(target, tmp_path):
    put(target, {"users/ada": {"a": {"b": 1, "c": 1}, "d": 1}, "copies/ada": {"a": {"b": 2, "c": 1}, "e": 1}})
    assert verify(tmp_path, target, "firestore://users", "firestore://copies", "--ignore=a.b,d,e").exit_code == 0
    (line,) = verify(tmp_path, target, "firestore://users", "firestore://copies", "--ignore=d,e").differences
    assert line["fields"] == ["a.b"]


def test_numeric_ids_and_groups_are_compared_in_firestores_order(target, tmp_path):
    ids = ["__id7__", "__id70__", "__id-1__", "a", "a!", "a-b", "é", "~"]
    posts = {f"users/{user}/posts/{post}": {"n": 1} for user in ids for post in ids}
    put(target, posts | below("copies", {user: {"n": 1} for user in ids}))
    put(target, below("users", {user: {"n": 1} for user in ids}))
    for flags in ("--max_keys=1", "--max_keys=3", "--max_keys=100"):
        assert verify(tmp_path, target, "firestore://users", "firestore://copies", flags).counts == (8, 8, 0, 0)
    lines = "".join(f'{{"__name__": "{path}", "n": 1}}\n' for path in random.Random(1).sample(sorted(posts), 63))
    (tmp_path / "posts.jsonl").write_text(lines)
    for flags in ("--max_keys=5", "--max_keys=100"):
        found = verify(tmp_path, target, "firestore://**/posts", f"jsonl:{tmp_path}/posts.jsonl", flags)
        assert found.counts == (64, 63, 0, 1)
    found = verify(tmp_path, target, "firestore://users/a/**/posts", f"jsonl:{tmp_path}/posts.jsonl", "--max_keys=5")
    assert {(path.startswith("users/a/"), kind) for path, kind in found.kinds.items()} <= {
        (False, "MISSING_LEFT"),
        (True, "MISSING_RIGHT"),
    }
    assert found.counts[1] == sum(path.startswith("users/a/") for path in lines.split('"'))


@pytest.mark.parametrize("max_keys", [1, 3, 100])
def test_names_that_firestore_cannot_have_are_missing_there(target, tmp_path, max_keys):
    put(target, {f"users/{key}": {"id": key} for key in ("b", "d")})
    keys = ["", ".", "..", "__a__", "a/b", "b", "c", "d", "d/e/f", "x" * 1501]
    (tmp_path / "ids.jsonl").write_text("".join(json.dumps({"id": key}) + "\n" for key in keys[1:] if "/" not in key))
    paths = [f"users/{key}" for key in keys[1:] if key.count("/") != 1] + ["zoo/a", "a/b/users/c"]
    (tmp_path / "paths.jsonl").write_text(
        "".join(json.dumps({"__name__": path, "id": path[6:]}) + "\n" for path in paths)
    )
    flag = f"--max_keys={max_keys}"
    by_id = verify(tmp_path, target, "firestore://users", f"jsonl:{tmp_path}/ids.jsonl", flag)
    assert by_id.kinds == dict.fromkeys([".", "..", "__a__", "c", "x" * 1501], "MISSING_LEFT")
    by_path = verify(tmp_path, target, f"jsonl:{tmp_path}/paths.jsonl", "firestore://**/users", flag)
    assert by_path.kinds == dict.fromkeys(set(paths) - {"users/b", "users/d"}, "MISSING_RIGHT")


def test_databases_are_told_apart(target, tmp_path):
    other = FirestoreTarget(f"{target.project}-2", emulator_host=target.emulator_host)
    documents = below("users", {f"{n}": {"n": n} for n in range(20)})
    put(target, documents)
    put(other, documents | {"users/7": {"n": "other"}})
    right = f"firestore://projects/{other.project}/databases/(default)/documents/users"
    assert verify(tmp_path, target, "firestore://users", right).kinds == {"7": "DIFFERENT"}
    group = f"firestore://projects/{other.project}/databases/(default)/documents/**/users"
    assert verify(tmp_path, target, "firestore://**/users", group).kinds == {"users/7": "DIFFERENT"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--left=users", "--right=firestore://b"], "--left must be firestore://COLLECTION, firestore://**/GROUP"),
        (["--left=firestore://a/b", "--right=firestore://b"], "'a/b' names a document"),
        (["--left=firestore://a", "--right=firestore://a"], "--left and --right name the same store"),
        (["--left=firestore://a", "--right=jsonl:nowhere.jsonl"], "--right=jsonl:nowhere.jsonl matches no file"),
        (["--left=firestore://a", "--right=bigquery:people"], "a BigQuery table is named PROJECT:DATASET.TABLE"),
        (["--left=firestore://a", "--right=firestore://b", "--ignore=a..b"], "--ignore=a..b is not a field path"),
        (["--left=firestore://a", "--right=firestore://b", "--max_keys=0"], "--max_keys must be at least 1, got 0"),
        (["--left=firestore://**/a", "--right=firestore://b", "--match_by=id"], "--match_by=id: documents of the"),
        (
            ["--left=firestore://a", "--right=firestore://b", "--report=/dev/null/x"],
            "cannot write --report=/dev/null/x",
        ),
        (["--left=firestore://a"], "--right must be given"),
    ],
)
def test_nonsense_is_refused_before_anything_starts(flags, message, target, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["verify", f"--project={target.project}", *flags]) == 2
    assert message in capsys.readouterr().err
