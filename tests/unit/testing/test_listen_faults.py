"""What can be wrong with a Listen stream, each fault by its own method or script."""

import grpc
import pytest

from tests.support.clocks import STARTED_AT, Clock
from tests.support.listen_client import ListenClient, where
from transforms.firestore import messages
from transforms.firestore.changes.bloom import BloomFilter
from transforms.testing import ScriptedFirestore, bloom, cut_after, delay, status

USERS = {"users/ada": {"n": 1}, "users/bob": {"n": 2}, "posts/p": {}}
ADA, BOB = "users/ada {'n': 1} +1", "users/bob {'n': 2} +1"
WHOLE = ["ADD 1", BOB, ADA, "CURRENT 1", "NO_CHANGE"]
CODES = [code.name for code in grpc.StatusCode]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    with ScriptedFirestore(USERS, now=clock) as scripted:
        scripted.listen.heartbeat_s = 1e9
        yield scripted


@pytest.fixture
def client(server):
    with ListenClient(server.target) as opened:
        yield opened


@pytest.fixture
def resumed(server, client):
    """Adds a target to a new stream, from where `client` stands."""
    clients = []

    def resume(**more):
        clients.append(ListenClient(server.target))
        return listening(clients[-1], **({"resume_token": client.token} | more))

    yield resume
    for each in clients:
        each.__exit__()


def listening(client, collection="users", **more):
    client.add(collection, **more)
    return client.snapshot()


# Manual publishing


def test_writes_that_are_published_together_are_one_change(server, client):
    server.listen.automatic = False
    listening(client)
    server.put({"users/ada": {"n": 5}, "users/new": {}})
    server.put({"users/ada": {"n": 6}})
    server.delete("users/new")
    server.put({"users/bob": {"n": 0}})
    server.delete("users/bob")
    server.put({"users/bob": {"n": 3}})
    server.listen.publish()
    assert client.snapshot() == ["users/bob {'n': 3} +1", "users/ada {'n': 6} +1", "NO_CHANGE"]
    server.listen.publish()
    assert client.snapshot() == ["NO_CHANGE"]


def test_what_is_not_published_is_not_in_an_answer_either(server, client):
    server.listen.automatic = False
    server.put({"users/ada": {"n": 5}})
    assert listening(client) == WHOLE
    server.listen.publish()
    assert client.snapshot() == ["users/ada {'n': 5} +1", "NO_CHANGE"]


def test_who_starts_at_a_time_that_is_not_published_yet_sees_everything_after_it(server, client):
    server.listen.automatic = False
    first, second = server.put({"users/ada": {"n": 5}}), server.put({"users/ada": {"n": 6}})
    listening(client, "posts")
    assert listening(client, target_id=2, read_time=first) == ["ADD 2", "CURRENT 2", "NO_CHANGE"]
    assert client.read_time.ToDatetime(first.tzinfo) == first
    server.listen.publish()
    assert client.snapshot() == ["users/ada {'n': 6} +2", "NO_CHANGE"]
    assert client.read_time.ToDatetime(second.tzinfo) >= second


def test_what_was_held_back_is_published_when_publishing_is_automatic_again(server, client):
    server.listen.automatic = False
    listening(client)
    server.put({"users/ada": {"n": 5}})
    server.listen.automatic = True
    assert client.snapshot() == ["users/ada {'n': 5} +1", "NO_CHANGE"]


# Heartbeats, silence, age


def test_a_heartbeat_has_a_new_read_time_and_token_and_nothing_else(server, client, clock, resumed):
    listening(client)
    clock.seconds = 45
    server.listen.heartbeat()
    assert client.snapshot() == ["NO_CHANGE"]
    assert client.read_time.ToSeconds() == STARTED_AT + 45
    assert resumed() == ["ADD 1", "CURRENT 1", "NO_CHANGE"]


def test_a_heartbeat_does_not_pass_a_write_that_is_held_back(server, client, clock):
    server.listen.automatic = False
    listening(client)
    clock.seconds = 5
    written = server.put({"users/ada": {"n": 5}})
    clock.seconds = 45
    server.listen.heartbeat()
    assert client.snapshot() == ["NO_CHANGE"]
    assert client.read_time.ToMicroseconds() == written.timestamp() * 1e6 - 1
    server.listen.publish()
    assert client.snapshot() == ["users/ada {'n': 5} +1", "NO_CHANGE"]


def test_heartbeats_come_by_the_clock(server, client, clock):
    server.listen.heartbeat_s = 30
    listening(client)
    for seconds in (30, 60, 100):
        clock.seconds = seconds
        assert client.snapshot() == ["NO_CHANGE"]
        assert client.read_time.ToSeconds() == STARTED_AT + seconds


def test_a_silent_stream_sends_nothing_and_stays_open_until_it_is_cut(server, client):
    listening(client)
    server.listen.silence()
    server.put({"users/ada": {"n": 5}})
    server.listen.heartbeat()
    client.add("posts", 2)
    server.listen.wait_for_targets(2)
    with ListenClient(server.target) as other:
        assert "users/ada {'n': 5} +1" in listening(other)
    server.listen.wait_for_targets(2)
    assert client.call.is_active()
    server.listen.cut("UNAVAILABLE", "gone")
    assert client.end() == ([], "UNAVAILABLE: gone")


def test_a_stream_of_an_age_ends_as_planned(server, client, clock):
    server.listen.max_age_s = 3600
    listening(client)
    clock.seconds = 3600
    assert client.end() == ([], "OK")
    with ListenClient(server.target) as other:
        assert listening(other) == WHOLE


# Ends


@pytest.mark.parametrize("code", CODES)
def test_a_stream_ends_with_any_status_after_what_was_sent(server, client, code):
    listening(client)
    server.put({"users/ada": {"n": 5}})
    server.listen.cut(code, "because")
    server.put({"users/ada": {"n": 6}})
    end = "OK" if code == "OK" else f"{code}: because"
    assert client.end() == (["users/ada {'n': 5} +1", "NO_CHANGE"], end)
    server.listen.wait_for_targets(0)


def test_a_stream_is_cut_in_the_middle_of_a_snapshot(server, client):
    listening(client)
    server.listen.cut(after=1)
    server.put({"users/ada": {"n": 5}, "users/bob": {"n": 5}})
    assert client.end() == (["users/bob {'n': 5} +1"], "UNAVAILABLE: the stream was cut")


def test_one_collection_s_streams_are_cut(server, client):
    listening(client)
    with ListenClient(server.target) as other:
        listening(other, "posts")
        server.listen.cut(collection="posts")
        assert other.end() == ([], "UNAVAILABLE: the stream was cut")
    server.put({"users/ada": {"n": 5}})
    assert client.snapshot() == ["users/ada {'n': 5} +1", "NO_CHANGE"]


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED", "UNAVAILABLE"])
def test_a_script_refuses_a_stream_when_it_opens(server, code):
    server.script("Listen", [status(code, "no")])
    with ListenClient(server.target) as refused:
        refused.add("users")
        assert refused.end() == ([], f"{code}: no")
    with ListenClient(server.target) as next_one:
        assert listening(next_one) == WHOLE


@pytest.mark.parametrize("code", ["OK", "INTERNAL"])
def test_a_script_cuts_a_stream_after_some_messages(server, code):
    server.script("Listen", [cut_after(3, code, "RST_STREAM")])
    with ListenClient(server.target) as client:
        client.add("users")
        assert client.end() == (WHOLE[:3], "OK" if code == "OK" else f"{code}: RST_STREAM")


def test_a_client_that_does_not_read_runs_out_of_resources(server, client):
    server.listen.max_waiting = 3
    listening(client)
    for n in range(20):
        server.put({"users/ada": {"n": n, "text": "x" * 900_000}})
    shown, end = client.end()
    assert end == "RESOURCE_EXHAUSTED: the client reads too slowly"
    assert len(shown) < 20


# Targets that end, start over, or come with outdated documents


def test_a_target_is_removed_before_it_is_current(server, client):
    server.script("AddTarget", [status("DEADLINE_EXCEEDED", "datastore operation timed out"), cut_after(2, "INTERNAL")])
    client.add("users")
    assert client.read(1) == ["REMOVE 1 4 datastore operation timed out"]
    client.add("users")
    assert client.read(3) == ["ADD 1", BOB, "REMOVE 1 13 the stream was cut"]
    assert listening(client) == WHOLE


def test_a_script_chooses_by_target(server, client):
    def missing_index(target, ordinal):
        if target.query.structured_query.HasField("where"):
            return status("FAILED_PRECONDITION", "The query requires an index")
        return delay(0.01)

    server.script("AddTarget", missing_index)
    assert listening(client) == WHOLE
    client.add("users", 2, where=where("n", "EQUAL", 1))
    assert client.read(1) == ["REMOVE 2 9 The query requires an index"]
    server.put({"users/ada": {"n": 5}})
    assert client.snapshot() == ["users/ada {'n': 5} +1", "NO_CHANGE"]


def test_a_live_target_is_removed_with_a_cause_and_others_go_on(server, client):
    listening(client)
    listening(client, "posts", target_id=2)
    server.listen.remove("PERMISSION_DENIED", "no more", collection="users")
    assert client.read(1) == ["REMOVE 1 7 no more"]
    server.put({"users/ada": {"n": 5}, "posts/q": {}})
    assert client.snapshot() == ["posts/q {} +2", "NO_CHANGE"]
    server.listen.remove()
    assert client.read(1) == ["REMOVE 2 4 datastore operation timed out"]


def test_a_reset_drops_a_target_and_sends_it_whole(server, client):
    listening(client)
    server.listen.reset()
    assert client.snapshot() == ["RESET 1", BOB, ADA, "CURRENT 1", "NO_CHANGE"]
    server.delete("users/ada")
    assert client.snapshot() == ["users/ada document_delete -1", "NO_CHANGE"]


def test_an_expired_token_resets(server, client, resumed):
    listening(client)
    server.listen.expire_tokens()
    assert resumed() == ["ADD 1", "RESET 1", *WHOLE[1:]]
    assert resumed(read_time=client.read_time) == ["ADD 1", "CURRENT 1", "NO_CHANGE"]


def test_a_token_given_after_the_others_expired_is_as_good_as_ever(server, client, resumed):
    server.listen.expire_tokens()
    listening(client)
    assert resumed() == ["ADD 1", "CURRENT 1", "NO_CHANGE"]


def test_a_forgotten_token_sends_everything_and_how_many_there_are(server, client, resumed):
    listening(client)
    server.delete("users/ada")
    server.listen.forget_tokens()
    assert resumed() == ["ADD 1", BOB, "filter 1: 1", "CURRENT 1", "NO_CHANGE"]


def test_an_outdated_version_comes_before_the_last_one(server, client):
    server.put({"users/ada": {"n": 5}})
    server.listen.send_stale("users/ada")
    outdated = [ADA, BOB, "users/ada {'n': 5} +1"]
    assert listening(client) == ["ADD 1", *outdated, "CURRENT 1", "NO_CHANGE"]
    server.listen.send_stale("users/ada", "users/bob")
    assert client.snapshot() == [ADA, "users/ada {'n': 5} +1", "NO_CHANGE"]
    server.put({"users/bob": {"n": 2, "m": 1}})
    assert client.snapshot() == ["users/bob {'m': 1, 'n': 2} +1", "NO_CHANGE"]


def test_an_outdated_version_of_a_document_that_is_gone(server, client, resumed):
    listening(client)
    server.listen.cut()
    server.delete("users/ada")
    server.listen.send_stale("users/ada")
    assert resumed() == ["ADD 1", ADA, "users/ada document_delete -1", "CURRENT 1", "NO_CHANGE"]


def test_outdated_versions_wait_for_the_next_snapshot_when_publishing_is_manual(server, client):
    server.listen.automatic = False
    listening(client)
    server.put({"users/ada": {"n": 5}})
    server.put({"users/ada": {"n": 6}})
    server.listen.send_stale("users/ada")
    server.listen.publish()
    assert client.snapshot() == ["users/ada {'n': 5} +1", "users/ada {'n': 6} +1", "NO_CHANGE"]


# Forgotten deletes


def test_forgotten_deletes_are_not_told_but_counted(server, client, resumed):
    listening(client, where=where("n", "LESS_THAN", 9))
    server.put({"users/bob": {"n": 9}, "users/eve": {"n": 3}})
    server.delete("users/ada")
    server.listen.forget_deletes()
    eve = "users/eve {'n': 3} +1"
    matching = {"where": where("n", "LESS_THAN", 9)}
    assert resumed(**matching) == ["ADD 1", eve, "filter 1: 1", "CURRENT 1", "NO_CHANGE"]
    server.delete("users/eve")
    assert resumed(**matching) == ["ADD 1", "filter 1: 0", "CURRENT 1", "NO_CHANGE"]


def test_a_later_delete_is_told_whatever_was_forgotten_before(server, client, resumed):
    listening(client)
    server.delete("users/ada")
    server.listen.forget_deletes()
    server.delete("users/bob")
    assert resumed() == ["ADD 1", "users/bob document_delete -1", "filter 1: 0", "CURRENT 1", "NO_CHANGE"]


def test_who_has_seen_the_deletes_is_sent_no_count(server, client, resumed):
    listening(client)
    server.delete("users/ada")
    client.snapshot()
    server.listen.forget_deletes()
    assert resumed() == ["ADD 1", "CURRENT 1", "NO_CHANGE"]


@pytest.mark.parametrize(
    ("expected", "bits", "is_sent"),
    [({}, 10, False), ({"expected_count": {"value": 2}}, 10, True), ({"expected_count": {"value": 2}}, 0, False)],
)
def test_a_bloom_filter_comes_with_the_count_if_the_client_says_what_it_expects(
    server, client, expected, bits, is_sent
):
    server.listen.manners.bits_per_name = bits
    listening(client, "posts")
    server.delete("users/ada")
    server.listen.forget_deletes()
    client.add("users", 2, resume_token=client.token, **expected)
    (found,) = (each.filter for each in client.to_snapshot() if each.HasField("filter"))
    assert (found.count, found.HasField("unchanged_names")) == (1, is_sent)
    if is_sent:
        held = BloomFilter.of(found.unchanged_names)
        names = [server.target.document_name(path) for path in ("users/ada", "users/bob")]
        assert [held.may_contain(name) for name in names] == [False, True]


def test_a_bloom_filter_is_the_service_s_own():
    # A filter of the service for one document: golden data of firebase/firebase-js-sdk, MD5_1_1.
    made = messages.ListenResponse().filter.unchanged_names
    bloom.fill(made, ["projects/project-1/databases/database-1/documents/coll/doc0"], 23)
    assert (made.bits.bitmap.hex(), made.bits.padding, made.hash_count) == ("46cc19", 1, 16)


def test_few_bits_make_a_filter_that_affirms_too_much():
    names = [f"projects/p/databases/d/documents/users/{n}" for n in range(200)]
    affirmed = []
    for bits in (1, 20):
        made = messages.ListenResponse().filter.unchanged_names
        bloom.fill(made, names[:100], bits)
        held = BloomFilter.of(made)
        assert all(held.may_contain(name) for name in names[:100])
        affirmed.append(sum(held.may_contain(name) for name in names[100:]))
    assert affirmed[0] > 20 > affirmed[1]


@pytest.mark.parametrize(("count", "sent"), [(None, 2), (7, 7)])
def test_a_count_is_sent_at_any_time_true_or_not(server, client, count, sent):
    listening(client)
    server.listen.send_count(count)
    assert client.snapshot() == [f"filter 1: {sent}", "NO_CHANGE"]


@pytest.mark.parametrize("end", ["cut", "remove"])
def test_a_code_that_does_not_exist_is_refused(server, end):
    with pytest.raises(ValueError, match=r"^code must be the name of a gRPC status code .*, got 'BUSY'$"):
        getattr(server.listen, end)("BUSY")
