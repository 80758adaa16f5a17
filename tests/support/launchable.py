"""Every job as it is launched in the cloud by tests. A job that joins JOBS needs one row in `LAUNCHABLE`.

Afterwards `make snapshots` writes its template's metadata and the names of its steps, to be reviewed with the change.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from azure.cosmos import CosmosClient, PartitionKey
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

import pipeline.specs
from pipeline.__main__ import main
from pipeline.emulators.start import BUCKET
from pipeline.exit_codes import EXIT_DIFFERENT
from tests.support.documents import read_collection
from tests.support.ingest import profile
from tests.support.migrated import attempt
from tests.support.provider_requests import request_line
from transforms.firestore import messages
from transforms.firestore.committer import AtomicGroup, Committer
from transforms.firestore.packing import RequestLimits
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import serialised_fields
from transforms.retry import Retry
from transforms.testing.cosmos import ScriptedCosmos

PROJECT = "demo-firebeam"
REGION = "europe-west1"
SERVICE_ACCOUNT = f"firebeam-worker@{PROJECT}.iam.gserviceaccount.com"
# Only workers know it.
PROVIDER_KEY, PROVIDER_KEY_VARIABLE = "sk-of-the-launch-check", "LAUNCH_CHECK_PROVIDER_KEY"

# A spec of the launching computer's own, under which records without a name fail.
_STRICT = ("  name:\n    type: string\n", "  name:\n    type: string\n    required: true\n")


@dataclass(frozen=True)
class Place:
    """Emulators in the place of the cloud, and what in them is one test's own.

    Attributes:
      firestore: host and port.
      storage: URL of Cloud Storage.
      bigquery: URL of BigQuery.
      name: of the database, of the folder in the bucket, and of tables.
      provider: URL of a provider of batches that accepts `PROVIDER_KEY`.
      cosmos: an account of Cosmos DB.
    """

    firestore: str
    storage: str
    bigquery: str
    name: str
    provider: str = ""
    cosmos: ScriptedCosmos | None = None

    @property
    def environ(self) -> dict[str, str]:
        """How programs find the emulators."""
        return {
            "FIRESTORE_EMULATOR_HOST": self.firestore,
            "STORAGE_EMULATOR_HOST": self.storage,
            "BIGQUERY_EMULATOR_HOST": self.bigquery,
            **(self.cosmos.environ if self.cosmos else {}),
        }

    @property
    def target(self) -> FirestoreTarget:
        """The database."""
        return FirestoreTarget(PROJECT, self.name, self.firestore)

    @property
    def folder(self) -> str:
        """The folder in the bucket."""
        return f"gs://{BUCKET}/{self.name}"

    @property
    def table(self) -> str:
        """A table of BigQuery's."""
        return f"{PROJECT}:local.{self.name.replace('-', '_')}"

    def blobs(self) -> Mapping[str, storage.Blob]:
        """The objects of the folder, by their path in it."""
        prefix = f"{self.name}/"
        return {blob.name.removeprefix(prefix): blob for blob in self._bucket().list_blobs(prefix=prefix)}

    def write(self, path: str, text: str) -> None:
        """Writes an object into the folder."""
        self._bucket().blob(f"{self.name}/{path}").upload_from_string(text)

    def read(self, path: str) -> bytes:
        """Reads an object of the folder."""
        content: bytes = self._bucket().blob(f"{self.name}/{path}").download_as_bytes()
        return content

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query answers; {table} is the table."""
        client = bigquery.Client(
            project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": self.bigquery}
        )
        table = f"`{self.table.replace(':', '.')}`"
        return [tuple(row.values()) for row in client.query(query.format(table=table)).result()]

    def _bucket(self) -> storage.Bucket:
        options = {"api_endpoint": self.storage}
        client = storage.Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=options)
        return client.bucket(BUCKET)

    @contextlib.contextmanager
    def named_in_environment(self) -> Iterator[None]:
        """This process finds the emulators, too."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environ.items():
                patch.setenv(name, value)
            yield


@dataclass(frozen=True)
class Launchable:
    """How a job is launched.

    Attributes:
      flags: its own, with {folder}, {table}, {provider} and {name} of the place; those of where and how are added.
      prepare: puts its input into the place, `n` records; what earlier rows left there is still there.
      check: raises AssertionError unless a run on what `prepare` made of `n` records has left exactly what it should.
      exit_code: of who waits for that run.
      job: its name, where the row has another one.
    """

    flags: tuple[str, ...]
    prepare: Callable[[Place, int], None]
    check: Callable[[Place, int], None]
    exit_code: int = 0
    job: str = ""

    def arguments(self, place: Place, **more: str) -> list[str]:
        """The whole command line behind the job's name, for the DataflowRunner; `more` replaces or adds flags."""
        own = dict(flag.removeprefix("--").split("=", 1) for flag in self.flags)
        cloud = {
            "runner": "DataflowRunner",
            "project": PROJECT,
            "database": place.name,
            "region": REGION,
            "temp_location": f"{place.folder}/tmp",
            "service_account_email": SERVICE_ACCOUNT,
        }
        values = {**own, **cloud, **more}
        return [
            f"--{name}={value.format(folder=place.folder, table=place.table, provider=place.provider, name=place.name)}"
            for name, value in values.items()
        ]

    def parameters(self, place: Place, **more: str) -> dict[str, str]:
        """What somebody types into a template's form."""
        own = (flag for flag in self.arguments(place, **more) if flag.partition("=")[0] not in _OF_THE_SERVICE)
        return dict(flag.removeprefix("--").split("=", 1) for flag in own)


_OF_THE_SERVICE = frozenset({"--runner", "--project", "--region", "--temp_location", "--service_account_email"})


def _prepare_ingest(place: Place, n: int) -> None:
    place.write("in/profiles.jsonl", "".join(json.dumps(profile(i)) + "\n" for i in range(n)))


def _prepare_requests(place: Place, n: int) -> None:
    """Requests in two files, for two batches."""
    for number in range(2):
        lines = (request_line("openai", f"r{i}", profile(i)) for i in range(number, n, 2))
        place.write(f"requests/{number}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def _check_ingest(place: Place, n: int) -> None:
    full, flat = (read_collection(place.target, name) for name in ("enriched_profiles", "candidates"))
    expected = {f"cand-{i:05d}": profile(i) for i in range(n)}
    found = {key: {name: value for name, value in fields.items() if name != "_meta"} for key, fields in full.items()}
    assert {key: found.get(key) for key in expected} == expected
    assert {key: flat[key]["_meta"] for key in expected} == {key: full[key]["_meta"] for key in expected}
    assert {full[key]["_meta"]["version"] for key in expected} == {1}
    rows = place.rows("SELECT candidate_id, years_experience FROM {table} ORDER BY candidate_id")
    assert rows == [(key, one["career_trajectory"]["years_experience"]) for key, one in expected.items()]


def _prepare_replay(place: Place, n: int) -> None:
    """A job that ran here, on this computer, left `n` dead letters, because its spec was too strict."""
    text = (Path(pipeline.specs.__file__).parent / "profiles.yaml").read_text()
    assert text.count(_STRICT[0]) == 1
    with place.named_in_environment(), TemporaryDirectory() as directory:
        spec, source = Path(directory) / "strict.yaml", Path(directory) / "nameless.jsonl"
        spec.write_text(text.replace(*_STRICT))
        source.write_text("".join(json.dumps(_nameless(i)) + "\n" for i in range(n)))
        flags = (f"--input={source}", f"--spec={spec}", f"--dead_letters={place.folder}/letters", "--job_id=too-strict")
        where = (f"--project={PROJECT}", f"--database={place.name}")
        with contextlib.redirect_stderr(io.StringIO()):
            assert main(["ingest", *flags, *where, "--max_dead_letter_ratio=1"]) == 0


def _check_replay(place: Place, n: int) -> None:
    full = read_collection(place.target, "enriched_profiles")
    expected = {_nameless(i)["candidate_id"]: _nameless(i) for i in range(n)}
    found = {key: {name: value for name, value in full[key].items() if name != "_meta"} for key in expected}
    assert found == expected
    left = [path for path in place.blobs() if path.startswith(("letters/permanent/", "letters/retryable/"))]
    assert left == []


def _prepare_export(place: Place, n: int) -> None:
    _write(place, "people", {f"p{i:05d}": {"name": f"Person {i}", "age": i} for i in range(n)})


def _write(place: Place, collection: str, documents: Mapping[str, Mapping[str, Any]]) -> None:
    writes = [
        messages.update(messages.document(place.target.document_name(f"{collection}/{key}"), serialised_fields(fields)))
        for key, fields in documents.items()
    ]
    committer = Committer(place.target.connect(), RequestLimits(), Retry())
    committer.commit([AtomicGroup(tuple(writes))], guarded=False)


def _check_export(place: Place, n: int) -> None:
    rows = place.rows("SELECT document_id, name, age FROM {table} ORDER BY document_id")
    assert rows == [(f"p{i:05d}", f"Person {i}", i) for i in range(n)]


def _prepare_listen(place: Place, n: int) -> None:
    _write(place, "watched", {f"p{i:05d}": {"name": f"Person {i}", "age": i} for i in range(n)})


def _check_listen(place: Place, n: int) -> None:
    table = f"`{place.table.replace(':', '.')}_live_latest`"
    rows = place.rows(f"SELECT document_id, name, age FROM {table} ORDER BY document_id")
    assert rows == [(f"p{i:05d}", f"Person {i}", i) for i in range(n)]


def _prepare_verify(place: Place, n: int) -> None:
    """The first document is another on the right, the last one is missing there."""
    documents = {f"p{i:05d}": {"age": i} for i in range(n)}
    _write(place, "left", documents)
    del documents[f"p{n - 1:05d}"]
    _write(place, "right", {**documents, "p00000": {"age": -1}})


def _check_verify(place: Place, n: int) -> None:
    found = [json.loads(line) for line in place.read("report.jsonl").splitlines()]
    differing = sorted((line["key"], line["difference"], line["fields"]) for line in found)
    assert differing == [("p00000", "DIFFERENT", ["age"]), (f"p{n - 1:05d}", "MISSING_RIGHT", [])]


def _prepare_migrate(place: Place, n: int) -> None:
    """A container in a database of the place's name, which is made anew."""
    assert place.cosmos is not None
    client = CosmosClient(place.cosmos.endpoint, place.cosmos.key)
    with contextlib.suppress(CosmosResourceNotFoundError):
        client.delete_database(place.name)
    client.create_database(place.name).create_container("attempts", PartitionKey("/student_id"))
    place.cosmos.put_items(place.name, "attempts", [attempt(i) for i in range(n)])


def _check_migrate(place: Place, n: int) -> None:
    found = read_collection(place.target, "student_attempts")
    contents = {key: {name: fields[name] for name in attempt(0)} for key, fields in found.items()}
    assert contents == {attempt(i)["id"]: attempt(i) for i in range(n)}
    rows = place.rows("SELECT attempt_id, score FROM {table} ORDER BY attempt_id")
    assert rows == [(attempt(i)["id"], i) for i in range(n)]


def _nameless(n: int) -> dict[str, Any]:
    return {**{key: value for key, value in profile(n).items() if key != "name"}, "candidate_id": f"nameless-{n:05d}"}


LAUNCHABLE = {
    "ingest": Launchable(
        (
            "--input={folder}/in/*.jsonl",
            "--dead_letters={folder}/dead_letters",
            "--bigquery_table={table}",
            "--batch_size=100",
        ),
        _prepare_ingest,
        _check_ingest,
    ),
    "export": Launchable(
        ("--collection=people", "--bigquery_table={table}", "--dead_letters={folder}/dead_letters"),
        _prepare_export,
        _check_export,
    ),
    "listen": Launchable(
        (
            "--collection=watched",
            "--once=true",
            "--bigquery_table={table}_live",
            "--dead_letters={folder}/dead_letters",
        ),
        _prepare_listen,
        _check_listen,
    ),
    "replay": Launchable(("--dead_letters={folder}/letters", "--spec=profiles"), _prepare_replay, _check_replay),
    "verify": Launchable(
        (
            "--left=firestore://left",
            "--right=firestore://right",
            "--report={folder}/report.jsonl",
            "--dead_letters={folder}/dead_letters",
        ),
        _prepare_verify,
        _check_verify,
        exit_code=EXIT_DIFFERENT,
    ),
    "migrate": Launchable(
        (
            "--migration=students",
            "--from=cosmos://{name}/attempts",
            "--to=firestore://student_attempts",
            "--spec=student_attempts",
            "--mode=copy",
            "--bigquery_table={table}",
            "--dead_letters={folder}/dead_letters",
            "--report={folder}/audit",
        ),
        _prepare_migrate,
        _check_migrate,
    ),
}
# Further ways to run a job.
ROWS = {
    **LAUNCHABLE,
    "ingest-batches": Launchable(
        (
            "--input=batches://openai",
            "--requests={folder}/requests/*.jsonl",
            "--provider_var=base_url={provider}",
            f"--api_key=env:{PROVIDER_KEY_VARIABLE}",
            "--min_poll_interval_s=0.2",
            "--key=record",
            "--dead_letters={folder}/dead_letters",
            "--bigquery_table={table}",
        ),
        _prepare_requests,
        _check_ingest,
        job="ingest",
    ),
}


def without_emulators(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment that names no emulator and no source of this checkout's."""
    names = ("FIRESTORE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "PYTHONPATH")
    return {name: value for name, value in environ.items() if name not in names}
