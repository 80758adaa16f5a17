"""A scripted BigQuery of each test's own."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.scripted_bigquery import Answer, ScriptedBigQuery, error, row_errors, scripted_bigquery


@pytest.fixture
def bigquery_error() -> Callable[[int, str, str], Answer]:
    return error


@pytest.fixture
def refused_rows() -> Callable[..., Answer]:
    return row_errors


@pytest.fixture
def service() -> Iterator[ScriptedBigQuery]:
    with scripted_bigquery() as scripted:
        yield scripted
