"""Where services are and as whom they are reached: plain data, from which every client of a process is made."""

import pickle
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from google.auth.exceptions import DefaultCredentialsError
from google.oauth2.credentials import Credentials as Token

from transforms.bigquery.load import LoadJobClient
from transforms.bigquery.storage_target import StorageTarget
from transforms.bigquery.target import BigQueryTarget
from transforms.errors import JobError
from transforms.firestore.target import FirestoreTarget
from transforms.services import EMULATOR_VARIABLES, Credentials, Services

ONE, TWO, THREE = (f"{name}@acme.iam.gserviceaccount.com" for name in ("one", "two", "three"))


class Account:
    """Credentials of an account of our own, which count how often they were asked for."""

    def __init__(self):
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return Token(token="of-the-account")


@pytest.mark.parametrize(
    ("variable", "attribute", "address", "expected"),
    [
        ("FIRESTORE_EMULATOR_HOST", "firestore_emulator", "127.0.0.1:1", "127.0.0.1:1"),
        ("FIRESTORE_EMULATOR_HOST", "firestore_emulator", " http://127.0.0.1:1/ ", "127.0.0.1:1"),
        ("BIGQUERY_EMULATOR_HOST", "bigquery_emulator", "127.0.0.1:1", "http://127.0.0.1:1"),
        ("BIGQUERY_EMULATOR_HOST", "bigquery_emulator", "https://bigquery.test/", "https://bigquery.test"),
        ("BIGQUERY_EMULATOR_GRPC_HOST", "bigquery_grpc_emulator", "http://127.0.0.1:1/", "127.0.0.1:1"),
    ],
)
def test_an_emulator_s_address_may_be_written_with_and_without_its_scheme(variable, attribute, address, expected):
    services = Services.of({variable: address})
    assert getattr(services, attribute) == expected
    for nothing in ({}, {variable: ""}, {variable: " "}):
        assert getattr(Services.of(nothing), attribute) is None


def test_a_project_that_is_given_wins_over_the_environment_s():
    assert Services.of({"GOOGLE_CLOUD_PROJECT": "other"}).project == "other"
    assert Services.of({"GOOGLE_CLOUD_PROJECT": "other"}, project="acme").project == "acme"
    assert Services.of({}).project is None


def test_services_travel_to_a_worker_and_are_equal_by_value():
    services = Services.of({"FIRESTORE_EMULATOR_HOST": "h:1"}, credentials=Credentials(ONE))
    assert pickle.loads(pickle.dumps(services)) == services
    assert hash(services) == hash(pickle.loads(pickle.dumps(services)))


def test_without_an_account_to_act_as_the_computer_s_own_is_used():
    assert Credentials()().token == "fake"


@pytest.mark.parametrize("chain", [f"{ONE},{TWO},{THREE}", f"{ONE}, {TWO}, {THREE}"])
def test_the_last_account_of_a_chain_is_acted_as_and_nobody_is_asked_for_it_yet(chain):
    found = Credentials(chain, ("scope",))()
    assert found.service_account_email == THREE
    assert found.token is None
    alone = Credentials(ONE)()
    assert alone.service_account_email == ONE


def test_credentials_that_are_missing_are_missed_only_when_they_are_used(monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    services = Services.of({}, credentials=Credentials(ONE))
    table, database = BigQueryTarget.parse("acme:d.t", services), FirestoreTarget.of(services, "acme-missing")
    with pytest.raises(DefaultCredentialsError):
        services.credentials()
    for use in (table.client, table.session, StorageTarget(table).connect):
        with pytest.raises(JobError, match="run `gcloud auth application-default login`"):
            use()
    with pytest.raises(JobError, match=r"missing\.json was not found\. Sign in: gcloud auth application-default login"):
        database.connect()


def ways_to_connect(services):
    table = BigQueryTarget.parse("acme:d.t", services)
    storage, database = StorageTarget.of(table, services), FirestoreTarget.of(services, "demo-ways")
    return [table.client, table.session, lambda: LoadJobClient(table).tables, storage.connect, database.connect]


def test_every_client_of_google_cloud_is_the_account_s():
    account = Account()
    for n, connect in enumerate(ways_to_connect(Services.of({}, credentials=account)), start=1):
        connect()
        assert account.asked == n


def test_no_client_of_an_emulator_asks_for_credentials():
    account = Account()
    for connect in ways_to_connect(Services.of(dict.fromkeys(EMULATOR_VARIABLES, "127.0.0.1:1"), credentials=account)):
        connect()
    assert account.asked == 0


def test_bigquery_sees_the_account_in_every_request(monkeypatch):
    seen = []
    with _server(seen) as url:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", url)  # read by the client library, not by us: it keeps credentials
        table = BigQueryTarget.parse("acme:d.t", Services.of({}, credentials=Account()))
        table.client().get_table(table.id, retry=None)
        table.session().get(url)
    assert seen == ["Bearer of-the-account"] * 2


@contextmanager
def _server(seen):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):  # as the base class names it
            seen.append(self.headers["Authorization"])
            content = b'{"tableReference": {"projectId": "acme", "datasetId": "d", "tableId": "t"}}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Keeps the test's output clean."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
