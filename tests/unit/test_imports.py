"""What a command imports: to import Beam takes seconds, which nobody waits for who asks for help."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import JOBS

ROOT = Path(__file__).parents[2]

HEAVY = ("apache_beam", "google.cloud.bigquery", "google.cloud.firestore_v1", "pandas", "pyarrow", "numpy", "grpc")

PROGRAM = """
import sys
from pipeline.__main__ import main
try:
    exit_code = main(sys.argv[2:])
except SystemExit as left:
    exit_code = left.code
sys.stderr.write(f"{exit_code} {[module for module in sys.argv[1].split(',') if module in sys.modules]}")
"""


def left_by(*arguments, heavy=HEAVY):
    """The exit code, and which of the heavy modules were imported for it."""
    command = [sys.executable, "-c", PROGRAM, ",".join(heavy), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [[], ["--help"], *([name, "--help"] for name in JOBS)], ids=" ".join)
def test_help_imports_nothing_that_takes_long(arguments):
    assert left_by(*arguments) == "0 []"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["ingest"],
        ["ingest", "--input=a", "--batch_size=0"],
        ["ingest", "--input=a", "--batchsize=5"],
        ["verify", "--left=a", "--right=b", "--runner=DirectRunner", "--regoin=eu"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_found_before_anything_that_takes_long_is_imported(arguments):
    assert left_by(*arguments) == "2 []"
