"""How Beam handles batches: whole when they travel, by a sample when they are only measured."""

import pickle
import subprocess
import sys

import pytest

from transforms.batch import Batch, DeadLetter, Record
from transforms.runtime.batch_coder import BatchCoder


class Unpicklable:
    """Fails whoever pickles it."""

    def __reduce__(self):
        raise pickle.PicklingError("looked at")


def batch(*records, letters=()):
    return Batch("b", "file", len(records) + len(letters), tuple(records), tuple(letters))


# What each job's graph imports, and the entries of the batches that flow through it.
JOBS = {
    "pipeline.jobs.ingest": "Record Keyed Compared Flat Written",
    "pipeline.jobs.replay": "Record Keyed Compared Flat Written",
    "pipeline.jobs.export": "Exported",
}

# Whether Beam handles the batches of a job so, in a process that has imported nothing else.
REGISTERED = """
import importlib, sys
from apache_beam.coders.typecoders import registry
importlib.import_module(sys.argv[1])
from transforms.batch import Batch, Record
from transforms.export.entries import Exported
from transforms.upsert.entries import Compared, Flat, Keyed, Written
print(*[type(registry.get_coder(Batch[globals()[entry]])).__name__ for entry in sys.argv[2:]])
"""


@pytest.mark.parametrize("job", JOBS)
def test_beam_takes_it_for_batches_of_every_step_whatever_job_is_run(job):
    entries = JOBS[job].split()
    command = [sys.executable, "-c", REGISTERED, job, *entries]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["BatchCoder"] * len(entries)


def test_a_batch_that_travels_arrives_whole():
    sent = batch(Record(0, {"a": 1}), Record(7, {"b": None}), letters=[DeadLetter("S", "C", "m", b"raw")])
    coder = BatchCoder()
    assert coder.decode(coder.encode(sent)) == sent


def test_a_batch_is_measured_by_its_first_record_alone():
    first = Record(0, {"text": "x" * 1000})
    measured = BatchCoder().estimate_size(batch(first, Record(1, {"a": Unpicklable()})))
    assert 2_000 < measured < 3_000


def test_a_batch_of_dead_letters_and_an_empty_one_have_a_size():
    assert BatchCoder().estimate_size(batch(letters=[DeadLetter("S", "C", "m", b"raw")])) > 0
    assert BatchCoder().estimate_size(batch()) == 0


def test_batches_are_no_keys():
    assert not BatchCoder().is_deterministic()
