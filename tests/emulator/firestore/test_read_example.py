"""The reading example does what its first line says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from transforms.firestore import messages
from transforms.firestore.target import FirestoreTarget
from transforms.firestore.values import serialised_fields

pytestmark = pytest.mark.emulator
ROOT = Path(__file__).parents[3]


def test_the_example_counts_documents_by_a_field(firestore_host, firestore_project, tmp_path):
    target = FirestoreTarget(firestore_project, emulator_host=firestore_host)
    fields = [serialised_fields({"city": "ABC"[n % 3], "n": n}) for n in range(10)]
    documents = [messages.document(target.document_name(f"users/{n}"), each) for n, each in enumerate(fields)]
    target.connect().commit(map(messages.update, documents), 30).result()
    program = ["examples/read_users.py", f"--project={firestore_project}", f"--output={tmp_path / 'cities'}"]
    done = subprocess.run(
        [sys.executable, *program, "--runner=apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner"],
        cwd=ROOT,
        env={**os.environ, "FIRESTORE_EMULATOR_HOST": firestore_host, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted((tmp_path / "cities").read_text().splitlines()) == ["A\t4", "B\t3", "C\t3"]
