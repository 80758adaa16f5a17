"""Mirrored documents: the last state wins, whatever comes twice or late; deletes touch nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.changes import START, batch_of, changed, removed, stored
from tests.support.clocks import no_waiting
from transforms.errors import UsageError
from transforms.firestore.query import Query
from transforms.firestore.reader import read
from transforms.listen.mirror import MirrorSink
from transforms.listen.mirror_places import CollectionPlaces, Mirrored, SpecPlaces
from transforms.records.spec import load_spec
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore

RETRY = Retry(max_attempts=2, clock=no_waiting(lambda: START / 1e6))
PEOPLE = load_spec(
    "{name: people, schema_version: 7, full_collection: full, flat_collection: flat, key: {name: id_, from: $id}, "
    "fields: {age: {type: integer, from: n}}}",
    "people.yaml",
)
BY_FIELD = load_spec(
    "{name: by_field, schema_version: 1, full_collection: full, flat_collection: flat, "
    "key: {name: id_, from: [k, $id]}, fields: {age: {type: integer, from: n}}}",
    "by_field.yaml",
)


@pytest.fixture
def server():
    with ScriptedFirestore() as server:
        yield server


def writer(server, places=CollectionPlaces("copies")):
    return MirrorSink(server.target, places, "listen-1", RETRY).open()


def held(server, collection="copies"):
    found = {document.id: dict(document.fields) for document in read(server.target.connect(), Query(collection))}
    metas = {key: fields.pop("_meta", None) for key, fields in found.items()}
    return found, metas


def test_a_mirror_holds_the_documents_and_says_of_which_version_of_what(server):
    batch = batch_of(stored("users/a", 1, n=1), stored("users/b", 2, n=2))
    assert writer(server).write(batch).entries == batch.entries
    found, metas = held(server)
    assert found == {"a": {"n": 1}, "b": {"n": 2}}
    assert metas["b"]["source"] == "users/b"
    assert metas["b"]["position"] == START + 2_000_000
    assert (metas["b"]["version"], metas["b"]["job_id"]) == (1, "listen-1")


def test_a_mirror_goes_on_with_what_changed_and_what_is_gone(server):
    mirror = writer(server)
    mirror.write(batch_of(stored("users/a", 1, n=1), stored("users/b", 2, n=2)))
    batch = batch_of(changed("users/a", 3, n=3), removed("users/b", 4, 2), removed("users/x", 4, None))
    assert mirror.write(batch).entries == batch.entries
    found, metas = held(server)
    assert found == {"a": {"n": 3}}
    assert metas["a"]["version"] == 2


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=6),
    st.lists(st.integers(0, 5), max_size=6),
)
def test_the_last_state_wins_whatever_comes_again_and_late(events, again):
    """Every event in its order, and at the end some of them again, each with all that followed it."""
    history, version = [], {}
    for at, (name, is_there) in enumerate(events, 1):
        path = f"users/{name}"
        if is_there:
            history.append(changed(path, at, n=at))
            version[path] = at
        elif path in version:
            history.append(removed(path, at, version.pop(path)))
    state = {path.removeprefix("users/"): {"n": at} for path, at in version.items()}
    with ScriptedFirestore() as server:
        mirror = writer(server)
        for change in history:
            mirror.write(batch_of(change))
        assert held(server)[0] == state
        for first in again:
            for change in history[first:]:
                mirror.write(batch_of(change))
            assert held(server)[0] == state


def test_what_is_older_than_the_mirror_never_overwrites_it_and_still_continues(server):
    mirror = writer(server)
    mirror.write(batch_of(changed("users/a", 5, n=5)))
    late = batch_of(changed("users/a", 3, n=3), removed("users/b", 3))
    assert mirror.write(late).entries == late.entries
    mirror.write(batch_of(removed("users/a", 4, 3)))
    assert held(server)[0] == {"a": {"n": 5}}


def test_a_delete_leaves_a_document_that_is_not_a_mirror_of_the_deleted_one(server):
    server.put({"copies/a": {"own": True}})
    mirror = writer(server)
    mirror.write(batch_of(removed("users/a", 9)))
    assert held(server)[0] == {"a": {"own": True}}
    mirror.write(batch_of(stored("others/a", 1), pattern="others"))
    mirror.write(batch_of(removed("users/a", 9)))
    assert list(held(server)[0]) == ["a"]


def test_somebody_who_writes_meanwhile_is_met_again(server):
    mirror = writer(server)
    mirror.write(batch_of(stored("users/a", 1, n=1)))

    def interfere(messages):
        server.put({"copies/a": {"n": 99}})
        yield from messages

    server.script("Commit", [interfere] * 5)
    assert not mirror.write(batch_of(changed("users/a", 2, n=2))).dead_letters
    assert held(server)[0] == {"a": {"n": 2}}


def test_a_document_that_somebody_changes_each_time_keeps_no_other_out(server):
    def interfere(request, ordinal):
        if not any(write.update.name.endswith("/a") for write in request.writes):
            return None

        def effect(messages):
            server.put({"copies/a": {"n": -ordinal}})
            yield from messages

        return effect

    server.script("Commit", interfere)
    after = writer(server).write(batch_of(stored("users/a", 1, n=1), stored("users/b", 1, n=2), stored("users/c", 1)))
    assert [entry.key for entry in after.entries] == ["users/b", "users/c"]
    (dead,) = after.dead_letters
    assert (dead.code, dead.retryable, dead.record_id) == ("CONFLICT", True, "users/a")


def test_a_document_that_cannot_be_mirrored_is_a_dead_letter(server):
    batch = batch_of(stored("users/a", _meta={"mine": 1}), stored("users/b", n=1))
    after = writer(server).write(batch)
    assert [entry.key for entry in after.entries] == ["users/b"]
    (dead,) = after.dead_letters
    assert (dead.step, dead.code, dead.record_id) == ("MirrorChanges", "RESERVED_FIELD", "users/a")


def test_parameters_tell_documents_of_one_id_apart(server):
    mirror = writer(server, CollectionPlaces("copies/{user}/posts"))
    for user in ("ada", "bob"):
        mirror.write(batch_of(stored(f"users/{user}/posts/1", n=user), pattern="users/{user}/posts"))
    assert held(server, "copies/ada/posts")[0] == {"1": {"n": "ada"}}
    assert held(server, "copies/bob/posts")[0] == {"1": {"n": "bob"}}


def test_the_pair_of_a_spec_is_mirrored(server):
    mirror = writer(server, SpecPlaces(PEOPLE, applies_deletes=True))
    mirror.write(batch_of(stored("users/a", 1, n=1, more="x"), records={"users/a": {"id_": "a", "age": 1}}))
    mirror.write(batch_of(stored("users/b", 1, n=2), records={"users/b": {"id_": "b", "age": 2}}))
    mirror.write(batch_of(removed("users/b", 2)))
    assert held(server, "full")[0] == {"a": {"n": 1, "more": "x"}}
    assert held(server, "flat")[0] == {"a": {"id_": "a", "age": 1}}
    assert held(server, "flat")[1]["a"]["schema_version"] == 7


def test_an_id_that_a_delete_could_not_know_is_refused(server):
    batch = batch_of(stored("users/a", 1, k="other"), records={"users/a": {"age": 1}})
    (dead,) = writer(server, SpecPlaces(BY_FIELD, applies_deletes=True)).write(batch).dead_letters
    assert dead.code == "ID_NOT_OF_PLACE"
    assert not writer(server, SpecPlaces(BY_FIELD, applies_deletes=False)).write(batch).dead_letters
    assert list(held(server, "flat")[0]) == ["other"]


def stream(query, *, parameters=(), of_path=()):
    return Mirrored(f"s {query.collection}", query, dict(parameters), of_path)


@pytest.mark.parametrize(
    ("to", "streams", "message"),
    [
        ("users", [stream(Query("users"))], "--to: users is what stream s users listens to, so the mirror would "),
        ("a/b/users", [stream(Query.group("users"), of_path=["x"])], "--to: documents of stream s users would meet"),
        ("a/{x}/users", [stream(Query.group("users"), of_path=["x"])], "--to: a/{x}/users is what stream s users"),
        ("{x}", [stream(Query("users"), parameters={"x": "users"})], "--to: users is what stream s users listens to"),
        ("copies", [stream(Query("users")), stream(Query("posts"))],
         "--to: documents of the streams s users and s posts would meet in copies; put a parameter that tells"),
        ("copies", [stream(Query.group("posts"))], "--to: the documents of the group posts may have the same ids"),
        ("copies/{y}/z", [stream(Query("users"), parameters={"x": "1"})],
         "--to: stream s users has no parameter 'y'; x"),
        ("copies/a", [stream(Query("users"))], "'copies/a' names a document; did you mean its collection, copies"),
    ],
)  # fmt: skip
def test_what_could_not_be_a_mirror_is_refused_in_one_line(to, streams, message):
    with pytest.raises(UsageError) as refused:
        CollectionPlaces(to).check(streams, same_database=True)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_a_mirror_in_another_database_may_have_the_same_name():
    CollectionPlaces("users").check([stream(Query("users"))], same_database=False)


def test_a_spec_that_takes_its_ids_from_fields_cannot_follow_deletes():
    by_content = load_spec(
        "{name: c, schema_version: 1, full_collection: full, flat_collection: flat, key: {name: id_, from: k}, "
        "fields: {age: {type: integer, from: n}}}",
        "c.yaml",
    )
    SpecPlaces(PEOPLE, applies_deletes=True).check([stream(Query("users"))])
    SpecPlaces(by_content, applies_deletes=False).check([stream(Query("users"))])
    with pytest.raises(
        UsageError, match=r"^--to=spec: ids of the spec c come from fields of the records, which a deleted"
    ):
        SpecPlaces(by_content, applies_deletes=True).check([stream(Query("users"))])
    with pytest.raises(UsageError, match=r"^--to: flat is what stream s flat listens to"):
        SpecPlaces(PEOPLE, applies_deletes=True).check([stream(Query("flat"))])
