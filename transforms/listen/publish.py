"""Changes into a Pub/Sub topic, a message for each: `--pubsub_topic=projects/P/topics/T`.

    ordering key   path of the document: its changes arrive in their order where the subscription has ordering enabled
    attributes     event_id, kind, stream_id, and the parameters of stream and path, for filters of subscriptions
    data           JSON: event_id, kind, path, deleted, update_time, read_time, stream_id, parameters, document, record

`document` is in Firestore's types, as `tagged_json.py` writes them; `record` is what the record spec made of it, its
points in time as text. Delivery is at least once, and a message that comes again has the same event_id.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from transforms.batch import Batch, BatchResult
from transforms.firestore.tagged_json import iso, to_tagged_json
from transforms.listen.entries import Changed, refused
from transforms.listen.handlers import event_of
from transforms.pubsub.publisher import MAX_ATTRIBUTE_BYTES, MAX_ORDERING_KEY_BYTES, Message, Publisher
from transforms.pubsub.topic import PubSubTopic
from transforms.retry import Retry

STEP = "PublishChanges"
_KEPT_BY_PUBSUB = "goog"  # what names of attributes must not begin with


@dataclass(frozen=True)
class PubSubSink:
    """Publishes every change.

    Attributes:
      topic: where to.
      prefix: of the full names of documents, `projects/P/databases/D/documents/`.
      retry: of a request.
    """

    topic: PubSubTopic
    prefix: str
    retry: Retry

    @property
    def step(self) -> str:
        """See `ChangeSink`."""
        return STEP

    def open(self) -> PubSubWriter:
        """See `ChangeSink`."""
        return PubSubWriter(Publisher(self.topic, self.retry), self.prefix)


class PubSubWriter:
    """Publishes with one publisher; for one thread."""

    def __init__(self, publisher: Publisher, prefix: str):
        self._publisher, self._prefix = publisher, prefix

    def write(self, batch: Batch[Changed]) -> Batch[Changed]:
        """The batch without the changes that cannot be published. Raises TransientError, JobError."""
        before = self._publisher.retries
        failures = self._publisher.publish([message_of(entry, batch.source, self._prefix) for entry in batch.entries])
        result: BatchResult[Changed] = BatchResult(batch, retries=self._publisher.retries - before)
        for at, entry in enumerate(batch.entries):
            if (failure := failures.get(at)) is None:
                result.entries.append(entry)
            else:
                dead_letter = refused(entry, STEP, failure.code, failure.message, retryable=False)
                result.dead_letters.append(dead_letter)
        return result.closed()

    def close(self) -> None:
        """Closes the connection."""
        self._publisher.close()


def message_of(entry: Changed, stream_id: str, prefix: str) -> Message:
    """The message of a change."""
    change, event_id = entry.change, event_of(entry, prefix)
    content = {
        "event_id": event_id,
        "kind": change.kind,
        "path": entry.key,
        "deleted": change.deleted,
        "update_time": None if change.update_time is None else iso(change.update_time),
        "read_time": iso(change.read_time),
        "stream_id": stream_id,
        "parameters": dict(entry.parameters),
        "document": None if change.document is None else to_tagged_json(change.document.fields),
        "record": None if entry.record is None else {name: _plain(value) for name, value in entry.record.items()},
    }
    attributes = {"event_id": event_id, "kind": change.kind, "stream_id": stream_id}
    return Message(orjson.dumps(content), {**_attributes(entry.parameters), **attributes}, _ordering_key(entry.key))


def _attributes(parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters that can be attributes; all of them are in the data."""
    return {
        name: value
        for name, value in parameters.items()
        if len(value.encode()) <= MAX_ATTRIBUTE_BYTES and not name.startswith(_KEPT_BY_PUBSUB)
    }


def _ordering_key(path: str) -> str:
    """The path, or the hash of one that is too long for a key.

    >>> _ordering_key("users/ada"), len(_ordering_key("users/" + "x" * 1_400))
    ('users/ada', 64)
    """
    encoded = path.encode()
    return path if len(encoded) <= MAX_ORDERING_KEY_BYTES else hashlib.sha256(encoded).hexdigest()


def _plain(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime.datetime) else to_tagged_json(value)
