"""The server as a process of its own: it starts, it tells its address, and it ends with whoever started it."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.provider_client import ProviderClient, chat_lines
from transforms.testing.providers import scripted_provider

ROOT = Path(__file__).parents[4]
COMMAND = [sys.executable, "-m", "transforms.testing.providers"]

# Starts a server, says where it is, and is killed before it can end it.
DIES = """
import os, signal
from transforms.testing.providers import scripted_provider
with scripted_provider("openai") as provider:
    print(provider.base_url, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def is_served(base_url):
    try:
        return ProviderClient(base_url).get("/batches").status == 200
    except ConnectionError:
        return False


def test_a_server_runs_within_its_block_and_is_gone_after_it():
    with scripted_provider("openai", {"batches": [{"ready_s": 0}]}) as provider:
        assert urlsplit(provider.base_url).hostname == "127.0.0.1"
        client = ProviderClient(provider.base_url)
        file_id = client.upload("/files", chat_lines({"n": 1}), "batch")
        asked = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        assert client.post("/batches", asked).json["status"] == "completed"
        assert [batch.custom_ids for batch in provider.batches()] == [["r0"]]
    assert not is_served(provider.base_url)


def test_a_server_ends_with_a_test_that_is_killed():
    test = subprocess.Popen([sys.executable, "-c", DIES], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    base_url = test.stdout.readline().strip()
    # The server's process has the other end of this pipe, so it is at its end when both processes are.
    assert test.stdout.read() == ""
    assert test.wait() == -signal.SIGKILL
    test.stdout.close()
    assert not is_served(base_url)


def test_the_command_line_prints_an_address_and_follows_a_script(tmp_path):
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"endpoints": [{"endpoint": "list", "status": 503}]}))
    server = subprocess.Popen(
        [*COMMAND, "--provider=openai", "--port=0", f"--script={script}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        client = ProviderClient(server.stdout.readline().strip())
        assert [client.get("/batches").status for _ in range(2)] == [503, 200]
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait() == 0
        server.stdout.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"batches": [{"outcome": "x"}]}', "batches[0]: outcome must be one of"), ("{", "Expecting property name")],
)
def test_the_command_line_says_what_is_wrong_with_a_script(tmp_path, text, message):
    script = tmp_path / "script.json"
    script.write_text(text)
    command = [*COMMAND, "--provider=openai", f"--script={script}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr


def test_neither_the_connector_nor_a_test_imports_aiohttp():
    program = "import sys, transforms.testing, transforms.testing.providers; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
