"""A Pub/Sub publisher service in this process, which does what a script says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.pubsub_v1.types import pubsub

from transforms.pubsub.topic import PubSubTopic

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT, "The value for message is not valid."
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE, "try again"

Reply = tuple[grpc.StatusCode, str] | None


class ScriptedPubSub:
    """Keeps what was published.

    Args:
      script: is asked for every request; None: accept it.

    Attributes:
      published: the messages that were accepted, in their order.
      requests: how many messages each request had.
      topics: that exist, by name.
    """

    def __init__(self, script: Callable[[Any], Reply] = lambda request: None):
        self._script = script
        self.published: list[Any] = []
        self.requests: list[int] = []
        self.topics: set[str] = {"projects/demo-a/topics/changes"}
        self.denied = False

    @contextmanager
    def running(self) -> Iterator[PubSubTopic]:
        """The topic to publish to."""
        server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
        publish, get = pubsub.PublishRequest.pb(), pubsub.GetTopicRequest.pb()
        methods = {
            "Publish": grpc.unary_unary_rpc_method_handler(
                self._publish, publish.FromString, pubsub.PublishResponse.pb().SerializeToString
            ),
            "GetTopic": grpc.unary_unary_rpc_method_handler(
                self._get_topic, get.FromString, pubsub.Topic.pb().SerializeToString
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield PubSubTopic("demo-a", "changes", f"127.0.0.1:{port}", max_outage_s=0)
        finally:
            server.stop(None).wait()

    def _publish(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.requests.append(len(request.messages))
        reply = self._script(request)
        if reply is not None:
            context.abort(*reply)
        self.published += request.messages
        return pubsub.PublishResponse.pb()(message_ids=[str(n) for n in range(len(request.messages))])

    def _get_topic(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.denied:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "User not authorized to perform this action.")
        if request.topic not in self.topics:
            context.abort(grpc.StatusCode.NOT_FOUND, "Resource not found (resource=changes).")
        return pubsub.Topic.pb()(name=request.topic)
