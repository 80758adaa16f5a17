"""Dead letters through the job they came from, on the real emulators."""

import json
import stat
from pathlib import Path

import pytest
from apache_beam.io.filesystems import FileSystems

from tests.support.documents import read_collection
from tests.support.faulty_firestore import FaultyFirestore
from tests.support.ingest import profile
from tests.support.replay_desk import PROFILES, Desk, nameless
from transforms.batch import DeadLetter
from transforms.dead_letters.folder import DeadLetterFolder, ReplayRun
from transforms.firestore import messages
from transforms.firestore.client import RpcError
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.tagged_json import iso

pytestmark = pytest.mark.emulator


@pytest.fixture
def desk(tmp_path, target):
    return Desk(tmp_path, target)


@pytest.fixture
def strict(desk):
    """A spec under which a record without a name fails."""
    return desk.spec("  name:\n    type: string\n", "  name:\n    type: string\n    required: true\n", "strict.yaml")


def test_what_a_corrected_spec_accepts_lands_and_says_where_it_came_from(desk, strict):
    first = desk.ingest(profile(0), nameless(1), nameless(2), flags=[strict])
    assert [line["code"] for line in desk.lines("permanent")] == ["MISSING_FIELD"] * 2
    before = desk.lines("permanent")

    assert desk.replay("--spec=profiles") == (0, (2, 2, 0, 0, 0))
    assert desk.places() == {"replayed": 2}
    for old, new in zip(before, desk.lines("replayed"), strict=True):
        assert {name: value for name, value in new.items() if name != "replay"} == old
        assert new["replay"]["job_id"] == desk.summary["job_id"]
        assert new["replay"]["time"] > old["time"]
    meta = desk.flat["cand-00002"]["_meta"]
    line = before[1]
    assert (meta["source"], meta["position"]) == (line["source"], line["position"])
    assert (meta["job_id"], meta["batch_id"]) == (first.summary["job_id"], line["batch_id"])
    assert {name: value for name, value in desk.full["cand-00002"].items() if name != "_meta"} == nameless(2)


def test_a_job_is_replayed_with_the_flags_it_ran_with(desk, strict):
    desk.ingest(nameless(1), flags=[strict])
    assert desk.replay() == (0, (1, 0, 0, 0, 1))
    assert [(line["code"], line["attempts"]) for line in desk.lines("permanent")] == [("MISSING_FIELD", 2)]


def test_attempts_are_counted_until_a_dead_letter_is_parked(desk):
    desk.ingest(profile(0), "{not JSON\n", profile(2, candidate_id="a/b"))
    before = desk.lines("permanent")
    assert desk.replay("--max_attempts=3") == (0, (2, 0, 0, 0, 2))
    assert desk.places() == {"permanent": 2}
    for old, new in zip(before, desk.lines("permanent"), strict=True):
        assert (new["attempts"], new["first_time"], new["time"] > old["time"]) == (2, old["time"], True)
        assert {name: new[name] for name in ("code", "record_text", "line", "position", "job_id", "batch_id")} == {
            name: old[name] for name in ("code", "record_text", "line", "position", "job_id", "batch_id")
        }
    assert desk.replay("--max_attempts=3") == (0, (2, 0, 0, 0, 2))
    assert desk.places() == {"parked": 2}
    assert [line["attempts"] for line in desk.lines("parked")] == [3, 3]
    assert desk.replay("--max_attempts=3") == (0, (0, 0, 0, 0, 0))


def test_dead_letters_of_a_batch_that_are_all_refused_again_alike_are_counted_and_stop_nothing(
    desk, firestore_host, monkeypatch
):
    def refuse(request):
        is_bad = request.rpc == "Commit" and b"/candidates/" in request.body and b"Bad Company" in request.body
        return RpcError("INVALID_ARGUMENT", "the value of field x is wrong") if is_bad else None

    bad = [profile(n, candidate_id=f"bad-{n}", current_position={"company": "Bad Company"}) for n in range(12)]
    with FaultyFirestore(firestore_host, refuse=refuse) as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        first = desk.ingest(profile(0), *bad)
        second = desk.ingest(profile(0), *bad)
        assert [run.summary["dead_letters"] for run in (first, second)] == [12, 12], second.summary
        assert desk.replay() == (0, (12, 0, 0, 0, 12))
    assert [line["attempts"] for line in desk.lines("permanent")] == [2] * 12


def test_more_failures_than_the_share_allowed_is_exit_code_4(desk):
    desk.ingest("{not JSON\n")
    assert desk.replay("--max_dead_letter_ratio=0.5")[0] == 4


def test_a_dead_letter_that_somebody_has_corrected_lands(desk):
    desk.ingest(profile(0), json.dumps(profile(1))[:-1] + "\n")
    desk.edit("permanent", lambda line: {**line, "record_text": line["record_text"] + "}"})
    assert desk.replay() == (0, (1, 1, 0, 0, 0))
    assert desk.flat.keys() == {"cand-00000", "cand-00001"}


def test_nothing_to_replay_is_no_failure(desk):
    desk.ingest(profile(0))
    assert desk.replay() == (0, (0, 0, 0, 0, 0))
    assert desk.summary["state"] == "completed"


def test_only_the_kind_and_the_job_asked_for_are_replayed(desk, strict, capsys):
    desk.ingest(nameless(1), flags=[strict], name="a.jsonl")
    other = desk.ingest(nameless(2), flags=[strict], name="b.jsonl").summary["job_id"]
    assert desk.replay("--kind=retryable", "--spec=profiles") == (0, (0, 0, 0, 0, 0))
    assert desk.replay("--spec=profiles", f"--from_job={other}") == (0, (1, 1, 0, 0, 0))
    assert desk.flat.keys() == {"cand-00002"}
    assert desk.replay("--from_job=ingest-x")[0] == 2
    assert "there are no dead letters of --from_job=ingest-x, only of ingest-" in capsys.readouterr().err


def test_dead_letters_of_several_jobs_each_go_through_their_own(desk, strict):
    rated = desk.spec(
        "  domain:\n    type: string\n", "  domain:\n    type: string\n    required: true\n", "rated.yaml"
    )
    desk.ingest(nameless(1, domain="Data"), flags=[strict], name="a.jsonl")
    desk.ingest(profile(2), flags=[rated], name="b.jsonl")
    Path(strict.removeprefix("--spec=")).write_text(PROFILES)
    assert desk.replay() == (0, (2, 1, 0, 0, 1))
    assert desk.flat.keys() == {"cand-00001"}
    assert [line["record_id"] for line in desk.lines("permanent")] == ["cand-00002"]


def test_an_earlier_record_of_a_source_does_not_replace_a_later_one(desk, strict):
    desk.ingest(nameless(1, domain="early"), profile(1, name="late"), flags=[strict])
    documents = desk.full
    assert desk.replay("--spec=profiles") == (0, (1, 0, 0, 1, 0))
    assert desk.full == documents
    assert desk.places() == {"replayed": 1}


def test_a_later_record_of_a_source_replaces_an_earlier_one(desk, strict):
    desk.ingest(profile(1, name="early"), nameless(1, domain="late"), flags=[strict])
    assert desk.replay("--spec=profiles") == (0, (1, 1, 0, 0, 0))
    assert "name" not in desk.flat["cand-00001"]
    assert desk.flat["cand-00001"]["_meta"]["version"] == 2


def test_of_several_dead_letters_with_one_id_the_last_wins(desk, strict):
    desk.ingest(nameless(1, domain="first"), nameless(1, domain="last"), flags=[strict])
    assert desk.replay("--spec=profiles") == (0, (2, 1, 0, 1, 0))
    assert desk.full["cand-00001"]["domain"] == "last"
    assert desk.places() == {"replayed": 2}


def test_a_document_that_another_input_has_written_since_is_left_alone(desk, strict):
    desk.ingest(nameless(1, domain="yesterday"), flags=[strict], name="yesterday.jsonl")
    desk.ingest(profile(1, name="today"), flags=[strict], name="today.jsonl")
    documents = desk.full
    assert desk.replay("--spec=profiles") == (0, (1, 0, 0, 1, 0))
    assert desk.full == documents


def test_a_document_that_another_input_had_written_before_is_replaced(desk, strict):
    desk.ingest(profile(1, name="yesterday"), flags=[strict], name="yesterday.jsonl")
    desk.ingest(nameless(1, domain="today"), flags=[strict], name="today.jsonl")
    assert desk.replay("--spec=profiles") == (0, (1, 1, 0, 0, 0))
    assert desk.full["cand-00001"]["domain"] == "today"


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")], ids="-".join)
def test_dead_letters_of_two_days_end_as_the_later_one_whichever_is_replayed_first(desk, strict, order):
    jobs = {
        "a": desk.ingest(nameless(1, domain="yesterday"), flags=[strict], name="a.jsonl").summary["job_id"],
        "b": desk.ingest(nameless(1, domain="today"), flags=[strict], name="b.jsonl").summary["job_id"],
    }
    for name in order:
        assert desk.replay("--spec=profiles", f"--from_job={jobs[name]}")[0] == 0
    assert desk.full["cand-00001"]["domain"] == "today"


def test_a_job_that_overwrites_is_replayed_with_a_look_at_what_is_there(desk, strict):
    desk.ingest(nameless(1), profile(1, name="late"), flags=[strict, "--upsert=overwrite"])
    assert desk.replay("--spec=profiles") == (0, (1, 0, 0, 1, 0))
    assert desk.full["cand-00001"]["name"] == "late"


def test_model_results_and_rows_of_csv_come_back_as_they_were(desk, strict):
    answer = {
        "custom_id": "from-openai",
        "response": {
            "status_code": 200,
            "body": {
                "object": "chat.completion",
                "choices": [
                    {
                        "message": {"role": "assistant", "content": json.dumps(nameless(1, candidate_id=None))},
                        "finish_reason": "stop",
                    }
                ],
            },
        },
        "error": None,
    }
    desk.ingest(answer, flags=[strict], name="results.jsonl")
    desk.ingest("candidate_id,domain\nfrom-csv,Data\n", flags=[strict], name="rows.csv")
    assert desk.replay("--spec=profiles") == (0, (2, 2, 0, 0, 0))
    assert desk.flat.keys() == {"from-openai", "from-csv"}
    assert desk.flat["from-openai"]["years_experience"] == 1


def test_rows_of_csv_are_read_again_as_the_job_read_them_but_for_what_is_corrected(desk):
    rows = "key,domain,\nada,Data,\nbob,Data,7\n"
    desk.ingest(rows, flags=["--rename_columns=key=candidate_id"], name="rows.csv")
    assert desk.flat.keys() == {"ada"}
    assert desk.replay() == (0, (1, 0, 0, 0, 1))
    assert desk.replay("--drop_columns=#3") == (0, (1, 1, 0, 0, 0))
    assert desk.flat["bob"]["domain"] == desk.flat["ada"]["domain"]


def test_a_broken_line_is_refused_with_file_and_line_before_anything_starts(desk, capsys):
    desk.ingest(profile(0), "{not JSON\n", "{nor this\n")
    (file,) = (desk.dead_letters / "permanent").glob("*.jsonl")
    first, second = file.read_text().splitlines()
    file.write_text(f"{first}\n{second[:-5]}\n")
    before = file.read_bytes()
    assert desk.replay() == (2, (None,) * 5)
    shown = capsys.readouterr().err
    assert f"{file}, line 2 is not a dead letter: the record is not valid JSON at column" in shown
    assert "correct it, or remove the line" in shown
    assert file.read_bytes() == before


def test_a_folder_that_is_not_there_is_refused(desk, capsys):
    assert desk.replay(f"--dead_letters={desk.folder}/nowhere")[0] == 2
    assert f"there is no folder {desk.folder}/nowhere; pass --dead_letters=DIR" in capsys.readouterr().err


def test_a_job_that_the_ledger_does_not_know_needs_its_flags(desk, strict, capsys):
    desk.ingest(nameless(1), flags=[strict])
    desk.edit("permanent", lambda line: {**line, "job_id": "ingest-forgotten"})
    assert desk.replay()[0] == 2
    assert "does not know job ingest-forgotten" in capsys.readouterr().err
    assert desk.replay("--spec=profiles") == (0, (1, 1, 0, 0, 0))


def test_replayed_and_rewritten_files_can_be_read_by_their_owner_only(desk, strict):
    desk.ingest(nameless(1), "{not JSON\n", flags=[strict])
    desk.replay("--spec=profiles")
    files = [file for file in desk.dead_letters.rglob("*") if file.is_file()]
    assert len(files) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def stop_unfinished(target, job_id):
    """Makes the ledger look as if the process of a run had been killed before it finished."""
    fields = messages.Document(name=target.document_name(f"pipeline_jobs/{job_id}"))
    fields.fields["state"].string_value = "interrupted"
    write = messages.update(fields.SerializeToString()) + messages.update_mask(["state"])
    Committer(target.connect()).commit([AtomicGroup((write,))])


def remove_batch(target, job_id, batch_id):
    """Makes the ledger forget that a batch was completed."""
    name = target.document_name(f"pipeline_jobs/{job_id}/batches/{batch_id}")
    Committer(target.connect()).commit([AtomicGroup((messages.delete(name),))])


@pytest.mark.parametrize("completed", [False, True], ids=["before the ledger knew", "before the folder was cleared"])
def test_a_replay_that_was_killed_half_way_ends_as_an_undisturbed_one(desk, strict, completed):
    desk.ingest(nameless(1), "{not JSON\n", profile(2), flags=[strict])
    (file,) = (desk.dead_letters / "permanent").glob("*.jsonl")
    (landing,) = (line for line in file.read_text().splitlines(keepends=True) if "MISSING_FIELD" in line)
    assert desk.replay("--spec=profiles") == (0, (2, 1, 0, 0, 1))
    undisturbed, documents, job_id = desk.lines("replayed", "permanent"), desk.full, desk.summary["job_id"]
    # As it was when the dead letters had been resolved, and none of them cleared.
    file.write_text(landing + file.read_text())
    stop_unfinished(desk.target, job_id)
    if not completed:
        remove_batch(desk.target, job_id, file.stem)

    assert desk.replay("--spec=profiles") == (0, (2, 1, 0, 0, 1))
    assert desk.places() == {"replayed": 1, "permanent": 1}
    assert desk.full == documents

    def without_time(lines):
        return [
            {**line, "time": None, "replay": {**line["replay"], "time": None}} if "replay" in line else line
            for line in lines
        ]

    assert without_time(desk.lines("replayed", "permanent")) == without_time(undisturbed)


def test_a_dead_letter_is_never_nowhere_and_a_step_done_twice_changes_nothing(desk, strict):
    desk.ingest(nameless(1), "{not JSON\n", "{nor this\n", flags=[strict])
    desk.edit("permanent", lambda line: {**line, "attempts": 4 if line["line"] == 3 else 1})
    folder, run = DeadLetterFolder(str(desk.dead_letters)), ReplayRun("replay-1", "2026-01-01T00:00:00Z", 5)
    ((batch_id, _, n, *_),) = folder.batches()
    failures = [
        DeadLetter("ReadBatches", "INVALID_JSON", "still broken", None, position=line["position"])
        for line in desk.lines("permanent")
        if line["line"] > 1
    ]
    for _ in range(2):
        folder.resolve(batch_id, n, failures, run, "2026-01-01T00:00:01Z")
        assert desk.places() == {"permanent": 3, "replayed": 1, "parked": 1}
    for _ in range(2):
        folder.clear(batch_id, run.run)
        assert desk.places() == {"permanent": 1, "replayed": 1, "parked": 1}
    (again,), (parked,) = desk.lines("permanent"), desk.lines("parked")
    assert (again["line"], again["attempts"], again["message"]) == (2, 2, "still broken")
    assert (parked["line"], parked["attempts"]) == (3, 5)


def test_dead_letters_in_a_bucket_are_replayed_like_those_in_a_folder(desk, strict, bigquery, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bigquery.gcs)
    prefix = f"gs://{bigquery.bucket}/{desk.target.project}"
    flag = f"--dead_letters={prefix}"
    desk.ingest(nameless(1), "{not JSON\n", flags=[strict, flag])
    assert desk.replay("--spec=profiles", flag) == (0, (2, 1, 0, 0, 1))
    assert desk.replay("--spec=profiles", flag, "--max_attempts=3") == (0, (1, 0, 0, 0, 1))
    assert desk.replay("--spec=profiles", flag) == (0, (0, 0, 0, 0, 0))
    (found,) = FileSystems.match([f"{prefix}/**"])
    assert sorted(match.path.split("/")[-2] for match in found.metadata_list) == ["parked", "replayed"]


def ids_in(table):
    return sorted(
        row["candidate_id"] for row in table.client().query(f"SELECT candidate_id FROM `{table.id}`").result()
    )


def keep_refused_row(desk, kind, job_id, batch_id, **said):
    """The line that BigQuery's refusal of the second profile's row would have left."""
    line = {
        "job": "ingest",
        "job_id": job_id,
        "batch_id": batch_id,
        "step": "InsertRows",
        "record_id": "cand-00001",
        "message": "the row is missing",
        "attempts": 1,
        "record_text": json.dumps(profile(1)),
        **said,
    }
    (desk.dead_letters / kind).mkdir(parents=True, exist_ok=True)
    (desk.dead_letters / kind / f"{batch_id}.jsonl").write_text(json.dumps(line) + "\n")


def test_a_row_that_was_refused_is_sent_again_although_its_documents_are_unchanged(desk, table):
    """The row's refusal is staged: documents without rows, and the line."""
    first = desk.ingest(profile(0), profile(1))
    documents = desk.full
    meta = desk.flat["cand-00001"]["_meta"]
    keep_refused_row(
        desk,
        "permanent",
        first.summary["job_id"],
        meta["batch_id"],
        time="2026-01-01T00:00:00.000000Z",
        source=meta["source"],
        line=2,
        position=meta["position"],
        code="INVALID",
    )

    assert desk.replay(f"--bigquery_table={table.name}") == (0, (1, 1, 0, 0, 0))
    assert desk.places() == {"replayed": 1}
    assert ids_in(table) == ["cand-00001"]
    assert desk.full == documents


def test_a_row_that_was_refused_is_sent_again_although_another_job_wrote_its_documents(desk, table):
    """As above, but the documents were there before the job whose row was refused, which left them unchanged."""
    desk.ingest(profile(1), name="before.jsonl")
    second = desk.ingest(profile(1), name="after.jsonl")
    assert second.summary["unchanged"] == 1
    documents, job_id = desk.full, second.summary["job_id"]
    ((batch_id, batch),) = read_collection(desk.target, f"pipeline_jobs/{job_id}/batches").items()
    keep_refused_row(
        desk,
        "retryable",
        job_id,
        batch_id,
        time=iso(batch["completed_at"]),
        source=batch["source"],
        line=1,
        position=0,
        code="STOPPED",
    )

    assert desk.replay(f"--bigquery_table={table.name}") == (0, (1, 0, 1, 0, 0))
    assert desk.places() == {"replayed": 1}
    assert ids_in(table) == ["cand-00001"]
    assert desk.full == documents
