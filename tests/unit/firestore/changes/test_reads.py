"""Which old states can still be read, and reads that send names only."""

import datetime

import pytest

from tests.support.clocks import STARTED_AT, Clock
from transforms.firestore.changes.reads import Reads, TooManyNamesError
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget
from transforms.testing import ScriptedFirestore, status

NOW = datetime.datetime.fromtimestamp(STARTED_AT, datetime.timezone.utc)
PEOPLE = {"users/ada": {"age": 36}, "users/bob": {"age": 7}, "users/eve": {"age": 36}}


class Service:
    """A client that is not an emulator's, and answers reads at whole minutes if the database keeps them."""

    target = FirestoreTarget("p")

    def __init__(self, client):
        self._client, self.read_times = client, []

    def __getattr__(self, name):
        return getattr(self._client, name)

    def batch_get(self, names, mask, timeout_s, read_time):
        self.read_times.append(read_time)
        return self._client.batch_get(names, mask, timeout_s)


@pytest.fixture(scope="module")
def server():
    with ScriptedFirestore(PEOPLE, now=Clock()) as server:
        yield server


def reads(client, query=Query("users")):
    return Reads(client, query, now=lambda: NOW)


def ago(**how_long):
    return NOW - datetime.timedelta(**how_long)


def test_for_an_hour_every_state_can_be_read(server):
    client = Service(server.target.connect())
    assert reads(client).readable(ago(minutes=57)) == ago(minutes=57)
    assert client.read_times == []


def test_then_for_a_week_the_states_of_whole_minutes_where_the_database_keeps_them(server):
    client = Service(server.target.connect())
    minute = ago(hours=3).replace(second=0, microsecond=0)
    assert reads(client).readable(minute + datetime.timedelta(seconds=40)) == minute
    assert client.read_times == [minute]
    assert reads(client).readable(ago(days=8)) is None


def test_where_the_database_keeps_none_none_can_be_read(server):
    server.script("BatchGetDocuments", [status("FAILED_PRECONDITION", "The requested read_time is too old")])
    assert reads(Service(server.target.connect())).readable(ago(hours=3)) is None


def test_an_emulator_answers_every_read_time_so_it_is_not_asked(server):
    server.reset()
    assert reads(server.target.connect()).readable(ago(hours=3)) is None
    assert server.requests() == []


def test_versions_are_read_without_the_fields(server):
    server.reset()
    now = reads(server.target.connect()).server_time()
    assert reads(server.target.connect()).all_versions(now, 3).keys() == PEOPLE.keys()
    (request,) = server.requests("RunQuery")
    assert [each.field_path for each in request.structured_query.select.fields] == ["__name__"]


def test_too_many_names_are_not_kept(server):
    own = reads(server.target.connect())
    with pytest.raises(TooManyNamesError, match="the query has more than 2 documents"):
        own.all_versions(own.server_time(), 2)


def test_documents_are_counted_and_looked_up_as_of_a_read_time(server):
    own = reads(server.target.connect(), Query("users").where("age", "==", 36))
    now = own.server_time()
    assert own.is_filtered
    assert own.count(now) == 2
    paths = [f"users/{n}" for n in range(150)]
    assert own.existing(["users/bob", *paths, "users/eve"], now) == {"users/bob", "users/eve"}


def test_a_range_of_names_is_not_a_filter_that_a_document_can_leave(server):
    assert not reads(server.target.connect(), Query("users").where("__name__", ">=", "users/b")).is_filtered
