"""Running it twice changes nothing: the modes of --upsert on the real emulator."""

import json

import pytest

from tests.support.documents import read_collection
from tests.support.ingest import ingest, profile
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.values import serialised_fields

COUNTS = ("read", "written", "unchanged", "superseded", "dead_letters", "repaired")


@pytest.fixture
def run(tmp_path, target):
    """Ingests records, given as they are, and returns the run."""

    def ingest_records(*records, flags=(), name="profiles.jsonl"):
        source = tmp_path / name
        source.write_text("".join(json.dumps(record) + "\n" for record in records))
        return ingest(tmp_path, target, f"--input={source}", *flags)

    return ingest_records


def counts(ingested):
    return tuple(ingested.summary[name] for name in COUNTS)


def write(target, *writes):
    Committer(target.connect()).commit([AtomicGroup(writes)])


def without_meta(documents):
    return {
        key: {name: value for name, value in fields.items() if name != "_meta"} for key, fields in documents.items()
    }


def test_a_second_run_writes_nothing_and_changes_nothing(run):
    first = run(*(profile(n) for n in range(20)))
    full, flat = first.full, first.flat
    second = run(*(profile(n) for n in range(20)))
    assert counts(first) == (20, 20, 0, 0, 0, 0)
    assert counts(second) == (20, 0, 20, 0, 0, 0)
    assert (second.full, second.flat) == (full, flat)


def test_another_order_of_keys_and_other_white_space_are_no_change(run):
    run(profile(1))
    assert counts(run(dict(reversed(profile(1).items())))) == (1, 0, 1, 0, 0, 0)


@pytest.mark.parametrize("change", [{"rank": 1.0}, {"rank": None}, {"rank": "1"}, {"rank": True}, {}])
def test_another_type_of_the_same_value_is_a_change(run, change):
    run(profile(1, rank=1))
    assert counts(run(profile(1, **change)))[:2] == (1, 1)


def test_a_changed_record_is_the_next_version_and_keeps_its_creation(run):
    before = run(profile(1), profile(2)).flat
    after = run(profile(1, name="Somebody Else"), profile(2)).flat
    old, new = before["cand-00001"]["_meta"], after["cand-00001"]["_meta"]
    assert (old["version"], new["version"]) == (1, 2)
    assert new["created_at"] == old["created_at"]
    assert new["updated_at"] > old["updated_at"]
    assert after["cand-00002"] == before["cand-00002"]


def test_of_one_id_in_several_batches_the_last_position_wins_now_and_ever_after(run):
    records = [profile(1, name="first"), profile(2), profile(3), profile(1, name="last")]
    first = run(*records, flags=["--batch_size=1"])
    assert first.full["cand-00001"]["name"] == "last"
    second = run(*records, flags=["--batch_size=1"])
    assert counts(second) == (4, 0, 3, 1, 0, 0)
    assert second.full == first.full


def test_of_one_id_in_several_files_the_last_file_wins_now_and_ever_after(run, tmp_path, target):
    run(profile(1, name="from b"), name="b.jsonl")
    (tmp_path / "a.jsonl").write_text(json.dumps(profile(1, name="from a")) + "\n")
    both = [f"--input={tmp_path}/a.jsonl,{tmp_path}/b.jsonl"]
    first = ingest(tmp_path, target, *both)
    assert first.full["cand-00001"]["name"] == "from b"
    second = ingest(tmp_path, target, *both)
    assert counts(second) == (2, 0, 1, 1, 0, 0)


def test_of_one_id_in_one_batch_the_last_position_wins_although_another_input_had_written_it(run):
    earlier, last = profile(1, name="earlier"), profile(1, name="last")
    before = run(last, name="yesterday.jsonl").full
    today = run(earlier, last, profile(2), name="today.jsonl")
    assert today.full["cand-00001"] == before["cand-00001"]
    assert counts(today) == (3, 1, 1, 1, 0, 0)


@pytest.mark.parametrize("missing", ["enriched_profiles", "candidates"])
def test_a_pair_with_a_missing_half_is_repaired_under_its_version(run, target, missing):
    whole = run(profile(1))
    full, flat = whole.full, whole.flat
    write(target, messages.delete(target.document_name(f"{missing}/cand-00001")))
    repaired = run(profile(1))
    assert counts(repaired) == (1, 1, 0, 0, 0, 1)
    assert without_meta(repaired.full) == without_meta(full)
    assert without_meta(repaired.flat) == without_meta(flat)
    assert repaired.flat["cand-00001"]["_meta"]["version"] == 1


def test_a_document_that_somebody_else_wrote_is_replaced_as_version_1(run, target):
    name = target.document_name("candidates/cand-00001")
    write(target, messages.update(messages.document(name, serialised_fields({"foreign": True}))))
    ingested = run(profile(1))
    assert "foreign" not in ingested.flat["cand-00001"]
    assert ingested.flat["cand-00001"]["_meta"]["version"] == 1


def test_overwrite_writes_without_looking(run):
    run(profile(1), flags=["--upsert=overwrite"])
    again = run(profile(1), flags=["--upsert=overwrite"])
    assert counts(again) == (1, 1, 0, 0, 0, 0)
    assert again.flat["cand-00001"]["_meta"]["version"] == 1


def test_merge_keeps_what_the_record_lacks_and_writes_only_a_change(run):
    run({"candidate_id": "a", "name": "Ada", "address": {"city": "London", "street": "Byron Row"}})
    merging = {"candidate_id": "a", "address": {"city": "Paris"}, "odd name`": {"x.y": 1}}
    merged = run(merging, flags=["--upsert=merge"])
    assert without_meta(merged.full)["a"] == {
        "candidate_id": "a",
        "name": "Ada",
        "address": {"city": "Paris", "street": "Byron Row"},
        "odd name`": {"x.y": 1},
    }
    assert merged.flat["a"]["name"] == "Ada"
    assert merged.flat["a"]["_meta"]["version"] == 2
    assert counts(run(merging, flags=["--upsert=merge"])) == (1, 0, 1, 0, 0, 0)


def test_create_only_leaves_existing_documents_alone(run):
    run(profile(1))
    ingested = run(profile(1, name="changed"), profile(2), flags=["--upsert=create_only"])
    assert counts(ingested) == (2, 1, 1, 0, 0, 0)
    assert ingested.full["cand-00001"]["name"] == "Person 1"


def test_earlier_states_are_kept_and_the_oldest_goes(run, target):
    for n in range(1, 5):
        run(profile(1, name=f"state {n}"), flags=["--keep_versions=2"])
    versions = read_collection(target, "enriched_profiles/cand-00001/versions")
    assert {key: fields["name"] for key, fields in versions.items()} == {"3": "state 3", "4": "state 4"}


def test_keep_versions_needs_versions(run):
    assert run(profile(1), flags=["--upsert=merge", "--keep_versions=2"]).exit_code == 2
