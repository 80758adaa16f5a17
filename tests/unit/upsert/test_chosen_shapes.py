"""What is chosen about the shapes of records reaches the documents: keys, types, nested arrays, escaped ids."""

import datetime
import json

from pipeline.__main__ import main
from transforms.firestore.values import GeoPoint, Reference
from transforms.testing import PROJECT, ScriptedFirestore

EXPORT = {
    "a/b": {"name": "Ada", "born": {"_seconds": 0, "_nanoseconds": 0}, "at": {"_latitude": 1, "_longitude": 2}},
    "plain": {"boss": {"__datatype__": "documentReference", "value": "people/ada"}, "shape": [[1, 2], [3]]},
}


def test_an_export_of_another_tool_becomes_documents_with_its_ids_and_types(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "export.json").write_text(json.dumps({"people": EXPORT}, indent=2))
    flags = ["--keyed_by_id", "--records_path=people", "--types=tagged", "--nested_arrays=wrap", "--ids=escape"]
    with ScriptedFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        assert main(["ingest", "--input=export.json", f"--project={PROJECT}", *flags]) == 0
        stored = {path: document.fields for path, document in server.documents.items()}
    full, other = stored["enriched_profiles/a%2Fb"], stored["enriched_profiles/plain"]
    assert full["born"] == datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    assert full["at"] == GeoPoint(1.0, 2.0)
    assert other["boss"] == Reference(f"projects/{PROJECT}/databases/(default)/documents/people/ada")
    assert other["shape"] == [{"$array": [1, 2]}, {"$array": [3]}]


def test_an_id_that_firestore_does_not_take_is_refused_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"candidate_id": "a/b"}\n')
    with ScriptedFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        assert main(["ingest", "--input=in.jsonl", f"--project={PROJECT}"]) == 4
        assert not any(path.startswith("candidates/") for path in server.documents)
