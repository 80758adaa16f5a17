"""What doctor says when something is missing: one line each, quickly, and never a secret."""

import io
import json
import os
import socket
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipeline.__main__ import main
from pipeline.commands.doctor import Check, Config, Verdict, as_table, checked, diagnose, exit_code
from pipeline.commands.firestore_probes import PROBE_COLLECTION
from pipeline.commands.probes import find_account, reach
from pipeline.present.terminal import Console, show
from transforms.errors import JobError, TransientError
from transforms.testing import PROJECT, RpcError, ScriptedFirestore, always, status

DENIED = RpcError("PERMISSION_DENIED", "Missing or insufficient permissions.")


@pytest.fixture
def bare(tmp_path):
    """The environment of a computer on which nothing is installed."""
    return {"PATH": str(tmp_path), "HOME": str(tmp_path)}


def by_name(checks):
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


def against(server, bare, **flags):
    host = server.target.emulator_host  # in place of BigQuery's as well, which spares the search for a Python
    environ = {**bare, "FIRESTORE_EMULATOR_HOST": host, "BIGQUERY_EMULATOR_HOST": host}
    return by_name(diagnose(Config(**{"project": PROJECT, **flags}), environ))


def test_a_database_that_can_be_used_is_ok_and_nothing_stays_in_it(bare):
    with ScriptedFirestore() as server:
        checks = against(server, bare)
    assert checks["database"] == Check("database", Verdict.OK, f"projects/{PROJECT}/databases/(default)")
    assert checks["read and write"].ok
    assert server.documents == {}
    written, deleted = (request.writes[0] for request in server.requests("Commit"))
    assert written.update.name == deleted.delete
    assert f"/documents/{PROBE_COLLECTION}/probe-" in deleted.delete


def test_a_missing_project_does_not_hide_what_else_is_missing(tmp_path, bare):
    (tmp_path / "file").touch()
    with ScriptedFirestore() as server:
        checks = against(server, bare, project=None, dead_letters=f"{tmp_path}/file/below")
    assert checks["project"].verdict is Verdict.FIX
    assert "pass --project=PROJECT or set GOOGLE_CLOUD_PROJECT" in checks["project"].detail
    assert checks["database"] == Check("database", Verdict.SKIPPED, "not checked: fix project first")
    assert checks["read and write"].detail == "not checked: fix database first"
    assert checks["dead letters"].verdict is Verdict.FIX
    assert "pass --dead_letters=DIR" in checks["dead letters"].detail


def test_the_project_may_come_from_the_environment(bare):
    with ScriptedFirestore() as server:
        assert against(server, {**bare, "GOOGLE_CLOUD_PROJECT": "acme"}, project=None)["project"].detail == "acme"


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("NOT_FOUND", "The database main-db does not exist for project p", "--database='main-db'"),
        ("PERMISSION_DENIED", "Missing or insufficient permissions.", "roles/datastore.user"),
        ("FAILED_PRECONDITION", "The Cloud Firestore API is not available for Datastore Mode", "Native mode"),
        ("UNAVAILABLE", "no route to host", "Check network, proxy and firewall, then try again"),
    ],
)
def test_a_database_that_cannot_be_read_says_how_to_fix_it_after_one_request(bare, code, message, advice):
    refused = always(status(code, message))
    with ScriptedFirestore(scripts={"BatchGetDocuments": refused, "RunQuery": refused}) as server:
        checks = against(server, bare, database="main-db")
    assert checks["database"].verdict is Verdict.FIX
    assert f"{code}: {message}" in checks["database"].detail
    assert advice in checks["database"].detail
    assert checks["read and write"].verdict is Verdict.SKIPPED
    assert (len(server.requests("BatchGetDocuments", "RunQuery")), server.requests("Commit")) == (1, [])


def test_a_database_name_that_cannot_be_is_a_line_of_its_own(bare):
    with ScriptedFirestore() as server:
        checks = against(server, bare, database="Main")
    assert checks["project"].ok
    assert checks["database"].detail.startswith("database must be (default) or 4 to 63 lower-case letters")


def test_the_right_to_read_is_not_taken_for_the_right_to_write(bare):
    with ScriptedFirestore(scripts={"Commit": always(status("PERMISSION_DENIED", "read only"))}) as server:
        checks = against(server, bare)
    assert checks["database"].ok
    assert checks["read and write"].verdict is Verdict.FIX
    assert "roles/datastore.user" in checks["read and write"].detail


def test_a_probe_that_cannot_be_deleted_is_named(bare):
    def refuse_deletes(request, earlier):
        if request.writes[0].delete:
            raise DENIED

    with ScriptedFirestore(scripts={"Commit": refuse_deletes}) as server:
        detail = against(server, bare)["read and write"].detail
    (path,) = server.documents
    assert f"The probe could not be deleted: delete {path} by hand" in detail


def test_a_document_that_reads_back_otherwise_is_told(bare):
    def empty(messages):
        answer = list(messages)
        server.delete(*server.documents)
        yield from answer

    with ScriptedFirestore(scripts={"Commit": [empty]}) as server:
        detail = against(server, bare)["read and write"].detail
    assert "did not hold what had just been written to it" in detail


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "http://127.0.0.1:{}", "localhost:{}"])
def test_an_emulator_that_answers_is_ok_and_one_that_does_not_says_which_variable_to_unset(form):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = form.format(server.getsockname()[1])
        assert reach("BIGQUERY_EMULATOR_HOST", address, 1) == f"{address} answers"
    with pytest.raises(JobError) as silent:
        reach("BIGQUERY_EMULATOR_HOST", address, 1)
    assert str(silent.value) == (
        f"nothing answers at {address} (Connection refused): start the emulator, or unset BIGQUERY_EMULATOR_HOST"
    )


@pytest.mark.parametrize("address", ["localhost", "8080", "http://", "host:port"])
def test_an_emulator_s_address_must_be_one(address):
    with pytest.raises(JobError, match=f"^FIRESTORE_EMULATOR_HOST must be HOST:PORT, got '{address}'$"):
        reach("FIRESTORE_EMULATOR_HOST", address, 1)


def test_every_emulator_that_is_named_is_needed(bare):
    names = [
        "FIRESTORE_EMULATOR_HOST",
        "BIGQUERY_EMULATOR_HOST",
        "BIGQUERY_EMULATOR_GRPC_HOST",
        "STORAGE_EMULATOR_HOST",
    ]
    checks = diagnose(Config(project=PROJECT), {**bare, **dict.fromkeys(names, "127.0.0.1:1")})
    assert {check.verdict for check in checks if check.name in names} == {Verdict.FIX}
    assert exit_code(checks) == 1


def test_a_host_that_takes_connections_and_says_nothing_is_given_up(bare):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        began = time.monotonic()
        checks = by_name(
            diagnose(
                Config(project="demo-mute"),
                {**bare, "FIRESTORE_EMULATOR_HOST": address, "BIGQUERY_EMULATOR_HOST": address},
                check_timeout_s=1,
            )
        )
        took_s = time.monotonic() - began
    assert checks["FIRESTORE_EMULATOR_HOST"].ok
    assert checks["database"].verdict is Verdict.FIX
    assert "DEADLINE_EXCEEDED" in checks["database"].detail
    assert took_s < 20


def test_what_only_demo_and_tests_need_is_a_hint_that_names_the_command(bare):
    checks = diagnose(Config(project=PROJECT), bare, check_timeout_s=2)
    installed = by_name(checks)
    assert "Java" in installed
    for name in ("Firestore emulator", "Java", "BigQuery emulator"):
        assert installed[name].verdict is not Verdict.FIX
        assert "\n" not in installed[name].detail


def test_what_an_emulator_that_runs_needed_is_not_asked_for(bare):
    with ScriptedFirestore() as server:
        checks = against(server, bare)
    assert checks.keys().isdisjoint({"credentials", "Firestore emulator", "Java"})


def credentials_line(monkeypatch, file):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    return checked("credentials", find_account)


def test_valid_credentials_are_ok_and_not_shown(monkeypatch, fake_credentials):
    check = credentials_line(monkeypatch, fake_credentials)
    assert check == Check("credentials", Verdict.OK, "an account signed in with gcloud")


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "was not found"), ("{", "not a valid json file"), ('{"type": "x"}', "Type is x")]
)
def test_credentials_that_cannot_be_used_say_why_and_how_to_sign_in(tmp_path, monkeypatch, content, problem):
    file = tmp_path / "key.json"
    if content is not None:
        file.write_text(content)
    check = credentials_line(monkeypatch, file)
    assert check.verdict is Verdict.FIX
    assert problem in check.detail
    assert "gcloud auth application-default login" in check.detail


def test_an_account_that_cannot_be_acted_as_says_which_role_is_missing(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # no token is to be had
    check = checked("credentials", partial(find_account, "robot@acme.iam.gserviceaccount.com"))
    assert check.verdict is Verdict.FIX
    assert "roles/iam.serviceAccountTokenCreator" in check.detail
    assert "to act as robot@acme.iam.gserviceaccount.com" in check.detail


def test_no_line_shows_a_secret(tmp_path, monkeypatch):
    secret = "s3cr3t-do-not-show"
    account = {"client_id": secret, "client_secret": secret, "refresh_token": secret, "token_uri": "http://127.0.0.1:1"}
    file = tmp_path / "key.json"
    file.write_text(json.dumps({"type": "authorized_user", **account}))
    check = credentials_line(monkeypatch, file)
    assert check.verdict is Verdict.FIX
    assert secret not in check.detail


def test_without_credentials_everything_on_google_cloud_waits_for_them(tmp_path, bare, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    config = Config(project=PROJECT, bigquery_table="acme-x:people.t", dead_letters="gs://bucket/dead")
    checks = by_name(diagnose(config, {**bare, "BIGQUERY_EMULATOR_HOST": ""}))
    assert checks["credentials"].verdict is Verdict.FIX
    for name in ("database", "BigQuery dataset", "dead letters"):
        assert checks[name] == Check(name, Verdict.SKIPPED, "not checked: fix credentials first")


def test_a_bigquery_table_s_name_is_checked_even_if_firestore_cannot_be_reached(bare):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        environ = {**bare, "FIRESTORE_EMULATOR_HOST": "nonsense", "BIGQUERY_EMULATOR_HOST": address}
        checks = by_name(diagnose(Config(project=PROJECT, bigquery_table="people"), environ))
    assert checks["BigQuery dataset"].detail.startswith("a BigQuery table is named PROJECT:DATASET.TABLE")
    assert checks["BigQuery table"].verdict is Verdict.SKIPPED


def test_a_bigquery_that_does_not_answer_says_so_after_one_attempt(bare):
    with ScriptedFirestore() as server, socket.create_server(("127.0.0.1", 0)) as mute:
        environ = {
            **bare,
            "FIRESTORE_EMULATOR_HOST": server.target.emulator_host,
            "BIGQUERY_EMULATOR_HOST": f"127.0.0.1:{mute.getsockname()[1]}",
        }
        config = Config(project=PROJECT, bigquery_table="demo-x:people.candidates")
        check = by_name(diagnose(config, environ, check_timeout_s=1))["BigQuery dataset"]
    assert check.verdict is Verdict.FIX
    assert "BigQuery dataset demo-x:people: no answer from BigQuery" in check.detail
    assert "Check network, proxy and firewall" in check.detail


def test_a_probe_that_hangs_costs_no_more_than_the_patience_allowed():
    over = threading.Event()
    began = time.monotonic()
    check = checked("database", lambda: str(over.wait(30)), check_timeout_s=0.2)
    took_s = time.monotonic() - began
    over.set()
    assert check == Check(
        "database", Verdict.FIX, "no answer within 0.2 s. Check network, proxy and firewall, then try again"
    )
    assert took_s < 20


def test_credentials_that_take_too_long_are_taken_for_missing():
    over = threading.Event()
    detail = checked("credentials", lambda: str(over.wait(30)), check_timeout_s=0.1).detail
    over.set()
    assert detail.startswith("no answer within 0.1 s. Sign in: gcloud auth application-default login")


@pytest.mark.parametrize(
    ("failure", "detail"),
    [
        (JobError("do this"), "do this"),
        (TransientError("no answer"), "no answer. Check network, proxy and firewall, then try again"),
        (KeyError("unforeseen"), "KeyError: 'unforeseen'"),
    ],
)
def test_whatever_goes_wrong_is_one_line(failure, detail):
    def probe():
        raise failure

    assert checked("x", probe) == Check("x", Verdict.FIX, detail)
    assert checked("x", probe, otherwise=Verdict.HINT).verdict is Verdict.HINT


def printed(checks, **settings):
    out = io.StringIO()
    show(Console(file=out, color_system=None, **settings), as_table(checks))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_table_shows_a_line_a_check_and_takes_nothing_for_markup():
    shown = printed([Check("database", Verdict.OK, "d [/b]"), Check("Java", Verdict.HINT, "none")], width=120)
    assert shown == ["ok    database  d [/b]", "hint  Java      none"]


ADVICE = "there is no database (default): gcloud firestore databases create --project=acme-prod --database='(default)'"


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_line_is_whole_whatever_the_width_so_that_its_command_can_be_copied(width, on_terminal):
    shown = printed([Check("read and write", Verdict.FIX, ADVICE)], width=width, force_terminal=on_terminal)
    assert shown == [f"fix  read and write  {ADVICE}"]


def test_every_check_is_announced_before_it_begins(bare):
    announced = []
    checks = diagnose(Config(project=PROJECT), bare, announce=announced.append, check_timeout_s=0.5)
    assert announced == [check.name for check in checks]


@pytest.mark.parametrize(("flags", "code"), [([f"--project={PROJECT}"], 0), ([], 1), (["--projekt=x"], 2)])
def test_the_exit_code_says_whether_a_job_could_run(monkeypatch, capsys, flags, code):
    with ScriptedFirestore() as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.target.emulator_host)
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.target.emulator_host)
        monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
        assert main(["doctor", *flags]) == code
    assert "Traceback" not in capsys.readouterr().err
    assert os.environ.get("GOOGLE_CLOUD_PROJECT") is None


@contextmanager
def provider(status, value):
    """A host that gives one answer, and the requests that it got."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # the name that http.server calls
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"base_url=http://127.0.0.1:{server.server_port}/v1", asked
        finally:
            server.shutdown()
            thread.join()


def provider_line(bare, monkeypatch, *variables, name="openai", api_key="env:PROBED_KEY", key="sk-probed"):
    monkeypatch.setenv("PROBED_KEY", key)
    with ScriptedFirestore() as server:
        return against(server, bare, provider=name, provider_var=variables, api_key=api_key)["provider"]


def test_a_provider_s_key_is_checked_by_one_request(bare, monkeypatch):
    with provider(200, {"data": [{"id": "batch_1"}, {"id": "batch_2"}], "has_more": True}) as (address, asked):
        line = provider_line(bare, monkeypatch, address)
    said = "openai accepts the key of env:PROBED_KEY; 2 batches on the first page of its list"
    assert line == Check("provider", Verdict.OK, said)
    assert asked == [("/v1/batches?limit=100", "Bearer sk-probed")]


def test_a_provider_that_refuses_the_key_says_where_it_came_from(bare, monkeypatch):
    with provider(401, {"error": {"code": "invalid_api_key", "message": "sk-probed"}}) as (address, asked):
        line = provider_line(bare, monkeypatch, address)
    assert line.verdict is Verdict.FIX
    assert line.detail == (
        "openai does not accept the key (401, invalid_api_key): check env:PROBED_KEY, or pass another --api_key"
    )
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("flags", "advice"),
    [
        ({"name": "open_ai"}, "did you mean openai?"),
        ({"name": "brightdata"}, "brightdata needs dataset_id: pass --provider_var=dataset_id=VALUE"),
        ({"name": "brightdata", "api_key": None}, "brightdata needs dataset_id: pass --provider_var=dataset_id=VALUE"),
        ({"api_key": "sk-literal"}, "--api_key must say where the secret is kept"),
        ({"key": ""}, "the environment variable PROBED_KEY is not set"),
    ],
)
def test_what_is_missing_for_a_provider_is_named_without_a_request(bare, monkeypatch, flags, advice):
    line = provider_line(bare, monkeypatch, **flags)
    assert line.verdict is Verdict.FIX
    assert advice in line.detail
    assert "sk-literal" not in line.detail
