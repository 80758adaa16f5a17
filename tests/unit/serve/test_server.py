"""The page's server, asked by an ordinary client: who gets what, and what an answer lets a browser do."""

import asyncio
import http.client
import json
import re
import socket

import pytest

from pipeline.serve.access import SECURITY_HEADERS
from pipeline.serve.app import Pages
from pipeline.serve.server import serving
from pipeline.serve.watch import Topics
from tests.support.page_ledgers import ledger_of
from tests.support.page_server import asked, page_server
from transforms.errors import UsageError
from transforms.retry import Retry
from transforms.testing import ScriptedFirestore, always, status

TOKEN = "correct horse"
PATHS = ["/", "/jobs/ingest-1", "/api/jobs", "/api/jobs/ingest-1", "/metrics", "/static/page.js"]


@pytest.fixture(scope="module")
def database():
    documents = ledger_of(12) | ledger_of(3, job_id="ingest-2", state="failed", at_provider=False)
    with ScriptedFirestore(documents) as server:
        yield server.target


@pytest.fixture(scope="module")
def port(database):
    with page_server(database) as port:
        yield port


@pytest.fixture(scope="module")
def guarded(database):
    with page_server(database, token=TOKEN) as port:
        yield port


@pytest.mark.parametrize("path", PATHS)
def test_every_page_answers_with_the_headers_that_keep_it_safe(port, path):
    answer = asked(port, path)
    assert answer.status == 200
    kept = {"Cache-Control"} if path.startswith("/static") else set()
    wrong = {name for name, value in SECURITY_HEADERS.items() if answer.headers[name] != value}
    assert wrong == kept
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9999", 200),
        ("localhost:1", 200),
        ("LOCALHOST", 200),
        ("[::1]:80", 200),
        ("127.9.9.9", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:8780", 403),
        ("10.0.0.7", 403),
        ("0.0.0.0", 403),
        ("", 403),
        ("a b", 403),
        ("127.0.0.1:8780@evil.example", 403),
    ],
)
def test_only_a_name_of_this_computer_is_answered(port, host, code):
    for path in ("/", "/healthz", "/static/page.js"):
        assert asked(port, path, host=host).status == code


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(port, method):
    for path in ("/", "/jobs/ingest-1", "/nowhere"):
        answer = asked(port, path, method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_head_is_a_get_without_a_body(port):
    assert asked(port, "/", "HEAD")[::2] == (200, "")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cookie": "firebeam_token=wrong"},
        {"Cookie": "firebeam_token="},
        {"Authorization": "Bearer wrong"},
        {"Authorization": TOKEN},
        {"Authorization": "Basic Y29ycmVjdCBob3JzZQ=="},
    ],
    ids=str,
)
def test_without_the_token_nobody_sees_anything(guarded, path, headers):
    answer = asked(guarded, path, **headers)
    assert answer.status == 401
    assert "ingest" not in answer.text
    assert asked(guarded, f"{path}?token=wrong", **headers).status == 401


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address(guarded):
    answer = asked(guarded, "/?token=correct+horse&state=failed")
    assert answer.status == 200
    assert TOKEN not in answer.text
    assert 'content="0; url=/?state=failed"' in answer.text
    cookie = answer.headers["Set-Cookie"]
    assert re.search(r"; HttpOnly", cookie)
    assert re.search(r"; SameSite=Strict", cookie)
    page = asked(guarded, "/", Cookie=cookie.partition(";")[0])
    assert page.status == 200
    assert "ingest-1" in page.text


def test_a_program_gives_the_token_as_a_bearer(guarded):
    assert asked(guarded, "/metrics", Authorization=f"Bearer {TOKEN}").status == 200


def test_a_probe_needs_no_token_and_learns_no_name(guarded):
    assert asked(guarded, "/healthz")[::2] == (200, "ok\n")


def test_a_server_for_others_answers_to_any_name_that_has_the_token(database):
    with page_server(database, host="0.0.0.0", token=TOKEN) as port:
        assert asked(port, "/", host="status.example.org").status == 401
        assert asked(port, "/", host="status.example.org", Authorization=f"Bearer {TOKEN}").status == 200


def test_the_jobs_are_listed_newest_first_and_can_be_filtered(port):
    everything = asked(port, "/").text
    assert everything.index('href="/jobs/ingest-1"') > 0
    assert everything.index('href="/jobs/ingest-2"') > 0
    failed = asked(port, "/?state=failed").text
    assert 'href="/jobs/ingest-1"' not in failed
    assert 'href="/jobs/ingest-2"' in failed
    assert "<option selected>failed" in failed
    assert 'href="/jobs/ingest-2"' in asked(port, "/?name=GEST-2").text
    nothing = asked(port, "/?name=%22%3E%3Cscript%3E").text
    assert "<script>" not in nothing
    assert "None of the 2 jobs" in nothing


def test_the_document_of_a_job_is_that_of_status(port):
    found = json.loads(asked(port, "/api/jobs/ingest-1").text)
    assert (found["job_id"], found["page"]["batches"]["total"]) == ("ingest-1", 12)
    assert found["newest_ids"] == []
    jobs = json.loads(asked(port, "/api/jobs").text)["jobs"]
    assert {each["job_id"]: each["state"] for each in jobs} == {"ingest-1": "completed", "ingest-2": "failed"}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/nowhere", "There is no such page"),
        ("/jobs/nowhere", "there is no job nowhere"),
        ("/jobs/a%2Fbatches%2Fb", 'must not contain "/"'),
        ("/jobs/..%2F..%2Fetc", 'must not contain "/"'),
        ("/jobs/nowhere/events", "there is no job nowhere"),
        ("/static/..%2Fassets.py", "There is no such page"),
        ("/static/README.md", "There is no such page"),
    ],
)
def test_what_is_not_there_is_said(port, path, says):
    answer = asked(port, path)
    assert (answer.status, says in answer.text) == (404, True)


def test_prometheus_gets_the_jobs(port):
    answer = asked(port, "/metrics")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    lines = answer.text.splitlines()
    assert 'firebeam_job_state{job="ingest",job_id="ingest-2",state="failed"} 1.0' in lines
    assert 'firebeam_jobs{state="completed"} 1.0' in lines
    assert lines[-1] == "# EOF"


@pytest.mark.parametrize(("state", "code"), [("interrupted", 503), ("failed", 200), ("completed", 200)])
def test_a_probe_says_whether_a_job_is_interrupted(state, code):
    with ScriptedFirestore(ledger_of(1, state=state)) as server, page_server(server.target) as port:
        assert asked(port, "/healthz").status == code


def test_a_ledger_out_of_reach_is_said_and_asked_again():
    at_once = Retry(max_attempts=2, initial_s=0, max_s=0)
    with ScriptedFirestore(ledger_of(2)) as server, page_server(server.target, retry=at_once) as port:
        server.script("RunQuery", always(status("PERMISSION_DENIED", "Missing or insufficient permissions.")))
        assert asked(port, "/healthz").status == 503
        answer = asked(port, "/")
        assert answer.status == 503
        assert "Missing or insufficient permissions" in answer.text


def events(port, path, n):
    """The first `n` updates of a page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    found = []
    while len(found) < n:
        line = answer.readline().decode()
        if line.startswith("data: "):
            found.append(json.loads(line.removeprefix("data: ")))
    connection.close()
    return found


def test_a_page_gets_what_it_lacks_and_a_page_that_has_all_gets_nothing_again(port):
    html = asked(port, "/jobs/ingest-1").text
    version = re.search(r'data-version="(\w+)"', html)[1]
    (update,) = events(port, f"/jobs/ingest-1/events?version={version}", 1)
    assert update.keys() == {"version", "at", "trouble"}
    (update,) = events(port, "/jobs/ingest-1/events?version=of_another_server", 1)
    assert update.keys() == {"version", "at", "trouble", "title", "parts", "rows", "series"}
    assert len(update["rows"]["batches"]["order"]) == 12


def test_everybody_who_looks_costs_the_ledger_what_one_does():
    documents = ledger_of(5, state="running", ends_at=None)
    documents["pipeline_jobs/ingest-1"]["heartbeat_at"] = documents["pipeline_jobs/ingest-1"]["started_at"]
    with ScriptedFirestore(documents) as server, page_server(server.target, refresh_s=30) as port:
        asked(port, "/jobs/ingest-1")
        n_read = len(server.received)
        for _ in range(20):
            events(port, "/jobs/ingest-1/events", 1)
            asked(port, "/jobs/ingest-1")
        assert len(server.received) == n_read


def test_a_taken_port_is_named_with_a_free_one():
    async def start(port):
        async with serving(Pages(Topics(lambda name: None), "127.0.0.1"), port):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"cannot listen on 127.0.0.1:{port}: .*; --port=\d+ is free"):
            asyncio.run(start(port))
