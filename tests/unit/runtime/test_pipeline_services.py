"""Where a pipeline's services are: what its options and the environment say, and nothing is called to find out."""

import pickle

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from transforms.bigquery.target import BigQueryTarget
from transforms.errors import UsageError
from transforms.firestore.target import FirestoreTarget
from transforms.runtime.services import services_of
from transforms.services import Credentials

CHAIN = "one@acme.iam.gserviceaccount.com,two@acme.iam.gserviceaccount.com"


def firestore_of(flags, project=None, database="(default)", environ=None):
    return FirestoreTarget.of(services_of(PipelineOptions(flags), environ or {}), project, database)


@pytest.mark.parametrize(
    ("project", "flags", "environ", "expected"),
    [
        ("given", ["--project=option"], {"GOOGLE_CLOUD_PROJECT": "environment"}, "given"),
        (None, ["--project=option"], {"GOOGLE_CLOUD_PROJECT": "environment"}, "option"),
        (None, [], {"GOOGLE_CLOUD_PROJECT": "environment"}, "environment"),
    ],
)
def test_the_nearest_project_counts(project, flags, environ, expected):
    assert firestore_of(flags, project, environ=environ).project == expected


def test_without_any_project_there_is_no_target():
    with pytest.raises(UsageError, match="no Google Cloud project is given; pass --project=PROJECT"):
        firestore_of([])


def test_an_emulator_is_captured_when_the_pipeline_is_built():
    environ = {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:9"}
    assert firestore_of([], "demo-x", "other-db", environ).emulator_host == "127.0.0.1:9"
    assert firestore_of([], "demo-x", "other-db", {}).emulator_host is None


def test_the_account_to_impersonate_travels_to_the_worker():
    services = services_of(PipelineOptions([f"--impersonate_service_account={CHAIN}"]), {})
    for target in (FirestoreTarget.of(services, "acme"), BigQueryTarget.parse("acme:d.t", services)):
        credentials = pickle.loads(pickle.dumps(target)).credentials
        assert credentials.impersonate_service_account == CHAIN
        assert credentials == services.credentials


def test_the_scopes_are_those_of_beam_s_option():
    own = services_of(PipelineOptions([]), {}).credentials
    assert "https://www.googleapis.com/auth/cloud-platform" in own.scopes
    more = services_of(PipelineOptions(["--gcp_oauth_scope=https://www.googleapis.com/auth/drive"]), {}).credentials
    assert more == Credentials(None, (*own.scopes, "https://www.googleapis.com/auth/drive"))


def test_pipelines_with_the_same_options_share_a_client():
    one, other = (firestore_of([], "demo-x", environ={"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}) for _ in "ab")
    assert one.connect() is other.connect()


def test_the_credentials_are_those_that_beam_finds():
    assert services_of(PipelineOptions([]), {}).credentials().token == "fake"
