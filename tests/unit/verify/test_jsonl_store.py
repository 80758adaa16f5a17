"""Documents in files: named, found again, read no more often than needed, and refused with file and line."""

import datetime
import gzip
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import JobError, RecordError, UsageError
from transforms.firestore.document_order import sort_key
from transforms.firestore.ranges import Bound, NameRange, ranges_between
from transforms.firestore.tagged_json import to_tagged_json
from transforms.firestore.values import GeoPoint
from transforms.inputs.files import match_inputs
from transforms.records.keys import id_of
from transforms.verify.forms import FieldsForm
from transforms.verify.ignored import Ignored
from transforms.verify.jsonl_store import JsonlStore, Naming, read_index

BY_ID, BY_PATH = Naming(False, "id"), Naming(True, "id")


def store_of(path, naming=BY_ID, **options):
    return JsonlStore(read_index(match_inputs([str(path)]), naming), naming, FieldsForm(Ignored()), **options)


def lines(*values):
    return "".join(value if isinstance(value, str) else json.dumps(value) + "\n" for value in values)


@pytest.mark.parametrize(
    ("naming", "value", "key"),
    [
        (BY_ID, {"id": "ada"}, "ada"),
        (BY_ID, {"id": " ada "}, "ada"),
        (BY_ID, {"id": 7}, "7"),
        (BY_ID, {"id": -7}, "-7"),
        (BY_ID, {"id": 2**70}, str(2**70)),
        (BY_ID, {"__name__": "ada", "id": "x"}, "ada"),
        (BY_ID, {"__name__": "users/ada"}, "ada"),
        (BY_ID, {"__name__": "projects/p/databases/d/documents/users/ada"}, "ada"),
        (BY_PATH, {"__name__": "projects/p/databases/d/documents/users/ada"}, "users/ada"),
        (BY_PATH, {"__name__": "users/ada/posts/1"}, "users/ada/posts/1"),
    ],
)
def test_a_line_says_which_document_it_is(naming, value, key):
    assert naming.key(value) == key


def test_tagged_and_plain_json_are_values_of_firestore(tmp_path):
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    fields = {"at": moment, "place": GeoPoint(1.0, 2.0), "x": float("nan"), "n": 1, "map": {"$bytes": 1}}
    (tmp_path / "a.jsonl").write_text(
        lines({"__name__": "users/ada", **to_tagged_json(fields)}, "\n", {"id": "edi", "n": 1.0})
    )
    ada, edi = store_of(tmp_path / "a.jsonl").entries(NameRange())
    assert repr(dict(sorted(ada.content.items()))) == repr(dict(sorted(fields.items())))
    assert (edi.key, edi.content) == ("edi", {"id": "edi", "n": 1.0})


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("is_sorted", [False, True], ids=["shuffled", "sorted"])
def test_ranges_share_out_all_lines_and_refetch_finds_every_copy(tmp_path, packed, is_sorted):
    keys = sorted((f"k{n:05d}" for n in range(3000)), key=sort_key)
    copies = [*keys, *keys[:5]]
    if not is_sorted:
        random.Random(3).shuffle(copies)
    text = lines(*({"id": key, "text": "x" * 1000} for key in copies)).encode()
    path = tmp_path / "a.jsonl"
    path.write_bytes(gzip.compress(text, 1) if packed else text)
    store = store_of(path, documents_per_range=1000)
    spans = store.ranges(10)
    assert len(spans) == 3 + 1
    found = [entry.key for span in spans for entry in store.entries(span)]
    assert sorted(found) == sorted(copies)
    wanted = [keys[0], keys[1500], "missing"]
    assert sorted(entry.key for entry in store.refetch(wanted)) == [keys[0], keys[0], keys[1500]]
    span = NameRange(Bound(keys[1000]), Bound(keys[1100]))
    assert len(list(store.entries(span))) == 100
    assert [entry.key for entry in store.refetch([keys[1050], keys[1001] + "x"])] == [keys[1050]]


def test_of_sorted_files_a_range_reads_only_the_blocks_it_lies_in(tmp_path):
    for name in "ab":
        values = ({"id": f"{name}{n:05d}", "text": "x" * 1000} for n in range(2500))
        (tmp_path / f"{name}.jsonl").write_text(lines(*values))
    blocks = store_of(tmp_path / "*.jsonl").index.blocks
    span = NameRange(Bound("a01000"), Bound("a01100"))
    assert len(blocks) >= 4
    assert sum(block.may_have(span) for block in blocks) <= 2
    assert all(sum(block.may_have(part) for part in ranges_between(["b"])) == 1 for block in blocks)


@pytest.mark.parametrize(
    ("naming", "line", "message"),
    [
        (BY_ID, "{", "a.jsonl, line 2 is not a document: the record is not valid JSON at column"),
        (BY_ID, "[1]\n", "a.jsonl, line 2 is not a document: a record is a JSON object, but this one is an array"),
        (
            BY_ID,
            {"name": "x"},
            "a.jsonl, line 2: the document has no __name__ and no text or whole number in id; pass --id_field",
        ),
        (BY_ID, {"id": 7.5}, "a.jsonl, line 2: the document has no __name__ and no text or whole number in id"),
        (BY_ID, {"__name__": 7, "id": 7}, "a.jsonl, line 2: the document has no __name__ and no text"),
        (BY_PATH, {"id": "ada"}, "a.jsonl, line 2: the document has no __name__, the document's path"),
        (BY_PATH, {"__name__": "ada"}, "a.jsonl, line 2: __name__ is not the path of a document"),
    ],
)
def test_a_line_that_is_no_document_is_refused_with_file_and_line(tmp_path, naming, line, message):
    (tmp_path / "a.jsonl").write_text(lines({"id": "a", "__name__": "users/a"}, line))
    with pytest.raises(UsageError) as refused:
        store_of(tmp_path / "a.jsonl", naming)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"$timestamp": "yesterday"}, "a value tagged with $ is not what its tag says"),
        ({"$map": 7}, "a value tagged with $ is not what its tag says"),
        ([[1]], "NESTED_ARRAY: v[0]: an array directly inside an array"),
    ],
)
def test_a_value_that_firestore_cannot_hold_stops_the_job(tmp_path, value, message):
    (tmp_path / "a.jsonl").write_text(lines({"id": "a", "v": value}))
    with pytest.raises(JobError) as refused:
        list(store_of(tmp_path / "a.jsonl").entries(NameRange()))
    assert message in str(refused.value)


def test_a_file_that_changes_meanwhile_stops_the_job(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines({"id": "a"}))
    store = store_of(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_text(lines({"id": "a"}, {"id": "b"}))
    with pytest.raises(JobError, match="has changed since the job started"):
        list(store.entries(NameRange()))


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(lines({"id": "a"}).encode())[:-4])
    with pytest.raises(UsageError, match="cannot be read to its end: the gzip data ends too early"):
        store_of(tmp_path / "a.jsonl")


@given(value=st.one_of(st.integers(), st.text(), st.floats(), st.booleans(), st.none(), st.lists(st.integers())))
def test_a_line_is_the_document_that_ingest_makes_of_it(value):
    made = id_of(value)
    if made is None:
        with pytest.raises(RecordError):
            BY_ID.key({"id": value})
    elif "/" not in made:
        assert BY_ID.key({"id": value}) == made
