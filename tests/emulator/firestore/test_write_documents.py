"""Writing and deleting on the real emulator: every operation does what it says, and one bad write harms no other."""

import datetime
import random

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to, is_empty
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.documents import read_collection
from transforms.errors import UsageError
from transforms.firestore.delete import DeleteFromFirestore
from transforms.firestore.operations import (
    ArrayRemove,
    ArrayUnion,
    Create,
    Delete,
    Increment,
    Maximum,
    Merge,
    Minimum,
    ServerTimestamp,
    Set,
    Update,
)
from transforms.firestore.outbox import Outbox
from transforms.firestore.packing import RequestLimits
from transforms.firestore.qos import QualityOfService
from transforms.firestore.query import Query
from transforms.firestore.reader import read_paths
from transforms.firestore.senders import BatchWriteSender, CommitSender
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import GeoPoint, Reference, Vector
from transforms.firestore.write import CommitToFirestore, WriteToFirestore
from transforms.firestore.writer import Writer
from transforms.firestore.written import WrittenDocument
from transforms.retry import Retry

pytestmark = pytest.mark.emulator


@pytest.fixture
def target(firestore_host, firestore_project):
    return FirestoreTarget(firestore_project, emulator_host=firestore_host)


def write_all(target, operations, *, atomic=False, max_request_bytes=3_500_000, **limits):
    """What became of the operations, or groups, in their order."""
    sender = (CommitSender if atomic else BatchWriteSender)(target.connect())
    limits = RequestLimits(max_request_bytes=max_request_bytes, **limits)
    writer = Writer(target.connect(), Outbox(sender, limits, Retry(), QualityOfService()), atomic=atomic)
    for position, operation in enumerate(operations):
        writer.put(position, operation)
    writer.flush()
    return [outcome for _, outcome in sorted(writer.take(), key=lambda pair: pair[0])]


def codes_of(outcomes):
    return [None if isinstance(outcome, WrittenDocument) else outcome.code for outcome in outcomes]


def stored(target):
    return read_collection(target, "docs")


OLD = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        (Set("docs/a", {"x": 2}), {"x": 2}),
        (Merge("docs/a", {"m": {"y": 2}}), {"x": 1, "m": {"y": 2, "z": 1}, "tags": ["a", "b"]}),
        (Merge("docs/a", {"m": {}}), {"x": 1, "m": {}, "tags": ["a", "b"]}),
        (Update("docs/a", {"m": {"y": 2}}), {"x": 1, "m": {"y": 2}, "tags": ["a", "b"]}),
        (Update("docs/a", {}, mask=("m.z", "x")), {"m": {"y": 1}, "tags": ["a", "b"]}),
        (Update("docs/a", {"full name": 1}, mask=("`full name`", "m", "x", "tags")), {"full name": 1}),
        (Delete("docs/a"), None),
        (Merge("docs/a", {}, transforms={"x": Increment(2)}), {"x": 3, "m": {"y": 1, "z": 1}, "tags": ["a", "b"]}),
        (
            Update("docs/a", {}, mask=(), transforms={"m.y": Maximum(7)}),
            {"x": 1, "m": {"y": 7, "z": 1}, "tags": ["a", "b"]},
        ),
        (Merge("docs/a", {}, transforms={"m.y": Minimum(0)}), {"x": 1, "m": {"y": 0, "z": 1}, "tags": ["a", "b"]}),
        (Set("docs/a", {"tags": ["b"]}, transforms={"tags": ArrayUnion(("b", "c"))}), {"tags": ["b", "c"]}),
        (Set("docs/a", {"tags": ["b", "c"]}, transforms={"tags": ArrayRemove(("b",))}), {"tags": ["c"]}),
    ],
)
@pytest.mark.parametrize("atomic", [False, True])
def test_an_operation_leaves_the_document_that_it_describes(target, operation, after, atomic):
    before = Set("docs/a", {"x": 1, "m": {"y": 1, "z": 1}, "tags": ["a", "b"]})
    assert codes_of(write_all(target, [before])) == [None]
    assert codes_of(write_all(target, [(operation,) if atomic else operation], atomic=atomic)) == [None]
    assert stored(target) == ({} if after is None else {"a": after})


def test_a_server_timestamp_is_the_server_s(target):
    write_all(target, [Set("docs/a", {}, transforms={"m.at": ServerTimestamp()})])
    assert isinstance(stored(target)["a"]["m"]["at"], datetime.datetime)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (Create("docs/there", {}), "ALREADY_EXISTS"),
        (Create("docs/new", {}), None),
        (Update("docs/new", {"x": 1}), "NOT_FOUND"),
        (Set("docs/new", {}, exists=True), "NOT_FOUND"),
        (Set("docs/there", {}, exists=False), "ALREADY_EXISTS"),
        (Set("docs/there", {}, update_time=OLD), "FAILED_PRECONDITION"),
        (Delete("docs/new", exists=True), "NOT_FOUND"),
        (Delete("docs/new"), None),
        (Delete("docs/there", update_time=OLD), "FAILED_PRECONDITION"),
    ],
)
@pytest.mark.parametrize("atomic", [False, True])
def test_a_precondition_that_does_not_hold_is_a_dead_letter_and_the_others_land(target, operation, code, atomic):
    write_all(target, [Set("docs/there", {})])
    operations = [Set("docs/before", {}), operation, Set("docs/after", {})]
    outcomes = write_all(target, [(each,) for each in operations] if atomic else operations, atomic=atomic)
    assert codes_of(outcomes) == [None, code, None]
    assert {"before", "after", "there"} <= stored(target).keys()


def test_a_write_under_the_newest_update_time_lands(target):
    ((first),) = write_all(target, [Set("docs/a", {"n": 1})])
    second = Update("docs/a", {"n": 2}, update_time=first.update_time)
    assert codes_of(write_all(target, [second])) == [None]
    assert codes_of(write_all(target, [second])) == ["FAILED_PRECONDITION"]


def test_the_update_time_is_the_one_that_is_read_back(target):
    (written,) = write_all(target, [Set("docs/a", {"n": 1})])
    (document,) = read_paths(target.connect(), ["docs/a"])
    assert document.update_time == written.update_time


def test_the_emulator_s_refusal_of_a_whole_request_costs_only_the_write_at_fault(target):
    operations = [Set(f"docs/{n}", {"n": n}) for n in range(40)]
    operations[17] = Set("docs/17", {"vectors": [Vector((1.0,))]})  # only the service knows that this is not allowed
    outcomes = write_all(target, operations)
    assert [position for position, code in enumerate(codes_of(outcomes)) if code] == [17]
    assert len(stored(target)) == 39


def test_a_request_beyond_the_emulator_s_four_megabytes_is_divided(target):
    operations = [Set(f"docs/{n}", {"text": "x" * 900_000}) for n in range(12)]
    assert codes_of(write_all(target, operations, max_request_bytes=20_000_000)) == [None] * 12
    assert len(stored(target)) == 12


def test_several_writes_of_one_document_in_one_bundle_are_done_in_their_order(target):
    numbers = list(range(60))
    outcomes = write_all(target, [Merge("docs/a", {"n": n, f"f{n}": n}) for n in numbers], max_writes=7)
    assert codes_of(outcomes) == [None] * 60
    assert stored(target)["a"] == {"n": 59, **{f"f{n}": n for n in numbers}}
    assert sorted(outcomes, key=lambda outcome: outcome.update_time) == outcomes


def test_a_group_lands_as_a_whole_or_not_at_all(target):
    groups = [(Set(f"docs/{n}", {}), Create("docs/one", {"n": n})) for n in range(20)]
    outcomes = write_all(target, groups, atomic=True)
    landed = [outcome for outcome in outcomes if isinstance(outcome, WrittenDocument)]
    assert len(landed) == 2
    assert stored(target).keys() == {written.path.rpartition("/")[2] for written in landed}


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    | st.binary(max_size=10)
    | st.datetimes(
        datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30), timezones=st.just(datetime.timezone.utc)
    )
    | st.builds(GeoPoint, st.floats(-90, 90), st.floats(-180, 180))
    | st.builds(lambda n: Reference(f"projects/demo-x/databases/(default)/documents/a/{n}"), st.integers(0, 9))
    | st.builds(Vector, st.lists(st.floats(-1, 1), min_size=1, max_size=3).map(tuple)),
    lambda inner: (
        st.lists(inner.filter(lambda value: not isinstance(value, (list, Vector))), max_size=3)
        | st.dictionaries(st.sampled_from(["x", "full name", "a.b", "`", "ä"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["a", "b c", "1", "\\"]), values, max_size=4))
def test_what_is_written_is_read_back(target, fields):
    operations = [Set("docs/a", fields), Merge("docs/a", fields), Update("docs/a", fields)]
    assert codes_of(write_all(target, operations)) == [None] * 3
    (document,) = read_paths(target.connect(), ["docs/a"])
    assert same(document.fields, fields)


def same(left, right):
    """Equality for which NaN equals itself and maps have no order."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and (left == right or (left != left and right != right))


def test_the_transforms_write_thousands_of_documents_and_account_for_all(target):
    bad = {17: Set("docs/..", {}), 1800: Create("docs/00001", {}), 2999: Update("docs/none", {"x": 1})}
    operations = [bad.get(n) or Set(f"docs/{n:05d}", {"n": n, "text": "x" * 1500}) for n in range(3000)]
    with beam.Pipeline(FnApiRunner()) as p:
        result = p | beam.Create(operations) | WriteToFirestore(target=target)
        assert_that(result.written | beam.combiners.Count.Globally(), equal_to([2997]), "Written")
        codes = result.dead_letters | beam.Map(lambda letter: letter.code)
        assert_that(codes, equal_to(["INVALID_ID", "ALREADY_EXISTS", "NOT_FOUND"]), "DeadLetters")
    assert len(stored(target)) == 2997


def test_groups_go_through_the_transform(target):
    groups = [(Set(f"docs/{n}", {}), Set(f"docs/{n}/sub/x", {})) for n in range(300)]
    with beam.Pipeline(FnApiRunner()) as p:
        result = p | beam.Create(groups) | CommitToFirestore(target=target)
        assert_that(result.written | beam.combiners.Count.Globally(), equal_to([600]), "Written")
        assert_that(result.dead_letters, is_empty(), "DeadLetters")
    assert len(stored(target)) == 300


def test_deleting_needs_consent_and_a_dry_run_only_counts(target):
    write_all(target, [Set(f"docs/{n}", {"n": n}) for n in range(25)])
    with pytest.raises(
        UsageError, match=r'from docs cannot be undone: count with dry_run=True, then pass confirm="docs"'
    ):
        DeleteFromFirestore("docs", confirm="yes", target=target)
    with beam.Pipeline(FnApiRunner()) as p:
        result = p | DeleteFromFirestore(Query("docs").where("n", "<", 10), dry_run=True, target=target)
        assert_that(result.counted, equal_to([10]), "Counted")
        assert_that(result.written, is_empty(), "Written")
    assert len(stored(target)) == 25


def test_deleting_removes_what_the_query_finds_and_nothing_else(target):
    write_all(target, [Set(f"docs/{n}", {"odd": n % 2}) for n in range(1500)])
    write_all(target, [Set("docs/1/sub/x", {}), Set("docs/__id7__", {"odd": 1})])
    with beam.Pipeline(FnApiRunner()) as p:
        query = Query("docs").where("odd", "==", 1)
        result = p | DeleteFromFirestore(query, confirm="docs", target=target)
        assert_that(result.written | beam.combiners.Count.Globally(), equal_to([751]), "Written")
        assert_that(result.dead_letters, is_empty(), "DeadLetters")
    assert {document["odd"] for document in stored(target).values()} == {0}
    assert read_collection(target, "docs/1/sub").keys() == {"x"}


def test_a_document_that_changed_since_it_was_read_stays_when_only_unchanged_ones_are_to_go(target):
    write_all(target, [Set(f"docs/{n}", {"n": n}) for n in range(5)])
    (document,) = read_paths(target.connect(), ["docs/4"])
    write_all(target, [Set(f"docs/{n}", {"n": n + 100}) for n in range(2)])
    with beam.Pipeline(FnApiRunner()) as p:
        result = p | DeleteFromFirestore(
            "docs", confirm="docs", only_unchanged=True, read_time=document.update_time, target=target
        )
        failed = result.dead_letters | beam.Map(lambda letter: (letter.path, letter.code))
        assert_that(failed, equal_to([(f"docs/{n}", "FAILED_PRECONDITION") for n in range(2)]), "DeadLetters")
    assert stored(target).keys() == {"0", "1"}


def test_random_operations_end_as_a_model_of_them_says(target):
    chance, model, operations = random.Random(7), {}, []
    for n in range(400):
        key = str(chance.randrange(12))
        kind = chance.choice(["set", "merge", "update", "create", "delete"])
        fields = {chance.choice("xyz"): n}
        if kind == "set" or (kind == "create" and key not in model):
            model[key] = fields
        elif kind == "delete":
            model.pop(key, None)
        elif kind == "merge" or (kind == "update" and key in model):
            model[key] = {**model.get(key, {}), **fields}
        make = {"set": Set, "merge": Merge, "update": Update, "create": Create}.get(kind)
        operations.append(make(f"docs/{key}", fields) if make else Delete(f"docs/{key}"))
    write_all(target, operations, max_writes=9)
    assert stored(target) == model
