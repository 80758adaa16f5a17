"""Streams divided by ranges of names: disjoint, together all, and the same when a run is resumed."""

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.jobs import listen
from pipeline.run.flags import parse
from transforms.errors import UsageError
from transforms.firestore.changes.positions import Follow
from transforms.firestore.changes.times import from_micros
from transforms.firestore.reader import read
from transforms.ledger.owners import Owner
from transforms.ledger.runs import Opening
from transforms.ledger.streams import claim, stream_document
from transforms.listen.counters import CHANGES
from transforms.testing import PROJECT, ScriptedFirestore

THEN = from_micros(1_700_000_000_000_000)
USERS = {f"users/u{n:03d}": {"n": n} for n in range(60)}


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with ScriptedFirestore(USERS, documents_per_partition=10) as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        yield server


def plan_of(*flags):
    own = [f"--project={PROJECT}", "--bigquery_table=p-1a:d.t", "--job_id=listen-1", "--collection=users"]
    config, rest = parse(listen.USAGE, [*own, *flags])
    return listen.prepare(config, PipelineOptions(rest))


def saved(server, plan, attempt=1):
    for stream in plan.streams:
        document = stream_document(server.target.connect(), "listen-1", stream.stream_id)
        claim(document, stream.description, Owner(), attempt, Follow(THEN), CHANGES)


def paths(server, plan):
    return [document.path for stream in plan.streams for document in read(server.target.connect(), stream.query.query)]


def test_the_parts_of_a_stream_are_all_of_it_and_each_document_is_of_one(server):
    plan = plan_of("--ranges=3")
    assert [stream.stream_id for stream in plan.streams] == ["users [1/3]", "users [2/3]", "users [3/3]"]
    assert sorted(paths(server, plan)) == sorted(USERS)
    assert len({stream.description.query_fingerprint for stream in plan.streams}) == 3


def test_a_run_that_is_resumed_has_the_cuts_of_the_one_before_however_the_collection_has_grown(server):
    first = plan_of("--ranges=3")
    saved(server, first)
    server.put({f"users/a{n:03d}": {"n": n} for n in range(200)})
    second = plan_of("--ranges=3")
    assert second.streams == first.streams
    assert len(second.opened(Opening(2, THEN, resumed=False)).positions) == 3
    third = plan_of("--ranges=3", "--start=snapshot")
    assert third.streams != first.streams
    assert third.opened(Opening(1, THEN, resumed=True)).positions == ()


@pytest.mark.parametrize(
    ("then", "now"), [("--ranges=3", "--ranges=2"), ("--ranges=3", "--ranges=1"), ("--ranges=1", "--ranges=3")]
)
def test_positions_are_not_resumed_in_other_parts(server, then, now):
    saved(server, plan_of(then))
    with pytest.raises(UsageError, match="pass --start=snapshot to write everything again"):
        plan_of(now)
    fresh = plan_of(now, "--start=snapshot")
    saved(server, fresh, attempt=2)
    assert plan_of(now).streams == fresh.streams
