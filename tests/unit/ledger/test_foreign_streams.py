"""Documents of other applications among the streams: passed over in lists, never replaced, named in one sentence."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import any_documents
from transforms.counters import Counters
from transforms.errors import UsageError
from transforms.ledger.owners import Owner
from transforms.ledger.streams import SavedStream, StreamDescription, claim, read_streams, stream_document, summed
from transforms.outcomes import RECORDS
from transforms.testing import ScriptedFirestore

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
PATH = "pipeline_streams/listen-1:users"
COUNTERS: Counters = RECORDS


def ours(**changed):
    fields = {
        "job_id": "listen-1",
        "attempt": 1,
        "stream": "users",
        "owner": {"host": "another-host", "pid": 1, "since": NOON},
        "state": "live",
        "reason": "",
        "position": None,
        "updated_at": NOON,
        "counts": {"read": 3},
        "counts_before": {"read": 1},
    }
    return {**fields, **changed}


positions = st.fixed_dictionaries(
    {"kind": st.sampled_from(["compare", "follow", "other"])},
    optional=dict.fromkeys(("to", "read_time", "since", "after", "token"), any_documents.leaves),
)
anything = st.one_of(any_documents.values, st.lists(any_documents.leaves, max_size=2), positions)
mutated = st.one_of(
    st.builds(lambda name, value: ours(**{name: value}), st.sampled_from(sorted(ours())), anything),
    st.builds(
        lambda name, value: ours(owner={**ours()["owner"], name: value}),
        st.sampled_from(["host", "pid", "since"]),
        anything,
    ),
    st.builds(lambda value: ours(counts={"read": value}), anything),
)


def test_a_stream_of_ours_is_read():
    stream = SavedStream.of("listen-1:users", ours())
    assert (stream.stream_id, summed([stream], COUNTERS)["read"]) == ("users", 2)


@given(st.one_of(any_documents.records, mutated))
def test_whatever_is_there_it_is_a_stream_or_said_to_be_none_in_a_sentence(fields):
    try:
        stream = SavedStream.of("x", fields)
    except UsageError as error:
        said = str(error)
        assert said == "pipeline_streams/x is not a stream of Firebeam, which leaves it alone; choose another --job_id"
    else:
        summed([stream], COUNTERS)


def test_it_is_passed_over_and_never_replaced():
    foreign = ours(counts="many")
    with ScriptedFirestore({PATH: foreign, "pipeline_streams/listen-1:posts": ours(stream="posts")}) as server:
        client = server.target.connect()
        assert [stream.stream_id for stream in read_streams(client, "listen-1")] == ["posts"]
        description = StreamDescription("users", "users", "f")
        with pytest.raises(UsageError, match=r"^pipeline_streams/listen-1:users is not a stream of Firebeam"):
            claim(stream_document(client, "listen-1", "users"), description, Owner(), 1, None, COUNTERS)
        assert server.documents[PATH].fields == foreign
