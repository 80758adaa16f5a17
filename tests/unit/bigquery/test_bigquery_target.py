"""BigQueryTarget: what a flag may say, and that a target works in another process."""

import pickle

import pytest

from transforms.bigquery.target import BigQueryTarget
from transforms.errors import UsageError
from transforms.services import Services


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("acme-prod:people.candidates", "acme-prod.people.candidates"),
        ("acme-prod.people.candidates", "acme-prod.people.candidates"),
        (" acme-prod:people.candidates ", "acme-prod.people.candidates"),
        ("example.com:acme-1:people.candidates", "example.com:acme-1.people.candidates"),
        ("demo-x:d_1.t-2", "demo-x.d_1.t-2"),
    ],
)
def test_a_table_is_named_as_bq_and_sql_do(text: str, identity: str) -> None:
    assert BigQueryTarget.parse(text, Services()).id == identity


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidates",
        "people.candidates",
        "acme-prod:people",
        "acme-prod:people.candidates$20260101",
        "a b:c.d",
        "p:d.t.u",
    ],
)
def test_another_name_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        BigQueryTarget.parse(text, Services())
    assert str(raised.value) == (
        f"a BigQuery table is named PROJECT:DATASET.TABLE, such as acme-prod:people.candidates, got {text!r}"
    )


@pytest.mark.parametrize("host", ["127.0.0.1:9050", "http://127.0.0.1:9050", "http://127.0.0.1:9050/"])
def test_the_emulator_is_captured_at_launch_and_travels_with_the_target(host: str) -> None:
    target = BigQueryTarget.parse("demo-x:d.t", Services.of({"BIGQUERY_EMULATOR_HOST": host}))
    copy = pickle.loads(pickle.dumps(target))
    assert copy == target
    assert copy.emulator == "http://127.0.0.1:9050"
    assert copy.client().project == "demo-x"


@pytest.mark.parametrize("environ", [{}, {"BIGQUERY_EMULATOR_HOST": ""}])
def test_without_an_emulator_the_service_is_meant(environ: dict[str, str]) -> None:
    assert BigQueryTarget.parse("acme-prod:d.t", Services.of(environ)).emulator is None
