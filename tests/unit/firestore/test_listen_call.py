"""A Listen stream as an iterator, and the connections that streams share."""

import pytest

from transforms.firestore import messages
from transforms.firestore.client import FirestoreClient, RpcError
from transforms.firestore.listen_call import MAX_STREAMS_PER_CHANNEL, ListenChannels
from transforms.testing import ScriptedFirestore, always, cut_after, status


@pytest.fixture(scope="module")
def running():
    with ScriptedFirestore({"users/ada": {}}, max_outage_s=0) as server:
        yield server


@pytest.fixture
def server(running):
    running.reset()
    return running


def request_of(server):
    request = messages.ListenRequest(database=server.target.name)
    request.add_target.target_id = 1
    request.add_target.query.parent = f"{server.target.name}/documents"
    request.add_target.query.structured_query.from_.add(collection_id="users")
    return request


def test_its_messages_are_those_of_the_server(server):
    call = server.target.connect().listen(request_of(server), 30)
    kinds = [next(call).WhichOneof("response_type") for _ in range(2)]
    assert kinds == ["target_change", "document_change"]
    call.cancel()
    with pytest.raises(RpcError, match="CANCELLED"):
        list(call)
    server.listen.wait_for_targets(0)


def test_it_ends_by_its_own_time(server):
    call = server.target.connect().listen(request_of(server), 0.3)
    with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
        list(call)


def test_only_a_stream_without_any_message_says_that_the_service_is_away(server):
    client = server.target.connect()
    server.script("Listen", always(cut_after(1, "UNAVAILABLE")))
    for _ in range(9):
        with pytest.raises(RpcError):
            list(client.listen(request_of(server), 30))
    assert not client.breaker.is_down()
    server.script("Listen", always(status("UNAVAILABLE")))
    for _ in range(4):
        with pytest.raises(RpcError):
            list(client.listen(request_of(server), 30))
    assert not client.breaker.is_down()
    with pytest.raises(Exception, match="has not answered"):
        list(client.listen(request_of(server), 30))


def test_a_connection_carries_a_hundred_streams_and_is_used_again():
    opened = []

    def open_channel(options):
        opened.append(dict(options))
        return object()

    channels = ListenChannels(open_channel)
    first = [channels.acquire() for _ in range(MAX_STREAMS_PER_CHANNEL)]
    assert len(set(first)) == 1
    second = channels.acquire()
    assert second is not first[0]
    channels.release(first[0])
    assert channels.acquire() is first[0]
    assert len(opened) == 2


def test_a_connection_on_which_only_the_server_talks_is_kept_alive_apart_from_others():
    seen = []
    ListenChannels(lambda options: seen.append(dict(options)) or object()).acquire()
    (options,) = seen
    assert options["grpc.http2.max_pings_without_data"] == 0
    assert options["grpc.use_local_subchannel_pool"] == 1
    assert options["grpc.keepalive_time_ms"] == 60_000


def test_a_client_of_one_channel_listens_on_it(server):
    import grpc

    client = FirestoreClient(server.target, *[grpc.insecure_channel(server.target.address)] * 2)
    call = client.listen(request_of(server), 30)
    next(call)
    call.cancel()
