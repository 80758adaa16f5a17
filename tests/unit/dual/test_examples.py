"""The two services of examples/, as a user runs them: in memory, in a process of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("example", "lines"),
    [
        ("reviews", [
            "INFO Dual write successful for review by student 12345",
            "ERROR Failed to save review to CosmosDB: the store is down",
            "WARNING Only Firestore write successful for review by student 12345",
            "INFO fractions-7: 0.75",
            "INFO Successfully deleted review from Firestore for student 12345",
        ]),
        ("competencies", [
            "INFO Dual write successful for competency by student 12345",
            "INFO adding: 0.4",
            "INFO to practise: adding",
        ]),
    ],
)  # fmt: skip
def test_an_example_runs_in_memory(example, lines):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{example}.py"],
        cwd=ROOT, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = done.stderr.splitlines()
    assert [line for line in lines if line not in shown] == []
