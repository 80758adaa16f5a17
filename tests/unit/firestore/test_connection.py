"""Where a pipeline's Firestore is: what its options and the environment say, and nothing is called to find out."""

import pickle

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from transforms.errors import UsageError
from transforms.firestore.connection import BeamCredentials, target_of

CHAIN = "one@acme.iam.gserviceaccount.com,two@acme.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("project", "flags", "environ", "expected"),
    [
        ("given", ["--project=option"], {"GOOGLE_CLOUD_PROJECT": "environment"}, "given"),
        (None, ["--project=option"], {"GOOGLE_CLOUD_PROJECT": "environment"}, "option"),
        (None, [], {"GOOGLE_CLOUD_PROJECT": "environment"}, "environment"),
    ],
)
def test_the_nearest_project_counts(project, flags, environ, expected):
    assert target_of(PipelineOptions(flags), project, environ=environ).project == expected


def test_without_any_project_there_is_no_target():
    with pytest.raises(UsageError, match="no Google Cloud project is given; pass --project=PROJECT"):
        target_of(PipelineOptions([]), environ={})


def test_an_emulator_is_captured_when_the_pipeline_is_built():
    environ = {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:9"}
    assert target_of(PipelineOptions([]), "demo-x", "other-db", environ).emulator_host == "127.0.0.1:9"
    assert target_of(PipelineOptions([]), "demo-x", "other-db", {}).emulator_host is None


def test_the_account_to_impersonate_travels_to_the_worker():
    target = target_of(PipelineOptions([f"--impersonate_service_account={CHAIN}"]), "acme", environ={})
    credentials = pickle.loads(pickle.dumps(target)).credentials
    assert credentials.impersonate_service_account == CHAIN
    assert credentials == BeamCredentials.of(PipelineOptions([f"--impersonate_service_account={CHAIN}"]))


def test_pipelines_with_the_same_options_share_a_client():
    one, other = (
        target_of(PipelineOptions([]), "demo-x", environ={"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}) for _ in "ab"
    )
    assert one.connect() is other.connect()


def test_the_credentials_are_those_that_beam_finds():
    assert BeamCredentials.of(PipelineOptions([]))().token == "fake"
