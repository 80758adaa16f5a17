"""`firebeam status ID --html=FILE` and the document in `--json`: the same page, without a server."""

import json
import re

import pytest

from pipeline.__main__ import main
from tests.support.page_ledgers import ledger_of
from transforms.testing import PROJECT, ScriptedFirestore


@pytest.fixture
def server(monkeypatch):
    with ScriptedFirestore(ledger_of(7)) as scripted:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", scripted.target.emulator_host)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
        yield scripted


def test_the_page_is_one_file_that_asks_nobody_for_anything(server, tmp_path, capsys):
    file = tmp_path / "page.html"
    assert main(["status", "ingest-1", f"--html={file}"]) == 0
    assert str(file) in capsys.readouterr().out.replace("\n", "")
    html = file.read_text()
    assert len(re.findall(r'<tr data-key="fb-', html)) == 7
    assert re.search(r"<(link|script|img|iframe)[^>]* (src|href)=\"(?!data:)", html) is None
    assert "default-src &#39;none&#39;" in html
    assert "ada@example.org" not in html


def test_ids_are_in_the_page_of_those_who_ask_for_them(server, tmp_path):
    file = tmp_path / "page.html"
    assert main(["status", "ingest-1", f"--html={file}", "--show_ids"]) == 0
    assert "ada@example.org" in file.read_text()


def test_json_has_the_document_of_the_page_beside_what_it_always_had(server, capsys):
    assert main(["status", "ingest-1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"job_id", "state", "read", "written", "dead_letters", "newest_ids", "error"} <= found.keys()
    assert found["page"]["batches"]["total"] == 7


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--html=page.html"], "--html needs the id of a job: firebeam status ID --html=FILE"),
        (["ingest-1", "--html=page.html", "--json"], "give one of them"),
        (["ingest-1", "--html=/nowhere/page.html"], "--html cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_said(server, arguments, says, capsys):
    assert main(["status", *arguments]) == 2
    assert says in capsys.readouterr().err.replace("\n", " ")
