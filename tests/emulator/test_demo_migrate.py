"""`firebeam demo migrate` as a user runs it: all phases and back, no write lost, no call failed, nothing left."""

import os
import re
import subprocess
import sys

import psutil
import pytest

from tests.emulator.test_demo import ROOT
from tests.stand_ins import answers, comes_true

pytestmark = pytest.mark.emulator


def test_it_goes_through_all_phases_and_back_and_both_stores_are_equal(firestore_host):
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_EMULATOR_HOST")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "demo", "migrate", "--items=60"],
        cwd=ROOT,
        env={**environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    printed, _ = process.communicate(timeout=480)
    assert process.returncode == 0, printed
    assert "Traceback" not in printed
    phases = ["dual_write", "firestore_analytics", "firestore_primary", "cosmos_retired"]
    went = re.findall(r"^in (\w+) after", printed, re.MULTILINE)
    assert went == [*phases, *reversed(phases[:-1]), "cosmos_only"]
    assert re.search(r"only Firestore accepted [1-9]\d* writes; all were carried over", printed)
    assert len(re.findall(r"^verify-\w+: equal", printed, re.MULTILINE)) == 2
    assert re.search(r"│ calls failed +│ +0 │", printed)
    port = int(re.search(r"^Firestore emulator: 127\.0\.0\.1:(\d+)$", printed, re.MULTILINE)[1])
    pid = int(re.search(r"process (\d+); what it says", printed)[1])
    assert comes_true(lambda: not answers(port) and not psutil.pid_exists(pid))
