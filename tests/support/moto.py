"""A real S3 server in a process of its own, of PyPI's moto."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from pipeline.emulators.s3 import s3_server


@contextlib.contextmanager
def running_s3() -> Iterator[str]:
    """A server; gives its URL. Skips where moto is not installed."""
    pytest.importorskip("moto")
    with s3_server() as url:
        yield url
