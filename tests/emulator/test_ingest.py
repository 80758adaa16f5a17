"""The whole job, from files to Firestore, BigQuery and dead letters, on the real emulators."""

import gzip
import json
import stat
from pathlib import Path

import pytest

from tests.support.documents import read_collection
from tests.support.ingest import ingest, profile

SHARED_PROFILES = Path(__file__).parents[3] / "shared" / "data" / "profiles_llm.jsonl"


def lines(*records):
    return "".join(record if isinstance(record, str) else json.dumps(record) + "\n" for record in records)


def name_of(table):
    return table.name


def rows_of(table):
    return [dict(row) for row in table.client().query(f"SELECT * FROM `{table.id}`").result()]


def test_a_thousand_records_land_in_both_collections_and_in_bigquery(tmp_path, target, table):
    bad = {100: "{not json\n", 250: lines(profile(250, candidate_id="a/b")), 999: lines(profile(999, matrix=[[1]]))}
    source = tmp_path / "profiles.jsonl"
    source.write_text("".join(bad.get(n) or lines(profile(n)) for n in range(1000)))

    run = ingest(tmp_path, target, f"--input={source}", "--batch_size=150", f"--bigquery_table={name_of(table)}")

    assert run.exit_code == 0
    expected = {f"cand-{n:05d}" for n in range(1000) if n not in bad}
    assert run.reasons == [(1000, "NESTED_ARRAY"), (101, "INVALID_JSON"), (251, "INVALID_ID")]
    counts = {"read": 1000, "written": 997, "unchanged": 0, "superseded": 0, "dead_letters": 3, "batches": 7}
    assert {name: run.summary[name] for name in counts} == counts
    full, flat, rows = run.full, run.flat, rows_of(table)
    assert full.keys() == flat.keys() == expected
    assert {row["candidate_id"] for row in rows} == expected
    assert len(rows) == len(expected)
    for row in rows:
        document = flat[row["candidate_id"]]
        assert row["years_experience"] == document["years_experience"]
        assert row["primary_skills"] == document["primary_skills"] == ["Python", "Kubernetes"]
        assert row["_meta_content_hash"] == document["_meta"]["content_hash"]
        assert row["_meta_batch_id"] == document["_meta"]["batch_id"]
        assert json.loads(row["profile"]) if isinstance(row["profile"], str) else row["profile"]
    for key, document in full.items():
        assert {name: value for name, value in document.items() if name != "_meta"} == profile(int(key[5:]))
        assert document["_meta"] == flat[key]["_meta"]


def test_meta_says_who_wrote_a_document_and_where_it_was_read(tmp_path, target):
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(profile(0), profile(1)))
    run = ingest(tmp_path, target, f"--input={source}")
    meta = run.flat["cand-00001"]["_meta"]
    assert meta.keys() == {
        "schema_version",
        "version",
        "content_hash",
        "created_at",
        "updated_at",
        "source",
        "position",
        "job_id",
        "attempt",
        "batch_id",
    }
    assert meta["source"] == str(source)
    assert meta["position"] == len(lines(profile(0)))
    assert meta["job_id"] == run.summary["job_id"]
    assert meta["batch_id"].endswith("-00000-00000")


def test_running_it_twice_changes_no_document_and_no_dead_letter(tmp_path, target):
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(*(profile(n) for n in range(20)), "{\n"))
    first = ingest(tmp_path, target, f"--input={source}")
    documents = first.full, first.flat
    second = ingest(tmp_path, target, f"--input={source}")
    assert (second.summary["written"], second.summary["unchanged"], second.summary["dead_letters"]) == (0, 20, 1)
    assert (second.full, second.flat) == documents
    assert [letter["record_text"] for letter in second.dead_letters] == ["{"]


def test_of_several_records_with_one_id_the_last_wins_and_the_others_are_counted(tmp_path, target):
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(profile(1, name="first"), profile(2), profile(1, name="second"), profile(1, name="last")))
    run = ingest(tmp_path, target, f"--input={source}")
    assert run.full["cand-00001"]["name"] == "last"
    assert (run.summary["read"], run.summary["written"], run.summary["superseded"]) == (4, 2, 2)


@pytest.mark.parametrize("method", ["STORAGE_WRITE", "FILE_LOADS"])
def test_the_other_ways_into_bigquery_end_in_the_same_rows(tmp_path, target, table, bigquery, monkeypatch, method):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bigquery.gcs)
    monkeypatch.setenv("BIGQUERY_EMULATOR_GRPC_HOST", bigquery.grpc)
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(*(profile(n) for n in range(30))))
    run = ingest(
        tmp_path,
        target,
        f"--input={source}",
        f"--bigquery_table={name_of(table)}",
        f"--bigquery_method={method}",
        f"--temp_location=gs://{bigquery.bucket}/temp",
    )
    assert run.exit_code == 0, run.summary
    flat = run.flat
    rows = rows_of(table)
    assert len(rows) == 30
    for row in rows:
        document = flat[row["candidate_id"]]
        assert row["years_experience"] == document["years_experience"]
        assert row["primary_skills"] == document["primary_skills"]
        assert row["_meta_created_at"] == document["_meta"]["created_at"]


def test_the_shared_profiles_all_land(tmp_path, target):
    if not SHARED_PROFILES.exists():
        pytest.skip("the 249 shared profiles are not beside this checkout")
    run = ingest(tmp_path, target, f"--input={SHARED_PROFILES}")
    assert (run.exit_code, run.summary["written"], run.summary["dead_letters"]) == (0, 249, 0)


def test_dead_letters_can_be_read_by_their_owner_only(tmp_path, target):
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(profile(0), "nonsense\n"))
    ingest(tmp_path, target, f"--input={source}", "--max_dead_letter_ratio=1")
    (file,) = (tmp_path / "dead_letters").glob("*/*.jsonl")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_more_dead_letters_than_the_share_allowed_is_exit_code_4(tmp_path, target):
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(profile(0), "nonsense\n"))
    assert ingest(tmp_path, target, f"--input={source}").exit_code == 4
    assert ingest(tmp_path, target, f"--input={source}", "--max_dead_letter_ratio=0.5").exit_code == 0


DEEP = json.dumps({"candidate_id": "a", "x": 1})
for _ in range(25):
    DEEP = '{"candidate_id": "a", "x": ' + DEEP + "}"


@pytest.mark.parametrize(
    ("content", "written", "reasons"),
    [
        pytest.param(b"", 0, [], id="empty file"),
        pytest.param(b"\n\n \n", 0, [], id="blank lines only"),
        pytest.param(b'\xef\xbb\xbf{"candidate_id": "a"}\r\n\r\n{"candidate_id": "b"}', 2, [], id="BOM, CRLF, no end"),
        pytest.param(b'{"candidate_id": "a"}\n{"candidate_id": "\xff"}\n', 1, [(2, "NOT_UTF8")], id="not UTF-8"),
        pytest.param(b'{"candidate_id": "a"}\n7\n"x"\n', 1, [(2, "NOT_AN_OBJECT"), (3, "NOT_AN_OBJECT")], id="scalars"),
        pytest.param(b'{"candidate_id": "a", "x": NaN}\n', 1, [], id="NaN is a double"),
        pytest.param(b'{"candidate_id": "a", "x": 18446744073709551616}\n', 0, [(1, "INTEGER_OUT_OF_RANGE")], id="int"),
        pytest.param(b'{"candidate_id": "a", "x": [[1]]}\n', 0, [(1, "NESTED_ARRAY")], id="nested array"),
        pytest.param(DEEP.encode() + b"\n", 0, [(1, "TOO_DEEP")], id="too deep"),
        pytest.param(
            json.dumps({"candidate_id": "a", "x": "y" * 1_100_000}).encode(), 0, [(1, "DOCUMENT_TOO_LARGE")], id="1 MiB"
        ),
        pytest.param(b'{"candidate_id": "a", "": 1}\n', 0, [(1, "INVALID_FIELD_NAME")], id="empty field name"),
        pytest.param(b'{"candidate_id": "a", "__x__": 1}\n', 0, [(1, "INVALID_FIELD_NAME")], id="reserved field name"),
        pytest.param(b'{"candidate_id": "a", "x": "\\ud800"}\n', 0, [(1, "INVALID_TEXT")], id="lone surrogate"),
        pytest.param(b'{"name": "a"}\n{"candidate_id": " "}\n', 0, [(1, "MISSING_ID"), (2, "MISSING_ID")], id="no id"),
        pytest.param(b'{"candidate_id": 17}\n', 1, [], id="a whole number as id"),
        pytest.param(
            b"".join(b'{"candidate_id": "%s"}\n' % key for key in (b"a/b", b".", b"..", b"__x__", b"x" * 1501)),
            0,
            [(n, "INVALID_ID") for n in range(1, 6)],
            id="ids",
        ),
        pytest.param(b'{"candidate_id": "a", "_meta": 1}\n', 0, [(1, "RESERVED_FIELD")], id="a _meta of its own"),
        pytest.param(b"candidate_id,name\na,Ada\nb,Bo,x\n", 1, [(3, "WRONG_COLUMN_COUNT")], id="CSV columns"),
        pytest.param(
            b'candidate_id,name\na,Ada\nb,"Bo\n' + b"c,Cy\n" * 2000, 1, [(3, "UNREADABLE_FILE")], id="CSV quote"
        ),
        pytest.param(gzip.compress(b'{"candidate_id": "a"}\n' * 1)[:-6], None, None, id="broken gzip"),
        pytest.param(b"PAR1 this is not Parquet", 0, [(None, "UNREADABLE_FILE")], id="not Parquet"),
    ],
)
def test_bad_input_is_a_dead_letter_or_lands_and_the_job_goes_on(tmp_path, target, content, written, reasons):
    source = tmp_path / "input"
    source.write_bytes(content)
    run = ingest(tmp_path, target, f"--input={source}", "--max_dead_letter_ratio=1")
    unread = any(letter["code"] == "UNREADABLE_FILE" for letter in run.dead_letters)
    assert run.exit_code == (4 if unread else 0), run.summary
    if reasons is None:
        assert [letter["code"] for letter in run.dead_letters] == ["UNREADABLE_FILE"]
    else:
        assert (len(run.full), run.reasons) == (written, reasons)
    summary = run.summary
    assert summary["read"] == summary["written"] + summary["superseded"] + summary["dead_letters"]
    assert ("unread_bytes" in summary) == (unread and reasons is not None)  # nothing stands behind the gzip's end


def test_a_fifty_megabyte_line_is_one_dead_letter_and_its_neighbours_land(tmp_path, target):
    source = tmp_path / "profiles.jsonl"
    with source.open("wb") as file:
        file.write(b'{"candidate_id": "a"}\n{"candidate_id": "b", "x": "')
        for _ in range(50):
            file.write(b"y" * 1_000_000)
        file.write(b'"}\n{"candidate_id": "c"}\n')
    run = ingest(tmp_path, target, f"--input={source}", "--max_dead_letter_ratio=1")
    assert run.full.keys() == {"a", "c"}
    assert [letter["code"] for letter in run.dead_letters] == ["RECORD_TOO_LARGE"]


def test_a_later_record_that_cannot_be_a_document_replaces_no_earlier_one(tmp_path, target):
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(profile(1, name="good"), profile(1, name="y" * 1_100_000)))
    run = ingest(tmp_path, target, f"--input={source}", "--max_dead_letter_ratio=1")
    assert run.full["cand-00001"]["name"] == "good"
    assert (run.summary["written"], run.summary["superseded"], run.reasons) == (1, 0, [(2, "DOCUMENT_TOO_LARGE")])


def test_rows_that_a_table_lacks_are_sent_although_the_documents_are_unchanged(tmp_path, target, table):
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(*(profile(n) for n in range(5))))
    ingest(tmp_path, target, f"--input={source}")
    flags = [f"--input={source}", f"--bigquery_table={name_of(table)}"]
    first = ingest(tmp_path, target, *flags)
    assert (first.summary["written"], first.summary["unchanged"]) == (0, 5)
    assert len(rows_of(table)) == 5
    table.client().delete_table(table.id)
    again = ingest(tmp_path, target, *flags)  # the same input, whose rows are known to have been acknowledged
    assert again.summary["unchanged"] == 5
    assert rows_of(table) == []


def test_dead_letters_of_another_job_on_the_same_input_are_not_replaced(tmp_path, target, capsys):
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(profile(0), "nonsense\n"))
    first = ingest(tmp_path, target, f"--input={source}", "--max_dead_letter_ratio=1")
    second = ingest(tmp_path, target, f"--input={source}", "--job_id=another")
    assert second.exit_code == 2
    assert "holds dead letters of another job on the same input" in capsys.readouterr().err
    assert second.dead_letters == first.dead_letters


def test_a_run_with_other_batches_leaves_no_dead_letters_of_the_old_ones(tmp_path, target):
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(*(["nonsense\n"] * 4)))
    flags = [f"--input={source}", "--max_dead_letter_ratio=1"]
    ingest(tmp_path, target, *flags, "--batch_size=1")
    run = ingest(tmp_path, target, *flags, "--batch_size=4")
    assert [line for line, _ in run.reasons] == [1, 2, 3, 4]


def spec_of_people(folder, fields):
    """A spec that makes people of profiles."""
    spec = folder / "people.yaml"
    spec.write_text(
        "name: people\nschema_version: 1\nfull_collection: people\nflat_collection: people_flat\n"
        f"key: {{name: person_id, from: [candidate_id]}}\nfields: {fields}\n"
    )
    return spec


def test_a_collection_is_an_input_like_any_other(tmp_path, target):
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(*(profile(n) for n in range(30))))
    ingest(tmp_path, target, f"--input={source}")
    spec = spec_of_people(tmp_path, "{name: {type: string, from: [name], description: Name.}}")
    run = ingest(tmp_path, target, "--input=firestore://enriched_profiles", f"--spec={spec}", "--batch_size=7")
    assert (run.exit_code, run.summary["read"], run.summary["written"]) == (0, 30, 30)
    copies = read_collection(target, "people")
    assert {key: fields["name"] for key, fields in copies.items()} == {
        f"cand-{n:05d}": f"Person {n}" for n in range(30)
    }
    again = ingest(tmp_path, target, "--input=firestore://enriched_profiles", f"--spec={spec}", "--batch_size=7")
    assert (again.summary["written"], again.summary["unchanged"]) == (0, 30)


def test_a_collection_that_is_read_again_leaves_no_dead_letters_of_its_earlier_state(tmp_path, target):
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(*(profile(n) for n in range(3))))
    ingest(tmp_path, target, f"--input={source}")
    spec = spec_of_people(tmp_path, "{nick: {type: string, from: [nick], required: true}}")
    flags = ["--input=firestore://enriched_profiles", f"--spec={spec}", "--max_dead_letter_ratio=1"]
    for _ in range(2):
        run = ingest(tmp_path, target, *flags)
        assert (run.summary["dead_letters"], len(run.reasons)) == (3, 3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--summary=/proc/nope/x.json"], "cannot write --summary=/proc/nope/x.json"),
        (["--summary=/"], "cannot write --summary=/"),
        (["--dead_letters=foo://x"], "cannot write dead letters to foo://x"),
        (["--dead_letters="], "--dead_letters must not be empty"),
        (["--runner=Foo"], "--runner=Foo is not a runner that Beam knows"),
        (["--job_id=a/b"], "--job_id names a document of the ledger"),
        (["--project=a b"], "project must be a project id"),
        (["--direct_num_workers=abc"], "argument --direct_num_workers"),
    ],
)
def test_a_flag_that_cannot_be_used_is_refused_before_anything_starts(tmp_path, target, capsys, flags, message):
    source = tmp_path / "profiles.jsonl"
    source.write_text(lines(profile(0)))
    assert ingest(tmp_path, target, f"--input={source}", *flags).exit_code == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    assert read_collection(target, "pipeline_jobs") == {}


def test_model_batch_results_become_records_and_failures_carry_the_provider_s_code(tmp_path, target):
    answer = json.dumps(profile(1, candidate_id=None))
    succeeded = {
        "custom_id": "from-openai",
        "response": {
            "status_code": 200,
            "body": {
                "object": "chat.completion",
                "choices": [
                    {
                        "message": {"role": "assistant", "content": f"Here:\n```json\n{answer}\n```"},
                        "finish_reason": "stop",
                    }
                ],
            },
        },
        "error": None,
    }
    expired = {"custom_id": "p2", "result": {"type": "expired"}}
    source = tmp_path / "results.jsonl"
    source.write_text(lines(succeeded, expired))
    run = ingest(tmp_path, target, f"--input={source}", "--max_dead_letter_ratio=1")
    assert run.flat["from-openai"]["years_experience"] == 1
    (letter,) = run.dead_letters
    assert (letter["code"], json.loads(letter["record_text"])) == ("ANTHROPIC_EXPIRED", expired)


@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_several_local_workers_end_in_the_same_state(tmp_path, target, mode):
    for part in range(4):
        (tmp_path / f"part-{part}.jsonl").write_text(lines(*(profile(part * 10 + n) for n in range(10))))
    run = ingest(
        tmp_path, target, f"--input={tmp_path}/part-*.jsonl", "--direct_num_workers=2", f"--direct_running_mode={mode}"
    )
    assert (run.exit_code, run.summary["written"], run.summary["batches"]) == (0, 40, 4)
    assert len(run.full) == len(run.flat) == 40
