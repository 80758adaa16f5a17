"""The page is open while a real ingest runs on the real emulator: what is stored shows, and the end as well."""

import json
import os
import subprocess
import sys
import threading

import pytest

from tests.emulator.test_demo import ROOT
from tests.stand_ins import comes_true
from tests.support.faulty_firestore import FaultyFirestore
from tests.support.ingest import profile
from tests.support.interrupted import Moment
from tests.support.page_server import asked, page_server
from transforms.firestore.target import FirestoreTarget

pytestmark = pytest.mark.emulator

N, PER_BATCH = 200, 10


def test_batches_show_while_an_ingest_runs(opened, firestore_host, firestore_project, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(profile(n)) + "\n" for n in range(N)))
    target = FirestoreTarget(firestore_project, emulator_host=firestore_host)
    flags = [f"--input={source}", f"--batch_size={PER_BATCH}", "--job_id=ingest-1", f"--project={firestore_project}"]
    command = [sys.executable, "-m", "pipeline", "ingest", *flags, f"--dead_letters={tmp_path}/dead"]
    is_seen = threading.Event()
    held = FaultyFirestore(firestore_host, refuse=Moment(N // PER_BATCH, lambda: is_seen.wait(240)))
    with page_server(target, refresh_s=0.2) as port, held as server:
        assert "No job has run" in asked(port, "/").text
        environ = {**os.environ, "FIRESTORE_EMULATOR_HOST": server.host}
        with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as job:
            try:
                assert comes_true(lambda: asked(port, "/jobs/ingest-1").status == 200)
                seen = opened(f"http://127.0.0.1:{port}/jobs/ingest-1")
                page = seen.page
                page.evaluate("window.opened_once = true")
                was_running = page.locator(".state-running").count()
            finally:
                is_seen.set()
            printed, _ = job.communicate(timeout=120)
        assert job.returncode == 0, printed.decode()
        page.wait_for_selector(".state-completed", timeout=60_000)
        page.wait_for_function(f"document.querySelectorAll('.bar').length === {N // PER_BATCH}")
        assert page.evaluate("window.opened_once")
        assert was_running == 1
        assert "They add up" in page.inner_text('[data-part="counters"]')
        assert page.inner_text(".sum .figure-n >> nth=0") == f"{N:,}"
        assert seen.complaints == []
