"""Two writers of one document: nobody's update is lost, no update counts twice, and no writer tries for ever."""

import dataclasses
import datetime
import itertools
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clocks import no_waiting
from transforms.batch import Batch, Record
from transforms.errors import TransientError
from transforms.firestore.committer import CommitLimits
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import serialised_fields
from transforms.retry import Retry
from transforms.testing import PROJECT, RpcError, ScriptedFirestore, always, applied_then, status
from transforms.upsert.entries import Flat
from transforms.upsert.layout import META_FIELD, PairLayout
from transforms.upsert.modes import CREATE_ONLY, MERGE, OVERWRITE, VERSIONED
from transforms.upsert.stored import NOTHING, Stored, StoredDocument
from transforms.upsert.upserter import Upserter
from transforms.upsert.versions import Candidate, RunIdentity, Verdict, judge

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
RUN = RunIdentity("ingest-1", 1, MOMENT, frozenset({"b"}))
DOCUMENTS = FirestoreTarget(PROJECT).document_name("")
COLLECTIONS = ("profiles", "candidates")
CONFLICT = status("FAILED_PRECONDITION", "the stored version does not match the required base version")

# Of a pair that is never left in peace: three rounds with the others, then five alone.
MAX_COMMITS_OF_A_LONE_PAIR = 8


def flat(key, position=0, stored=NOTHING, content="ours"):
    value = {"name": key}
    record = Record(position, value, line=position + 1)
    return Flat(key, record, f"{key}-{content}", stored, Verdict.WRITE, serialised_fields(value), {"id": key})


def judged(entry, mode, run, batch_id):
    candidate = Candidate(entry.content_hash, "in.jsonl", entry.record.position, batch_id)
    return entry._replace(verdict=judge(candidate, entry.stored, mode, run))


def upsert(server, *entries, mode=VERSIONED, keep_versions=0, batch_id="b-0", never_overwrites_newer=False, **limits):
    run = dataclasses.replace(RUN, never_overwrites_newer=never_overwrites_newer)
    layout = PairLayout(server.target, *COLLECTIONS, 3, mode, keep_versions)
    upserter = Upserter(
        server.target.connect(),
        layout,
        run,
        CommitLimits(**limits),
        Retry(max_attempts=4, initial_s=0, clock=no_waiting(MOMENT.timestamp)),
    )
    entries = tuple(judged(entry, mode, run, batch_id) for entry in entries)
    return upserter.upsert(Batch(batch_id, "in.jsonl", len(entries), entries))


def counts(done):
    return len(done.entries), done.unchanged, done.superseded, len(done.dead_letters)


def keys_of(request):
    return list(dict.fromkeys(write.update.name.rpartition("/")[2] for write in request.writes))


def meta(server, collection, key):
    document = server.documents.get(f"{collection}/{key}")
    return document and document.fields[META_FIELD]


def stored(server, key):
    documents = (server.documents.get(f"{collection}/{key}") for collection in COLLECTIONS)
    return Stored(document and StoredDocument(document.message) for document in documents)


def somebody_else_writes(server, key, *, collections=COLLECTIONS, **more):
    """Another job writes the next version of a pair."""
    before = meta(server, "profiles", key)
    fields = {
        META_FIELD: {
            "version": before["version"] + 1 if before else 1,
            "content_hash": f"{key}-theirs",
            "created_at": before["created_at"] if before else MOMENT - datetime.timedelta(days=1),
            "updated_at": MOMENT,
            "source": "elsewhere.jsonl",
            "position": 0,
            "job_id": "ingest-2",
            "batch_id": "other-0",
            **more,
        }
    }
    server.put({f"{collection}/{key}": fields for collection in collections})


def conflict_of(key):
    return lambda request, ordinal: CONFLICT if key in keys_of(request) else None


def test_after_a_conflict_the_pairs_are_read_again_and_decided_again():
    def interfere(messages):
        somebody_else_writes(server, "b")
        yield from messages

    with ScriptedFirestore(scripts={"Commit": [interfere]}) as server:
        done = upsert(server, *(flat(key, position) for position, key in enumerate("abc")))
    assert counts(done) == (3, 0, 0, 0)
    assert [keys_of(request) for request in server.requests("Commit")] == [["a", "b", "c"]] * 2
    (read,) = server.requests("BatchGetDocuments", "RunQuery")
    assert sorted(read.documents) == sorted(f"{DOCUMENTS}{name}/{key}" for name in COLLECTIONS for key in "abc")
    assert list(read.mask.field_paths) == [META_FIELD]
    assert {key: meta(server, "candidates", key)["version"] for key in "abc"} == {"a": 1, "b": 2, "c": 1}
    assert [entry.meta["version"] for entry in done.entries] == [1, 2, 1]
    assert meta(server, "profiles", "b")["created_at"] == MOMENT - datetime.timedelta(days=1)
    assert done.retries == 0  # nothing was sent a second time: what was sent was decided anew


def test_a_run_that_never_overwrites_newer_documents_leaves_what_somebody_else_writes_meanwhile():
    def interfere(messages):
        somebody_else_writes(server, "b")
        yield from messages

    with ScriptedFirestore(scripts={"Commit": [interfere]}) as server:
        done = upsert(server, *(flat(key, position) for position, key in enumerate("abc")), never_overwrites_newer=True)
    assert counts(done) == (2, 0, 1, 0)
    assert [entry.key for entry in done.entries] == ["a", "c"]
    assert meta(server, "profiles", "b")["content_hash"] == "b-theirs"


def test_a_run_that_never_overwrites_newer_documents_knows_what_it_wrote_itself():
    with ScriptedFirestore(scripts={"Commit": [applied_then("FAILED_PRECONDITION")]}) as server:
        done = upsert(server, flat("a"), never_overwrites_newer=True)
    assert counts(done) == (1, 0, 0, 0)


@pytest.mark.parametrize("code", ["ALREADY_EXISTS", "FAILED_PRECONDITION", "ABORTED", "NOT_FOUND"])
def test_every_code_of_a_conflict_is_taken_for_one(code):
    with ScriptedFirestore(scripts={"Commit": [status(code)]}) as server:
        done = upsert(server, flat("a"))
    assert counts(done) == (1, 0, 0, 0)
    assert (len(server.requests("Commit")), len(server.requests("BatchGetDocuments", "RunQuery"))) == (2, 1)


def test_a_document_that_vanished_since_it_was_read_is_written_as_new():
    with ScriptedFirestore() as server:
        somebody_else_writes(server, "a")
        entry = flat("a", stored=stored(server, "a"))
        server.delete(*server.documents)
        done = upsert(server, entry)
    assert counts(done) == (1, 0, 0, 0)
    assert meta(server, "profiles", "a")["version"] == 1


@pytest.mark.parametrize("max_writes", [16, 500], ids=["as many as fit a Commit", "fewer than fit a Commit"])
def test_three_whole_rounds_then_halves_then_each_alone_five_times(max_writes):
    rounds = defaultdict(list)

    def watch(request, earlier):
        rounds[len(server.requests("BatchGetDocuments", "RunQuery"))].append(len(keys_of(request)))
        return CONFLICT

    with ScriptedFirestore(scripts={"Commit": watch}) as server:
        done = upsert(server, *(flat(f"k{n}", n) for n in range(8)), max_writes=max_writes)
    assert [rounds[n] for n in sorted(rounds)] == [[8]] * 3 + [[4] * 2, [2] * 4] + [[1] * 8] * 5
    assert counts(done) == (0, 0, 0, 8)


def test_a_pair_that_always_conflicts_is_one_retryable_dead_letter_and_its_neighbours_land():
    with ScriptedFirestore(scripts={"Commit": conflict_of("k3")}) as server:
        done = upsert(server, *(flat(f"k{n}", n) for n in range(8)), max_writes=16)
    assert counts(done) == (7, 0, 0, 1)
    assert {entry.key for entry in done.entries} == {f"k{n}" for n in range(8)} - {"k3"}
    (letter,) = done.dead_letters
    assert (letter.step, letter.code, letter.retryable) == ("UpsertPairs", "CONFLICT", True)
    assert letter.message == "somebody else changed the documents each time they were about to be written"
    assert (letter.record_id, letter.position, letter.line, letter.original) == ("k3", 3, 4, {"name": "k3"})
    sent = [keys_of(request) for request in server.requests("Commit")]
    assert sent[:3] == [[f"k{n}" for n in range(8)]] * 3
    assert sum("k3" in keys for keys in sent) == 3 + 2 + 5
    assert sum("k7" in keys for keys in sent) == 4  # as soon as it was sent without k3
    assert stored(server, "k3").present == []


def test_a_lone_pair_is_given_up_in_the_end():
    with ScriptedFirestore(scripts={"Commit": always(CONFLICT)}) as server:
        done = upsert(server, flat("a"))
    assert counts(done) == (0, 0, 0, 1)
    assert len(server.requests("Commit")) == MAX_COMMITS_OF_A_LONE_PAIR


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED"])
def test_a_commit_whose_acknowledgement_was_lost_is_written_once_and_counted_as_written(code):
    with ScriptedFirestore(scripts={"Commit": [applied_then(code)]}) as server:
        done = upsert(server, flat("a"), flat("b", 1))
    assert counts(done) == (2, 0, 0, 0)
    for entry in done.entries:
        assert entry.meta["version"] == 1
        assert entry.meta == meta(server, "profiles", entry.key) == meta(server, "candidates", entry.key)


def test_a_lost_acknowledgement_of_a_change_does_not_count_a_version_twice():
    with ScriptedFirestore(scripts={"Commit": [applied_then("UNAVAILABLE")]}) as server:
        somebody_else_writes(server, "a")
        done = upsert(server, flat("a", stored=stored(server, "a")), keep_versions=5)
    assert counts(done) == (1, 0, 0, 0)
    assert meta(server, "profiles", "a")["version"] == 2
    kept = [name for name in server.documents if "/versions/" in name]
    assert kept == ["profiles/a/versions/2"]


def test_a_pair_that_was_repaired_unheard_is_counted_as_repaired():
    with ScriptedFirestore(scripts={"Commit": [applied_then("UNAVAILABLE")]}) as server:
        somebody_else_writes(server, "a", collections=("profiles",))
        done = upsert(server, flat("a", stored=stored(server, "a")))
    assert (counts(done), done.repaired) == ((1, 0, 0, 0), 1)


def test_a_pair_that_landed_unheard_with_its_last_attempt_is_no_dead_letter():
    with ScriptedFirestore(scripts={"Commit": always(CONFLICT)}) as server:
        upsert(server, flat("a"))
    last = len(server.requests("Commit")) - 1

    with ScriptedFirestore(scripts={"Commit": [CONFLICT] * last + [applied_then("UNAVAILABLE")]}) as server:
        done = upsert(server, flat("a"))
    assert stored(server, "a").holds("a-ours")
    assert counts(done) == (1, 0, 0, 0)


def test_somebody_else_wrote_the_same_content_meanwhile_so_it_is_unchanged():
    def interfere(messages):
        somebody_else_writes(server, "a", content_hash="a-ours")
        yield from messages

    with ScriptedFirestore(scripts={"Commit": [interfere]}) as server:
        done = upsert(server, flat("a"), flat("b", 1))
    assert counts(done) == (1, 1, 0, 0)
    assert [keys_of(request) for request in server.requests("Commit")] == [["a", "b"], ["b"]]
    assert meta(server, "profiles", "a")["job_id"] == "ingest-2"


def test_a_later_record_of_the_same_input_landed_meanwhile_so_it_is_superseded():
    def interfere(messages):
        somebody_else_writes(server, "a", job_id="ingest-1", source="in.jsonl", position=99, batch_id="b-1")
        yield from messages

    with ScriptedFirestore(scripts={"Commit": [interfere]}) as server:
        done = upsert(server, flat("a"), flat("b", 1))
    assert counts(done) == (1, 0, 1, 0)
    assert meta(server, "profiles", "a")["content_hash"] == "a-theirs"


def test_creating_only_leaves_alone_what_somebody_else_created_meanwhile():
    def interfere(messages):
        somebody_else_writes(server, "a")
        yield from messages

    with ScriptedFirestore(scripts={"Commit": [interfere]}) as server:
        done = upsert(server, flat("a"), flat("b", 1), mode=CREATE_ONLY)
    assert counts(done) == (1, 1, 0, 0)
    assert meta(server, "profiles", "a")["content_hash"] == "a-theirs"


def test_merging_into_what_somebody_else_created_meanwhile_is_the_next_version():
    def interfere(messages):
        somebody_else_writes(server, "a")
        yield from messages

    with ScriptedFirestore(scripts={"Commit": [interfere]}) as server:
        done = upsert(server, flat("a"), mode=MERGE)
    assert counts(done) == (1, 0, 0, 0)
    assert meta(server, "profiles", "a")["version"] == 2
    created, merged = (request.writes[0] for request in server.requests("Commit"))
    assert created.current_document.exists is False
    assert merged.current_document.HasField("update_time")
    assert list(created.update_mask.field_paths) == list(merged.update_mask.field_paths) == ["name", META_FIELD]


def test_overwriting_looks_at_nothing_and_sends_again_what_was_not_acknowledged():
    with ScriptedFirestore(scripts={"Commit": [applied_then("UNAVAILABLE")]}) as server:
        somebody_else_writes(server, "a")
        done = upsert(server, flat("a"), mode=OVERWRITE)
    assert counts(done) == (1, 0, 0, 0)
    assert len(server.requests("Commit")) == 2
    assert server.requests("BatchGetDocuments", "RunQuery") == []
    assert stored(server, "a").holds("a-ours")


def test_an_outage_while_reading_again_is_an_error_and_no_dead_letter():
    scripts = {"Commit": always(CONFLICT), "BatchGetDocuments": always(status("UNAVAILABLE"))}
    with ScriptedFirestore(scripts=scripts) as server:
        with pytest.raises(TransientError, match=r"did not answer in 4 attempts; the last answer was UNAVAILABLE"):
            upsert(server, flat("a"))
    assert len(server.requests("BatchGetDocuments", "RunQuery")) == 4


@pytest.mark.parametrize("order", list(itertools.permutations(["x", "y", "x again"])), ids=" then ".join)
def test_the_last_position_wins_whichever_batch_comes_first(order):
    """Three batches of one input have a record of the same id; the first and the last have the same content."""
    batches = {"x": ("b-0", 0, "x"), "y": ("b-1", 10, "y"), "x again": ("b-2", 20, "x")}
    with ScriptedFirestore() as server:
        for name in order:
            batch_id, position, content = batches[name]
            upsert(server, flat("a", position, stored(server, "a"), content), batch_id=batch_id)
    assert stored(server, "a").holds("a-x")


ACTIONS = ("pass", "refuse", "abort", "interfere", "lose", "lose and interfere")


@settings(max_examples=25)
@given(actions=st.lists(st.sampled_from(ACTIONS), max_size=14), max_writes=st.sampled_from([4, 16]))
def test_whatever_happens_every_version_comes_once_and_every_record_is_accounted_for(actions, max_writes):
    keys = [f"k{n}" for n in range(8)]
    history = defaultdict(list)

    def note(key):
        written = meta(server, "profiles", key)
        history[key].append((written["version"], written["content_hash"]))

    def interfere():
        somebody_else_writes(server, "k3")
        note("k3")

    def script(request, ordinal):
        action = actions[ordinal] if ordinal < len(actions) else "pass"

        def effect(messages):
            if action == "refuse":
                raise RpcError("UNAVAILABLE", "scripted")
            if action == "abort":
                raise RpcError("ABORTED", "scripted")
            if action == "interfere":
                interfere()
            answer = list(messages)
            for key in keys_of(request):
                note(key)
            if action == "lose and interfere":
                interfere()
            if action.startswith("lose"):
                raise RpcError("UNAVAILABLE", "scripted")
            yield from answer

        return effect

    with ScriptedFirestore(scripts={"Commit": script}) as server:
        try:
            done = upsert(server, *map(flat, keys), max_writes=max_writes, max_in_flight=1)
        except TransientError:
            assert any("refuse" in action or "lose" in action for action in actions)
        else:
            assert sum(counts(done)) == len(keys)
            assert {letter.code for letter in done.dead_letters} <= {"CONFLICT"}
            for entry in done.entries:
                assert (entry.meta["version"], f"{entry.key}-ours") in history[entry.key]
    for key, states in history.items():
        assert [version for version, _ in states] == list(range(1, len(states) + 1))
        assert not stored(server, key).is_inconsistent
