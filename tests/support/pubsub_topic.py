"""A topic of the Pub/Sub emulator with one subscription, asked by nothing but gRPC and its messages."""

from __future__ import annotations

from typing import Any

import grpc
from google.pubsub_v1.types import pubsub

_TIMEOUT_S = 60
_MAX_MESSAGES = 1_000


class PulledTopic:
    """The topic `changes` of a project.

    Args:
      host: of the emulator.
    """

    def __init__(self, host: str, project: str):
        self._host, self._name = host, f"projects/{project}/subscriptions/changes"
        topic = pubsub.Topic.pb()(name=f"projects/{project}/topics/changes")
        self._call("Publisher", "CreateTopic", topic, pubsub.Topic.pb())
        ordered = pubsub.Subscription.pb()(name=self._name, topic=topic.name, enable_message_ordering=True)
        self._call("Subscriber", "CreateSubscription", ordered, pubsub.Subscription.pb())

    def pull(self, number: int) -> list[Any]:
        """So many messages."""
        found: list[Any] = []
        while len(found) < number:
            found += self._pull(number)
        return found

    def pull_all(self) -> list[Any]:
        """All messages there are; nobody publishes."""
        found: list[Any] = []
        n_empty = 0
        while n_empty < 3:
            pulled = self._pull(_MAX_MESSAGES, return_immediately=True)
            n_empty = 0 if pulled else n_empty + 1
            found += pulled
        return found

    def _pull(self, number: int, **how: bool) -> list[Any]:
        request = pubsub.PullRequest.pb()(subscription=self._name, max_messages=number, **how)
        received = self._call("Subscriber", "Pull", request, pubsub.PullResponse.pb()).received_messages
        if received:
            ids = [each.ack_id for each in received]
            acknowledge = pubsub.AcknowledgeRequest.pb()(subscription=self._name, ack_ids=ids)
            self._call("Subscriber", "Acknowledge", acknowledge, pubsub.Topic.pb())
        return [each.message for each in received]

    def _call(self, service: str, method: str, request: Any, response: Any) -> Any:
        with grpc.insecure_channel(self._host) as channel:
            sent = channel.unary_unary(
                f"/google.pubsub.v1.{service}/{method}",
                request_serializer=None,
                response_deserializer=response.FromString,
            )
            return sent(request.SerializeToString(), timeout=_TIMEOUT_S)
