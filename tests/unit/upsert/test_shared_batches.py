"""Small files that share a batch: documents, dead letters and replay are those of a batch per file."""

import json

import pytest

from pipeline.__main__ import main
from transforms.inputs.files import match_inputs
from transforms.inputs.options import ReadOptions
from transforms.inputs.slices import plan_slices, read_slice
from transforms.testing import PROJECT, ScriptedFirestore

N = 12
FLAGS = ["--input=in/*", f"--project={PROJECT}", "--max_dead_letter_ratio=1"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for n in range(N):
        (tmp_path / f"in/f{n:02}.json").write_text(json.dumps({"candidate_id": f"c{n}", "name": f"Person {n}"}) + "\n")
    (tmp_path / "in/f05.json").write_text('{"name": "nobody"}\n{"candidate_id": "c5"}\n{broken\n')
    (tmp_path / "in/f07.json").write_text('{"candidate_id": "c5", "name": "later"}\n')
    return tmp_path


@pytest.fixture
def server(monkeypatch):
    with ScriptedFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        yield server


def own_batches():
    """For each file the id of the batch that would be its own."""
    options, found = ReadOptions(), {}
    for file in match_inputs(["in/*"]):
        (piece,) = plan_slices(file, options)
        found[file.path] = next(batch.batch_id for batch in read_slice(piece, options))
    return found


def below(server, start):
    return {path: document for path, document in server.documents.items() if path.startswith(start)}


def stored_dead_letters(folder):
    """The lines of each file of permanent dead letters, by its name."""
    files = (folder / "dead_letters/permanent").glob("*.jsonl")
    return {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in files}


def test_documents_and_dead_letters_name_their_own_files(folder, server):
    assert main(["ingest", *FLAGS]) == 0
    own = own_batches()
    (batch,) = (found.fields for path, found in below(server, "pipeline_jobs/").items() if "/batches/" in path)
    assert (batch["read"], batch["written"], batch["superseded"], batch["dead_letter_count"]) == (14, 11, 1, 2)
    assert batch["source"] == "in/f00.json and 11 more"
    assert (batch["first"], batch["last"]) == ({"source": "in/f00.json"}, {"source": "in/f11.json"})
    assert sorted(batch["inputs"]) == sorted(batch_id.partition("-")[0] for batch_id in own.values())
    for n in {*range(N)} - {5, 7}:
        meta, path = server.documents[f"candidates/c{n}"].fields["_meta"], f"in/f{n:02}.json"
        assert (meta["source"], meta["position"], meta["batch_id"]) == (path, 0, own[path])
    assert server.documents["candidates/c5"].fields["_meta"]["source"] == "in/f07.json"
    assert stored_dead_letters(folder).keys() == {own["in/f05.json"]}
    lines = stored_dead_letters(folder)[own["in/f05.json"]]
    assert {(line["batch_id"], line["source"]) for line in lines} == {(own["in/f05.json"], "in/f05.json")}
    assert sorted((line["line"], line["code"]) for line in lines) == [(1, "MISSING_ID"), (3, "INVALID_JSON")]


def test_a_later_run_with_one_more_file_knows_what_comes_before_what(folder, server):
    assert main(["ingest", *FLAGS]) == 0
    before = {path: document.update_time for path, document in below(server, "candidates/").items()}
    dead_letters = stored_dead_letters(folder)
    (folder / "in/f00a.json").write_text('{"candidate_id": "new"}\n')
    assert main(["ingest", *FLAGS]) == 0
    after = {path: document.update_time for path, document in below(server, "candidates/").items()}
    assert after.pop("candidates/new")
    assert after == before  # also c5, of which the first record is not the one that is stored
    assert stored_dead_letters(folder).keys() == dead_letters.keys()


def test_a_replay_finds_the_dead_letters_of_single_files(folder, server):
    assert main(["ingest", *FLAGS]) == 0
    (path,) = (folder / "dead_letters/permanent").glob("*.jsonl")
    corrected = path.read_text().replace('{\\"name\\"', '{\\"candidate_id\\": \\"c5\\", \\"name\\"')
    path.write_text(corrected)
    assert main(["replay", f"--project={PROJECT}", "--max_dead_letter_ratio=1", "--summary=s.json"]) == 0
    summary = json.loads((folder / "s.json").read_text())
    # The corrected record of c5 stands before the one that is stored: the ledger knows that both are of one input.
    assert (summary["read"], summary["superseded"], summary["dead_letters"]) == (2, 1, 1)
    assert server.documents["candidates/c5"].fields["name"] == "later"
