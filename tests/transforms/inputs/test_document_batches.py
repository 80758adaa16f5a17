"""Documents as batches: every document once, and the same names for the same batches."""

import datetime

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from tests.support.partitions import partitioned
from transforms.batch import Batch, Record
from transforms.errors import UsageError
from transforms.firestore.pieces import QueryPiece
from transforms.firestore.query import Query
from transforms.firestore.read_plan import RangePlanner
from transforms.inputs.documents import input_id, read_batches
from transforms.inputs.read import ReadDocumentBatches
from transforms.testing import ScriptedFirestore

MOMENT = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
USERS = {f"users/u{n:02d}": {"n": n, "name": f"Person {n}"} for n in range(20)}

SEEN = []


def see(batch: Batch[Record]) -> None:
    SEEN.append(batch)


@pytest.fixture
def server():
    partitions = partitioned(["users/u12", "users/u05"])
    with ScriptedFirestore(USERS, {"PartitionQuery": partitions}, now=MOMENT.timestamp) as scripted:
        yield scripted


def batches(server, query=Query("users"), moment=MOMENT, batch_size=500, max_batch_bytes=2**20, **more):
    client = server.target.connect()
    ranges = RangePlanner(client, 8).ranges(query, moment)
    pieces = [QueryPiece(query, span, moment, index) for index, span in enumerate(ranges)]
    return [batch for piece in pieces for batch in read_batches(client, piece, batch_size, max_batch_bytes, **more)]


def test_the_transform_gives_the_batches_of_all_ranges(server):
    SEEN.clear()
    with beam.Pipeline(FnApiRunner(), PipelineOptions([])) as p:
        _ = p | ReadDocumentBatches(server.target, Query("users"), MOMENT, batch_size=4, max_ranges=8) | beam.Map(see)
    found = sorted(SEEN, key=lambda batch: batch.entries[0].position)
    assert found == batches(server, batch_size=4)


def test_every_document_is_a_record_of_one_batch(server):
    found = batches(server, batch_size=4)
    assert [batch.read for batch in found] == [4, 1, 4, 3, 4, 4]
    records = [record for batch in found for record in batch.entries]
    assert [record.fallback_id for record in records] == [f"u{n:02d}" for n in range(20)]
    assert records[7].value == {"n": 7, "name": "Person 7"}
    assert {batch.source for batch in found} == {"firestore://users"}


def test_positions_and_names_are_different_and_names_begin_with_the_input(server):
    found = batches(server, batch_size=4)
    assert len({record.position for batch in found for record in batch.entries}) == 20
    assert len({batch.batch_id for batch in found}) == len(found)
    assert {batch.batch_id.partition("-")[0] for batch in found} == {input_id(server.target, Query("users"), MOMENT)}


def test_a_batch_is_bounded_by_bytes(server):
    assert [batch.read for batch in batches(server, max_batch_bytes=1)] == [1] * 20


def test_read_again_the_batches_are_the_same(server):
    assert batches(server, batch_size=4) == batches(server, batch_size=4)


def names(found):
    return {batch.batch_id for batch in found}


def test_ranges_that_are_cut_elsewhere_share_no_names(server):
    first = batches(server)
    server.script("PartitionQuery", partitioned(["users/u03", "users/u09"]))
    assert names(first) & names(batches(server)) == set()


def test_another_moment_has_other_names(server):
    earlier = MOMENT - datetime.timedelta(seconds=1)
    assert names(batches(server)) & names(batches(server, moment=earlier)) == set()


def test_complete_batches_are_passed_over(server):
    first = names(batches(server, batch_size=4))
    complete = frozenset(sorted(first)[:3])
    assert names(batches(server, batch_size=4, is_complete=complete.__contains__)) == first - complete


@pytest.mark.parametrize("option", ["batch_size", "max_batch_bytes"])
def test_sizes_have_bounds(server, option):
    with pytest.raises(UsageError, match=f"^{option} must be at least 1, got 0$"):
        ReadDocumentBatches(server.target, Query("users"), MOMENT, **{option: 0})
