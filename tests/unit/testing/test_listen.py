"""Listen: first answers, live changes, resuming; each by a client of nothing but protobuf messages."""

import contextlib
import queue

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from tests.support.clocks import STARTED_AT, Clock
from tests.support.listen_client import ListenClient, where
from transforms.firestore import messages
from transforms.firestore.values import Reference
from transforms.testing import PROJECT, RpcError, ScriptedFirestore

USERS = {"users/ada": {"n": 1}, "users/bob": {"n": 2}}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    with ScriptedFirestore({**USERS, "posts/p": {}, "users/ada/posts/q": {"n": 1}}, now=clock) as scripted:
        scripted.listen.heartbeat_s = 1e9
        yield scripted


@pytest.fixture
def client(server):
    with ListenClient(server.target) as opened:
        yield opened


def listening(client, collection="users", **more):
    client.add(collection, **more)
    return client.snapshot()


def test_a_target_is_answered_with_its_documents_and_a_consistent_snapshot(client):
    client.add("users")
    answer = list(client.to_snapshot())
    assert [client.shown(each) for each in answer] == [
        *("ADD 1", "users/bob {'n': 2} +1", "users/ada {'n': 1} +1", "CURRENT 1", "NO_CHANGE"),
    ]
    assert client.read_time.ToSeconds() == STARTED_AT
    assert client.token
    assert answer[1].document_change.document.update_time.ToSeconds() == STARTED_AT - 3600


@pytest.mark.parametrize(
    ("target", "paths"),
    [
        ({"collection": "posts"}, ["posts/p"]),
        ({"collection": "posts", "group": True}, ["users/ada/posts/q", "posts/p"]),
        ({"collection": "posts", "parent": "/users/ada"}, ["users/ada/posts/q"]),
        ({"collection": "users", "where": where("n", "GREATER_THAN", 1)}, ["users/bob"]),
        ({"collection": "users", "limit": {"value": 1}}, ["users/ada"]),
        ({"collection": "nobody"}, []),
    ],
)
def test_a_target_is_a_collection_a_group_or_part_of_them(client, target, paths):
    assert [each.split(" ")[0] for each in listening(client, **target)[1:-2]] == paths


def test_a_range_of_names(client, server):
    def name(path):
        return Reference(server.target.document_name(path))

    lower, upper = (
        where("__name__", "GREATER_THAN_OR_EQUAL", name("users/b")),
        where("__name__", "LESS_THAN", name("users/c")),
    )
    within = {"composite_filter": {"op": "AND", "filters": [lower, upper]}}
    assert listening(client, where=within)[1:-2] == ["users/bob {'n': 2} +1"]
    server.put({"users/a": {}, "users/bea": {}, "users/cem": {}})
    assert client.snapshot() == ["users/bea {} +1", "NO_CHANGE"]


def test_a_projection_has_its_fields_only(client, server):
    listening(client, select={"fields": [{"field_path": "n"}]})
    server.put({"users/ada": {"n": 3, "secret": 1}})
    assert client.snapshot() == ["users/ada {'n': 3} +1", "NO_CHANGE"]


def test_documents_by_name_and_those_that_are_missing(client, server):
    client.add_documents("users/ada", "users/eve")
    assert client.snapshot()[1:-2] == ["users/eve document_delete -1", "users/ada {'n': 1} +1"]
    server.put({"users/eve": {}, "users/bob": {}})
    assert client.snapshot() == ["users/eve {} +1", "NO_CHANGE"]


def test_each_commit_is_sent_at_once_with_nothing_but_what_changed(client, server):
    listening(client)
    written = server.put({"users/ada": {"n": 5}})
    assert client.snapshot() == ["users/ada {'n': 5} +1", "NO_CHANGE"]
    assert client.read_time.ToMicroseconds() == written.timestamp() * 1e6
    server.delete("users/ada")
    assert client.snapshot() == ["users/ada document_delete -1", "NO_CHANGE"]
    server.put({"users/ada": {"n": 6}, "users/eve": {}, "elsewhere/x": {}})
    assert client.snapshot() == ["users/eve {} +1", "users/ada {'n': 6} +1", "NO_CHANGE"]


def test_what_changes_nothing_for_a_target_sends_nothing(client, server):
    listening(client, where=where("n", "GREATER_THAN", 1))
    server.put({"elsewhere/x": {}, "users/ada": {"n": 0}})
    server.put({"users/bob": {"n": 2}})
    server.delete("users/nobody")
    server.put({"users/bob": {"n": 3}})
    assert client.snapshot() == ["users/bob {'n': 3} +1", "NO_CHANGE"]


@pytest.mark.parametrize(("by_change", "shown"), [(False, "document_remove"), (True, "{'n': 0}")])
def test_a_document_that_stops_matching_is_removed_and_not_deleted(client, server, by_change, shown):
    server.listen.manners.departs_by_change = by_change
    listening(client, where=where("n", "GREATER_THAN", 1))
    server.put({"users/bob": {"n": 0}})
    assert client.snapshot() == [f"users/bob {shown} -1", "NO_CHANGE"]
    server.delete("users/bob")
    server.put({"users/bob": {"n": 2}})
    assert client.snapshot() == ["users/bob {'n': 2} +1", "NO_CHANGE"]


def test_a_limit_lets_the_next_document_in(client, server):
    listening(client, limit={"value": 1})
    server.delete("users/ada")
    assert client.snapshot() == ["users/bob {'n': 2} +1", "users/ada document_delete -1", "NO_CHANGE"]


def test_several_targets_of_a_stream_share_documents_and_snapshots(client, server):
    listening(client)
    assert listening(client, target_id=2, where=where("n", "EQUAL", 1)) == [
        *("ADD 2", "users/ada {'n': 1} +2", "CURRENT 2", "NO_CHANGE"),
    ]
    server.put({"users/bob": {"n": 1}})
    assert client.snapshot() == ["users/bob {'n': 1} +1 +2", "NO_CHANGE"]
    server.put({"users/bob": {"n": 2}})
    assert client.snapshot() == ["users/bob {'n': 2} +1 -2", "NO_CHANGE"]
    client.send(remove_target=1)
    assert client.read(1) == ["REMOVE 1"]
    server.put({"users/ada": {"n": 7}})
    assert client.snapshot() == ["users/ada document_remove -2", "NO_CHANGE"]


def test_a_target_may_end_when_it_is_current(client, server):
    assert [*listening(client, collection="posts", once=True)[-2:], *client.read(1)] == [
        *("CURRENT 1", "NO_CHANGE", "REMOVE 1")
    ]
    assert server.listen.targets == []


@pytest.mark.parametrize("resume", ["resume_token", "read_time"])
def test_who_resumes_is_sent_what_has_changed_since(server, resume):
    with ListenClient(server.target) as before:
        listening(before, where=where("n", "GREATER_THAN", 0))
    server.put({"users/ada": {"n": 5}, "users/bob": {"n": -1}, "users/new": {"n": 1}, "users/no": {"n": 0}})
    server.put({"users/ada": {"n": 6}, "users/gone": {"n": 1}})
    server.delete("users/gone")
    since = {"resume_token": before.token, "read_time": before.read_time}[resume]
    with ListenClient(server.target) as after:
        assert listening(after, where=where("n", "GREATER_THAN", 0), **{resume: since}) == [
            *("ADD 1", "users/new {'n': 1} +1", "users/bob document_remove -1", "users/ada {'n': 6} +1"),
            *("CURRENT 1", "NO_CHANGE"),
        ]
        server.delete("users/new")
        assert after.snapshot() == ["users/new document_delete -1", "NO_CHANGE"]


def test_who_resumes_where_nothing_has_changed_is_sent_nothing(server):
    with ListenClient(server.target) as before:
        listening(before)
    with ListenClient(server.target) as after:
        assert listening(after, resume_token=before.token) == ["ADD 1", "CURRENT 1", "NO_CHANGE"]


def test_deletes_that_left_no_version_are_not_told_but_counted(clock):
    with ScriptedFirestore(USERS, now=clock, retention_s=10, forget_versions=True) as server:
        with ListenClient(server.target) as before:
            listening(before)
        server.listen.wait_for_targets(0)
        server.delete("users/ada")
        clock.seconds = 11
        server.put({"users/eve": {}})
        with ListenClient(server.target) as after:
            assert listening(after, read_time=before.read_time) == [
                *("ADD 1", "users/eve {} +1", "filter 1: 2", "CURRENT 1", "NO_CHANGE")
            ]


def test_versions_that_a_stream_has_not_been_told_about_are_kept_however_old_they_are(clock):
    with ScriptedFirestore(USERS, now=clock, retention_s=10, forget_versions=True) as server:
        server.listen.automatic = False
        with ListenClient(server.target) as client:
            listening(client)
            server.delete("users/ada")
            clock.seconds = 100
            server.put({"posts/p": {}})
            server.listen.publish()
            assert client.snapshot() == ["users/ada document_delete -1", "NO_CHANGE"]


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ({"resume_token": b"x"}, "3 the resume token is not one of this server's"),
        ({"read_time": {"seconds": int(STARTED_AT) + 1}}, "3 read_time cannot be in the future"),
        ({"where": where("n", "IN", [])}, "3 IN needs a list of at least one value"),
    ],
)
def test_a_target_that_makes_no_sense_is_removed_and_the_stream_goes_on(client, target, cause):
    client.add("users", **target)
    assert client.read(1) == [f"REMOVE 1 {cause}"]
    assert len(listening(client)) == 5


def test_a_second_target_of_one_id_ends_the_stream(client):
    listening(client)
    client.add("posts")
    assert client.end() == ([], "INVALID_ARGUMENT: there is a target 1 on this stream already")


def test_requests_are_remembered_and_targets_known_until_the_stream_ends(server):
    with ListenClient(server.target) as client:
        listening(client)
        client.add("posts", 2)
        server.listen.wait_for_targets(2)
        assert [each.target_id for each in server.listen.targets] == [1, 2]
    server.listen.wait_for_targets(0)
    assert [request.add_target.target_id for request in server.requests("Listen")] == [1, 2]
    with pytest.raises(TimeoutError, match=r"^0 targets after 0.01 s, expected 1$"):
        server.listen.wait_for_targets(1, timeout_s=0.01)


def test_a_commit_of_a_client_is_published_as_well(client, server):
    listening(client)
    write = messages.update(messages.document(server.target.document_name("users/eve")))
    server.target.connect().commit([write], 10).result()
    assert client.snapshot() == ["users/eve {} +1", "NO_CHANGE"]
    with pytest.raises(RpcError):
        server.target.connect().commit([write + messages.IF_ABSENT], 10).result()


def test_many_streams_at_once(server):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(ListenClient(server.target)) for _ in range(100)]
        for client in clients:
            client.add("users")
        assert {len(client.snapshot()) for client in clients} == {5}
        server.put({"users/ada": {"n": 9}})
        assert {tuple(client.snapshot()) for client in clients} == {("users/ada {'n': 9} +1", "NO_CHANGE")}


def test_the_official_client_follows_a_query(server, monkeypatch):
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
    official = firestore.Client(project=PROJECT, credentials=AnonymousCredentials())
    seen = queue.SimpleQueue()

    def on_snapshot(documents, changes, read_time):
        seen.put(({each.id: each.to_dict() for each in documents}, [each.type.name for each in changes]))

    watch = official.collection("users").where(filter=FieldFilter("n", ">", 0)).on_snapshot(on_snapshot)
    try:
        assert seen.get(timeout=30) == ({"ada": {"n": 1}, "bob": {"n": 2}}, ["ADDED", "ADDED"])
        official.document("users/ada").update({"n": 5})
        assert seen.get(timeout=30) == ({"ada": {"n": 5}, "bob": {"n": 2}}, ["MODIFIED"])
        server.put({"users/bob": {"n": 0}})
        assert seen.get(timeout=30) == ({"ada": {"n": 5}}, ["REMOVED"])
        server.delete("users/ada")
        assert seen.get(timeout=30) == ({}, ["REMOVED"])
    finally:
        watch.unsubscribe()


def test_the_official_client_resumes_after_a_cut(server, monkeypatch):
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
    official = firestore.Client(project=PROJECT, credentials=AnonymousCredentials())
    seen = queue.SimpleQueue()
    watch = official.collection("users").on_snapshot(lambda found, changes, at: seen.put([each.id for each in found]))
    try:
        assert seen.get(timeout=30) == ["ada", "bob"]
        server.listen.cut("UNAVAILABLE")
        server.delete("users/ada")
        assert seen.get(timeout=30) == ["bob"]
        assert len(server.requests("Listen")) == 2
    finally:
        watch.unsubscribe()


def test_the_official_client_follows_a_document(server, monkeypatch):
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
    official = firestore.Client(project=PROJECT, credentials=AnonymousCredentials())
    seen = queue.SimpleQueue()
    watch = official.document("users/eve").on_snapshot(lambda found, *_: seen.put([each.to_dict() for each in found]))
    try:
        assert seen.get(timeout=30) == []
        server.put({"users/eve": {"n": 1}})
        assert seen.get(timeout=30) == [{"n": 1}]
    finally:
        watch.unsubscribe()
