"""A channel connects by itself: what another one to the same address met is nothing to it."""

import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from transforms.channels import CHANNEL_OPTIONS, channel_opener

METHOD = "/there.Is/None"


def ask(channel):
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(METHOD)(b"", timeout=10)
    return refused.value.code()


def test_a_service_that_is_back_answers_a_new_channel_although_an_older_one_still_waits():
    opened = channel_opener(None)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        older = opened(address, CHANNEL_OPTIONS)
        assert ask(older) == grpc.StatusCode.UNAVAILABLE
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_insecure_port(address)
    server.start()
    try:
        with older, opened(address, CHANNEL_OPTIONS) as newer:
            assert ask(newer) == grpc.StatusCode.UNIMPLEMENTED
    finally:
        server.stop(None).wait()
