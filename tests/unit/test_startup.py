"""No command waits for Beam, and a job for little else: what each costs beside the import of Beam."""

import pytest

from benchmarks.startup import SERVE, measured, until_first_commit
from transforms.testing import PROJECT

MAX_SHARE = {
    ("ingest", "--help"): 1 / 5,
    ("ingest", "--input=a", "--batchsize=5"): 1 / 5,
    ("indexes",): 1 / 5,
    ("status", f"--project={PROJECT}"): 1 / 4,  # a fifth, and room for what differs between two runs
    ("doctor", f"--project={PROJECT}"): 1 / 4,
    tuple(SERVE): 1 / 3,
}


def test_a_command_costs_no_more_than_a_fifth_of_the_import_of_beam():
    _, *costs = measured([*MAX_SHARE], runs=2)
    too_much = [cost for cost, allowed in zip(costs, MAX_SHARE.values(), strict=True) if cost.share > allowed]
    assert too_much == []


@pytest.mark.soak
def test_a_job_costs_little_more_than_the_import_of_beam_until_its_first_commit():
    _, job = until_first_commit(runs=3)
    assert job.share <= 1.3
