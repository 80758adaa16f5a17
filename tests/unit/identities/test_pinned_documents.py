"""What a job has stored is read by the next version: pairs and their `_meta`, the ledger, dead letters, reports."""

import datetime
import hashlib
import json

import pytest

from pipeline.__main__ import main
from tests.support.clocks import no_waiting
from tests.support.counted import outcome
from tests.support.identities import NOON, as_json, documents_after, files_below, pinned
from tests.support.stored import stored_document
from transforms.batch import DeadLetter, Record
from transforms.dead_letters.folder import DeadLetterFolder, ReplayRun
from transforms.dead_letters.lines import Origin
from transforms.export.streams import StreamLedger
from transforms.firestore.ranges import ranges_between
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import GeoPoint, Reference, Vector, encoded_fields
from transforms.ledger.entry import LedgerEntry
from transforms.ledger.jobs import COMPLETED, job_document
from transforms.ledger.owners import Owner
from transforms.ledger.read_times import read_time_of_run
from transforms.ledger.results import write_results
from transforms.ledger.runs import JobDescription, JobLedger
from transforms.outcomes import RECORDS
from transforms.records.canonical import canonical
from transforms.retry import Retry
from transforms.testing import PROJECT, ScriptedFirestore
from transforms.upsert.entries import Flat
from transforms.upsert.groups import group_of, meta_of
from transforms.upsert.layout import PairLayout
from transforms.upsert.modes import CREATE_ONLY, MERGE, OVERWRITE, VERSIONED
from transforms.upsert.records import content_hash
from transforms.upsert.rows_known import ROWS_KNOWN, rows_known_after
from transforms.upsert.stored import NOTHING, Stored
from transforms.upsert.versions import Candidate, RunIdentity, Verdict
from transforms.verify.comparison import Compared
from transforms.verify.differences import Difference
from transforms.verify.entries import Entry
from transforms.verify.parts import Parts

RETRY = Retry(max_attempts=1, clock=no_waiting(NOON.timestamp))
PEOPLE = (
    b'{"candidate_id": "ada", "name": "Ada Lovelace", "career_trajectory": {"years_experience": 7}}\n'
    b'{"candidate_id": \n'
    b'{"candidate_id": "\xff"}\n'
    b'{"name": "nobody"}\n'
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a run of ingest leaves: documents by path, and files of dead letters."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "people.jsonl").write_bytes(PEOPLE)
    (folder / "people.csv").write_text("candidate_id,name\nbob,Bob\nbad/id,Eve\n")
    with ScriptedFirestore() as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        flags = ["--input=people.jsonl,people.csv", f"--project={PROJECT}", "--max_dead_letter_ratio=1"]
        assert main(["ingest", *flags]) == 0
        return documents_after(server.requests("Commit"), lambda time: "a time"), files_below(folder / "dead_letters")


def test_a_run_leaves_the_same_documents_under_the_same_names(run):
    documents, kept = run[0], pinned("run")["documents"]
    assert documents.keys() == kept.keys()
    for path, fields in kept.items():
        assert (as_a_job(documents[path], fields) if "owner" in fields else documents[path]) == fields


def as_a_job(found, kept):
    """A job's document without what is new, of one process, of one order of batches, or of flags that are new."""
    return {
        **{name: value for name, value in found.items() if name in kept},
        "owner": dict.fromkeys(found["owner"], "this process"),
        "parameters": {name: found["parameters"].get(name) for name in kept["parameters"]},
        "totals": {**found["totals"], "newest_ids": sorted(found["totals"]["newest_ids"])},
    }


def test_a_run_leaves_the_same_dead_letters_under_the_same_names(run):
    def without_time_and_wording(line):
        return json.dumps({**json.loads(line), "time": "a time", "message": "a sentence"})

    found = {path: [without_time_and_wording(line) for line in lines] for path, lines in run[1].items()}
    assert found == pinned("run")["dead_letters"]


# Pairs.

VALUES = {
    "nothing": {},
    "text": {"a": "Zoë 𝄞", "b": ""},
    "order of names": {"b": {"d": 1, "c": 2}, "a": 0},
    "integer": {"a": 1, "b": -(2**63)},
    "double": {"a": 1.0, "b": -0.0, "c": 1e300},
    "NaN": {"a": float("nan")},
    "infinities": {"a": [float("inf"), float("-inf")]},
    "boolean": {"a": True, "b": False},
    "null": {"a": None},
    "bytes": {"a": b"\x00\xff"},
    "timestamp": {"a": NOON},
    "reference": {"a": Reference("projects/p/databases/d/documents/users/ada")},
    "geopoint": {"a": GeoPoint(52.5, -13.25)},
    "vector": {"a": Vector((0.5, -1.0))},
    "array": {"a": [1, "b", None, {"c": []}]},
    "map": {"a": {"b": {}, "c": {"d": [1.5]}}},
}


@pytest.mark.parametrize("name", VALUES)
def test_a_record_of_every_kind_of_value_keeps_its_content_hash(name):
    assert content_hash(canonical(VALUES[name]), "00" * 32) == pinned("content_hashes")[name]


LATER = NOON + datetime.timedelta(days=1)
STORED = stored_document(NOON, NOON, 2, "hash-0", NOON, NOON, "old.jsonl", 7, "old-1", "b-0")
RECORD = Record(17, {"id": "ada", "full name": "Ada", "n": {"x": 1, "y": [1.5, None]}}, line=2)
PAIRS = {
    "new": (VERSIONED, NOTHING, 0),
    "changed": (VERSIONED, Stored((STORED, STORED)), 2),
    "overwritten": (OVERWRITE, Stored((STORED, STORED)), 0),
    "merged": (MERGE, Stored((STORED, None)), 0),
    "created": (CREATE_ONLY, NOTHING, 0),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_is_written_with_the_same_meta_and_the_same_bytes(name):
    mode, stored, keep_versions = PAIRS[name]
    layout = PairLayout(FirestoreTarget("acme-prod"), "people_raw", "people", 3, mode, keep_versions)
    content = encoded_fields(RECORD.value)
    entry = Flat("ada", RECORD, "hash-1", stored, Verdict.WRITE, content, {"name": "Ada", "age": 36})
    candidate = Candidate("hash-1", "in.jsonl", 17, "0123456789ab-00000-00000")
    meta = meta_of(entry, candidate, layout, RunIdentity("ingest-1", 2, NOON), LATER)
    writes = [hashlib.sha256(write).hexdigest() for write in group_of(entry, meta, layout).writes]
    assert {"_meta": as_json(meta), "writes": writes} == pinned("pairs")[name]


# The ledger.

DESCRIPTION = JobDescription("ingest", "ingest-1", {"input": ["a"], "job_id": None}, "of the input", "of the spec", 123)
OUTCOME = outcome(
    batch_id="b-0",
    source="in.jsonl",
    read=9,
    written=4,
    unchanged=2,
    superseded=1,
    dead_letters={("ReadBatches", "INVALID_JSON"): 1, ("IdentifyRecords", "MISSING_ID"): 1},
    retries=3,
    overflowed=5,
    repaired=1,
    ids=("ada", "bob"),
    bytes_read=77,
    overflowed_by={"b": 2, "a": 3},
)


@pytest.fixture
def server():
    with ScriptedFirestore() as scripted:
        yield scripted


def ledger_of(server):
    return JobLedger(job_document(server.target.connect(), "ingest-1", RETRY), RECORDS)


def kept(before):
    return {ROWS_KNOWN: rows_known_after(before, DESCRIPTION)}


def ledger_documents(server):
    return documents_after(server.requests("Commit"), datetime.datetime.isoformat)


def test_a_job_and_its_batches_are_kept_in_the_same_documents(server):
    ledger = ledger_of(server)
    ledger.open(DESCRIPTION, Owner("laptop", 17), keep=kept)
    place = {"position": 0, "line": 1}
    for batch_id in ("b-0", "b-1"):
        ledger.batches.begin(batch_id, 1, {"source": "in.jsonl", "records": 9, "first": place, "last": place})
    ledger.batches.complete(OUTCOME, 1)
    assert ledger_documents(server) == pinned("ledger")["running"]
    ledger.finish(COMPLETED, None, {"batches": 1, "read": 9})
    assert ledger_documents(server) == pinned("ledger")["completed"]


def test_a_failed_job_says_so_in_its_document_and_in_its_open_batches(server):
    ledger = ledger_of(server)
    ledger.open(DESCRIPTION, Owner.on_dataflow("europe-west1", "ingest-1f"), keep=kept)
    ledger.batches.begin("b-0", 1, {"source": "in.jsonl", "records": 9, "first": {}, "last": {}})
    ledger.give_up_batches("why")
    ledger.finish("failed", "why", {})
    assert ledger_documents(server) == pinned("ledger")["failed"]


def test_what_a_run_finds_out_and_when_it_began_is_kept_in_the_same_documents(server):
    job = job_document(server.target.connect(), "export-1", RETRY)
    write_results(job, 2, {"rows_latest": 7, "cursors": {"users": NOON}})
    read_time_of_run(job, 2, NOON)
    assert ledger_documents(server) == pinned("ledger")["results"]


def test_the_stream_of_a_batch_is_kept_under_the_same_name(server):
    streams = StreamLedger(LedgerEntry(server.target, "export-1", 2, RETRY), "rows")
    streams.of("b-0", ["row-1", "row-2"]).keep("what the writer says")
    assert documents_after(server.requests("Commit"), lambda time: "a time") == pinned("ledger")["streams"]


# Dead letters.

ORIGIN = Origin("ingest", "ingest-1", "b-0", "2026-01-01T00:00:00.000000Z", "in.jsonl")
ROW = {"a": float("nan"), "at": NOON, "raw": b"\x00\xff", "n": 2**70, "tag": {"$bytes": "x"}, "list": [1, 1.0, None]}
LETTERS = (
    DeadLetter("ReadBatches", "INVALID_JSON", "of text", '{"name": "Zoë 𝄞"'.encode(), position=17, line=3),
    DeadLetter("ReadBatches", "NOT_UTF8", "of bytes", b'{"a": "\xff"}', position=18, line=4),
    DeadLetter("FlattenRecords", "MISSING_FIELD", "of a value", ROW, "ada", 19, None, attempts=2),
    DeadLetter("ReadBatches", "UNREADABLE_FILE", "of nothing", None, position=20),
    DeadLetter("UpsertPairs", "ABORTED", "to be tried again", b"{}", "bob", 21, 5, retryable=True),
)


def test_dead_letters_are_kept_in_the_same_files_as_the_same_lines(tmp_path):
    DeadLetterFolder(str(tmp_path)).store(ORIGIN, LETTERS)
    assert files_below(tmp_path) == pinned("dead_letters")["stored"]


def test_a_replay_finds_stored_dead_letters_and_keeps_them_in_the_same_files(tmp_path):
    for path, lines in pinned("dead_letters")["found"].items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("".join(f"{line}\n" for line in lines))
    folder = DeadLetterFolder(str(tmp_path))
    assert [batch[:3] for batch in folder.batches()] == [("b-0", "ingest-1", 4)]
    failures = [
        DeadLetter("FlattenRecords", "MISSING_FIELD", "once more", b"", "carol", 18),
        DeadLetter("InsertRows", "INVALID", "too often", b"", None, 19, attempts=1),
    ]
    folder.resolve("b-0", 4, failures, ReplayRun("replay-1", "2026-01-02T00:00:00.000000Z", 3), "2026-01-02T00:00:01Z")
    folder.clear("b-0", "2026-01-02T00:00:00.000000Z")
    assert files_below(tmp_path) == pinned("dead_letters")["settled"]


# What verify leaves.


def test_a_comparison_keeps_its_ranges_and_what_they_found_in_the_same_files(tmp_path):
    parts = Parts(str(tmp_path), "verify-1", 2)
    parts.write_plan(NOON, ranges_between(["a", "é/b"]))
    with parts.written("range-00000") as write:
        write("{}")
    parts.write_found("range-00000", Compared(5, {"DIFFERENT": 1}, 1, 2, 3, 4))
    assert files_below(tmp_path) == pinned("verify")["files"]
    assert [piece.batch_id for piece in parts.read_plan()] == ["range-00000", "range-00001", "range-00002"]


@pytest.mark.parametrize("show_values", [False, True])
def test_a_difference_is_the_same_line_of_the_report(show_values):
    left = Entry("ada", {"address": {"city": "London", "zip": 1}, "seen": NOON}, NOON)
    right = Entry("ada", {"address": {"city": "Paris", "zip": 1}, "seen": NOON}, None)
    lines = [Difference.of("ada", *sides).as_json(show_values) for sides in (([left], [right]), ([left, left], []))]
    assert lines == pinned("verify")["with values" if show_values else "without values"]
