"""The example runs as its docstring says."""

import json

import pytest

from examples.write_users import main
from tests.support.documents import read_collection
from transforms.firestore.document_ids import document_id
from transforms.firestore.target import FirestoreTarget

pytestmark = pytest.mark.emulator


def test_the_users_of_a_file_are_written_once_and_the_others_are_kept(
    tmp_path, firestore_host, firestore_project, monkeypatch
):
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
    source, failed = tmp_path / "users.csv", tmp_path / "failed.jsonl"
    source.write_text("email,name\na@b.c,Ada\n,Nobody\nb@b.c,Bo\na@b.c,Ada L.\n")
    flags = ["--runner=FnApiRunner", f"--project={firestore_project}", f"--input={source}", f"--failed={failed}"]
    for _ in range(2):
        main(flags)
        users = read_collection(FirestoreTarget(firestore_project, emulator_host=firestore_host), "users")
        assert users == {
            document_id({"email": "a@b.c"}, "email"): {"email": "a@b.c", "name": "Ada L."},
            document_id({"email": "b@b.c"}, "email"): {"email": "b@b.c", "name": "Bo"},
        }
        (line,) = failed.read_text().splitlines()
        assert (json.loads(line)["code"], json.loads(line)["fields"]) == ("MISSING_ID", {"name": "Nobody"})
