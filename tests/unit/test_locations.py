"""What a flag's text names: one parser, one row per kind of place."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.jobs.ingest_sources import Sources
from pipeline.locations import SCHEMES, TABLES, firestore_target, store_place
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import UsageError
from transforms.firestore.query import Query
from transforms.firestore.target import FirestoreTarget
from transforms.inputs.slices import ReadOptions
from transforms.services import Credentials, Services
from transforms.verify.stores import Collection, Files

SERVICES = Services(credentials=Credentials("robot@acme.iam.gserviceaccount.com"))
ENDPOINT = "nam5-firestore.googleapis.com"
DATABASE = FirestoreTarget("acme", "main", endpoint=ENDPOINT, credentials=SERVICES.credentials)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("{}\n")


def paths(files):
    return [file.path for file in files]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("firestore://users", Collection(DATABASE, Query("users"))),
        ("firestore://users/ada/posts", Collection(DATABASE, Query("users/ada/posts"))),
        ("firestore://**/posts", Collection(DATABASE, Query.group("posts"))),
        ("firestore://users/ada/**/posts", Collection(DATABASE, Query.group("posts", "users/ada"))),
        (
            "firestore://projects/other/databases/second/documents/users",
            Collection(replace(DATABASE, project="other", database="second"), Query("users")),
        ),
        (
            "firestore://projects/other/databases/(default)/documents/**/posts",
            Collection(replace(DATABASE, project="other", database="(default)"), Query.group("posts")),
        ),
        ("bigquery:acme:people.users", BigQueryTarget("acme", "people", "users", None, SERVICES.credentials)),
    ],
)
def test_a_store_is_named_by_its_scheme_and_reached_as_the_flags_say(text, place):
    assert store_place("--left", text, DATABASE, SERVICES) == place


def test_files_of_json_lines_are_a_store(folder):
    store = store_place("--left", "jsonl:*.jsonl", DATABASE, SERVICES)
    assert isinstance(store, Files)
    assert paths(store.files) == ["a.jsonl", "b.jsonl"]
    with pytest.raises(UsageError, match=r"^--right=jsonl:none matches no file; check the path"):
        store_place("--right", "jsonl:none", DATABASE, SERVICES)


@pytest.mark.parametrize("text", ["users", "people.jsonl", "gs://bucket/people.jsonl", "oracle://host/db", ""])
def test_what_is_not_a_store_is_refused_with_the_forms_there_are(text):
    with pytest.raises(UsageError) as refused:
        store_place("--left", text, DATABASE, SERVICES)
    assert str(refused.value) == (
        "--left must be firestore://COLLECTION, firestore://**/GROUP, bigquery:PROJECT:DATASET.TABLE, jsonl:PATTERN, "
        f"cosmos://DATABASE/CONTAINER or {TABLES}, got {text!r}"
    )


def test_a_table_of_a_database_is_a_store_only_where_its_location_names_one():
    with pytest.raises(UsageError, match=r"^--left must be postgresql://"):
        store_place("--left", "postgresql://host/db", DATABASE, SERVICES)


def test_input_is_files_and_collections_each_once_and_in_order(folder):
    texts = ["firestore://zoo", "*.jsonl", "firestore://ape", "a.jsonl", "firestore://zoo"]
    sources = Sources.find(texts, ReadOptions(batch_size=7), DATABASE)
    assert paths(sources.files) == ["a.jsonl", "b.jsonl"]
    assert sources.queries == (Query("ape"), Query("zoo"))
    assert (sources.target, sources.reading.batch_size) == (DATABASE, 7)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("none.jsonl", "--input none.jsonl matches no file"),
        ("firestore://users/ada", "'users/ada' names a document"),
        ("firestore://**/posts", "names a document; did you mean its collection"),
        ("bigquery:acme:people.users", "--input bigquery:acme:people.users matches no file"),
    ],
)
def test_input_that_is_not_there_is_refused(folder, text, problem):
    with pytest.raises(UsageError) as refused:
        Sources.find([text], ReadOptions(), DATABASE)
    assert problem in str(refused.value)


@pytest.mark.parametrize("project", ["", None])
def test_a_database_is_in_the_project_of_the_flag_or_else_of_the_services(project):
    assert firestore_target("acme", "main", Services("other")).project == "acme"
    assert firestore_target(project, "main", Services("other")).project == "other"
    with pytest.raises(UsageError, match=r"^no Google Cloud project is named; pass --project=PROJECT or set GOOGLE"):
        firestore_target(project, "main", Services())


@pytest.mark.parametrize("project", ["Acme", "my_project", "a", "acme/other"])
def test_what_cannot_be_a_project_is_refused(project):
    with pytest.raises(UsageError, match=r"^project must be a project id: lower-case letters, digits and hyphens"):
        firestore_target(project, "main", Services())


def test_every_kind_of_place_can_be_used_for_something():
    assert all(scheme.is_source or scheme.usage or scheme.opens for scheme in SCHEMES)
    assert len({scheme.prefix for scheme in SCHEMES}) == len(SCHEMES)


def test_parsing_waits_for_no_library():
    program = "import pipeline.locations, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"apache_beam", "google.cloud.bigquery", "google.cloud.firestore_v1", "google.auth", "grpc"} & set(
        loaded
    )
