"""`firebeam demo` as a user runs it: it shows every part of the result and leaves no process behind."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.stand_ins import answers, comes_true

pytestmark = pytest.mark.emulator

ROOT = Path(__file__).parents[2]
EMULATORS = re.compile(r"^(Firestore|BigQuery) emulator: +(?:http://)?127\.0\.0\.1:(\d+)$", re.MULTILINE)


def start(folder, **more):
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_EMULATOR_HOST")}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "demo", f"--dead_letters={folder}"],
        cwd=ROOT,
        env={**environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **more,
    )


@pytest.fixture(scope="module")
def demo(firestore_host, bigquery, tmp_path_factory):
    """Exit code, what was printed, dead letters. Asks for both emulators to be skipped where they cannot run."""
    folder = tmp_path_factory.mktemp("demo")
    with start(folder) as process:
        printed, _ = process.communicate(timeout=280)
    letters = [json.loads(line) for file in folder.glob("*/*.jsonl") for line in file.open()]
    return process.returncode, printed, letters


def section(printed, title):
    """The lines of the table under `title`."""
    return [line for line in printed.partition(title)[2].partition("└")[0].splitlines() if line.startswith("│")]


def test_it_ends_well_and_says_so(demo):
    exit_code, printed, _ = demo
    assert exit_code == 0
    assert re.search(r"ingest-[\w-]+: completed", printed)
    assert "Traceback" not in printed


def test_the_accounts_add_up(demo):
    printed = demo[1]
    counts = {name: int(count) for name, count in re.findall(r"│ (\w+) +│ +(\d+) │", printed)}
    assert counts["read"] > 0
    assert counts["read"] == sum(counts[name] for name in ("written", "unchanged", "superseded", "dead_letters"))


def test_five_candidates_are_read_back_from_firestore(demo):
    rows = section(demo[1], "5 documents of candidates/, read from Firestore")
    assert len(rows) == 5
    assert all(row.count("│") == 6 for row in rows)


def test_top_skills_by_seniority_come_from_bigquery(demo):
    rows = section(demo[1], "top skills by seniority, queried in BigQuery")
    assert len(rows) > 1
    assert all(re.fullmatch(r"│ [\w-]+ +│ .+ \d+ +│", row) for row in rows)


def test_every_dead_letter_is_shown_with_its_code_and_where_it_is_kept(demo):
    _, printed, letters = demo
    assert letters
    rows = section(printed, "dead letters: every record that could not be stored, and why")
    assert sorted(row.split("│")[2].strip() for row in rows if row.split("│")[2].strip()) == sorted(
        letter["code"] for letter in letters
    )
    assert re.search(r"^  /.*/permanent/.*\.jsonl$", printed, re.MULTILINE)


def test_it_ends_with_the_two_commands_that_come_next(demo):
    last = demo[1].partition("On your own data")[2]
    assert "firebeam ingest --input=" in last
    assert "--runner=DataflowRunner --region=" in last.partition("On Dataflow")[2]


def test_the_last_thing_it_shows_is_the_status_page(demo):
    path = Path(demo[1].splitlines()[-1].strip())
    assert "The status page of all this" in demo[1]
    assert path.read_text().count('<tr data-key="fb-') == 8


def test_no_emulator_is_left_running(demo):
    ports = {name: int(port) for name, port in EMULATORS.findall(demo[1])}
    assert ports.keys() == {"Firestore", "BigQuery"}
    assert not any(answers(port) for port in ports.values())


def test_ctrl_c_stops_the_emulators_too(firestore_host, bigquery, tmp_path):
    with start(tmp_path, start_new_session=True) as process:
        give_up = threading.Timer(240, process.kill)
        give_up.start()
        printed = ""
        while "firebeam ingest" not in printed and (line := process.stdout.readline()):
            printed += line
        ports = [int(port) for _, port in EMULATORS.findall(printed)]
        assert len(ports) == 2
        assert all(answers(port) for port in ports)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        rest, _ = process.communicate()
        give_up.cancel()
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert comes_true(lambda: not any(answers(port) for port in ports))
