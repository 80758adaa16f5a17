"""The Flex Templates as files: metadata against flags, the image against what it is built from."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from google.protobuf import json_format
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline import JOBS
from pipeline.__main__ import main
from pipeline.commands.templates import metadata, parameter
from pipeline.run.flags import flags_of, parse, shown
from tests.support.dockerfile import DOCKERFILE, ROOT, instructions
from tests.support.launchable import LAUNCHABLE
from tests.support.templates import lint, metadata_file, metadata_problems, parsed

REQUIREMENTS = ROOT / "templates" / "requirements.txt"
# What is about the launching command's own project and terminal, and means nothing to a service.
OF_THE_COMMAND_LINE = {"project", "summary", "wait"}
# Flags of single jobs that say nothing to a template: it starts one run, on workers, and nobody looks at its terminal.
OF_ONE_JOB = {"estimate", "every_s", "host", "max_dead_letter_ratio", "port", "scan_every_s"}
# What needs the launching process for as long as the run takes.
OF_TABLES = {
    "export": {"csv_types", "source", "source_password", "key", "consistency", "max_connections"},
    "ingest": {"input_password"},
    "verify": {"left_password", "right_password"},
}


def regex_of(job, name):
    (found,) = [found for found in metadata(job)["parameters"] if found["name"] == name]
    (regex,) = found["regexes"]
    return regex


def test_every_job_can_be_launched_by_the_tests():
    assert LAUNCHABLE.keys() == JOBS.keys(), "a job needs a row in tests/support/launchable.py, then `make snapshots`"


@pytest.mark.parametrize("job", JOBS)
def test_metadata_is_what_the_flags_make_of_it(job):
    assert json.loads(metadata_file(job).read_text()) == metadata(job), "run `firebeam templates --write`"


def test_no_file_is_left_of_a_job_that_is_gone():
    assert {file.stem for file in metadata_file("ingest").parent.glob("*.json")} == JOBS.keys()


@pytest.mark.parametrize("job", JOBS)
def test_metadata_is_what_the_service_knows_and_nothing_else(job):
    assert metadata_problems(job) == []
    assert [found.name for found in parsed(job).parameters] == [found["name"] for found in metadata(job)["parameters"]]


def test_a_field_that_the_service_does_not_have_is_found(tmp_path, monkeypatch):
    content = metadata("ingest")
    content["parameters"][0]["helpTexts"] = "?"
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "ingest.json").write_text(json.dumps(content))
    monkeypatch.setattr("tests.support.templates.ROOT", tmp_path)
    with pytest.raises(json_format.ParseError, match="helpTexts"):
        parsed("ingest")


@pytest.mark.parametrize("job", JOBS)
def test_parameters_and_flags_are_one_to_one(job):
    flags = {flag.name for flag in flags_of(JOBS[job].usage.config)}
    names = [found["name"] for found in metadata(job)["parameters"]]
    assert len(names) == len(set(names))
    elsewhere = OF_THE_COMMAND_LINE | OF_TABLES.get(job, set()) | OF_ONE_JOB
    assert set(names) == flags - elsewhere
    assert flags >= OF_THE_COMMAND_LINE


@pytest.mark.parametrize("job", JOBS)
def test_a_form_shows_a_parameter_with_one_that_it_has(job):
    known = {found["name"]: found for found in metadata(job)["parameters"]}
    for found in known.values():
        if "parentName" in found:
            values = {option["value"] for option in known[found["parentName"]]["enumOptions"]}
            assert set(found["parentTriggerValues"]) <= values


@pytest.mark.parametrize("job", JOBS)
def test_the_entry_takes_every_parameter_as_name_equals_value(job):
    """The service passes all of them in this way, switches too: here the defaults, and something for the others."""
    flags = flags_of(JOBS[job].usage.config)
    given = [f"--{flag.name}={shown(flag.default)}" for flag in flags if flag.default not in (None, ())]
    needed = [f"--{flag.name}=gs://bucket/x" for flag in flags if flag.required]
    config, rest = parse(JOBS[job].usage, [*given, *needed])
    assert rest == []
    assert {flag.name: getattr(config, flag.name) for flag in flags if not flag.required} == {
        flag.name: flag.default for flag in flags if not flag.required
    }


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("input", "gs://bucket/*.jsonl,firestore://users", "results/*.jsonl"),
        ("input", "gs://bucket/a.jsonl", "gs://bucket/a.jsonl,"),
        ("batch_size", "500", "many"),
        ("max_outage_s", "0.5", "-1"),
        ("upsert", "merge", "replace"),
        ("restart", "false", "no way"),
        ("spec", "gs://bucket/own.yaml", "./own.yaml"),
        ("spec", "student_records", ""),
        ("database", "(default)", "Default"),
        ("dead_letters", "gs://bucket/dead", "dead_letters"),
        ("bigquery_table", "acme-prod:people.candidates", "candidates"),
    ],
)
def test_a_form_refuses_what_the_flag_would(name, right, wrong):
    assert re.fullmatch(regex_of("ingest", name), right)
    assert not re.fullmatch(regex_of("ingest", name), wrong)


def test_a_flag_whose_default_is_a_laptops_must_be_given_in_a_template():
    (folder,) = [found for found in metadata("ingest")["parameters"] if found["name"] == "dead_letters"]
    assert (folder["isOptional"], "defaultValue" in folder, folder["paramType"]) == (False, False, "GCS_WRITE_FOLDER")


def test_bounds_of_a_number_are_in_its_help():
    (size,) = [parameter(flag) for flag in flags_of(JOBS["ingest"].usage.config) if flag.name == "batch_size"]
    assert size["helpText"] == "Records per batch; at least 1, at most 10,000."


def test_templates_are_written_and_checked(tmp_path, capsys):
    assert main(["templates", f"--directory={tmp_path}", "--check"]) == 1
    assert "run `firebeam templates --write`" in capsys.readouterr().err
    assert main(["templates", f"--directory={tmp_path}", "--write"]) == 0
    assert main(["templates", f"--directory={tmp_path}", "--check"]) == 0
    assert (tmp_path / "ingest.json").read_text() == metadata_file("ingest").read_text()


def test_templates_are_not_written_where_there_is_no_folder(tmp_path, capsys):
    assert main(["templates", f"--directory={tmp_path}/none", "--write"]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_without_a_flag_templates_are_printed(capsys):
    assert main(["templates"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == JOBS.keys()


@pytest.mark.parametrize("job", JOBS)
def test_gcloud_takes_the_metadata(job, tmp_path):
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("gcloud is not installed: https://cloud.google.com/sdk/docs/install")
    image = "europe-docker.pkg.dev/demo-firebeam/firebeam/job:0.1.0"
    command = [gcloud, "dataflow", "flex-template", "build", "gs://bucket/template.json", "--print-only"]
    flags = [f"--image={image}", "--sdk-language=PYTHON", f"--metadata-file={metadata_file(job)}", "--format=json"]
    environ = {**os.environ, "CLOUDSDK_CONFIG": str(tmp_path), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    done = subprocess.run(
        [*command, *flags, "--project=demo-firebeam"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    container_spec = json.loads(json.loads(done.stdout))  # what it prints is one string
    assert container_spec["image"] == image
    taken = container_spec["metadata"]
    assert {**metadata(job), **taken} == metadata(job)
    assert {name for name in metadata(job).keys() - taken.keys() if "ream" not in name and "Once" not in name} == set()


def test_the_dockerfile_is_clean():
    lint()


def test_what_the_dockerfile_copies_is_there_and_let_into_its_context():
    sources = {source for step in instructions() if step.word == "COPY" for source in step.sources}
    assert {source for source in sources if not (ROOT / source).exists()} == set()
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == sources


def test_the_image_has_the_beam_that_the_requirements_lock():
    (tag,) = re.findall(r"^FROM apache/beam_python3\.\d+_sdk:(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert tag == locked()["apache-beam"]


def test_launcher_and_workers_have_one_version_of_python():
    launcher, workers = re.findall(r"^FROM \S*python(3\.?\d+)[-_]", DOCKERFILE.read_text(), re.MULTILINE)
    assert launcher.replace(".", "") == workers.replace(".", "")
    assert f"--python-version {workers} " in (ROOT / "Makefile").read_text()


def test_every_requirement_of_the_package_is_locked_in_its_range():
    (call,) = [node for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if _is_setup(node)]
    (wanted,) = [ast.literal_eval(given.value) for given in call.keywords if given.arg == "install_requires"]
    for requirement in map(Requirement, wanted):
        pinned = locked()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pinned), f"{requirement} is locked as {pinned}: run `make lock`"


def test_every_locked_version_has_a_hash():
    blocks = re.split(r"\n(?=\S)", REQUIREMENTS.read_text())
    pinned = [block for block in blocks if "==" in block.partition("\n")[0] and not block.startswith("#")]
    assert pinned
    assert [block.partition("\n")[0] for block in pinned if "--hash=sha256:" not in block] == []


def test_a_template_that_was_built_for_no_job_says_so():
    environ = {name: value for name, value in os.environ.items() if name != "FIREBEAM_JOB"}
    python = [sys.executable, str(ROOT / "templates" / "main.py")]
    done = subprocess.run(python, env={**environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "FIREBEAM_JOB names no job: build the image with a JOB\n")


def locked():
    """Versions by name."""
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[[\w,]+\])?==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE))


def _is_setup(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setup"
