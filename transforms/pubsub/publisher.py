"""Publishes messages, with an answer for each. Plain Python, raw protobuf.

    messages ─▶ packed: 1,000 and 9 MB ─▶ Publish ─┬─ accepted
                                                   ├─ refused for its content: in halves, until a message stands alone
                                                   └─ transient: sent again

Messages of one ordering key are published in their order: requests are sent one after the other. A message that was
accepted although nobody heard the answer is published twice, with the same attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc
from google.pubsub_v1.types import pubsub

from transforms.channels import CHANNEL_OPTIONS, channel_opener
from transforms.errors import FirebeamError, JobError, Kind, RecordError, TransientError, classify
from transforms.pubsub.topic import PubSubTopic
from transforms.retry import Retry

# https://cloud.google.com/pubsub/quotas#resource_limits, where a request has 10 MB.
_MAX_MESSAGES = 1_000
_MAX_REQUEST_BYTES = 9_000_000
MAX_ATTRIBUTE_BYTES = 1_024
MAX_ORDERING_KEY_BYTES = 1_024
_TIMEOUT_S = 60.0
_MESSAGE_OVERHEAD_BYTES = 6  # its tag and length in a request

_SERVICE = "/google.pubsub.v1.Publisher/"
_PublishRequest, _PubsubMessage = pubsub.PublishRequest.pb(), pubsub.PubsubMessage.pb()
_PublishResponse = pubsub.PublishResponse.pb()
_GetTopicRequest, _Topic = pubsub.GetTopicRequest.pb(), pubsub.Topic.pb()


@dataclass(frozen=True, slots=True)
class Message:
    """A message to be published.

    Attributes:
      data: not empty, unless there are attributes.
      attributes: values of at most 1,024 bytes.
      ordering_key: messages of one key stay in their order; at most 1,024 bytes.
    """

    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    ordering_key: str = ""


class _Encoded(NamedTuple):
    at: int
    message: Any
    n_bytes: int


class _RequestError(Exception):
    """A request that failed: canonical gRPC code and the service's own text."""

    def __init__(self, code: str, message: str):
        self.code, self.message = code, message
        super().__init__(f"{code}: {message}")


class _UnfitError(FirebeamError):
    """The service refused a request for its content."""

    def __init__(self, code: str):
        self.code = code
        super().__init__(code)


class Publisher:
    """Publishes to one topic; for one thread.

    Args:
      retry: of a transient failure.

    Attributes:
      retries: requests sent again so far.

    Raises:
      JobError: there are no credentials.
    """

    def __init__(self, topic: PubSubTopic, retry: Retry | None = None):
        self._topic, self._retry, self.retries = topic, retry or Retry(), 0
        opened = channel_opener(None if topic.emulator_host else topic.credentials)
        self._channel = opened(topic.address, CHANNEL_OPTIONS)
        self._publish = self._channel.unary_unary(
            _SERVICE + "Publish",
            request_serializer=_PublishRequest.SerializeToString,
            response_deserializer=_PublishResponse.FromString,
        )
        self._get_topic = self._channel.unary_unary(
            _SERVICE + "GetTopic",
            request_serializer=_GetTopicRequest.SerializeToString,
            response_deserializer=_Topic.FromString,
        )

    def publish(self, messages: Sequence[Message]) -> dict[int, RecordError]:
        """Publishes messages; returns those that were refused, by their place, and why.

        Raises:
          TransientError: a request failed too often. What was accepted before stays published.
          JobError: no message can succeed: the topic is missing, or the job may not publish.
        """
        refused: dict[int, RecordError] = {}
        fit: list[_Encoded] = []
        for at, message in enumerate(messages):
            encoded = _PubsubMessage(
                data=message.data, attributes=message.attributes, ordering_key=message.ordering_key
            )
            n_bytes = encoded.ByteSize() + _MESSAGE_OVERHEAD_BYTES
            if n_bytes > _MAX_REQUEST_BYTES:
                problem = f"the message would have {n_bytes:,} bytes; at most {_MAX_REQUEST_BYTES:,} are published"
                refused[at] = RecordError("MESSAGE_TOO_LARGE", problem)
            else:
                fit.append(_Encoded(at, encoded, n_bytes))
        for request in _packed(fit):
            self._send(request, refused)
        return refused

    def check_topic(self) -> None:
        """Asks whether the topic exists. An account that may only publish is not told, and that is fine.

        Raises:
          JobError: it does not exist, or nobody answers.
        """
        try:
            self._call(self._get_topic, _GetTopicRequest(topic=self._topic.name))
        except JobError as error:
            if "PERMISSION_DENIED" not in str(error):
                raise
        except (TransientError, _UnfitError) as error:
            raise self._topic.job_error("UNAVAILABLE", str(error)) from error

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _send(self, request: Sequence[_Encoded], refused: dict[int, RecordError]) -> None:
        pending = [request]
        while pending:
            part = pending.pop()
            try:
                self._call(
                    self._publish, _PublishRequest(topic=self._topic.name, messages=[each.message for each in part])
                )
            except _UnfitError as failure:
                if len(part) == 1:
                    refused[part[0].at] = RecordError(failure.code, "Pub/Sub refused the message for its content")
                else:
                    middle = len(part) // 2
                    pending += [part[middle:], part[:middle]]  # the first half is sent first

    def _call(self, method: Any, request: Any) -> Any:
        """The answer to a request. Raises as `publish`, and _UnfitError."""
        topic, breaker = self._topic, self._topic.breaker

        def send() -> Any:
            try:
                response = method(request, timeout=_TIMEOUT_S, metadata=_routing(topic))
            except grpc.RpcError as error:
                code, message = error.code().name, error.details() or ""
                breaker.answered(code, classify(code, message), message)
                raise _RequestError(code, message) from None
            breaker.succeeded()
            return response

        def meaning(error: _RequestError, attempts: int) -> FirebeamError:
            kind = classify(error.code, error.message)
            if kind is Kind.JOB or error.code == "NOT_FOUND":
                return topic.job_error(error.code, error.message)
            if kind is not Kind.TRANSIENT:
                return _UnfitError(error.code)
            self.retries += 1
            return TransientError(f"Pub/Sub did not answer in {attempts} attempts; the last answer was {error}")

        return self._retry.call(send, catch=_RequestError, meaning=meaning, is_outage=breaker.is_down)


def _packed(messages: Sequence[_Encoded]) -> Iterator[Sequence[_Encoded]]:
    """Messages in requests within the limits, in their order."""
    first = n_bytes = 0
    for place, message in enumerate(messages):
        if place > first and (n_bytes + message.n_bytes > _MAX_REQUEST_BYTES or place - first == _MAX_MESSAGES):
            yield messages[first:place]
            first, n_bytes = place, 0
        n_bytes += message.n_bytes
    if messages:
        yield messages[first:]


def _routing(topic: PubSubTopic) -> tuple[tuple[str, str], ...]:
    return (("x-goog-request-params", f"topic={topic.name}"),)
