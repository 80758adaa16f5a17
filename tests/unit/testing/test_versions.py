"""Reads at a read time: every version within the retention, none beyond it, compared with a list of all states."""

import datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.clocks import STARTED_AT, Clock
from transforms.firestore import messages
from transforms.firestore.query import Query
from transforms.firestore.reader import count, read, read_paths
from transforms.testing import RpcError, ScriptedFirestore

UTC = datetime.timezone.utc
HOUR_S, DAY_S = 3_600, 24 * 3_600
TOO_OLD = r"^FAILED_PRECONDITION: The requested snapshot version is too old\.$"
USERS = Query("users")


def at(seconds):
    return datetime.datetime.fromtimestamp(STARTED_AT + seconds, UTC)


@pytest.fixture
def clock():
    return Clock()


def get(server, read_time, path="users/ada"):
    """The fields of a document at a time; None if there was none."""
    (answer,) = server.target.connect().batch_get([server.target.document_name(path)], (), 10, read_time)
    return answer.found.fields["v"].integer_value if answer.HasField("found") else None


def test_an_hour_can_be_read_to_the_microsecond_and_no_more(clock):
    with ScriptedFirestore({"users/ada": {"v": 0}}, now=clock) as server:
        clock.seconds = HOUR_S
        assert get(server, at(0)) == 0
        with pytest.raises(RpcError, match=TOO_OLD):
            get(server, at(0) - datetime.timedelta(microseconds=1))


def test_every_way_to_read_is_refused_a_version_that_is_too_old(clock):
    with ScriptedFirestore({"users/ada": {"v": 0}}, now=clock) as server:
        client, parent = server.target.connect(), f"{server.target.name}/documents"
        query = messages.StructuredQuery(from_=[{"collection_id": "users", "all_descendants": True}])
        counted = messages.StructuredAggregationQuery(structured_query=query, aggregations=[{"count": {}}])
        parts = messages.PartitionQueryRequest(parent=parent, structured_query=query, partition_count=1)
        clock.seconds = HOUR_S + 1
        for request in (
            lambda: list(client.run_query(parent, query, 10, at(0))),
            lambda: list(client.aggregate(parent, counted, 10, at(0))),
            lambda: client.partition_query(parts, 10, at(0)),
            lambda: get(server, at(0)),
        ):
            with pytest.raises(RpcError, match=TOO_OLD):
                request()


def test_with_point_in_time_recovery_whole_minutes_of_seven_days_can_be_read(clock):
    minute = -STARTED_AT % 60
    with ScriptedFirestore({"users/ada": {"v": 0}}, now=clock, point_in_time_recovery=True) as server:
        clock.seconds = minute + 7 * DAY_S
        assert get(server, at(minute)) == 0
        for refused in (minute + 1, minute - 60):
            with pytest.raises(RpcError, match=TOO_OLD):
                get(server, at(refused))


def test_the_future_cannot_be_read(clock):
    with ScriptedFirestore(now=clock) as server:
        with pytest.raises(RpcError, match=r"^INVALID_ARGUMENT: read_time cannot be in the future$"):
            get(server, at(1))


def test_a_retention_of_the_test_s_own(clock):
    with ScriptedFirestore(now=clock, retention_s=10) as server:
        clock.seconds = 11
        assert get(server, at(1)) is None
        with pytest.raises(RpcError, match=TOO_OLD):
            get(server, at(0))


def test_forgotten_versions_leave_what_can_still_be_read(clock):
    with ScriptedFirestore({"users/ada": {"v": -1}}, now=clock, retention_s=10, forget_versions=True) as server:
        for seconds in range(100):
            clock.seconds = seconds
            server.put({"users/ada": {"v": seconds}, f"users/{seconds}": {"v": 0}})
            server.delete(f"users/{seconds}")
            server.put({"users/ada": {"v": seconds + 1_000}})
        assert [get(server, at(seconds)) for seconds in (90, 95)] == [90, 95]
        assert get(server, server.documents["users/ada"].update_time) == 1_099
        assert server.documents_at(at(50)) == {}
        assert list(server.documents) == ["users/ada"]


def test_a_commit_of_another_client_says_its_time(clock):
    with ScriptedFirestore(now=clock) as server:
        written = server.put({"users/ada": {"v": 1}})
        deleted = server.delete("users/ada")
        assert server.documents_at(written)["users/ada"].update_time == written == at(0)
        assert server.documents_at(deleted) == {}


class VersionedReads(RuleBasedStateMachine):
    """A state per commit, in a list, against the server's answers at any time that was ever seen."""

    @initialize(forgets=st.booleans(), recovery=st.booleans())
    def start(self, forgets, recovery):
        self.clock, self.recovery = Clock(), recovery
        self.server = ScriptedFirestore(now=self.clock, forget_versions=forgets, point_in_time_recovery=recovery)
        self.server.__enter__()
        self.client = self.server.target.connect()
        self.states = [(at(-HOUR_S), {})]

    def teardown(self):
        if hasattr(self, "server"):
            self.server.__exit__(None, None, None)

    @rule(written=st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), min_size=1))
    def write(self, written):
        time = self.server.put({f"users/{name}": {"v": v} for name, v in written.items()})
        self.states.append((time, {**self.states[-1][1], **written}))

    @rule(name=st.sampled_from("abc"))
    def delete(self, name):
        time = self.server.delete(f"users/{name}")
        self.states.append((time, {each: v for each, v in self.states[-1][1].items() if each != name}))

    @rule(seconds=st.sampled_from([0.5, 60, HOUR_S / 2, 3 * DAY_S]))
    def wait(self, seconds):
        self.clock.seconds += seconds

    @rule(chosen=st.integers(0, 1_000), shift_us=st.sampled_from([-1, 0, 1]), whole=st.booleans())
    def read_at(self, chosen, shift_us, whole):
        time = self.states[chosen % len(self.states)][0] + datetime.timedelta(microseconds=shift_us)
        time = time.replace(second=0, microsecond=0) if whole else time
        present = max(at(self.clock.seconds), self.states[-1][0])
        age = present - time
        is_kept = age <= datetime.timedelta(seconds=HOUR_S) or (
            self.recovery and age <= datetime.timedelta(days=7) and not time.second and not time.microsecond
        )
        if not is_kept or time > present:
            with pytest.raises(RpcError, match=r"too old|in the future"):
                get(self.server, time)
            return
        expected = next((state for when, state in reversed(self.states) if when <= time), {})
        assert self.found(time) == expected
        assert count(self.client, USERS, time) == len(expected)
        ones = USERS.where("v", "==", 1)
        assert len(list(read(self.client, ones, read_time=time))) == list(expected.values()).count(1)
        paths = [
            document.path
            for document in read_paths(self.client, [f"users/{n}" for n in "abc"], time)
            if document.exists
        ]
        assert sorted(paths) == sorted(f"users/{name}" for name in expected)

    @invariant()
    def the_present_is_the_last_state(self):
        if hasattr(self, "server"):
            assert self.found(None) == self.states[-1][1]

    def found(self, time):
        return {document.id: document.fields["v"] for document in read(self.client, USERS, read_time=time)}


TestVersionedReads = VersionedReads.TestCase
TestVersionedReads.settings = settings(
    max_examples=30, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
