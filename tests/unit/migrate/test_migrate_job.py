"""migrate from a scripted account into a scripted Firestore: audit, copy, versions, deletes, bad input."""

import datetime
import json
from dataclasses import replace

import pytest

from pipeline.__main__ import main
from tests.support.cosmos import new_container
from tests.support.migrated import Migration, attempt
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.values import encoded_fields
from transforms.ledger.migrations import migration_document, save_migration
from transforms.migrate.phases import State
from transforms.migrate.states import saved_as
from transforms.testing import ScriptedFirestore

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


@pytest.fixture
def migration(cosmos, tmp_path, monkeypatch):
    for name, value in cosmos.environ.items():
        monkeypatch.setenv(name, value)
    with ScriptedFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        yield Migration(new_container(cosmos), server.target, tmp_path)


def counts(summary, *names):
    return tuple(summary[name] for name in names)


def test_a_copy_has_every_item_and_a_second_one_writes_nothing(migration):
    migration.container.put(*(attempt(n, score=n / 2) for n in range(50)))
    first = migration.run("--mode=copy", "--page_items=10")
    assert counts(first, "exit_code", "read", "written", "dead_letters") == (0, 50, 50, 0)
    assert migration.contents == migration.items()
    documents = migration.documents
    meta, item = documents["a-00007"]["_meta"], migration.container.items()[7]
    assert (meta["_ts"], meta["_etag"]) == (item["_ts"], item["_etag"])
    assert meta["source"] == migration.container.location
    assert documents["a-00007"]["source_system"] == "cosmos_migration"
    second = migration.run("--mode=copy", "--page_items=10")
    assert counts(second, "exit_code", "written", "unchanged") == (0, 0, 50)
    assert migration.documents == documents


def test_a_changed_item_is_the_next_version_and_a_gone_one_is_deleted(migration):
    migration.container.put(*(attempt(n) for n in range(5)))
    migration.run("--mode=copy")
    migration.container.put(attempt(1, score=-1))
    migration.container.proxy.delete_item("a-00002", "s-2")
    again = migration.run("--mode=copy")
    assert counts(again, "written", "unchanged") == (1, 3)
    assert migration.contents == migration.items()
    assert migration.documents["a-00001"]["_meta"]["version"] == 2


def competency(subskill, **more):
    return {
        "id": "c-1", "student_id": "7", "subject": "math", "skill_id": "fractions", "subskill_id": subskill,
        "competency_score": 0.5, "last_updated": "2026-01-01T00:00:00Z", **more,
    }  # fmt: skip


def test_an_item_whose_key_fields_changed_leaves_no_document_of_its_old_name(migration):
    migration = replace(migration, spec="student_competencies")
    migration.container.put(competency("add"), competency("other", id="c-2"))
    migration.run("--mode=copy")
    assert migration.documents.keys() == {"7_math_fractions_add", "7_math_fractions_other"}
    migration.container.put(competency("divide"))
    migration.run("--mode=copy")
    assert migration.documents.keys() == {"7_math_fractions_divide", "7_math_fractions_other"}


def test_a_document_stays_until_the_one_that_its_item_makes_now_is_there(migration):
    migration = replace(migration, spec="student_competencies")
    migration.container.put(competency("add"), competency("other", id="c-2"))
    migration.run("--mode=copy")
    migration.container.put(competency("divide", notes=[[1]]))  # refused
    assert migration.run("--mode=copy")["dead_letters"] == 1
    assert migration.documents.keys() == {"7_math_fractions_add", "7_math_fractions_other"}


def test_deletes_can_be_left(migration):
    migration.container.put(attempt(1), attempt(2))
    migration.run("--mode=copy")
    migration.container.proxy.delete_item("a-00002", "s-2")
    migration.run("--mode=copy", "--deletes=ignore")
    assert migration.documents.keys() == {"a-00001", "a-00002"}


def test_an_empty_container_deletes_nothing(migration, capsys):
    migration.container.put(attempt(1))
    migration.run("--mode=copy")
    migration.container.proxy.delete_item("a-00001", "s-1")
    assert migration.run("--mode=copy")["exit_code"] == 1
    assert "holds no items, so every document of student_attempts would be deleted" in capsys.readouterr().err
    assert migration.documents.keys() == {"a-00001"}


BAD = {
    "NESTED_ARRAY": attempt(1, matrix=[[1]]),
    "RESERVED_FIELD": attempt(2, expire_at=1),
    "INTEGER_OUT_OF_RANGE": attempt(3, big=2**53 + 2),
}


def deep(levels):
    value = {"end": 1}
    for _ in range(levels):
        value = {"in": value}
    return value


def refused_by(migration, folder, *flags):
    summary = migration.run(*flags)
    return summary, migration.refused(folder)


def test_an_audit_refuses_exactly_what_a_copy_refuses_and_writes_nothing(migration, capsys):
    migration.container.put(
        *BAD.values(),
        attempt(4, nested=deep(21)),
        attempt(5, __x__=1),
        attempt(6, **{"": 1}),
        attempt(7, text="x" * 1_100_000),
        {"id": "twice", "student_id": "one"},
        {"id": "twice", "student_id": "two"},
        attempt(8),
        attempt(9, ttl=60),
    )
    audit, would_be = refused_by(migration, "audit")
    assert migration.documents == {}
    said = capsys.readouterr()
    assert "a copy uses about" in said.out + said.err
    copy, are = refused_by(migration, "dead_letters", "--mode=copy")
    assert would_be == are
    assert {code for code, _ in are} >= {*BAD, "ID_OF_ANOTHER_ITEM"}
    assert len(are) == 8
    assert counts(audit, "exit_code", "read", "audited", "dead_letters", "written") == (4, 11, 3, 8, 0)
    assert counts(copy, "read", "written", "dead_letters") == (11, 3, 8)


def test_an_audit_of_good_items_ends_with_0(migration):
    migration.container.put(*(attempt(n) for n in range(20)))
    audit = migration.run()
    assert counts(audit, "exit_code", "read", "audited", "dead_letters") == (0, 20, 20, 0)


@pytest.mark.parametrize(
    ("default_ttl", "said"),
    [
        (-1, "1 items have a ttl, which becomes expire_at"),
        (None, "1 items have a ttl, which Cosmos DB ignores, as the"),
    ],
)
def test_an_audit_says_what_becomes_of_a_time_to_live(migration, cosmos, capsys, default_ttl, said):
    migration.container = new_container(cosmos, default_ttl=default_ttl)
    migration.container.put(attempt(1), attempt(2, ttl=600))
    assert migration.run()["exit_code"] == 0
    shown = capsys.readouterr()
    assert said in shown.out + shown.err


def test_nested_arrays_can_be_wrapped_and_ids_are_escaped(migration):
    migration.container.put(attempt(1, matrix=[[1], [2]]), {"id": "..", "student_id": "s"})
    assert migration.run("--mode=copy", "--nested_arrays=wrap")["exit_code"] == 0
    assert migration.contents["a-00001"]["matrix"] == [{"_array": [1]}, {"_array": [2]}]
    assert migration.contents["%2E."]["id"] == ".."


def test_a_dead_letter_is_replayed_by_the_version_of_its_item(migration):
    migration.container.put(attempt(1, matrix=[[1]]), attempt(2, matrix=[[1]]))
    migration.run("--mode=copy", "--max_dead_letter_ratio=1")
    for file in (migration.folder / "dead_letters").glob("*/*.jsonl"):
        file.write_text(file.read_text().replace("[[1]]", "[1]"))
    migration.container.put(attempt(2, score=99))
    migration.run("--mode=copy", "--migration=other", f"--dead_letters={migration.folder / 'other'}")
    replay = ["replay", f"--project={migration.target.project}", f"--dead_letters={migration.folder / 'dead_letters'}"]
    assert main([*replay, f"--summary={migration.folder / 'replay.json'}"]) == 0
    summary = json.loads((migration.folder / "replay.json").read_text())
    assert counts(summary, "written", "superseded", "dead_letters") == (1, 1, 0)
    assert migration.contents["a-00001"]["matrix"] == [1]
    assert migration.contents["a-00002"]["score"] == 99


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--spec=profiles"], "makes pairs of documents; a migration needs a spec with `collection`"),
        (["--from=cosmos://nowhere/items"], "--from: cosmos://nowhere/items: there is no such database or container"),
        (["--from=items"], "--from must be cosmos://DATABASE/CONTAINER, got 'items'"),
        (["--to=student_attempts"], "--to must be firestore://COLLECTION"),
        (["--to=firestore://a//b"], "'a//b' is not a path: a segment must not be empty"),
        (["--to=firestore://a/b"], "'a/b' names a document"),
        (["--migration=a/b"], "a migration's name becomes a document id: a document id must not contain"),
        (["--migration=" + "é" * 800], "a document id must not exceed 1,500 bytes, got 1,600"),
        (["--mode=mirror"], "--mode must be one of audit, copy"),
    ],
)
def test_bad_input_is_one_line_with_the_fix(migration, capsys, flags, message):
    assert migration.run(*flags)["exit_code"] == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert migration.documents == {}


def test_a_collection_of_others_is_refused_before_anything_is_written(migration, capsys):
    migration.container.put(attempt(1))
    name = migration.target.document_name("student_attempts/theirs")
    write = messages.update(messages.document(name, encoded_fields({"a": 1})))
    Committer(migration.target.connect()).commit([AtomicGroup((write,))])
    assert migration.run("--mode=copy")["exit_code"] == 2
    assert "student_attempts holds other documents, such as theirs" in capsys.readouterr().err
    assert migration.documents.keys() == {"theirs"}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (State("firestore_primary"), "is in firestore_primary"),
        (State("cosmos_retired"), "is in cosmos_retired"),
        (State("firestore_analytics").announce("firestore_primary", NOW), "changes to firestore_primary"),
        (State("firestore_primary").announce("firestore_analytics", NOW), "changes to firestore_analytics"),
    ],
)
def test_items_that_may_be_the_older_ones_are_not_copied(migration, capsys, state, message):
    migration.container.put(attempt(1))
    save_migration(migration_document(migration.target.connect(), "students"), saved_as(state, None), None)
    assert migration.run("--mode=copy")["exit_code"] == 2
    said = capsys.readouterr().err
    assert f"the migration students {message}, so Firestore may have later versions" in said
    assert "firebeam phase students --rollback" in said
    assert migration.documents == {}


@pytest.mark.parametrize("phase", ["cosmos_only", "dual_write", "firestore_analytics"])
def test_while_cosmos_db_is_primary_a_copy_may_be_repeated(migration, phase):
    migration.container.put(attempt(1))
    save_migration(migration_document(migration.target.connect(), "students"), saved_as(State(phase), None), None)
    assert migration.run("--mode=copy")["written"] == 1


def test_an_account_with_several_write_regions_is_refused(migration, cosmos, capsys):
    with cosmos.following({"write_regions": ["one", "two"]}):
        assert migration.run()["exit_code"] == 2
    assert "accepts writes in several regions" in capsys.readouterr().err
