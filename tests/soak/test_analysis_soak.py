"""A model is asked about 500 records, killed at ten moments: nothing is paid twice but what was in flight."""

import os
import random
import subprocess
import sys

import pytest

from tests.emulator.test_demo import ROOT
from tests.emulator.test_ingest_analysis import documents, flags, people, write
from tests.stand_ins import comes_true
from tests.support.ingest import ingest
from transforms.testing.providers import scripted_provider

pytestmark = [pytest.mark.soak, pytest.mark.emulator]

__all__ = ["people"]  # a fixture

N_RECORDS, N_KILLS, AT_ONCE = 500, 10, 8


def test_whatever_is_killed_each_question_is_paid_once_but_for_those_in_flight(people, target):
    write(people, N_RECORDS)
    chance = random.Random(0)
    slow = {"endpoints": [{"endpoint": "chat", "delay_s": 0.1, "times": None}]}
    with scripted_provider("openai", slow) as provider:
        arguments = flags(provider, f"--analyse_concurrency={AT_ONCE}", "--take_over")
        for _ in range(N_KILLS):
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "pipeline",
                    "ingest",
                    f"--project={target.project}",
                    "--dead_letters=dl",
                    *arguments,
                ],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stderr=subprocess.DEVNULL,
            )
            comes_true(lambda process=process: process.poll() is not None, within_s=4 + 3 * chance.random())
            process.kill()
            process.wait()
        run = ingest(people, target, *arguments)
        n_asked = len(provider.requests("chat"))
    assert run.exit_code == 0
    full, flat = documents(target)
    assert len(full) == len(flat) == N_RECORDS
    assert all(document["model_analysis"]["level"] for document in full.values())
    assert N_RECORDS <= n_asked <= N_RECORDS + N_KILLS * AT_ONCE
