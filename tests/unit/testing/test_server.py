"""The server from the outside: versions, limits, databases, and the official client on it."""

import datetime

import pytest
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from tests.support.clocks import STARTED_AT, Clock
from transforms.firestore import messages
from transforms.firestore.query import Query
from transforms.firestore.read_time import JOB_START, fix_read_time
from transforms.firestore.reader import count, read, read_paths
from transforms.firestore.target import FirestoreTarget
from transforms.testing import PROJECT, RpcError, ScriptedFirestore

UTC = datetime.timezone.utc
USERS = Query("users")


def start(seconds=0):
    return datetime.datetime.fromtimestamp(STARTED_AT + seconds, UTC)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    with ScriptedFirestore({"users/ada": {"v": 1}}, now=clock) as scripted:
        yield scripted


@pytest.fixture
def official(server, monkeypatch):
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
    return firestore.Client(project=PROJECT, credentials=AnonymousCredentials())


def commit(server, *writes):
    return server.target.connect().commit([write.SerializeToString() for write in writes], 10).result()


def update(server, path, **more):
    return messages.Write(update={"name": server.target.document_name(path)}, **more)


def test_a_read_time_sees_the_documents_as_they_were(server):
    client = server.target.connect()
    before = fix_read_time(client, JOB_START)
    server.put({"users/ada": {"v": 2}})
    server.put({"users/bob": {"v": 2}})
    assert [document.fields for document in read(client, USERS, read_time=before)] == [{"v": 1}]
    assert [document.exists for document in read_paths(client, ["users/bob"], before)] == [False]
    assert (count(client, USERS, before), count(client, USERS)) == (1, 2)
    server.delete("users/ada")
    assert [document.path for document in read(client, USERS)] == ["users/bob"]
    assert [document.fields for document in read(client, USERS, read_time=before)] == [{"v": 1}]


def test_documents_of_the_beginning_are_an_hour_old_and_times_are_those_of_the_clock(server, clock):
    assert server.documents["users/ada"].create_time == start(-3600)
    clock.seconds = 5
    server.put({"users/ada": {"v": 2}})
    assert server.documents["users/ada"].update_time == start(5)


def test_no_two_commits_have_one_time_and_none_that_of_a_read_before(server):
    read_at = fix_read_time(server.target.connect(), JOB_START)
    server.put({"users/a": {}})
    server.put({"users/b": {}})
    microsecond = datetime.timedelta(microseconds=1)
    times = [server.documents[path].update_time for path in ("users/a", "users/b")]
    assert times == [read_at + microsecond, read_at + 2 * microsecond]


def test_a_commit_is_applied_as_a_whole_or_not_at_all(server):
    with pytest.raises(RpcError, match=r"^ALREADY_EXISTS: Document already exists: .*/users/ada$"):
        commit(server, update(server, "users/bob"), update(server, "users/ada", current_document={"exists": False}))
    assert list(server.documents) == ["users/ada"]
    assert server.applied == []


def test_a_write_of_a_commit_sees_those_before_it(server):
    commit(server, update(server, "users/bob"), update(server, "users/bob", current_document={"exists": True}))
    assert server.applied == ["users/bob", "users/bob"]


def test_a_batch_write_does_each_write_for_itself(server):
    writes = [update(server, "users/ada", current_document={"exists": False}), update(server, "users/bob")]
    answered = server.target.connect().batch_write([write.SerializeToString() for write in writes], 10).result()
    assert [status.code for status in answered.status] == [6, 0]
    assert not answered.write_results[0].HasField("update_time")
    assert answered.write_results[1].HasField("update_time")
    assert server.applied == ["users/bob"]


def test_a_batch_write_refuses_two_writes_of_one_document(server):
    writes = [update(server, "users/bob").SerializeToString()] * 2
    with pytest.raises(RpcError, match=r"^INVALID_ARGUMENT: the same document cannot be written more than once"):
        server.target.connect().batch_write(writes, 10).result()


@pytest.mark.parametrize("path", ["a..b", "a b", ""])
def test_what_is_no_field_path_is_refused(server, path):
    with pytest.raises(RpcError, match=r"^INVALID_ARGUMENT: .* is not a field path"):
        commit(server, update(server, "users/ada", update_mask={"field_paths": [path]}))
    with pytest.raises(RpcError, match=r"^INVALID_ARGUMENT: .* is not a field path"):
        list(server.target.connect().batch_get([server.target.document_name("users/ada")], [path], 10))


def test_more_writes_than_the_service_accepts_are_refused(server):
    with pytest.raises(RpcError, match=r"^INVALID_ARGUMENT: maximum 500 writes allowed per request$"):
        commit(server, *(update(server, f"users/{n}") for n in range(501)))


def test_a_request_that_is_too_large_is_refused_and_remembered():
    with ScriptedFirestore(max_request_bytes=1_000) as server:
        with pytest.raises(RpcError, match=r"^RESOURCE_EXHAUSTED: gRPC message exceeds maximum size 1000: \d{4}$"):
            commit(server, update(server, f"users/{'x' * 1_000}"))
    assert len(server.requests("Commit")) == 1


def test_databases_are_apart(server):
    other = FirestoreTarget(PROJECT, "other-db", server.target.emulator_host)
    other.connect().commit([messages.update(messages.document(other.document_name("users/eve")))], 10).result()
    assert list(server.documents) == ["users/ada"]
    assert [document.path for document in read(other.connect(), USERS)] == ["users/eve"]


def test_names_hold_before_the_server_runs():
    server = ScriptedFirestore(project="demo-mine")
    assert server.target.name == "projects/demo-mine/databases/(default)"


def test_writes_of_another_client_are_not_among_those_applied(server):
    server.commit([update(server, "users/bob")])
    assert (server.applied, len(server.documents)) == ([], 2)


def test_an_rpc_that_it_does_not_know_is_unimplemented(official):
    with pytest.raises(Exception, match="Method not found"):
        list(official.collections(retry=None))


def test_the_official_client_reads_and_writes(official, server):
    official.document("users/ada").update({"v": firestore.Increment(2), "tags": firestore.ArrayUnion(["x"])})
    assert official.document("users/ada").get().to_dict() == {"v": 3, "tags": ["x"]}
    assert [found.id for found in official.collection("users").order_by("v").stream()] == ["ada"]
    assert official.collection("users").count().get()[0][0].value == 1
    with pytest.raises(NotFound):
        official.document("users/nobody").update({"v": 1})


def test_a_transaction_reads_a_snapshot_and_is_tried_again_if_it_has_changed(official, server):
    ada, seen = official.document("users/ada"), []

    @firestore.transactional
    def add_one(transaction):
        value = ada.get(transaction=transaction).get("v")
        seen.append(value)
        if len(seen) == 1:
            server.put({"users/ada": {"v": 10}})
            assert ada.get(transaction=transaction).get("v") == value
        transaction.update(ada, {"v": value + 1})

    add_one(official.transaction())
    assert (seen, server.documents["users/ada"].fields) == ([1, 10], {"v": 11})


def test_a_document_that_appears_in_a_query_of_a_transaction_aborts_it(official, server):
    users = official.collection("users")

    @firestore.transactional
    def count_users(transaction):
        n_users = len(list(users.order_by("v").stream(transaction=transaction)))
        server.put({"users/bob": {"v": 5}})
        transaction.set(official.document("totals/users"), {"n": n_users})

    with pytest.raises(ValueError, match="Failed to commit transaction in 1 attempts") as failed:
        count_users(official.transaction(max_attempts=1))
    assert "a document that the transaction had read has changed since" in str(failed.value.__cause__)
    assert list(server.documents) == ["users/ada", "users/bob"]


def test_a_transaction_that_only_reads_has_a_snapshot_and_writes_nothing(official, server):
    @firestore.transactional
    def read_twice(transaction):
        ada = official.document("users/ada")
        first = ada.get(transaction=transaction).to_dict()
        server.put({"users/ada": {"v": 2}})
        return first, ada.get(transaction=transaction).to_dict()

    assert read_twice(official.transaction(read_only=True)) == ({"v": 1}, {"v": 1})
