"""The command that a launcher prints reaches the database as the job does, whatever way that is."""

import shlex

import pytest

from pipeline.commands.status import USAGE
from pipeline.run.flags import parse
from pipeline.run.submission import status_command
from transforms.firestore.target import FirestoreTarget

ACCOUNT = "robot@acme.iam.gserviceaccount.com"
ENDPOINT = "nam5-firestore.googleapis.com"


@pytest.mark.parametrize("endpoint", [None, ENDPOINT])
@pytest.mark.parametrize("account", [None, ACCOUNT])
@pytest.mark.parametrize("database", ["(default)", "profiles"])
def test_status_reads_the_command_as_the_job_was_launched(database, account, endpoint):
    command = shlex.split(status_command("ingest-1", FirestoreTarget("acme", database, endpoint=endpoint), account))
    assert command[:3] == ["firebeam", "status", "ingest-1"]
    config, rest = parse(USAGE, command[3:])
    assert rest == []
    assert (config.project, config.database) == ("acme", database)
    assert (config.firestore_endpoint, config.impersonate_service_account) == (endpoint, account)
