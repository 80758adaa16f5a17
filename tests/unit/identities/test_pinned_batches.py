"""A batch that is done again finds its own traces: the ids of batches depend on input, place and nothing else."""

import dataclasses
import datetime

import pytest
from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem

from tests.support.identities import NOON, pinned
from tests.support.partitions import partitioned
from transforms.firestore.pieces import QueryPiece
from transforms.firestore.query import Query
from transforms.firestore.ranges import Bound, NameRange
from transforms.firestore.read_plan import RangePlanner
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import GeoPoint, Reference, Vector
from transforms.inputs.documents import input_id, range_id, read_batches
from transforms.inputs.files import match_inputs
from transforms.inputs.options import ReadOptions
from transforms.inputs.slices import plan_slices, read_slice
from transforms.testing import ScriptedFirestore

BERLIN = datetime.timezone(datetime.timedelta(hours=2), "CEST")
LINES = "".join(f'{{"id": "p{n}", "note": "{"x" * n}"}}\n' for n in range(9))
FILES = {
    "people.jsonl": LINES,
    "people.csv": "id,name\np0,Ada\np1,Bob\np2,Zoë\n",
    "people.json": '[{"id": "p0"}, {"id": "p1"}, {"id": "p2"}]',
    "folder/people.jsonl": LINES,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for path, content in FILES.items():
        (tmp_path / path).write_text(content, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("path", FILES)
def test_a_batch_of_a_file_is_named_by_path_and_content_slice_and_ordinal(folder, path):
    options = ReadOptions(batch_size=2, slice_bytes=150)
    (file,) = match_inputs([path])
    pieces = plan_slices(file, options)
    ids = [batch.batch_id for piece in pieces for batch in read_slice(piece, options)]
    assert ids == pinned("file_batches")[path]


class _Bucket(LocalFileSystem):
    """A file system that is not local and has one file."""

    @classmethod
    def scheme(cls):
        return "pinned"

    def _list(self, path):
        yield FileMetadata("pinned://bucket/people.jsonl", 123, 1_700_000_000.5)


def test_a_remote_file_is_named_by_path_size_and_time():
    (file,) = match_inputs(["pinned://bucket/*.jsonl"])
    assert file.fingerprint == pinned("file_batches")["pinned://bucket/people.jsonl"]


QUERIES = {
    "collection": Query("users"),
    "collection below a document": Query("users/ada/posts"),
    "group": Query.group("posts"),
    "group below a document": Query.group("posts", parent="users/ada"),
    "integer": Query("users").where("age", ">=", 21),
    "double": Query("users").where("age", "<", 21.0),
    "NaN": Query("users").where("score", "==", float("nan")),
    "infinity": Query("users").where("score", "<=", float("-inf")),
    "boolean": Query("users").where("active", "==", True),
    "null": Query("users").where("city", "!=", None),
    "text": Query("users").where("city", "==", 'Zoë\'s "𝄞"\n\x00\u2028'),
    "bytes": Query("users").where("key", ">", b"\x00\xff'"),
    "timestamp": Query("users").where("seen", ">", NOON),
    "timestamp on the second": Query("users").where("seen", ">", NOON.replace(microsecond=0, second=0)),
    "timestamp elsewhere": Query("users").where("seen", ">", NOON.astimezone(BERLIN)),
    "reference": Query("users").where("boss", "==", Reference("projects/p/databases/d/documents/users/ada")),
    "geopoint": Query("users").where("at", "==", GeoPoint(52.5, -13.25)),
    "vector": Query("users").where("embedding", "==", Vector((0.5, -1.0))),
    "list": Query("users").where("tags", "==", ["a", 1, 2.5, None]),
    "map": Query("users").where("address", "==", {"city": "London", "zip": {"code": 1, "parts": ("a", "b")}}),
    "in": Query("users").where("city", "in", ["London", "Paris"]),
    "in one": Query("users").where("city", "in", ("London",)),
    "not in": Query("users").where("age", "not-in", [1, 2.0, None]),
    "array contains": Query("users").where("tags", "array_contains", "a"),
    "array contains any": Query("users").where("tags", "array-contains-any", ["a", NOON]),
    "names": Query("users").where("__name__", ">=", "users/ada").where("__name__", "in", ["users/ada", "users/bob"]),
    "any of": Query("users").where_any(("age", "<", 3), ("city", "==", "London")).where("active", "==", False),
    "order": Query("users").order_by("age").order_by("`full name`", descending=True),
    "limit": Query("users").limit(10),
    "select": Query("users").select("name", "address.city"),
    "select names only": Query("users").select(),
    "all": Query.group("posts", "users/ada")
    .where("age", ">", 1)
    .where("city", "==", "Paris")
    .order_by("age", descending=True)
    .limit(3)
    .select("age"),
}
DATABASE = FirestoreTarget("acme-prod", "second")


@pytest.mark.parametrize("name", QUERIES)
def test_batches_of_a_query_begin_with_the_same_id_whatever_its_values(name):
    assert input_id(DATABASE, QUERIES[name], NOON) == pinned("queries")[name]


def test_the_id_of_a_query_depends_on_the_read_time_as_utc_and_on_the_database():
    users = Query("users")
    assert input_id(DATABASE, users, None) == pinned("queries")["collection, newest state"]
    assert input_id(DATABASE, users, NOON.astimezone(BERLIN)) == pinned("queries")["collection"]
    other = dataclasses.replace(DATABASE, max_outage_s=1, emulator_host="127.0.0.1:1")
    assert input_id(other, users, NOON) == pinned("queries")["collection"]
    assert input_id(dataclasses.replace(DATABASE, database="third"), users, NOON) != pinned("queries")["collection"]


@pytest.mark.parametrize(
    ("name", "span"),
    [
        ("every name", NameRange()),
        ("up to", NameRange(None, Bound("users/m"))),
        ("from", NameRange(Bound("users/m"))),
        ("between", NameRange(Bound("users/é/posts/a"), Bound("users/__id7__", after=True))),
        ("busy until", NameRange(Bound("users/m"), busy_until="users/x", shared_segments=1)),
    ],
)
def test_a_range_is_named_by_its_bounds_and_by_nothing_else(name, span):
    assert range_id(QueryPiece(Query("users"), span, NOON, 7)) == pinned("ranges")[name]


def test_a_batch_of_a_query_is_named_by_input_range_and_ordinal():
    documents = {f"users/u{n:02d}": {"n": n} for n in range(12)}
    partitions = partitioned(["users/u05"])
    with ScriptedFirestore(documents, {"PartitionQuery": partitions}, now=NOON.timestamp) as server:
        client = server.target.connect()
        ranges = RangePlanner(client, 8).ranges(Query("users"), NOON)
        pieces = [QueryPiece(Query("users"), span, NOON, index) for index, span in enumerate(ranges)]
        batches = [batch for piece in pieces for batch in read_batches(client, piece, 4, 2**20)]
    assert [[batch.batch_id, batch.source, batch.entries[0].position] for batch in batches] == pinned("ranges")[
        "batches"
    ]
