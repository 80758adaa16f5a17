"""`firebeam` from the outside: what it lists, and that wrong usage ends with 2 before anything is started."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import COMMANDS, JOBS
from pipeline.__main__ import main
from transforms.testing import PROJECT, ScriptedFirestore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def firestore(monkeypatch):
    with ScriptedFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
        yield server


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "in.jsonl"
    file.write_text(json.dumps({"candidate_id": "ada"}) + "\n")
    return file


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]], ids=repr)
def test_without_a_name_jobs_and_commands_are_listed(capsys, arguments):
    assert main(arguments) == 0
    listed = capsys.readouterr().out
    assert listed.index("jobs") < listed.index("ingest") < listed.index("commands")
    assert all(f"\n    {name} " in listed for name in [*JOBS, *COMMANDS])
    assert "firebeam NAME --help" in listed


def test_python_m_pipeline_is_the_same_program():
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "nonsense"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: unknown job or command 'nonsense'; there are ingest, ")


def test_no_traceback_of_beam_or_grpc_is_logged_beside_the_sentence_that_says_what_failed(capsys):
    main([])
    for name in ("apache_beam.runners.common", "grpc._common"):
        assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL), name


@pytest.mark.parametrize("name", [*JOBS, *COMMANDS])
def test_help_shows_flags_in_groups_and_ends_with_an_example(capsys, name):
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    shown = capsys.readouterr().out
    assert left.value.code == 0
    assert shown.startswith(f"usage: firebeam {name} ")
    assert f"firebeam {name}" in shown.partition("\nexample:\n")[2]


def refused(capsys, firestore, *arguments):
    """The message with which the arguments are refused; nothing was started."""
    assert main([str(argument) for argument in arguments]) == 2
    assert firestore.requests() == []
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "error: --input must be given; `firebeam ingest --help` shows an example"),
        (["--input={folder}/none.jsonl"], "none.jsonl matches no file; check the path, and put globs in quotes"),
        (["--input={folder}/*.csv"], "*.csv matches no file"),
        (["--input={folder}/in.jsonl,{folder}/none.jsonl"], "none.jsonl matches no file"),
        (["--input={folder}"], "is a directory; add /* to read the files in it"),
        (["--input={folder}/odd[/b].jsonl"], "odd[/b].jsonl matches no file"),
        (["--input=/dev/zero"], "error: --input /dev/zero is a device, which may have no end"),
        (["--input=" + "a" * 5_000], "error: cannot list --input aaaa"),
        (["--input={folder}/in.jsonl", "--dead_letters=" + "a" * 5_000], "cannot write dead letters to aaaa"),
        (["--input={folder}/in.jsonl", "--summary=" + "a" * 5_000], "cannot write --summary=aaaa"),
        (
            ["--input={folder}/in.jsonl", "--direct_num_workers=-5"],
            "error: --direct_num_workers must be at least 0, which means one per processor, got -5",
        ),
        (["--input={folder}/in.jsonl", "--batch_size=0"], "--batch_size must be at least 1, got 0"),
        (["--input={folder}/in.jsonl", "--batchsize=5"], "unknown argument --batchsize; did you mean --batch_size?"),
        (["--input={folder}/in.jsonl", "--spec=none"], "there is no spec called 'none'; shipped are"),
        (["--input={folder}/in.jsonl", "--spec={folder}/none.yaml"], "none.yaml: cannot be read"),
        (["--input={folder}/in.jsonl", "--spec={folder}/binary.yaml"], "binary.yaml:2: is not UTF-8"),
        (["--input={folder}/in.jsonl", "--dead_letters={folder}/in.jsonl/below"], "cannot write dead letters to"),
        (["--input={folder}/in.jsonl", "--database=Main"], "database must be (default) or 4 to 63 lower-case letters"),
        (["--input={folder}/in.jsonl", "--bigquery_table=people"], "a BigQuery table is named PROJECT:DATASET.TABLE"),
        (
            ["--input={folder}/in.jsonl", "--bigquery_table=acme-x:people.t", "--bigquery_method=FILE_LOADS"],
            "--temp_location",
        ),
        (["--input={folder}/in.jsonl", "--runner=DataflowRunner"], "points at an emulator, which Dataflow cannot"),
    ],
    ids=lambda value: " ".join(value).replace("{folder}/", "")[:80] if isinstance(value, list) else "",
)
def test_wrong_usage_ends_with_2_before_anything_is_started(capsys, firestore, source, flags, message):
    folder = source.parent
    (folder / "binary.yaml").write_bytes(b"name: x\nkey: \xff\n")
    settings = [f"--project={PROJECT}", f"--dead_letters={folder}/dead_letters"]
    told = refused(capsys, firestore, "ingest", *settings, *(flag.format(folder=folder) for flag in flags))
    assert message in told
    assert told.startswith("error: ")
    assert told.count("\n") == 1


def test_an_unknown_cleaner_is_refused_with_file_line_and_key(capsys, firestore, source):
    spec = source.parent / "mine.yaml"
    shipped = (ROOT / "pipeline" / "specs" / "profiles.yaml").read_text()
    spec.write_text(shipped.replace("cleaner: rating", "cleaner: polish", 1))
    line = spec.read_text().partition("cleaner: polish")[0].count("\n") + 1
    flags = [f"--input={source}", f"--spec={spec}", f"--project={PROJECT}", f"--dead_letters={source.parent}"]
    told = refused(capsys, firestore, "ingest", *flags)
    assert told.startswith(f"error: {spec}:{line}:")
    assert "polish" in told
    assert "rating" in told  # the message lists the cleaners there are


def test_without_a_project_the_flag_and_the_variable_are_named(capsys, firestore, source):
    told = refused(capsys, firestore, "ingest", f"--input={source}", f"--dead_letters={source.parent}")
    assert told == "error: no Google Cloud project is named; pass --project=PROJECT or set GOOGLE_CLOUD_PROJECT\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["replay", "--dead_letters=" + "a" * 5_000], "error: there is no folder aaaa"),
        (
            ["status", "a" * 5_000],
            "error: --job_id names a document of the ledger: a document id must not exceed 1,500",
        ),
        (["status", "--job_id=a/b"], "error: --job_id names a document of the ledger: a document id must not contain"),
        (["ingest", "--input=a", "--job_id=a/b"], "error: --job_id names a document of the ledger"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_names_nothing_is_refused_before_anybody_is_asked(firestore, capsys, arguments, problem):
    assert main([*arguments, f"--project={PROJECT}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(problem)
    assert said.count("\n") == 1
    assert not firestore.requests()
