"""Reading an answer as a whole: a broken stream is read again from its beginning, a bounded number of times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clocks import no_waiting
from transforms.errors import JobError, TransientError
from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.fetch import fetch_all
from transforms.firestore.target import FirestoreTarget
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore, status

CLIENT = FirestoreTarget("demo-fetch", emulator_host="127.0.0.1:1").connect()


class Streams:
    """Streams of the same messages; the first ones break after so many of them."""

    def __init__(self, messages, *breaks, code="UNAVAILABLE"):
        self.messages, self.breaks, self.code, self.opened, self.slept_s = messages, breaks, code, 0, []

    def open(self):
        stop = self.breaks[self.opened] if self.opened < len(self.breaks) else None
        self.opened += 1
        yield from self.messages[:stop]
        if stop is not None:
            raise RpcError(self.code, "the stream broke")

    def fetch(self):
        retry = Retry(max_attempts=4, initial_s=1, clock=no_waiting(slept=self.slept_s, chance=0.5))
        return fetch_all(CLIENT, self.open, retry)


@given(messages=st.lists(st.integers()), breaks=st.lists(st.integers(0, 20), max_size=3))
def test_however_streams_break_every_message_comes_once_and_in_order(messages, breaks):
    streams = Streams(messages, *breaks)
    assert streams.fetch() == messages
    assert streams.opened == len(breaks) + 1


def test_it_waits_longer_every_time():
    streams = Streams([1], 0, 0, 1)
    streams.fetch()
    assert streams.slept_s == [0.5, 1.0, 2.0]


def test_attempts_are_bounded_and_nobody_waits_after_the_last():
    streams = Streams([1, 2], 1, 1, 1, 1)
    with pytest.raises(
        TransientError, match=r"^Firestore did not answer in 4 attempts; the last answer was UNAVAILABLE"
    ):
        streams.fetch()
    assert (streams.opened, len(streams.slept_s)) == (4, 3)


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "UNAUTHENTICATED", "INVALID_ARGUMENT", "NOT_FOUND"])
def test_what_will_not_pass_is_not_tried_again(code):
    streams = Streams([1], 1, code=code)
    with pytest.raises(
        JobError, match=f"refused projects/demo-fetch/databases/.default. with {code}: the stream broke"
    ):
        streams.fetch()
    assert (streams.opened, streams.slept_s) == (1, [])


def test_a_query_that_fails_in_passing_is_sent_again():
    query = messages.StructuredQuery()
    query.from_.add(collection_id="people")
    with ScriptedFirestore(scripts={"RunQuery": [status("UNAVAILABLE")]}) as server:
        client, parent = server.target.connect(), f"{server.target.name}/documents"
        names = [server.target.document_name(f"people/{key}") for key in "abc"]
        client.commit([messages.update(messages.document(name)) for name in names], 10).result()
        answers = fetch_all(client, lambda: client.run_query(parent, query, 10), Retry(2, 0))
    assert [answer.document.name for answer in answers if answer.HasField("document")] == names
    assert len(server.requests("BatchGetDocuments", "RunQuery")) == 2
