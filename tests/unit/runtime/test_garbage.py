"""Every step that makes batches tunes the garbage collector of its worker."""

import subprocess
import sys

import pytest

TUNED = """
import gc
from {module} import {fn} as Fn
before = gc.get_threshold()
Fn.setup(Fn.__new__(Fn))
print(gc.get_threshold() != before)
"""


@pytest.mark.parametrize(
    ("module", "fn"),
    [("transforms.inputs.read", "_ReadFn"), ("transforms.providers.read", "_TakeFn")],
)
def test_a_worker_that_makes_batches_collects_garbage_less_often(module, fn):
    command = [sys.executable, "-c", TUNED.format(module=module, fn=fn)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
