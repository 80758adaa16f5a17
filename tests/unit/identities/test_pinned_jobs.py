"""The same command finds its own unfinished run, whichever version began it; flags and exit codes stay.

Template parameters and step labels are pinned by `test_templates.py` and `test_staging.py`.
"""

import os

import pytest

import transforms
from pipeline import COMMANDS, JOBS
from pipeline.exit_codes import (
    EXIT_BATCHES_LEFT,
    EXIT_DIFFERENT,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_TOO_MANY_DEAD_LETTERS,
    EXIT_USAGE,
)
from pipeline.run.flags import flags_of
from pipeline.run.job import derived_job_id
from pipeline.specs import SPECS, read_spec
from tests.support.identities import identities_of, pinned, plan_of
from transforms.testing import PROJECT, ScriptedFirestore

PEOPLE = '{"candidate_id": "ada", "name": "Ada"}\n'
SPEC = """\
name: people
schema_version: 3
full_collection: people_raw
flat_collection: people
key:
  name: id
  from: [id]
fields:
  name:
    type: string
    required: true
    description: As it is shown.
    from: [name, full_name]
  age:
    type: integer
    min: 0
    from: [age]
"""
EXPORT = ["--bigquery_table=acme-prod:exports.users", "--bigquery_method=INSERT_ROWS"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with files that are named as they lie there: paths are part of fingerprints."""
    monkeypatch.chdir(tmp_path)
    for variable in ("FIRESTORE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "people.jsonl").write_text(PEOPLE)
    (tmp_path / "others.jsonl").write_text(PEOPLE.replace("ada", "bob"))
    (tmp_path / "people.yaml").write_text(SPEC)
    return tmp_path


COMMAND_LINES = {
    "files": ["ingest", "--input=people.jsonl,others.jsonl"],
    "files with options": [
        "ingest",
        "--input=people.jsonl",
        "--spec=people.yaml",
        "--batch_size=7",
        "--input_format=json",
        "--records_path=data.items",
        "--database=second",
        "--bigquery_table=acme-prod:people.candidates",
    ],
    "a collection": ["ingest", "--input=firestore://users", "--spec=candles"],
    "files and collections": ["ingest", "--input=firestore://b,people.jsonl,firestore://a/b/c"],
    "an export": ["export", "--collection=users", *EXPORT],
    "an export with options": [
        "export",
        "--collection=users/{user}/posts,archive",
        "--collection_group=comments",
        "--where=age >= 21",
        "--where=city == London",
        "--fields=name,age",
        "--layout=both",
        "--write=append",
        "--batch_size=7",
        "--max_ranges=3",
        "--nested=record",
        "--infer=100",
        *EXPORT,
    ],
    "an incremental export": ["export", "--collection=users", "--mode=incremental", "--cursor_field=seen", *EXPORT],
    "an export by a spec": ["export", "--collection=users", "--spec=people.yaml", *EXPORT],
    "a comparison of files": [
        "verify",
        "--left=jsonl:people.jsonl",
        "--right=jsonl:others.jsonl",
        "--id_field=candidate_id",
    ],
    "a comparison with options": [
        "verify",
        "--left=firestore://users",
        "--right=firestore://projects/acme-old/databases/second/documents/users",
        "--match_by=path",
        "--ignore=seen,address.city",
        "--id_field=key",
        "--show_values",
    ],
}


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_a_command_line_is_always_the_same_job_on_the_same_input_with_the_same_spec(name):
    job, *flags = COMMAND_LINES[name]
    assert identities_of(job, "--project=acme-prod", *flags) == pinned("jobs")[name]


def test_flags_that_do_not_change_what_is_done_do_not_change_the_job():
    (job, *flags), harmless = COMMAND_LINES["files"], ["--max_in_flight=9", "--upsert=merge", "--max_outage_s=1"]
    assert identities_of(job, "--project=acme-prod", *flags, *harmless) == pinned("jobs")["files"]


def test_cursors_are_always_good_for_the_same_export():
    job, *flags = COMMAND_LINES["an incremental export"]
    assert plan_of(job, "--project=acme-prod", *flags).cursors_of == pinned("jobs")["cursors"]


def test_a_replay_is_always_the_same_job_for_the_same_folder(folder, monkeypatch):
    """The folder's whole path is digested, and a test has another one each time."""
    assert derived_job_id("replay", "/srv/dead_letters", "acme-prod", "(default)") == "replay-62bfc339f9"
    (folder / "dead_letters").mkdir()
    with ScriptedFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        flags = [f"--project={PROJECT}", "--kind=permanent"]
        job_id, of_input, of_spec = identities_of("replay", *flags)
    assert job_id == derived_job_id("replay", os.path.realpath(folder / "dead_letters"), PROJECT, "(default)")
    assert (of_input, of_spec) == ("e78fd57436faa28ad4e25d4c597567ca", "")


@pytest.mark.parametrize("name", SPECS.names())
def test_a_shipped_spec_keeps_its_fingerprint(name):
    assert read_spec(name).fingerprint == pinned("specs")[name]


def test_a_spec_keeps_its_fingerprint_whatever_its_remarks_say(folder):
    assert read_spec("people.yaml").fingerprint == pinned("specs")["people.yaml"]
    (folder / "people.yaml").write_text(SPEC.replace("As it is shown.", "In full."))
    assert read_spec("people.yaml").fingerprint == pinned("specs")["people.yaml"]


def flags_now(name):
    """What the flags of a job or a command take, by name."""
    flags = flags_of({**JOBS, **COMMANDS}[name].usage.config)
    return {flag.name: form_of(flag) for flag in flags}


def form_of(flag):
    kind = f"{flag.kind.__name__}, several" if flag.several else flag.kind.__name__
    default = list(flag.default) if isinstance(flag.default, tuple) else flag.default
    return [kind, "required"] if flag.required else [kind, "optional", default]


@pytest.mark.parametrize("name", [*JOBS, *COMMANDS])
def test_every_flag_keeps_its_name_its_type_and_its_default(name):
    """There may be new ones."""
    now, kept = flags_now(name), pinned("flags")[name]
    assert {flag: now.get(flag) for flag in kept} == kept


def test_exit_codes_keep_their_meaning():
    codes = (EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_DIFFERENT, EXIT_TOO_MANY_DEAD_LETTERS, EXIT_BATCHES_LEFT)
    assert (*codes, EXIT_INTERRUPTED) == (0, 1, 2, 3, 4, 5, 130)


def test_every_public_name_of_the_connector_stays():
    assert set(dir(transforms)) >= set(pinned("public_names"))
