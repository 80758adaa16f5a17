"""`firebeam demo listen` as a user runs it: its listener is killed, both stores are equal, nothing is left behind."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.emulator.test_demo import EMULATORS, ROOT
from tests.stand_ins import answers, comes_true

pytestmark = pytest.mark.emulator

FLAGS = ("--instruments=EUR_USD", "--granularities=H1,H4")
PROCESS = re.compile(r"process (\d+)")


def start_demo(*arguments):
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_EMULATOR_HOST")}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "demo", *arguments],
        cwd=ROOT,
        env={**environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def start(*flags):
    return start_demo("listen", *flags)


def run(process, until="", then=lambda: None, within_s=480):
    """What it prints up to its end; `then` is called after the first line that has a text."""
    give_up = threading.Timer(within_s, process.kill)
    give_up.start()
    printed, is_waiting = "", bool(until)
    with process:
        while line := process.stdout.readline():
            printed += line
            if is_waiting and until in line:
                is_waiting = False
                then()
    give_up.cancel()
    return printed


def assert_nothing_runs(printed):
    ports = [int(port) for _, port in EMULATORS.findall(printed)]
    pids = [int(pid) for pid in PROCESS.findall(printed)]
    assert len(ports) == 2
    assert pids
    assert comes_true(lambda: not any(map(answers, ports)) and not any(map(psutil.pid_exists, pids)))


def test_it_kills_and_resumes_its_listener_and_both_stores_are_equal(firestore_host, bigquery):
    process = start(*FLAGS)
    printed = run(process)
    assert process.returncode == 0, printed
    assert "Traceback" not in printed
    assert re.search(r"^kill -9 \d+; ", printed, re.MULTILINE)
    assert len(set(PROCESS.findall(printed))) == 2
    assert len(re.findall(r"^verify-\w+: equal", printed, re.MULTILINE)) == 2
    assert re.search(r"2 of 2 streams are live, \d+ changes, from change to row p50 [\d,]+ ms, p99 [\d,]+ ms", printed)
    assert re.search(r"│ demo:candles-EUR_USD-H1 │ live ", printed)
    assert {kind for kind, n in re.findall(r"│ (\w+) +│ +(\d+) │", printed) if int(n)} >= {"closed", "corrected"}
    log = Path(re.search(r"what it says: (\S+)", printed)[1])
    assert "Traceback" not in log.read_text()
    assert_nothing_runs(printed)


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.soak), signal.SIGTERM])
def test_a_signal_stops_the_listener_and_the_emulators(firestore_host, bigquery, number):
    process = start(*FLAGS)
    printed = run(process, until="what it says", then=lambda: os.kill(process.pid, number), within_s=240)
    assert process.returncode == 130
    assert "Traceback" not in printed
    assert_nothing_runs(printed)
