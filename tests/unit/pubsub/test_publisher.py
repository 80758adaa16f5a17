"""Messages to Pub/Sub: packed within its limits, in their order, an answer for each."""

import grpc
import pytest

from tests.support.clocks import no_waiting
from tests.support.scripted_pubsub import INVALID_ARGUMENT, UNAVAILABLE, ScriptedPubSub
from transforms.errors import JobError, OutageError, TransientError, UsageError
from transforms.pubsub.publisher import Message, Publisher
from transforms.pubsub.topic import PubSubTopic
from transforms.retry import Retry
from transforms.services import Services

RETRY = Retry(max_attempts=3, clock=no_waiting(lambda: 0.0))


def published(pubsub, messages):
    with pubsub.running() as topic:
        publisher = Publisher(topic, RETRY)
        try:
            return publisher.publish(messages), publisher.retries
        finally:
            publisher.close()


def test_messages_arrive_as_they_are_in_their_order():
    pubsub = ScriptedPubSub()
    assert published(pubsub, [Message(b"%d" % n, {"n": str(n)}, f"key {n % 3}") for n in range(2_500)]) == ({}, 0)
    assert [int(message.data) for message in pubsub.published] == list(range(2_500))
    assert (pubsub.published[7].attributes["n"], pubsub.published[7].ordering_key) == ("7", "key 1")
    assert pubsub.requests == [1_000, 1_000, 500]


def test_requests_stay_within_ten_megabytes_and_a_message_that_alone_does_not_is_refused():
    pubsub = ScriptedPubSub()
    sizes = [4_000_000, 4_000_000, 4_000_000, 9_000_001, 1]
    refused, _ = published(pubsub, [Message(b"x" * size) for size in sizes])
    assert [len(message.data) for message in pubsub.published] == [4_000_000, 4_000_000, 4_000_000, 1]
    assert pubsub.requests == [2, 2]
    assert {at: error.code for at, error in refused.items()} == {3: "MESSAGE_TOO_LARGE"}
    assert refused[3].message == "the message would have 9,000,012 bytes; at most 9,000,000 are published"


def test_what_is_refused_for_its_content_is_found_and_keeps_no_other_out():
    bad = {b"3", b"4", b"9"}
    pubsub = ScriptedPubSub(
        lambda request: INVALID_ARGUMENT if bad & {message.data for message in request.messages} else None
    )
    refused, _ = published(pubsub, [Message(b"%d" % n) for n in range(10)])
    assert {at: (error.code, error.message) for at, error in refused.items()} == dict.fromkeys(
        (3, 4, 9), ("INVALID_ARGUMENT", "Pub/Sub refused the message for its content")
    )
    assert [int(message.data) for message in pubsub.published] == [0, 1, 2, 5, 6, 7, 8]


def test_a_request_that_fails_transiently_is_sent_again():
    answers = iter([UNAVAILABLE, UNAVAILABLE])
    pubsub = ScriptedPubSub(lambda request: next(answers, None))
    assert published(pubsub, [Message(b"x")]) == ({}, 2)
    assert len(pubsub.published) == 1


def test_a_request_that_fails_too_often_fails_the_batch():
    with pytest.raises(TransientError, match=r"^Pub/Sub did not answer in 3 attempts; the last answer was UNAV"):
        published(ScriptedPubSub(lambda request: UNAVAILABLE), [Message(b"x")])


def test_an_outage_that_lasts_stops_the_job():
    pubsub = ScriptedPubSub(lambda request: UNAVAILABLE)
    with pubsub.running() as topic:
        publisher = Publisher(topic, Retry(max_attempts=9, clock=no_waiting(lambda: 0.0)))
        with pytest.raises(OutageError, match=r"^Pub/Sub \(demo-a, 127\.0\.0\.1:\d+\) has not answered for"):
            publisher.publish([Message(b"x")])
        publisher.close()


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("NOT_FOUND", "Create it: gcloud pubsub topics create changes --project=demo-a"),
        ("PERMISSION_DENIED", "Grant the job's account roles/pubsub.publisher on projects/demo-a/topics/changes."),
        ("UNAUTHENTICATED", "Sign in: gcloud auth application-default login, or give the job a service account."),
    ],
)
def test_what_no_message_can_pass_stops_the_job_and_says_what_to_do(code, advice):
    with pytest.raises(JobError) as stopped:
        published(ScriptedPubSub(lambda request: (grpc.StatusCode[code], "no")), [Message(b"x"), Message(b"y")])
    assert str(stopped.value) == f"Pub/Sub refused projects/demo-a/topics/changes with {code}: no. {advice}"


def test_a_topic_is_looked_for_by_whoever_may_look():
    pubsub = ScriptedPubSub()
    with pubsub.running() as topic:
        publisher = Publisher(topic, RETRY)
        publisher.check_topic()
        pubsub.denied = True
        publisher.check_topic()
        pubsub.denied = False
        pubsub.topics.clear()
        with pytest.raises(JobError, match="Create it: gcloud pubsub topics create changes --project=demo-a"):
            publisher.check_topic()
        publisher.close()


@pytest.mark.parametrize(
    ("text", "name"),
    [("changes", "projects/acme/topics/changes"), ("projects/other/topics/a.b-c", "projects/other/topics/a.b-c")],
)
def test_a_topic_is_named_in_full_or_by_its_id(text, name):
    topic = PubSubTopic.parse(text, "acme", Services(pubsub_emulator="127.0.0.1:1"))
    assert (topic.name, topic.address) == (name, "127.0.0.1:1")
    assert PubSubTopic.parse(text, "acme", Services()).address == "pubsub.googleapis.com:443"


@pytest.mark.parametrize("text", ["", "ab", "1st", "google-things", "projects/p/topics/", "projects/p/subscriptions/s"])
def test_what_is_not_a_topic_is_refused(text):
    with pytest.raises(UsageError, match=r"^a Pub/Sub topic is named projects/PROJECT/topics/TOPIC, or TOPIC, of at"):
        PubSubTopic.parse(text, "acme", Services())
