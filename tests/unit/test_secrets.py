"""Secrets are named, never given, and never shown."""

import base64
import json
import pickle
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from google.auth.credentials import AnonymousCredentials

from tests.support.clocks import no_waiting
from transforms.errors import JobError, TransientError, UsageError
from transforms.retry import Retry
from transforms.secrets import parse_secret

SECRET = "sk-proj-0123456789"
FLAG = "--api_key"


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"env:{SECRET}",
        "env:",
        "file:",
        "secret:mine",
        "secret:projects/p/secrets/s/versions",
        "secret:projects/p/secrets/s/versions/1/x",
        "ENV:NAME",
        "https://vault.example/key",
        "",
    ],
)
def test_what_does_not_say_where_a_secret_is_is_refused_and_not_shown(text):
    with pytest.raises(UsageError, match=r"^--api_key must say where the secret is kept: env:NAME, file:PATH or") as no:
        parse_secret(text, FLAG)
    assert SECRET not in str(no.value)


def test_a_variable_is_read_where_the_secret_is_used():
    source = pickle.loads(pickle.dumps(parse_secret(" env:ACME_KEY ", FLAG)))
    assert source.read({"ACME_KEY": f"{SECRET}\n"}) == SECRET
    assert SECRET not in repr(source)


def test_a_variable_that_is_not_set_names_itself():
    with pytest.raises(JobError, match=r"^the environment variable ACME_KEY is not set: put the secret there, or"):
        parse_secret("env:ACME_KEY", FLAG).read({})


def test_a_secret_in_place_of_a_variable_s_name_is_not_shown():
    with pytest.raises(JobError) as missing:
        parse_secret("env:b5648e1096c6442f60a6", FLAG).read({})
    assert "b5648e" not in str(missing.value)


def test_a_file_is_read_without_its_last_newline(tmp_path):
    (tmp_path / "key").write_text(f"{SECRET}\n")
    assert parse_secret(f"file:{tmp_path}/key", FLAG).read() == SECRET


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "key cannot be read"),
        (b"\n", "key is empty"),
        (b"one\ntwo", "holds more than a secret"),
        (b"x" * 70_000, "has more than 65,536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(JobError, match=message) as failed:
        parse_secret(f"file:{tmp_path}/key", FLAG).read()
    assert "two" not in str(failed.value)


@contextmanager
def secret_manager(*answers):
    """Gives (status, value) one after another, and the paths that were asked for."""
    asked, pending = [], iter(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # the name that http.server calls
            asked.append(self.path)
            status, value = next(pending)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def payload(secret):
    return {"name": "…", "payload": {"data": base64.b64encode(secret.encode()).decode()}}


def read_from(address, name="projects/p/secrets/s"):
    retry = Retry(max_attempts=3, clock=no_waiting())
    source = parse_secret(f"secret:{name}", FLAG)
    return source.read(credentials=AnonymousCredentials, secret_manager=address, retry=retry)


def test_the_latest_version_is_read_unless_another_is_named():
    with secret_manager((200, payload(SECRET)), (200, payload("second"))) as (address, asked):
        assert read_from(address) == SECRET
        assert read_from(address, "projects/p/secrets/s/versions/2") == "second"
    assert asked == ["/v1/projects/p/secrets/s/versions/latest:access", "/v1/projects/p/secrets/s/versions/2:access"]


def test_a_service_that_is_away_is_asked_again_but_not_forever():
    with secret_manager((503, {}), (200, payload(SECRET))) as (address, _):
        assert read_from(address) == SECRET
    with secret_manager((503, {}), (500, {}), (429, {})) as (address, asked):
        with pytest.raises(TransientError, match="Secret Manager answered 429"):
            read_from(address)
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "projects/p/secrets/s may not be read: give the account roles/secretmanager.secretAccessor on it"),
        (404, "there is no secret projects/p/secrets/s/versions/latest: create it, or check its name"),
        (400, "projects/p/secrets/s/versions/latest cannot be read: Secret Manager answered 400; is it disabled?"),
    ],
)
def test_what_nobody_can_read_says_how_to_fix_it(status, message):
    with secret_manager((status, {})) as (address, asked), pytest.raises(JobError) as refused:
        read_from(address)
    assert (str(refused.value), len(asked)) == (message, 1)
