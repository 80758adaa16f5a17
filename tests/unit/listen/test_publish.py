"""Changes as messages: all that is known of them, an ordering key per document, filters in attributes."""

import datetime
import json

from tests.support.changes import batch_of, changed, removed, stored
from tests.support.clocks import no_waiting
from tests.support.listened import PREFIX
from tests.support.scripted_pubsub import INVALID_ARGUMENT, ScriptedPubSub
from transforms.listen.publish import PubSubSink, message_of
from transforms.retry import Retry

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
RETRY = Retry(max_attempts=2, clock=no_waiting(lambda: 0.0))


def message(change, **settings):
    (entry,) = batch_of(change, **settings).entries
    return message_of(entry, "the stream", PREFIX)


def test_a_message_says_all_that_is_known_of_a_change():
    made = message(
        stored("users/ada/posts/1", 1, at=NOON, n=1.0),
        pattern="users/{user}/posts",
        parameters={"feed": "x"},
        records={"users/ada/posts/1": {"at": NOON, "tags": ["a"]}},
    )
    content = json.loads(made.data)
    event_id = content.pop("event_id")
    assert content == {
        "kind": "added", "path": "users/ada/posts/1", "deleted": False, "stream_id": "the stream",
        "update_time": "2027-01-15T08:00:01.000000Z", "read_time": "2027-01-15T08:00:01.000000Z",
        "parameters": {"feed": "x", "user": "ada"},
        "document": {"at": {"$timestamp": "2026-01-01T12:00:00.000000Z"}, "n": 1.0},
        "record": {"at": "2026-01-01T12:00:00.000000Z", "tags": ["a"]},
    }  # fmt: skip
    assert made.ordering_key == "users/ada/posts/1"
    assert made.attributes == {
        "feed": "x", "user": "ada", "event_id": event_id, "kind": "added", "stream_id": "the stream",
    }  # fmt: skip


def test_a_removed_document_has_a_message_without_it():
    content = json.loads(message(removed("users/a", 5, None, deleted=False)).data)
    assert [content[name] for name in ("kind", "deleted", "document", "record", "update_time")] == [
        "removed", False, None, None, None,
    ]  # fmt: skip


def test_all_messages_of_a_document_have_one_ordering_key_of_a_length_that_pubsub_takes():
    path = f"users/{'é' * 700}"
    keys = {message(change).ordering_key for change in (stored(path), changed(path, 1), removed(path, 2))}
    assert [len(key) for key in keys] == [64]


def test_a_parameter_that_cannot_be_an_attribute_is_in_the_data_only():
    made = message(stored("users/a"), parameters={"long": "é" * 513, "google": "x", "fits": "é" * 512, "kind": "mine"})
    assert set(made.attributes) == {"fits", "event_id", "kind", "stream_id"}
    assert made.attributes["kind"] == "added"
    assert set(json.loads(made.data)["parameters"]) == {"long", "google", "fits", "kind"}


def test_a_message_that_is_refused_is_a_dead_letter_and_the_others_are_written():
    pubsub = ScriptedPubSub(
        lambda request: INVALID_ARGUMENT if any(b"users/b" in each.data for each in request.messages) else None
    )
    batch = batch_of(stored("users/a"), stored("users/b", n=7), stored("users/c"))
    with pubsub.running() as topic:
        writer = PubSubSink(topic, PREFIX, RETRY).open()
        after = writer.write(batch)
        writer.close()
    assert [entry.key for entry in after.entries] == ["users/a", "users/c"]
    (dead,) = after.dead_letters
    assert (dead.step, dead.code, dead.record_id, dead.retryable) == (
        "PublishChanges", "INVALID_ARGUMENT", "users/b", False,
    )  # fmt: skip
    assert dead.original == {"__name__": "users/b", "n": 7}
    assert [message.ordering_key for message in pubsub.published] == ["users/a", "users/c"]
