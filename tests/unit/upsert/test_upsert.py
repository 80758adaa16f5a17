"""Pairs: the last record of an id wins, both documents carry the same `_meta`, what does not fit is never sent."""

import datetime

import pytest

from tests.support.clocks import no_waiting
from transforms.batch import Batch, ModelAnswer, Record
from transforms.errors import JobError
from transforms.firestore import messages
from transforms.firestore.committer import CommitLimits
from transforms.firestore.target import MAX_EMULATOR_REQUEST_BYTES, FirestoreTarget
from transforms.firestore.values import decode_fields, serialised_fields
from transforms.retry import Retry
from transforms.testing import PROJECT, RpcError, ScriptedFirestore, always, status
from transforms.upsert.entries import Flat
from transforms.upsert.groups import group_of, meta_of
from transforms.upsert.layout import META_FIELD, PairLayout
from transforms.upsert.modes import MODES, OVERWRITE, VERSIONED
from transforms.upsert.stored import NOTHING, read_stored
from transforms.upsert.upserter import Upserter
from transforms.upsert.versions import Candidate, RunIdentity, Verdict

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
TARGET = FirestoreTarget(PROJECT)
RUN = RunIdentity("ingest-1", 1, MOMENT)
MIB = 1024 * 1024


def layout(mode=VERSIONED, target=TARGET):
    return PairLayout(target, "profiles", "candidates", schema_version=3, mode=mode)


def flat(key, position=0, value=None, flat_fields=None, raw=None):
    value = {"name": key} if value is None else value
    return Flat(
        key=key,
        record=Record(position, value, line=position + 1, raw=raw),
        content=serialised_fields(value),
        content_hash=f"hash-{position}",
        stored=NOTHING,
        verdict=Verdict.WRITE,
        flat={"id": key, **(flat_fields or {})},
    )


def meta(entry, mode=VERSIONED):
    candidate = Candidate(entry.content_hash, "in.jsonl", entry.record.position, "b-0")
    return meta_of(entry, candidate, layout(mode), RUN, MOMENT)


def write(server, *entries, mode=VERSIONED, unchanged=0, **limits):
    upserter = Upserter(
        server.target.connect(),
        layout(mode, server.target),
        RUN,
        CommitLimits(**limits),
        Retry(3, 0, clock=no_waiting(MOMENT.timestamp)),
    )
    return upserter.upsert(Batch("b-0", "in.jsonl", len(entries) + unchanged, tuple(entries), unchanged=unchanged))


def stored(server):
    return {path: document.fields for path, document in server.documents.items()}


def test_a_batch_of_long_ids_is_read_in_requests_that_the_service_takes():
    keys = [f"{n:04}-{'é' * 740}" for n in range(1_500)]
    with ScriptedFirestore(max_request_bytes=MAX_EMULATOR_REQUEST_BYTES) as server:
        write(server, flat(keys[0]), flat(keys[-1]))
        found = read_stored(server.target.connect(), layout(target=server.target), keys, Retry(1))
        assert found.keys() == {keys[0], keys[-1]}
        assert len(server.requests("BatchGetDocuments", "RunQuery")) == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_pair_is_two_documents_with_the_same_meta(mode):
    entry = flat("ada", 7, {"name": "Ada", "tags": ["x"]}, {"level": "senior"})
    full, flat_form = map(messages.Write.FromString, group_of(entry, meta(entry, mode), layout(mode)).writes)
    assert full.update.name == TARGET.document_name("profiles/ada")
    assert flat_form.update.name == TARGET.document_name("candidates/ada")
    assert decode_fields(full.update.fields) == {"name": "Ada", "tags": ["x"], META_FIELD: meta(entry, mode)}
    assert decode_fields(flat_form.update.fields) == {"id": "ada", "level": "senior", META_FIELD: meta(entry, mode)}


def test_meta_says_what_wrote_a_document_from_where_and_when():
    entry = flat("ada", 7)
    assert meta(entry) == {
        "schema_version": 3,
        "version": 1,
        "content_hash": "hash-7",
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "source": "in.jsonl",
        "position": 7,
        "job_id": "ingest-1",
        "batch_id": "b-0",
        "attempt": 1,
    }


def test_meta_of_a_model_s_answer_says_what_was_repaired_and_what_the_line_had_of_its_own():
    entry = flat("ada", 7)

    def more(answer):
        return meta(entry._replace(record=entry.record._replace(answer=answer))).items() - meta(entry).items()

    fields = {"url": "http://x", "n": 7}
    found = meta(entry._replace(record=entry.record._replace(answer=ModelAnswer(0, True, ("comments",), fields))))
    assert found == {**meta(entry), "repairs": ["comments"], "source_fields": fields}
    assert more(ModelAnswer()) == more(None) == set()


def test_what_was_acknowledged_is_handed_on_as_it_was_written():
    with ScriptedFirestore(now=MOMENT.timestamp) as server:
        done = write(server, flat("ada", 0), flat("bo", 1), flat("ada", 2))
    assert [(entry.key, entry.record.position) for entry in done.entries] == [("bo", 1), ("ada", 2)]
    assert (done.read, done.superseded, done.dead_letters) == (3, 1, ())
    for entry in done.entries:
        assert stored(server)[f"candidates/{entry.key}"] == {**entry.flat, META_FIELD: entry.meta}
        assert entry.update_time == MOMENT


@pytest.mark.parametrize(
    "entry",
    [
        flat("big", 1, {"text": "x" * MIB}),
        # Each of the two fits alone; with its `_meta` the document does not.
        flat("big", 1, {"text": "x" * (MIB - 100)}),
        flat("big", 1, flat_fields={"summary": "x" * MIB}),
    ],
    ids=["full document", "only with its meta", "flat document"],
)
def test_a_document_over_a_mebibyte_is_a_dead_letter_before_any_request(entry):
    with ScriptedFirestore() as server:
        done = write(server, entry)
    (letter,) = done.dead_letters
    assert (letter.step, letter.code, letter.record_id, letter.attempts) == (
        "UpsertPairs",
        "DOCUMENT_TOO_LARGE",
        "big",
        1,
    )
    assert (letter.position, letter.line, letter.retryable) == (1, 2, False)
    assert "Firestore keeps at most 1,048,576; the largest field is " in letter.message
    assert letter.original == entry.record.value
    assert server.requests("Commit") == []


def test_a_document_that_is_too_large_does_not_keep_its_neighbours_from_landing():
    with ScriptedFirestore() as server:
        done = write(server, flat("a"), flat("big", 1, {"text": "x" * MIB}), flat("c", 2))
    assert [entry.key for entry in done.entries] == ["a", "c"]
    assert stored(server).keys() == {"profiles/a", "candidates/a", "profiles/c", "candidates/c"}


def test_a_pair_that_the_service_refuses_is_a_dead_letter_with_its_message():
    def refuse_bo(request, earlier):
        if earlier == 0:
            raise RpcError("UNAVAILABLE", "try again")
        if any(write.update.name.endswith("/candidates/bo") for write in request.writes):
            raise RpcError("INVALID_ARGUMENT", "the value of field x is wrong")

    with ScriptedFirestore(scripts={"Commit": refuse_bo}) as server:
        done = write(server, flat("ada", 0), flat("bo", 1))
    (letter,) = done.dead_letters
    assert (letter.code, letter.message) == ("INVALID_ARGUMENT", "the value of field x is wrong")
    assert (letter.step, letter.record_id, letter.position, letter.line) == ("UpsertPairs", "bo", 1, 2)
    assert letter.attempts == 1  # runs, not requests: replays are counted
    assert letter.original == {"name": "bo"}
    assert done.retries == 1
    assert stored(server).keys() == {"profiles/ada", "candidates/ada"}  # neither half of the refused pair


REFUSE_ALL = always(status("INVALID_ARGUMENT", "the value of field x is wrong"))


def test_pairs_that_are_all_refused_alike_are_the_job_s_fault():
    with ScriptedFirestore(scripts={"Commit": REFUSE_ALL}) as server:
        with pytest.raises(JobError, match=r"refused all 20 writes of a batch alike.*: the value of field x is wrong"):
            write(server, *(flat(f"bad-{n}", n) for n in range(20)))


@pytest.mark.parametrize(
    "options",
    [{"unchanged": 480}, {"stop_at_refused_alike": None}],
    ids=["the others are stored", "they failed before"],
)
def test_what_is_left_of_a_batch_may_be_refused_as_a_whole(options):
    """As when a batch is done again, in which these were the only ones that did not land; or when they are replayed."""
    with ScriptedFirestore(scripts={"Commit": REFUSE_ALL}) as server:
        done = write(server, *(flat(f"bad-{n}", n) for n in range(20)), **options)
    assert [letter.code for letter in done.dead_letters] == ["INVALID_ARGUMENT"] * 20


def test_a_dead_letter_of_a_record_with_bytes_of_its_own_keeps_those():
    with ScriptedFirestore() as server:
        (letter,) = write(server, flat("big", 4, {"text": "x" * MIB}, raw=b"the source's own line")).dead_letters
    assert letter.original == b"the source's own line"


def test_a_batch_with_nothing_left_to_write_sends_nothing():
    with ScriptedFirestore() as server:
        assert write(server).entries == ()
    assert server.requests("Commit") == []


def test_overwriting_a_pair_again_leaves_the_same_documents():
    with ScriptedFirestore() as server:
        write(server, flat("ada"), mode=OVERWRITE)
        first = stored(server)
        write(server, flat("ada"), mode=OVERWRITE)
    assert stored(server) == first
    assert len(server.requests("Commit")) == 2
