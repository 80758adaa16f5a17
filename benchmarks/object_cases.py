"""Small files on S3: found and read as ingest does, beside the bare loop of the client."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import boto3

from benchmarks.measure import CaseError, Meter, Sample
from pipeline.emulators.s3 import s3_server
from transforms.inputs.files import match_inputs
from transforms.inputs.options import ReadOptions
from transforms.inputs.packs import packed, read_pack

_BUCKET = "benchmark"
_CONTENT = b'{"id": "%d", "text": "' + b"x" * 1_000 + b'"}\n'


@contextlib.contextmanager
def _bucket(files: int) -> Iterator[Any]:
    """A bucket with so many files of one line each; gives a client."""
    with s3_server() as url:
        os.environ |= {
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        client = boto3.session.Session().client("s3")
        client.create_bucket(Bucket=_BUCKET)
        for n in range(files):
            client.put_object(Bucket=_BUCKET, Key=f"{n:06d}.json", Body=_CONTENT % n)
        yield client


def read_objects(files: int) -> Sample:
    """Finds the files and reads their records, the client's start included."""
    options = ReadOptions()
    with _bucket(files), Meter(files) as meter:
        found = match_inputs([f"s3://{_BUCKET}/*.json"])
        packs = packed(found, options.batch_size)
        read = sum(batch.read for pack in packs for batch in read_pack(pack, options))
    if read != files:
        raise CaseError(f"{read} of {files} records came through")
    return meter.sample()


def get_objects_bare(files: int) -> Sample:
    """A bare loop of get_object, with the names at hand and a client that runs already."""
    with _bucket(files) as client, Meter(files) as meter:
        bodies = (client.get_object(Bucket=_BUCKET, Key=f"{n:06d}.json")["Body"] for n in range(files))
        read = sum(len(body.read().splitlines()) for body in bodies)
    if read != files:
        raise CaseError(f"{read} of {files} records came through")
    return meter.sample()
